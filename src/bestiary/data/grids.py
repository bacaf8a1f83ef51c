"""Grids of numbers that are no pixels, such as the cells of a detector, maps of a field, spectra.

    stored   raw float32, as the user gave it; may stay memory-mapped
    model    (stored − mean) / scale, one mean and one scale of all numbers of the training rows
    atom     where some numbers are exactly 0 and none is negative, as in a shower of particles, 0 stays 0: mean = 0 and
             scale² is the mean square

Axes stay as they are: a convolution needs (N, C, H, W), and channels=last turns (N, H, W, C) into it.

Legend: N examples, C channels, H height, W width.
"""

from collections.abc import Callable, Iterator

import numpy as np

from bestiary.data.pixels import CHANNELS, blocks, finite_range
from bestiary.data.spec import Field
from bestiary.data.support import Reals
from bestiary.errors import BestiaryError

__all__ = ["grid_field", "to_grid"]


def to_grid(array: np.ndarray, channels: str = "") -> np.ndarray:
    """Any numbers (N, …) → float32 (N, …), a view where they are float32. Raises BestiaryError for NaN and ∞."""
    if channels not in CHANNELS:
        raise BestiaryError(f"channels={channels}: say channels=first, (N, C, H, W), or channels=last, (N, H, W, C)")
    if array.ndim < 2:
        raise BestiaryError(f"layout=grid needs an array (N, …) of at least two axes; got shape {array.shape}")
    finite_range(array, "examples")
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite: finite_range raises
        grid = array if array.dtype == np.float32 else array.astype(np.float32)
    if grid.dtype != array.dtype:
        finite_range(grid, "examples")
    return np.moveaxis(grid, -1, 1) if channels == "last" and grid.ndim > 2 else grid


def grid_field(grid: np.ndarray, train: np.ndarray, name: str = "x") -> Field:
    """The field of a grid (N, …), its mean and scale those of the training rows."""
    low, _ = finite_range(grid)
    zeros = sum(int((block == 0).sum()) for block in blocks(grid))
    atom = low >= 0 and zeros > 0
    mean = 0.0 if atom else _mean(grid, train, lambda block: block)
    square = _mean(grid, train, lambda block: (block - mean) ** 2)
    scale = float(np.sqrt(square)) if square > 1e-24 * mean**2 else 1.0  # a constant has no scale
    edge = 0.0 if atom else None
    return Field(name, "grid", tuple(grid.shape[1:]), Reals(mean, scale, edge, edge))


def _mean(grid: np.ndarray, rows: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean of a function of all numbers of some rows, block by block."""
    total = sum(float(function(block.astype(np.float64)).sum()) for block in _blocks_of(grid, rows))
    return total / (len(rows) * int(np.prod(grid.shape[1:])))


def _blocks_of(grid: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    for chunk in np.array_split(np.sort(rows), max(1, len(rows) // 1024)):
        yield np.asarray(grid[chunk])
