"""Pictures as PNG data URIs: single images, grids, pairs, a density as a tint.

A stored level v of an image with L levels is the grey ⌊255 v / (L − 1) + ½⌋, so that 17-level digits use
the whole scale. Pictures keep their own pixels; the page enlarges them without smoothing. An image wider or
higher than `LARGEST` is shown reduced by a whole factor, and the caption says so.

Legend: N images, H height, W width, C channels, L levels, G grid.
"""

import warnings
from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np

from bestiary.data.spec import Spec

__all__ = [
    "LARGEST",
    "Plate",
    "fitting_side",
    "grid",
    "pixels",
    "reduction",
    "saved",
    "single",
    "tint",
    "uri",
]

CRISP = 32  # pixels: up to this size single pixels are worth seeing
LARGEST = 64  # pixels: larger images are reduced, so that the page stays below 1.5 MB
BUDGET = 480_000  # bytes of raw pixels in one grid; PNG of noise does not compress


@dataclass(frozen=True)
class Plate:
    """A picture and what a screen reader says for it."""

    src: str
    alt: str
    width: int
    height: int
    crisp: bool = True  # enlarged pixel by pixel; photographs are smoothed


def reduction(spec: Spec) -> int:
    """By which whole factor images are reduced in the page; 1: not at all."""
    return max(1, ceil(max(spec.shape[1:]) / LARGEST))


def pixels(images: np.ndarray, spec: Spec) -> np.ndarray:
    """Stored (N, H, W, C) → what Pillow draws, uint8 (N, H', W', 1 or 3), reduced where it is large."""
    shown = images if images.shape[-1] in (1, 3) else images[..., : 3 if images.shape[-1] > 3 else 1]
    x = np.clip(shown.astype(np.float32) / (spec.x.levels - 1), 0, 1) * 255
    if (r := reduction(spec)) > 1:
        n, h, w, c = x.shape
        x = np.pad(x, ((0, 0), (0, -h % r), (0, -w % r), (0, 0)), mode="edge")
        x = x.reshape(n, -(-h // r), r, -(-w // r), r, c).mean(axis=(2, 4))
    return np.asarray((x + 0.5).astype(np.uint8))


def uri(png: bytes) -> str:
    """A PNG as the address of an image."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")


def _png(x: np.ndarray, mode: str) -> str:
    from PIL import Image

    out = BytesIO()
    Image.frombytes(mode, (x.shape[1], x.shape[0]), np.ascontiguousarray(x).tobytes()).save(out, "PNG", optimize=True)
    return uri(out.getvalue())


def single(x: np.ndarray, alt: str) -> Plate:
    """One drawn image (H, W, 1 or 3)."""
    h, w, c = x.shape
    return Plate(_png(x, "L" if c == 1 else "RGB"), alt, w, h, max(h, w) <= CRISP)


def fitting_side(n: int, spec: Spec, most: int = 8) -> int:
    """The side of the square grid that n images fill and one plate's budget allows."""
    c, h, w = spec.shape
    one = h * w * min(3, c) / reduction(spec) ** 2
    return max(1, min(most, int(n**0.5), int((BUDGET / one) ** 0.5)))


def grid(images: np.ndarray, columns: int, alt: str, gap: int | None = None) -> Plate:
    """Drawn images (N, H, W, 1 or 3) laid out in rows; the gaps are transparent."""
    n, h, w, c = images.shape
    gap = max(1, round(max(h, w) / 24)) if gap is None else gap
    rows = -(-n // columns)
    sheet = np.zeros((rows * (h + gap) - gap, columns * (w + gap) - gap, c + 1), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        sheet[top : top + h, left : left + w, :c] = image
        sheet[top : top + h, left : left + w, c] = 255
    mode = "LA" if c == 1 else "RGBA"
    return Plate(_png(sheet, mode), alt, sheet.shape[1], sheet.shape[0], max(h, w) <= CRISP)


def saved(path: Path, alt: str, largest: int) -> Plate | None:
    """A PNG file as it is; None if it is torn, is no PNG, or has more than `largest` bytes."""
    from PIL import Image

    try:
        raw = path.read_bytes() if path.stat().st_size <= largest else b""
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(raw), formats=["PNG"]) as picture:
                width, height = picture.size
                picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    return Plate(uri(raw), alt, width, height, max(width, height) <= 8 * CRISP)


def tint(density: np.ndarray) -> str:
    """A density (G, G), first row lowest, as a grey of growing opacity: it reads on light and dark paper."""
    top = float(np.quantile(density[np.isfinite(density)], 0.995)) if np.isfinite(density).any() else 0.0
    share = np.clip(np.nan_to_num(density) / (top or 1.0), 0, 1) ** 0.6  # lifts the tails into sight
    sheet = np.empty((*density.shape, 4), np.uint8)
    sheet[..., :3] = (140, 126, 104)
    sheet[..., 3] = np.round(190 * share)[::-1]
    return _png(sheet, "RGBA")
