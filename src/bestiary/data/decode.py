"""Decode one image file: bytes → uint8 (H, W, C), from any mode that Pillow reads.

    transparency       laid over white
    EXIF rotation      applied
    animations         the first frame; the header says that there are more
    16 bits            the upper 8, rounded: v / 257
    32-bit integers    [0, 255] as they are, or [0, 65535] / 257; larger ones have no white that is known
    floats             [0, 1] × 255, or [0, 255] as they are
    P, CMYK, LAB, …    through Pillow's conversion to RGB; grey by ITU-R 601 luma
    size               short side to the target by Lanczos, then the centre cut out

An image of more than MAX_PIXELS is refused by its header, before a pixel is decoded, and so is a large one with more
than MAX_PIXELS_PER_BYTE; Pillow's own limit is a global setting that any program may change. Large images are decoded
one at a time, so that a few of them do not fill the memory. A file that cannot be used raises `UnusableImage` with the
reason.

Legend: H height, W width, C channels (1 grey, 3 colour).
"""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from bestiary.data.resize import cut_to_size

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_PIXELS", "Header", "UnusableImage", "decode", "image_suffixes", "read_header"]

MAX_PIXELS = 80_000_000  # just below the size at which Pillow warns; decoded to RGBA it is 320 MB
MAX_PIXELS_PER_BYTE = 100  # of a large image: photographs have less than 50, a single colour has 300 to 8,000
_LARGE = 8_000_000  # pixels: eight at once, one in each thread, take as much as one of MAX_PIXELS
_one_large = Lock()

_FORMATS = frozenset({  # those that Pillow decodes by itself: EPS and the like start another program
    "AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MPO", "MSP", "PCX", "PNG",
    "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM", "XPM",
})  # fmt: skip
_WHITES = {"F": (1.0, 255.0), "I": (255.0, 65_535.0)}  # by Pillow's mode, values that can be white
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
    white: float = 0.0  # the least value that can be white, where 8 or 16 bits do not say
    is_animated: bool = False


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
    if width * height > max(_LARGE, MAX_PIXELS_PER_BYTE * len(raw)):
        raise UnusableImage(f"{width:,} × {height:,} pixels in {len(raw):,} bytes: too empty for so large an image")
    return image


def read_header(raw: bytes) -> Header:
    """Read the header; pixels are decoded only if they are floats or 32-bit integers, since these tell what is white.

    Raises UnusableImage where the bytes are no image, or too large a one.
    """
    image = _open(raw)
    width, height = image.size
    # Pillow decodes a PNG without EXIF in its header to look for some behind the pixels
    has_exif = image.format != "PNG" or "exif" in image.info
    if has_exif and image.getexif().get(_ORIENTATION) in _ROTATED:
        width, height = height, width
    white = _white(np.asarray(image)) if image.mode in _WHITES else 0.0
    return Header(height, width, _is_grey(image), white, getattr(image, "is_animated", False))


def _is_grey(image: "Image") -> bool:
    if image.mode == "P" and image.palette is not None:
        colours = np.frombuffer(bytes(image.palette.palette), np.uint8)
        width = len(image.palette.mode)
        if width < 3 or not len(colours) or len(colours) % width:
            return False
        colours = colours.reshape(-1, width)[:, :3]
        return bool((colours == colours[:, :1]).all())
    return image.mode in _GREY or image.mode.startswith("I;16")


def _white(pixels: np.ndarray) -> float:
    """The least value that can be white in floats, 1 or 255, or in integers of 32 bits, 255 or 65,535."""
    whites = _WHITES["F" if pixels.dtype.kind == "f" else "I"]
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= whites[-1]):  # true for NaN as well
        kind = "floating-point" if pixels.dtype.kind == "f" else "32-bit"
        ranges = " nor in ".join(f"[0, {white:g}]" for white in whites)
        raise UnusableImage(f"{kind} pixels between {low:g} and {high:g}, neither in {ranges}: rescale and save them")
    return next(white for white in whites if high <= white)


def decode(raw: bytes, size: tuple[int, int], grey: bool, white: float = 0.0) -> np.ndarray:
    """Bytes of a file → (H, W, 1 or 3) uint8 of the given size.

    `white` is that of the headers of all images, where pixels are floats or 32-bit integers; 0: that of this image.
    Raises UnusableImage where the bytes are no image that can be decoded.
    """
    image = _open(raw)
    with _one_large if image.width * image.height > _LARGE else nullcontext():
        return _pixels(image, size, grey, white)


def _pixels(image: "Image", size: tuple[int, int], grey: bool, white: float) -> np.ndarray:
    from PIL import ImageOps

    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in _WHITES or image.mode.startswith("I;16"):
        image = _grey_floats(np.asarray(image), white)
    elif image.has_transparency_data:
        image = _over_white(image)
    target = "F" if image.mode == "F" else "L" if grey else "RGB"
    image = image if image.mode == target else image.convert(target)
    pixels = np.asarray(cut_to_size(image, size))
    if target == "F":
        pixels = np.round(pixels).clip(0, 255).astype(np.uint8)  # Lanczos may overshoot
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return pixels if pixels.shape[2] == (1 if grey else 3) else pixels.repeat(3, axis=2)


def _over_white(image: "Image") -> "Image":
    from PIL import Image

    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    ground = Image.new("RGB", layer.size, "white")
    ground.paste(layer, mask=layer)
    return ground


def _grey_floats(pixels: np.ndarray, white: float) -> "Image":
    """More than 8 bits → grey values 0 … 255 as floats, so that resizing loses nothing."""
    from PIL import Image

    has_16_bits = pixels.dtype.kind == "u"
    white = 65_535.0 if has_16_bits else max(white, _white(pixels))
    return Image.fromarray(pixels.astype(np.float32) * np.float32(255 / white))
