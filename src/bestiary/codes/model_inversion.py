"""The codes of any number of examples by inversion of a model (inversion.py), from draws of its prior.

Legend: N examples, S starts.
"""

from typing import Any

import torch
from torch import Tensor

from bestiary.codes.encoding import as_shows, decoder, encode
from bestiary.codes.inversion import Inversion, invert
from bestiary.codes.prior_codes import draw_codes, log_prior
from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError
from bestiary.models.model import Coded, Encodes, Model
from bestiary.networks.conditioned import ConditionTensors, cycle_rows, select_rows
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded

__all__ = ["invert_examples"]


def invert_examples(
    model: Model, examples: Batch, c: ConditionTensors, starts: int, seed: int, block: int, **options: Any
) -> Inversion:
    """Search for the codes of examples, `block` of them at a time; on the CPU.

    c: one row for all examples, or one row for each. starts: how many draws of z ~ p(z|c) to start from; if the model
    has an encoder, its code replaces the first. options: prior, steps, lr of `invert`. Raises BestiaryError for a wrong
    number of rows, and as `invert` does.
    """
    rows = len(next(iter(c.values()))) if c else 1
    if rows not in (1, len(examples)):
        raise BestiaryError(f"condition= has {rows} rows: give a row for each of {len(examples)} examples, or 1")
    x, blocks = examples.x.to(model.device), []
    start_codes = _start_codes(model, examples, c, starts, seed)
    for i in range(0, len(x), block):
        part = slice(i, i + block)
        block_c = c if rows == 1 else select_rows(c, part)
        log_pz = log_prior(model, block_c)
        blocks.append(invert(decoder(model, block_c), x[part], start_codes[:, part], log_pz, **options))
    return Inversion(*(torch.cat(tensors).cpu() for tensors in zip(*blocks, strict=True)))


def _start_codes(model: Model, examples: Batch, c: ConditionTensors, starts: int, seed: int) -> Tensor:
    """(S, N, …): draws of p(z|c), or of N(0, I) for a model without a prior; first the encoder's codes, if any."""
    n = starts * len(examples)
    shape = (starts, len(examples), *as_shows(model).code.shape)
    with torch.no_grad(), seeded(derive_seed(seed, "invert"), model.device):
        if isinstance(model, Coded):
            z = draw_codes(model, n, cycle_rows(c, 0, n)).view(shape)
        else:
            z = torch.randn(shape, device=model.device)
        if isinstance(model, Encodes) and model.reads() <= examples.beside.keys():
            z[0] = encode(model, examples, seed).to(model.device)
    return z
