"""Glyphs: every factor is what it is said to be, styles are a full product, nothing is cut, a seed decides all."""

from collections import Counter
from itertools import combinations, product
from math import degrees

import numpy as np
import pytest
from PIL import Image

from bestiary.data.glyph_drawing import FAMILIES, SIDE, SLANTS, WEIGHTS, Glyph, draw
from bestiary.data.glyphs import ANGLE, CHARACTERS, FACTORS, LARGE, SHIFT, SMALL, caption_of, glyphs, load_glyphs
from bestiary.errors import BestiaryError

TWIN = 0.16  # least difference of two shapes


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("BESTIARY_CACHE", str(tmp_path))


def middle(image):
    """The middle of the box of ink, from the middle of the image: right, down."""
    rows, columns = np.flatnonzero(image.max(1) > 100), np.flatnonzero(image.max(0) > 100)
    return (columns[0] + columns[-1] + 1 - SIDE) / 2, (rows[0] + rows[-1] + 1 - SIDE) / 2


def border(image):
    """The brightest pixel of the outermost rows and columns."""
    return max(edge.max() for edge in (image[0], image[-1], image[:, 0], image[:, -1]))


def test_the_same_seed_gives_the_same_glyphs_whatever_their_number():
    few, many, other = load_glyphs(n=50), load_glyphs(n=800), load_glyphs(n=50, seed=1)
    assert np.array_equal(few.x, many.x[:50])
    assert list(glyphs(50, "abc", FACTORS, 3)) == list(glyphs(90, "abc", FACTORS, 3))[:50]
    assert not np.array_equal(few.x, other.x)
    assert few.source["fingerprint"] != other.source["fingerprint"]


def test_they_are_drawn_once(monkeypatch):
    first = load_glyphs(n=20)
    monkeypatch.setattr("bestiary.data.glyphs.draw", lambda glyph: pytest.fail("it is in the cache"))
    assert np.array_equal(load_glyphs(n=20).x, first.x)


def test_styles_are_a_full_product():
    styles = len(FAMILIES) * len(WEIGHTS) * len(SLANTS)
    counts = Counter(glyph[:4] for glyph in glyphs(2 * 3 * styles, "aB7", FACTORS, 0))
    assert set(counts) == set(product("aB7", FAMILIES, WEIGHTS, SLANTS))
    assert set(counts.values()) == {2}


def test_styles_of_one_character_look_different():
    pictures = [draw(Glyph("g", *style, 24, 0, 0, 0)) for style in product(FAMILIES, WEIGHTS, SLANTS)]
    for i, a in enumerate(pictures):
        assert all(np.abs(a.astype(int) - b).max() > 50 for b in pictures[:i])


def test_nothing_is_cut_and_what_is_not_shifted_is_centred():
    """At the ends of all ranges the ink keeps off the border; of upright glyphs its box is in the middle."""
    for style in product(CHARACTERS["all"], FAMILIES, WEIGHTS, SLANTS):
        for x, angle in ((-SHIFT, ANGLE), (SHIFT, -ANGLE), (SHIFT, ANGLE)):
            assert border(draw(Glyph(*style, SMALL[1], x, -SHIFT, angle))) == 0, style
            assert border(draw(Glyph(*style, SMALL[1], x, SHIFT, angle))) == 0, style
        image = draw(Glyph(*style, LARGE[1], 0, 0, 0))
        assert border(image) == 0, style
        assert max(map(abs, middle(image))) <= 1, style


