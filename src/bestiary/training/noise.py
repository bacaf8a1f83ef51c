"""Noise for a batch that several processes share.

A turn's noise is a function of (seed, round, player, turn). Under W processes each must use, for its rows of the
batch, the noise that one process would have used for those rows: every process draws for the whole batch and keeps its
slice. Outside a turn (sampling, judging) nothing is shared and the draw is plain.

Legend: B rows here, W processes; the batch is the dimension `dim` of the shape asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["normal", "shared", "uniform"]

_share: tuple[int, int] = (0, 1)  # (rank, W) of the turn being played


@contextmanager
def shared(rank: int, world: int) -> Iterator[None]:
    """Within: this process holds the rows of `rank` out of `world` equal parts of each batch."""
    global _share
    before, _share = _share, (rank, world)
    try:
        yield
    finally:
        _share = before


def _drawn(draw: Callable[..., Tensor], shape: Sequence[int], device: torch.device | str, dim: int) -> Tensor:
    rank, world = _share
    if world == 1:
        return draw(shape, device=device)
    whole = draw([n * world if i == dim else n for i, n in enumerate(shape)], device=device)
    return whole.narrow(dim, rank * shape[dim], shape[dim])


def normal(shape: Sequence[int], device: torch.device | str = "cpu", dim: int = 0) -> Tensor:
    """Standard normal noise ε of this shape, of which `dim` is the batch."""
    return _drawn(torch.randn, shape, device, dim)


def uniform(shape: Sequence[int], device: torch.device | str = "cpu", dim: int = 0) -> Tensor:
    """Uniform noise on [0, 1) of this shape, of which `dim` is the batch."""
    return _drawn(torch.rand, shape, device, dim)
