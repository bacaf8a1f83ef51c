"""The size of images: `size=64` or `size=48x64`, for files and for arrays.

    the short side is resized by Lanczos, then the centre is cut out

Resized levels lie between the levels that there were: images of an array with fewer than 256 get 256.

Legend: N images, H height, W width, C channels.
"""

from typing import TYPE_CHECKING

import numpy as np

from bestiary.data.support import Levels
from bestiary.errors import BestiaryError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["cut_to_size", "parse_size", "resize"]

_LARGEST = 4096  # pixels of a side


def parse_size(size: int | str) -> tuple[int, int]:
    """`64` or `48x64` → (height, width). Raises BestiaryError for anything else."""
    try:
        sides = [int(side) for side in str(size).lower().split("x")]
        height, width = sides * 2 if len(sides) == 1 else sides
    except ValueError as error:
        raise BestiaryError(f"size={size}: say one number, size=64, or height and width, size=48x64") from error
    if not (1 <= height <= _LARGEST and 1 <= width <= _LARGEST):
        raise BestiaryError(f"size={size}: sides must lie between 1 and {_LARGEST}")
    return height, width


def cut_to_size(image: "Image", size: tuple[int, int]) -> "Image":
    """An image of the size (height, width): short side resized, centre cut out."""
    from PIL import Image, ImageOps

    height, width = size
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def resize(stored: np.ndarray, levels: int, size: tuple[int, int]) -> tuple[np.ndarray, int]:
    """(N, H, W, C) uint8 of some levels → (N, height, width, C) uint8 and its levels; the same where the size fits."""
    from PIL import Image

    if stored.shape[1:3] == size:
        return stored, levels
    support, channels = Levels(levels), stored.shape[3]
    result = np.empty((len(stored), *size, channels), np.uint8)
    for i, image in enumerate(stored):
        grey_values = np.ascontiguousarray(support.file_values(np.asarray(image)))
        for c in range(channels):
            result[i, :, :, c] = np.asarray(cut_to_size(Image.fromarray(grey_values[:, :, c]), size))
    return result, 256