def test_factors_move_the_ink_as_they_say():
    at = {"character": "H", "family": "sans", "weight": "regular", "slant": "upright", "size": 20, "x": 0, "y": 0}
    plain = draw(Glyph(**at, rotation=0))
    right, down = middle(draw(Glyph(**at | {"x": 2, "y": -2}, rotation=0)))
    assert (right, down) == (middle(plain)[0] + 2, middle(plain)[1] - 2)
    assert draw(Glyph(**at | {"weight": "bold"}, rotation=0)).sum() > 1.3 * plain.sum()
    larger = draw(Glyph(**at | {"size": 26}, rotation=0))
    assert larger.sum() / plain.sum() == pytest.approx((26 / 20) ** 2, rel=0.05)
    bar = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2  # the long axis of a turned I: counter-clockwise where y is upwards
    turned = draw(Glyph(**at | {"character": "I"}, rotation=12)).astype(float)
    (yy, yx), (_, xx) = [[float((turned * a * b).sum() / turned.sum()) for a in bar] for b in bar]
    assert degrees(0.5 * np.arctan2(2 * yx, yy - xx)) == pytest.approx(12, abs=1)


def test_fields_are_the_factors_that_vary():
    data = load_glyphs(n=60, vary="size, weight")
    assert data.spec.names == ["label", "weight", "size", "caption"]
    assert data.spec.label.words == tuple(sorted(set("".join(data.spec.label.words))))
    assert load_glyphs(n=60, vary="none").spec.names == ["label", "caption"]
    whole = load_glyphs(n=60)
    assert whole.spec.names == [
        "label", "family", "weight", "slant", "size", "position_x", "position_y", "rotation", "caption"
    ]  # fmt: skip
    assert {name: len(part) for name, part in whole.parts.items()} == {"train": 48, "validation": 6, "test": 6}
    shown = list(glyphs(60, CHARACTERS["distinct"], FACTORS, 0))
    assert [whole.spec.label.words[i] for i in whole.stored["label"]] == [glyph.character for glyph in shown]
    column = whole.spec["size"].columns[0].support
    size = whole.stored["size"][:, 0] * column.scale + column.mean
    assert size == pytest.approx([glyph.size for glyph in shown], abs=1e-3)
    assert whole.spec["caption"].support.text_of(whole.stored["caption"][0]) == caption_of(shown[0]).lower()


def test_a_caption_says_the_style_and_nothing_else():
    """Also in lower case, as models read it."""
    every = list(product(CHARACTERS["all"], FAMILIES, WEIGHTS, SLANTS))
    captions = [caption_of(Glyph(*style, 20, 0, 0, 0)).lower() for style in every]
    assert len(set(captions)) == len(every)
    assert caption_of(Glyph("A", "stix", "regular", "italic", 1, 2, 3, 4)) == "an italic stix capital letter A"


def test_distinct_characters_have_no_twin(monkeypatch):
    """None is another one in another size, as c is of C: shapes of one style, fitted to one box, differ, by their mean
    difference over their mean ink."""
    monkeypatch.setattr("bestiary.data.glyph_drawing.SIDE", 96)  # large, so that pixels do not count
    styles, characters = list(product(FAMILIES, WEIGHTS)), CHARACTERS["all"]
    fitted = {
        character: np.stack([_fitted(Glyph(character, *style, "upright", 72, 0, 0, 0)) for style in styles])
        for character in characters
    }

    def difference(a: str, b: str) -> float:
        apart = np.abs(fitted[a] - fitted[b]).mean((1, 2))
        return float((2 * apart / (fitted[a] + fitted[b]).mean((1, 2))).min())

    distinct = CHARACTERS["distinct"]
    assert len(set(distinct)) == 45
    assert min(difference(a, b) for a, b in combinations(distinct, 2)) > TWIN
    for left_out in "ilosvwxIO":
        assert min(difference(left_out, other) for other in characters if other != left_out) < TWIN


def _fitted(glyph: Glyph) -> np.ndarray:
    image = Image.fromarray(draw(glyph))
    return np.asarray(image.crop(image.getbbox()).resize((24, 24), Image.Resampling.BOX)).astype(float)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 2}, "say n=10000"),
        ({"vary": "sise"}, "did you mean `size`"),
        ({"characters": "ab ß"}, "such as abc123"),
        ({"characters": ""}, "distinct"),
        ({"seed": -1}, "negative"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, says):
    with pytest.raises(BestiaryError, match=says):
        load_glyphs(**{"n": 20} | options)
