"""Examples → codes → examples in blocks, whatever their number and on whichever device the model is.

    observe    what the model takes examples to be: greys binarised, once and by seed, where it wants 0 or 1
    encode     the code of each example; of a Gaussian posterior its mean
    show       E[x|z, c]

Legend: N examples.
"""

import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError
from bestiary.models.model import Encodes, Model, Shows
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded

__all__ = ["TOGETHER", "encode", "observe", "show"]

TOGETHER = 256  # examples encoded at once


def observe(model: Model, examples: Batch, seed: int) -> Batch:
    """Examples as the model takes them. What was observed before stays as it is."""
    with seeded(derive_seed(seed, "observe")):
        return model.observe(examples)


def encode(model: Model, examples: Batch, seed: int) -> Tensor:
    """Codes (N, …) on the CPU. Raises where the model has no encoder."""
    if not isinstance(model, Encodes):
        raise BestiaryError(f"{type(model).__name__} has no encoder: run.invert(x) searches for codes")
    with torch.no_grad():
        parts = observe(model, examples, seed).split(TOGETHER)
        return torch.cat([model.encode(part.to(model.device)).cpu() for part in parts])


def show(model: Shows, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
    """x of codes (N, …) on the CPU, in model units; the rows of c go with those of z."""
    with torch.no_grad():
        return model.show(z, c).float().cpu()
