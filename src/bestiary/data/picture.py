"""Pictures of data: images laid out in a grid, vectors as a scatter, table columns as histograms.

    1 or 3 channels     grey or colours
    any other number    channels side by side, in grey
    maps of floats      (H, W) or (C, H, W), likewise; the smallest number is white, the largest black
    sequences           a row for each example, a column for each token

Legend: N examples, H W C image shape, L levels, F features, T tokens.
"""

from io import BytesIO
from pathlib import Path

import numpy as np

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import atomic

__all__ = ["eight_bit", "grid", "save_png", "side_by_side", "write_picture"]

_MAX_POINTS = 5000  # more points than this hide one another
_MAX_COLUMNS = 12  # histograms of a table


def eight_bit(stored: np.ndarray, levels: int) -> np.ndarray:
    """Stored levels 0 … L−1 → grey values 0 … 255."""
    if levels == 256:
        return stored
    return np.round(stored.astype(np.float32) * (255 / (levels - 1))).astype(np.uint8)


def side_by_side(images: np.ndarray) -> np.ndarray:
    """(…, H, W, C) → the same where C is 1 or 3, else (…, H, C·W, 1), which a PNG can hold."""
    *batch, height, width, channels = images.shape
    if channels in (1, 3):
        return images
    return np.moveaxis(images, -1, -2).reshape(*batch, height, channels * width, 1)


def grid(stored: np.ndarray, columns: int, levels: int, gap: int = 2) -> np.ndarray:
    """Lay out (N, H, W, C) on white: one picture (rows · (H + gap) + gap, …, 1 or 3) uint8."""
    if stored.ndim != 4 or not len(stored):
        raise BestiaryError(f"a grid needs images (N, H, W, C), at least one; got an array of shape {stored.shape}")
    if columns < 1:
        raise BestiaryError(f"columns={columns} must be at least 1")
    stored = side_by_side(stored)
    n, height, width, channels = stored.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, channels)
    out = np.full(shape, 255, np.uint8)
    for i, image in enumerate(eight_bit(stored, levels)):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        out[top : top + height, left : left + width] = image
    return out


def save_png(path: str | Path, picture: np.ndarray, scale: int = 1) -> Path:
    """Write (H, W, C) uint8 as PNG, each pixel `scale` times larger; more channels than 3 stand side by side."""
    from PIL import Image

    picture = side_by_side(picture)
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    image = Image.fromarray(np.ascontiguousarray(picture[..., 0] if picture.shape[-1] == 1 else picture))
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    with atomic(path) as file:
        file.write(buffer.getvalue())
    return Path(path)


def write_picture(path: str | Path, stored: np.ndarray, spec: Spec, columns: int = 8) -> Path:
    """Write a PNG of examples as `Dataset.x` holds them: a grid of images, a scatter, or histograms; its path."""
    if not len(stored):
        raise BestiaryError("there are no examples to draw")
    images, levels = _as_images(np.asarray(stored), spec)
    if images is not None:
        scale = max(1, min(8, 64 // max(images.shape[1:3])))  # small images are enlarged to about 64 pixels
        return save_png(path, grid(images, columns, levels), scale)
    return _plot(path, np.asarray(stored, np.float64).reshape(len(stored), -1), spec)


def _as_images(stored: np.ndarray, spec: Spec) -> tuple[np.ndarray | None, int]:
    """Examples as images (N, H, W, C) and their levels; None and 0 where they are no images."""
    if spec.x.is_picture:
        return stored, spec.x.levels
    if spec.x.layout == "sequence":
        shades = stored[None, ..., None] * (255 / max(1, len(spec.x.words) - 1))  # one image of N rows
        return np.round(shades).astype(np.uint8), 256
    if spec.x.layout != "grid" or len(spec.shape) not in (2, 3):
        return None, 0
    maps = stored[..., None] if len(spec.shape) == 2 else np.moveaxis(stored, 1, -1)
    low, high = float(maps.min()), float(maps.max())
    ink = (high - maps.astype(np.float64)) / (high - low or 1.0)
    return np.round(255 * ink).astype(np.uint8), 256


def _plot(path: str | Path, x: np.ndarray, spec: Spec) -> Path:
    """Two numbers make a scatter, any other count one histogram each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = spec.x.component_names
    if x.shape[1] == 2:
        figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
        axes = figure.subplots()
        axes.scatter(x[:_MAX_POINTS, 0], x[:_MAX_POINTS, 1], s=3, linewidths=0, alpha=0.6)
        axes.set(aspect="equal", xlabel=names[0], ylabel=names[1])
    else:
        count = min(x.shape[1], _MAX_COLUMNS)
        columns = min(count, 4)
        rows = -(-count // columns)
        figure = Figure(figsize=(2.6 * columns, 2.2 * rows), dpi=120, layout="constrained")
        for i in range(count):
            axes = figure.add_subplot(rows, columns, i + 1)
            axes.hist(x[:, i], bins=40)
            axes.set_title(names[i], fontsize=8, parse_math=False)
            axes.tick_params(labelsize=7)
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    with atomic(path) as file:
        file.write(buffer.getvalue())
    return Path(path)
