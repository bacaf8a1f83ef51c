"""Draw a character of a font that matplotlib ships: turned, scaled, shifted, as a small grey image.

    master     the character at `MASTER` pixels an em, white on black, cut to its ink
    image      master ∘ A⁻¹ at three times the size of the image, then means over 3×3

    A    a rotation about the middle of the ink, a scale size/MASTER, a shift

The middle of the ink lies in the middle of the image: a glyph that is not shifted is centred. One resampling takes the
master to its place, whatever the factors are. FreeType draws the master: another version of it may change a grey.
"""

from functools import cache
from math import cos, radians, sin
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FAMILIES", "SIDE", "SLANTS", "WEIGHTS", "Glyph", "draw"]

SIDE = 32  # of an image, in pixels
FINER = 3  # times as many pixels while a glyph is drawn
MASTER = 96  # pixels an em: more than a drawn glyph has, 3 · 24, so that no edge is made up
FAMILIES, WEIGHTS, SLANTS = ("sans", "mono", "serif", "stix"), ("regular", "bold"), ("upright", "italic")

# family → the file for regular upright, bold upright, regular italic, bold italic
_FILES = {
    "sans": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    "mono": ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    "serif": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    "stix": ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
}


class Glyph(NamedTuple):
    """What one image shows."""

    character: str
    family: str
    weight: str
    slant: str
    size: float  # pixels an em
    x: float  # pixels to the right of the middle
    y: float  # pixels below it
    rotation: float  # degrees, counter-clockwise


def draw(glyph: Glyph) -> np.ndarray:
    """(SIDE, SIDE) uint8, white on black."""
    from PIL import Image

    master = _master(*glyph[:4])
    scale, angle = MASTER / (FINER * glyph.size), radians(glyph.rotation)
    a, b = (
        scale * cos(angle),
        -scale * sin(angle),
    )  # pixels of the master for one to the right, one down
    u, v = (FINER * (SIDE / 2 + shift) for shift in (glyph.x, glyph.y))  # where the middle of the ink goes
    width, height = (side / 2 for side in master.size)
    inverse = (a, b, width - a * u - b * v, -b, a, height + b * u - a * v)
    fine = master.transform((FINER * SIDE,) * 2, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)
    return np.asarray(fine.reduce(FINER))


@cache
def _master(character: str, family: str, weight: str, slant: str) -> "Image.Image":
    """The character in grey, cut to its ink, with a margin of black that bilinear steps may reach into."""
    from PIL import Image, ImageDraw, ImageOps

    image = Image.new("L", (3 * MASTER, 3 * MASTER))
    ImageDraw.Draw(image).text((MASTER, MASTER), character, fill=255, font=_font(family, weight, slant))
    return ImageOps.expand(image.crop(image.getbbox()), border=2)


@cache
def _font(family: str, weight: str, slant: str):  # type: ignore[no-untyped-def]  # PIL's fonts have no public type
    from PIL import ImageFont

    file = _FILES[family][WEIGHTS.index(weight) + 2 * SLANTS.index(slant)]
    return ImageFont.truetype(str(_folder() / f"{file}.ttf"), MASTER)


@cache
def _folder() -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf"
