"""Decode one image file: bytes → uint8 (H, W, C), from any mode that Pillow reads.

    transparency       laid over white
    EXIF rotation      applied
    animations         the first frame
    16 bits            the upper 8, rounded: v / 257
    floats             [0, 1] × 255, or [0, 255] as they are
    P, CMYK, LAB, …    through Pillow's conversion to RGB; grey by ITU-R 601 luma
    size               short side to the target by Lanczos, then the centre cut out

An image of more than MAX_PIXELS is refused by its header, before a pixel is decoded; Pillow's own limit is a global
setting that any program may change. A file that cannot be used raises `UnusableImage` with the reason.

Legend: H height, W width, C channels (1 grey, 3 colour).
"""

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_PIXELS", "Header", "UnusableImage", "decode", "image_suffixes", "read_header"]

MAX_PIXELS = 80_000_000  # just below the size at which Pillow warns; decoded to RGBA it is 320 MB

_FORMATS = frozenset({  # those that Pillow decodes by itself: EPS and the like start another program
    "AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MPO", "MSP", "PCX", "PNG",
    "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM", "XPM",
})  # fmt: skip
_GREY = ("1", "L", "LA", "La", "I", "F")
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_ORIENTATION = 0x0112


class UnusableImage(Exception):
    """An image file that cannot be used; the message is the reason."""


@dataclass(frozen=True)
class Header:
    """The header of an image."""

    height: int
    width: int
    grey: bool
    peak: float = 0.0  # the largest pixel, where pixels are floats


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.OPEN if name in _FORMATS)


@cache
def image_suffixes() -> frozenset[str]:
    """The file name endings of images that can be read."""
    from PIL import Image

    formats = _formats()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def _open(raw: bytes) -> "Image":
    from PIL import Image, UnidentifiedImageError

    if not raw:
        raise UnusableImage("empty file")
    try:
        image = Image.open(BytesIO(raw), formats=_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage(f"{error}; the limit here is {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise UnusableImage("not an image that can be read") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnusableImage(f"{width:,} × {height:,} pixels are more than the limit of {MAX_PIXELS:,}")
    if not width * height:
        raise UnusableImage("no pixels")
    return image


def read_header(raw: bytes) -> Header:
    """Read the header; pixels are decoded only if they are floats, since their peak tells whether 1 or 255 is white.

    Raises UnusableImage where the bytes are no image, or too large a one.
    """
    image = _open(raw)
    width, height = image.size
    if image.getexif().get(_ORIENTATION) in _ROTATED:
        width, height = height, width
    peak = float(np.asarray(image).max()) if image.mode == "F" else 0.0
    return Header(height, width, _is_grey(image), peak)


def _is_grey(image: "Image") -> bool:
    if image.mode == "P" and image.palette is not None:
        colours = np.frombuffer(bytes(image.palette.palette), np.uint8)
        width = len(image.palette.mode)
        if width < 3 or not len(colours) or len(colours) % width:
            return False
        colours = colours.reshape(-1, width)[:, :3]
        return bool((colours == colours[:, :1]).all())
    return image.mode in _GREY or image.mode.startswith("I;16")


def decode(raw: bytes, size: tuple[int, int], grey: bool, white: float = 1.0) -> np.ndarray:
    """Bytes of a file → (H, W, 1 or 3) uint8 of the given size; `white` is the largest value of float pixels.

    Raises UnusableImage where the bytes are no image that can be decoded.
    """
    from PIL import Image, ImageOps

    image = _open(raw)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _grey_floats(np.asarray(image), white)
    elif image.has_transparency_data:
        image = _over_white(image)
    target = "F" if image.mode == "F" else "L" if grey else "RGB"
    image = image if image.mode == target else image.convert(target)
    height, width = size
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    if target == "F":
        pixels = np.round(pixels).clip(0, 255).astype(np.uint8)  # Lanczos may overshoot
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return pixels if pixels.shape[2] == (1 if grey else 3) else pixels.repeat(3, axis=2)


def _over_white(image: "Image") -> "Image":
    from PIL import Image

    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _grey_floats(pixels: np.ndarray, white: float) -> "Image":
    """More than 8 bits → grey values 0 … 255 as floats, so that resizing loses nothing."""
    from PIL import Image

    if pixels.dtype.kind == "f":
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0 and high <= 255):  # false for NaN as well
            raise UnusableImage(
                f"floating-point pixels between {low:g} and {high:g}, neither in [0, 1] nor in [0, 255]"
            )
        values: np.ndarray = pixels * np.float32(255 / white)
    else:
        values = pixels.astype(np.float32).clip(0, 65_535) / 257
    return Image.fromarray(values.astype(np.float32))
