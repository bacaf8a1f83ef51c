"""Glyphs: letters and digits in 16 styles, drawn here without a download, with every factor known.

    character      digits, letters                     a label; `characters=` says which
    family         sans, mono, serif, stix             DejaVu Sans, Sans Mono, Serif; STIX General
    weight         regular, bold
    slant          upright, italic
    size           pixels an em: 15 to 20, or 19 to 25 where glyphs are neither shifted nor turned
    position_x     −1.5 to 1.5 pixels from the middle
    position_y
    rotation       −15 to 15 degrees                   numbers, each uniform in its range

Character, family, weight and slant are a full product: each block of as many examples as there are combinations holds
every combination once, in an order of its own. `vary=` says which factors vary; the others stay regular, upright, of
the sans family, centred, not turned. Example i is a function of (seed, i) and the options, whatever n is.

A caption says the first four: "a bold italic serif letter g", "a mono capital letter G", "a stix digit 7".

Legend: N examples, K combinations.
"""

import hashlib
import json
from collections.abc import Iterator
from itertools import product

import numpy as np

from bestiary.data import cache
from bestiary.data.beside import EncodingOptions, encode_fields
from bestiary.data.dataset import Dataset
from bestiary.data.field_types import RawField
from bestiary.data.files import in_memory
from bestiary.data.glyph_drawing import FAMILIES, SIDE, SLANTS, WEIGHTS, Glyph, draw
from bestiary.data.missing_values import Values
from bestiary.data.spec import Spec, pictures
from bestiary.data.splits import split_parts
from bestiary.errors import BestiaryError, unknown_name

__all__ = ["CHARACTERS", "caption_of", "glyphs", "load_glyphs"]

_DIGITS, _CAPITALS, _SMALL = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"

# `distinct` leaves out what is another one's shape in another size: I O of 1 0, and c i j k l o p q s u v w x y z
CHARACTERS = {
    "distinct": _DIGITS + "ABCDEFGHJKLMNPQRSTUVWXYZ" + "abdefghmnrt",
    "digits": _DIGITS,
    "capitals": _CAPITALS,
    "small": _SMALL,
    "all": _DIGITS + _CAPITALS + _SMALL,
}
FACTORS = ("family", "weight", "slant", "size", "position", "rotation")
SHIFT, ANGLE = 1.5, 15.0  # at most
SMALL, LARGE = (15.0, 20.0), (19.0, 25.0)  # sizes of which the widest glyph, shifted and turned most, is still inside
_CHUNK = 4096  # images written at once
_VERSION = 1  # raise it when drawing changes: older images of the cache are then not found


def load_glyphs(
    n: int = 10_000, characters: str = "distinct", vary: str = "all", seed: int = 0, stream: bool | None = None
) -> Dataset:
    """n: how many; characters: distinct (45 of different shapes), digits, capitals, small, all, or such as abc123;
    vary: all, none, or some of family, weight, slant, size, position, rotation; stream: read from disk as needed."""
    factors, text = _factors(vary), _characters(characters)
    if n < 3:
        raise BestiaryError(f"n={n}: at least 3 glyphs are needed, one each to train, validate and test; say n=10000")
    if seed < 0:
        raise BestiaryError(f"seed={seed} must not be negative")
    shown = list(glyphs(n, text, factors, seed))
    images, digest = _drawn(shown)
    parts = split_parts(n)
    beside = encode_fields(_fields(shown, factors), EncodingOptions(parts["train"]))
    x = in_memory(images, stream)
    note = f"drawn from matplotlib's fonts: {len(text)} characters, {', '.join(factors) or 'nothing else'} varied"
    source = {
        "licence": "Bitstream Vera and STIX font licences", "cite": "DejaVu fonts; STIX Fonts", "note": note,
        "fingerprint": beside.fingerprint(digest),
    }  # fmt: skip
    spec = Spec(pictures((1, SIDE, SIDE), 256).x, tuple(beside.fields))
    return Dataset("glyphs", spec, {"x": x, **beside.stored}, parts, modes="glyphs", source=source)


