"""What the pages of the gallery share: their size, and fits that leave nothing behind."""

import os
import sys
import tempfile
from typing import Any

import numpy as np

import bestiary as bst

__all__ = ["full", "images", "quick"]


def full() -> bool:
    """Whether the page is to run at its real size: `python plot_….py --full`, or BESTIARY_FULL=1."""
    return "--full" in sys.argv or os.environ.get("BESTIARY_FULL") == "1"


def quick(model: str, small: dict[str, Any], large: dict[str, Any] | None = None, **options: Any) -> bst.Run:
    """A fit to scikit-learn's digits, or to MNIST at the real size, in a folder that is thrown away."""
    data, sized = ("mnist", large or {}) if full() else ("digits", small)
    return bst.fit(data, model, root=tempfile.mkdtemp(), quiet=True, validate=0, save=0, **{**options, **sized})


def images(x: np.ndarray, columns: int) -> np.ndarray:
    """Images (N, H, W, 1) as one picture, with a light line between them."""
    n = (len(x) // columns) * columns
    framed = np.pad(x[:n, :, :, 0], ((0, 0), (0, 1), (0, 1)), constant_values=x.max())
    h, w = framed.shape[1:]
    return framed.reshape(-1, columns, h, w).swapaxes(1, 2).reshape(-1, columns * w)
