"""The images that both sides of every pair see: MNIST where BESTIARY_DATA is set and holds it, else drawn here.

`greys` are (N, 28, 28) uint8; `ink` is greys ≥ 128; `photographs` are (N, 64, 64, 3) uint8, always drawn: smooth random
colours, whose files have about the size of a small photograph's. What is drawn is a function of the number of images.
"""

import gzip
import os
from pathlib import Path

import numpy as np

__all__ = ["greys", "ink", "photographs", "source"]


def _mnist() -> Path | None:
    root = os.environ.get("BESTIARY_DATA")
    path = Path(root) / "mnist" / "train-images-idx3-ubyte.gz" if root else None
    return path if path and path.exists() else None


def source() -> str:
    """What the grey images are, for the record."""
    return "MNIST's first training images" if _mnist() else "drawn blobs (set BESTIARY_DATA for MNIST)"


def greys(n: int) -> np.ndarray:
    """(n, 28, 28) uint8."""
    path = _mnist()
    if path is not None:
        with gzip.open(path) as file:
            return np.frombuffer(file.read(16 + n * 784)[16:], np.uint8).reshape(n, 28, 28).copy()
    random = np.random.default_rng(0)
    centre = random.uniform(8, 20, (n, 3, 2, 1, 1))  # three blobs an image
    y, x = np.mgrid[:28, :28]
    square = (y - centre[:, :, 0]) ** 2 + (x - centre[:, :, 1]) ** 2  # (n, 3, 28, 28)
    return (255 * np.exp(-square / 12).max(1)).astype(np.uint8)


def ink(n: int) -> np.ndarray:
    """(n, 28, 28) uint8 of 0 and 1."""
    return (greys(n) >= 128).astype(np.uint8)


def photographs(n: int, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """(n, *size, 3) uint8: random colours on a coarse grid, interpolated, with a little grain."""
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (n, 9, 9, 3)).astype(np.float32)
    rows, columns = (np.linspace(0, 8, side).astype(np.float32) for side in size)
    image = _between(_between(coarse, rows, 1), columns, 2)
    return (image + random.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)


def _between(grid: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation along one axis."""
    low = np.minimum(at.astype(int), grid.shape[axis] - 2)
    shape = [-1 if i == axis else 1 for i in range(grid.ndim)]
    share = (at - low).reshape(shape)
    return grid.take(low, axis) * (1 - share) + grid.take(low + 1, axis) * share
