"""Random noise for a batch that several processes share.

The noise of a turn is a function of (seed, round, player, turn). With W processes each must use for its rows of the
batch the noise that a single process would use for them. So every process draws the noise of the whole batch and keeps
its slice. Outside a turn (sampling, judging) no batch is shared, and noise is drawn as usual.

Legend: B rows on this process, W processes; `dim` is the dimension of the batch in the requested shape.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["batch_share", "normal", "uniform"]

_share: tuple[int, int] = (0, 1)  # (rank, W) of the present turn


@contextmanager
def batch_share(rank: int, world: int) -> Iterator[None]:
    """Within the block this process has part `rank` of the `world` equal parts of each batch."""
    global _share
    previous, _share = _share, (rank, world)
    try:
        yield
    finally:
        _share = previous


def _draw_slice(draw: Callable[..., Tensor], shape: Sequence[int], device: torch.device | str, dim: int) -> Tensor:
    rank, world = _share
    if world == 1:
        return draw(shape, device=device)
    noise = draw([n * world if i == dim else n for i, n in enumerate(shape)], device=device)
    return noise.narrow(dim, rank * shape[dim], shape[dim])


def normal(shape: Sequence[int], device: torch.device | str = "cpu", dim: int = 0) -> Tensor:
    """Standard normal noise of this shape; `dim` is the dimension of the batch."""
    return _draw_slice(torch.randn, shape, device, dim)


def uniform(shape: Sequence[int], device: torch.device | str = "cpu", dim: int = 0) -> Tensor:
    """Uniform noise on [0, 1) of this shape; `dim` is the dimension of the batch."""
    return _draw_slice(torch.rand, shape, device, dim)
