"""Arrays → pixels: the position of the channels, and the levels on which the values lie.

    uint8 (N, H, W), (N, H, W, C), (N, C, H, W)              images, as they are, with any number C of channels
    bool, or only 0 and 1, of such a shape                   images of 2 levels
    float of such a shape in [0, 1], [−1, 1] or [0, 255]     images of 2, 17 or 256 levels if all values are on
                                                             them; else rounded to 256, and the note says so
    uint16 of such a shape                                   images, rounded to 256 levels

The channels are an axis of 1 or 3; else the axis that is shorter than both others; else `channels=` says which.

Legend: N examples, C channels, H height, W width, L levels.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bestiary.data.support import Levels
from bestiary.errors import BestiaryError

__all__ = [
    "CHANNELS",
    "Pixels",
    "blocks",
    "channel_position",
    "channels_last",
    "finite_range",
    "levels_of",
    "to_pixels",
]

CHANNELS = ("", "first", "last")
_BLOCK = 1024  # images read at once: a mapped file need not fit in memory
_LEVELS = (2, 17, 256)  # the numbers of levels that are tried: binary, digits and OMNIGLOT, photographs


_SEEN = 1000  # images that show whether they are photographs
_HALF_TONES = 0.2  # share of pixels between a tenth and nine tenths of white: MNIST .09, Fashion-MNIST .41, faces .99


class Pixels(NamedTuple):
    """Images as they are stored."""

    stored: np.ndarray  # (N, H, W, C) uint8
    levels: int  # how many values a pixel can take
    note: str  # the range and the rounding, where there is something to say


def to_pixels(array: np.ndarray, channels: str = "", name: str = "") -> Pixels:
    """Numbers that can be pixels → pixels. Raises BestiaryError, which begins with `name`, where they cannot be."""
    return _quantise(channels_last(array, channels), name)


def levels_of(stored: np.ndarray, levels: int) -> Levels:
    """The support of images (N, H, W, C), with a look at whether those of one channel are photographs or ink."""
    if levels < 256 or stored.shape[3] > 1:
        return Levels(levels)
    seen = np.asarray(stored[:: -(-len(stored) // _SEEN)])
    return Levels(levels, bool(((seen > 25) & (seen < 230)).mean() > _HALF_TONES))


def blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of an array in blocks, so that a mapped array is never whole in memory."""
    for start in range(0, len(array), _BLOCK):
        yield np.asarray(array[start : start + _BLOCK])


def channel_position(shape: tuple[int, ...]) -> str:
    """The channels of (N, ·, ·, ·) are `first` or `last`; empty where the shape does not tell.

    >>> channel_position((9, 32, 32, 5)), channel_position((9, 2, 32, 32)), channel_position((9, 4, 4, 7))
    ('last', 'first', '')
    """
    _, a, b, c = shape
    if c in (1, 3) or a in (1, 3):
        return "last" if c in (1, 3) else "first"
    return "last" if c < min(a, b) else "first" if a < min(b, c) else ""


