"""Encode and decode examples with a model, any number of them, on the device of the model.

    observe    x as the model sees it: grey images binarised, if the model takes binary ones; random by seed
    encode     the code of each example; of a Gaussian posterior its mean
    decode     E[x|z, c] for each code

Legend: N examples, M rows of a condition.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError
from bestiary.models.model import Encodes, Model, Shows
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, cycle_rows
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded

__all__ = ["BLOCK", "as_shows", "decode", "decoder", "encode", "observe"]

BLOCK = 256  # examples encoded at once


def observe(model: Model, examples: Batch, seed: int) -> Batch:
    """Examples as the model sees them; those that it has observed before stay as they are."""
    with seeded(derive_seed(seed, "observe")):
        return model.observe(examples)


def encode(model: Model, examples: Batch, seed: int) -> Tensor:
    """The codes of examples, (N, …), on the CPU. seed: for `observe`. Raises BestiaryError without an encoder."""
    if not isinstance(model, Encodes):
        raise BestiaryError(f"{type(model).__name__} has no encoder: run.invert(x) searches for codes")
    with torch.no_grad():
        blocks = observe(model, examples, seed).split(BLOCK)
        return torch.cat([model.encode(block.to(model.device)).cpu() for block in blocks])


def as_shows(model: Model) -> Shows:
    """The model, as one that decodes codes. Raises BestiaryError if it has none."""
    if not isinstance(model, Shows):
        raise BestiaryError(f"{type(model).__name__} has no codes to decode: draw samples, run.sample(n)")
    return model


def decoder(model: Model, c: ConditionTensors = NO_CONDITION) -> Callable[[Tensor], Tensor]:
    """The function z (N, …) → E[x|z, c] on the model's device; if N > M, the M rows of c are used in turn."""
    shows = as_shows(model)
    return lambda z: shows.show(z, cycle_rows(c, 0, len(z)))


def decode(model: Model, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
    """E[x|z, c] of codes z (N, …) in model units, on the CPU; if N > M, the M rows of c are used in turn.

    Raises BestiaryError if the model has no codes of this shape.
    """
    shape = tuple(as_shows(model).code.shape)
    if tuple(z.shape[1:]) != shape:
        raise BestiaryError(f"the codes of this run have shape (N, {', '.join(map(str, shape))}); got {tuple(z.shape)}")
    with torch.no_grad():
        return decoder(model, c)(z.to(model.device)).float().cpu()