def glyphs(n: int, characters: str, factors: tuple[str, ...], seed: int) -> Iterator[Glyph]:
    """What the n images show."""
    choices = [words if name in factors else words[:1] for name, words in
               (("family", FAMILIES), ("weight", WEIGHTS), ("slant", SLANTS))]  # fmt: skip
    combinations = list(product(characters, *choices))
    least, most = SMALL if {"position", "rotation"} & set(factors) else LARGE
    for block in range(-(-n // len(combinations))):
        draws = np.random.Generator(np.random.PCG64([seed, block]))
        order = draws.permutation(len(combinations))
        size, x, y, angle = draws.random((4, len(combinations)))
        for i in range(min(len(combinations), n - block * len(combinations))):
            character, family, weight, slant = combinations[order[i]]
            yield Glyph(
                character,
                family,
                weight,
                slant,
                size=least + (most - least) * (size[i] if "size" in factors else 0.5),
                x=SHIFT * (2 * x[i] - 1) if "position" in factors else 0.0,
                y=SHIFT * (2 * y[i] - 1) if "position" in factors else 0.0,
                rotation=ANGLE * (2 * angle[i] - 1) if "rotation" in factors else 0.0,
            )


def _factors(vary: str) -> tuple[str, ...]:
    if vary in ("all", "none"):
        return FACTORS if vary == "all" else ()
    names = [name.strip() for name in vary.split(",") if name.strip()]
    for name in names:
        if name not in FACTORS:
            raise unknown_name("factor to vary", name, ("all", "none", *FACTORS))
    return tuple(name for name in FACTORS if name in names)


def _characters(characters: str) -> str:
    """The characters of a name, or those that stand in a text, each once."""
    text = CHARACTERS.get(characters) or "".join(sorted(set(characters)))
    if not text or not set(text) <= set(CHARACTERS["all"]):
        names = ", ".join(CHARACTERS)
        raise BestiaryError(f"characters={characters}: say {names}, or letters and digits themselves, such as abc123")
    return text


def caption_of(glyph: Glyph) -> str:
    """What an image shows, in words that say character, family, weight and slant and nothing else.

    >>> caption_of(Glyph("g", "serif", "bold", "italic", 20, 0, 0, 0))
    'a bold italic serif letter g'
    >>> caption_of(Glyph("G", "sans", "regular", "upright", 20, 0, 0, 0))
    'a sans capital letter G'
    """
    weight = "bold " if glyph.weight == "bold" else ""
    slant = "italic " if glyph.slant == "italic" else ""
    character = glyph.character
    kind = "digit" if character.isdigit() else "capital letter" if character.isupper() else "letter"
    text = f"{weight}{slant}{glyph.family} {kind} {character}"
    return f"{'an' if text.startswith('i') else 'a'} {text}"


def _fields(shown: list[Glyph], factors: tuple[str, ...]) -> Iterator[RawField]:
    """The character as label, each factor that varies, and the caption."""

    def column(name: str) -> Values:
        return Values(np.array([getattr(glyph, name) for glyph in shown]))

    yield RawField("label", "label", column("character"))
    yield from (RawField(name, "label", column(name)) for name in ("family", "weight", "slant") if name in factors)
    if "size" in factors:
        yield RawField("size", "numbers", column("size"))
    if "position" in factors:
        yield RawField("position_x", "numbers", column("x"))
        yield RawField("position_y", "numbers", column("y"))
    if "rotation" in factors:
        yield RawField("rotation", "numbers", column("rotation"))
    yield RawField("caption", "caption", Values(np.array([caption_of(glyph) for glyph in shown], object)))


def _drawn(shown: list[Glyph]) -> tuple[np.ndarray, str]:
    """Images (N, SIDE, SIDE, 1), from the cache where they were drawn before, and a digest of what they show."""
    import matplotlib
    import PIL

    digest = hashlib.blake2b(json.dumps([list(glyph) for glyph in shown]).encode(), digest_size=16)
    options = {"glyphs": _VERSION, "Pillow": PIL.__version__, "matplotlib": matplotlib.__version__, "n": len(shown)}
    key = cache.key_of(["glyphs"], [digest.digest()], options)
    if (entry := cache.lookup(key)) is None:
        chunks = (np.stack([draw(glyph) for glyph in part])[..., None] for part in cache.chunked(shown, _CHUNK))
        cache.store(key, chunks, {})
        entry = cache.lookup(key)
    assert entry is not None  # it has just been stored
    return entry[0], digest.hexdigest()