def channels_last(array: np.ndarray, channels: str = "") -> np.ndarray:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) → (N, H, W, C), as a view. Raises BestiaryError for any other shape."""
    if channels not in CHANNELS:
        raise BestiaryError(f"channels={channels}: say channels=first, (N, C, H, W), or channels=last, (N, H, W, C)")
    if array.ndim == 3:
        return array[..., None]
    if array.ndim != 4:
        raise BestiaryError(
            f"an array of shape {array.shape} is no images (N, H, W), (N, H, W, C) or (N, C, H, W). For vectors say "
            "layout=row, for numbers with neighbours layout=grid"
        )
    position = channels or channel_position(array.shape)
    if not position:
        raise BestiaryError(
            f"images of shape {array.shape[1:]} may have their channels first or last: say channels=first "
            f"({array.shape[1]} channels) or channels=last ({array.shape[3]} channels)"
        )
    return array if position == "last" else array.transpose(0, 2, 3, 1)


def finite_range(array: np.ndarray, name: str = "images") -> tuple[float, float]:
    """The least and the largest number. Raises BestiaryError for NaN and infinities."""
    extremes = [(block.min(), block.max()) for block in blocks(array)]
    low, high = (float(f([e[i] for e in extremes])) for i, f in ((0, np.min), (1, np.max)))
    if not (np.isfinite(low) and np.isfinite(high)):
        flat = (np.isfinite(block).reshape(len(block), -1).all(axis=1) for block in blocks(array))
        bad_rows = np.flatnonzero(~np.concatenate(list(flat)))
        raise BestiaryError(
            f"{len(bad_rows):,} of {len(array):,} {name} hold NaN or infinite numbers; the first is example "
            f"{bad_rows[0]}. Leave them out: x = x[np.isfinite(x).reshape(len(x), -1).all(axis=1)]"
        )
    return low, high


def _quantise(array: np.ndarray, name: str) -> Pixels:
    low, high = finite_range(array)
    if array.dtype.kind == "b" or (low >= 0 and high <= 1 and array.dtype.kind in "iu"):
        return Pixels(_to_bytes(array), 2, "pixels are 0 or 1")
    if array.dtype.kind == "f":
        return _from_floats(array, low, high, name)
    if low >= 0 and high <= 255:
        return Pixels(_to_bytes(array), 256, "")
    if low >= 0 and high <= 65_535 and array.dtype == np.uint16:
        return Pixels(_rescale(array, 1 / 257, 0.0), 256, "16-bit pixels, rounded to 256 levels")
    raise BestiaryError(_not_pixels(name, low, high))


def _to_bytes(array: np.ndarray) -> np.ndarray:
    return array if array.dtype == np.uint8 else array.astype(np.uint8)


def _not_pixels(name: str, low: float, high: float) -> str:
    return (
        f"{name}pixels lie between {low:g} and {high:g}; they should be uint8, or numbers in [0, 1], [−1, 1] or "
        f"[0, 255]. If they are no pixels say layout=grid (numbers with neighbours) or layout=row (vectors); else "
        f"rescale them"
    )


def _from_floats(array: np.ndarray, low: float, high: float, name: str) -> Pixels:
    """Map to u = scale · x + shift ∈ [0, 1], then find the fewest levels on which every u lies."""
    if (low >= 0 and 1 < high < 2) or (-0.1 < low < 0 and high <= 1):
        raise BestiaryError(
            f"{name}pixels lie between {low:g} and {high:g}, a little outside of [0, 1]: clip them, x.clip(0, 1), or "
            "say layout=grid if they are no pixels"
        )
    ranges = (((0, 1), 1.0, 0.0), ((-1, 1), 0.5, 0.5), ((0, 255), 1 / 255, 0.0))
    fits = [(scale, shift, r) for r, scale, shift in ranges if r[0] <= low and high <= r[1]]
    if not fits:
        raise BestiaryError(_not_pixels(name, low, high))
    scale, shift, (bottom, top) = fits[0]
    worst = dict.fromkeys(_LEVELS, 0.0)
    for block in blocks(array):
        u = block.astype(np.float64) * scale + shift
        for levels in _LEVELS:
            worst[levels] = max(worst[levels], float(np.abs(u * (levels - 1) - np.round(u * (levels - 1))).max()))
    exact = [levels for levels in _LEVELS if worst[levels] < 1e-3]  # float32 of k/255 is off by 1e-5 levels
    levels = exact[0] if exact else 256
    note = f"floats in [{bottom}, {top}], " + (
        f"exactly {levels} levels" if exact else f"ROUNDED to 256 levels, by up to {worst[256] / 255 / scale:.2g}"
    )
    return Pixels(_rescale(array, scale * (levels - 1), shift * (levels - 1)), levels, note)


def _rescale(array: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """round(scale · x + shift) as uint8, block by block."""
    out = np.empty(array.shape, np.uint8)
    for i, block in enumerate(blocks(array)):
        out[i * _BLOCK : i * _BLOCK + len(block)] = np.round(block.astype(np.float64) * scale + shift)
    return out
