"""Samples of any program against real data: what is loaded how, compared in which units, refused, or noted."""

import numpy as np
import pytest
from PIL import Image

from bestiary.data.load import load
from bestiary.errors import BestiaryError
from bestiary.judging.two_sets import judge_samples
from bestiary.measures.number import Judgement
from bestiary.run import judge
from tests.runs.tiny import IMAGES, TABLE, VECTORS


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("compared")
    (root / "t.csv").write_text(TABLE)
    return root


@pytest.fixture(scope="module")
def sides(root):
    """The same kind of images as a folder and as an array."""
    images = np.random.default_rng(1).integers(0, 256, (40, 8, 8), np.uint8)
    (root / "real").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(root / "real" / f"{i}.png")
    np.save(root / "same.npy", images)
    np.save(root / "floats.npy", images.astype(np.float32) / 255)
    np.save(root / "signed.npy", images.astype(np.float32) / 127.5 - 1)
    return root


@pytest.mark.parametrize("fake", ["real", "same.npy", "floats.npy", "signed.npy"])
def test_what_is_real_meets_its_floor_in_any_file_and_range(sides, fake):
    judgement = judge(real=sides / "real", fake=sides / fake)
    assert judgement.protocol["n_real"] == judgement.protocol["n_fake"] == 40
    for number in (judgement["fidelity"], judgement["coverage"]):
        assert {"n", "seed", "space", "interval"} <= set(number.protocol)
        assert number.value <= number.floor.high + 1e-6
        assert number.low <= number.value <= number.high
    assert judgement["mmd"].protocol["p"] > 0.01
    assert judgement["c2st"].low < 0.5
    assert judgement["covered"].value == 1
    assert Judgement.from_dict(judgement.to_dict()).to_dict() == judgement.to_dict()
    assert any("40 samples" in note for note in judgement.notes)


def test_what_is_not_real_is_far_from_it(sides):
    for name, fake in (("fidelity", np.full((40, 8, 8), 255, np.uint8)), ("coverage", np.zeros((40, 8, 8), np.uint8))):
        number = judge_samples(sides / "real", fake, tests="none")[name]
        assert number.low > number.floor.high


@pytest.mark.parametrize(
    ("real", "fake", "options", "says"),
    [
        ("real", "t.csv", {}, r"real is image of shape \(1, 8, 8\), fake is table"),
        ("real", IMAGES[:, :4], {}, "size=HxW"),
        ("real", IMAGES.reshape(60, 64), {}, "shape=HxW"),
        ("real", np.stack([IMAGES] * 3, -1), {}, "colour="),
        ("real", IMAGES * 1000.0, {}, "pixels lie between"),
        ("real", IMAGES[:3], {}, "at least 4 fake examples; n=10000 takes 3 of 3"),
        ("real", "same.npy", {"n": 5}, "n=5 takes 5 of 40"),
        ("real", "same.npy", {"sise": 8}, "did you mean `size`"),
        ("real", "nowhere", {}, "unknown data"),
        (VECTORS, VECTORS[:, :2], {}, "column x3"),
        ("t.csv", VECTORS, {}, "column age of numbers"),
    ],
)
def test_what_cannot_be_compared_is_refused(sides, real, fake, options, says):
    real, fake = (sides / side if isinstance(side, str) else side for side in (real, fake))
    with pytest.raises(BestiaryError, match=says):
        judge_samples(real, fake, **options)


def test_options_go_to_the_side_that_knows_them(sides):
    big = sides / "big"
    big.mkdir()
    for i in range(10):
        Image.fromarray(np.full((16, 16), 20 * i, np.uint8)).save(big / f"{i}.png")
    assert judge_samples("digits", big, size=8, n=40).protocol["n_fake"] == 10
    assert judge_samples(sides / "same.npy", IMAGES.reshape(60, 64), shape="8x8", seed=-1).numbers


def test_columns_are_matched_by_name_and_weigh_the_same(sides):
    """A column in other units, or in another place, changes nothing; a word that never occurs does not disappear."""
    head, *rows = TABLE.strip().split("\n")
    cells = [row.split(",") for row in rows]
    for name, lines in {
        "cents.csv": [head, *(f"{a},{t},{float(p) * 1000}" for a, t, p in cells)],
        "turned.csv": ["paid,age,town", *(f"{p},{a},{t}" for a, t, p in cells)],
        "poor.csv": [head, *(row for row in rows if "Oslo" not in row)],
        "words.csv": [head, *(f"{a},{t},much" for a, t, _ in cells)],
    }.items():
        (sides / name).write_text("\n".join(lines))
    whole = judge_samples(sides / "t.csv", sides / "t.csv", tests="fast").numbers
    chance = {"sliced"}  # whose lines know the order of columns

    def values(numbers) -> dict[str, float]:
        return {n.name: n.value for n in numbers if n.name not in chance}

    turned = judge_samples(sides / "t.csv", sides / "turned.csv", tests="fast").numbers
    assert values(turned) == pytest.approx(values(whole), abs=1e-6)
    scaled = judge_samples(sides / "cents.csv", sides / "cents.csv", tests="fast").numbers
    assert values(scaled) == pytest.approx(values(whole), abs=1e-4)
    poor = judge_samples(sides / "t.csv", sides / "poor.csv", tests="fast")
    assert poor.protocol["n_fake"] == 60
    with pytest.raises(BestiaryError, match="column paid of numbers"):
        judge_samples(sides / "t.csv", sides / "words.csv")


# ------------------------------------------------------------------------- bad input is refused or said


def test_other_units_are_said(sides):
    """Rows in 0–255 against rows in 0–1, either way; and a sampler that is only bad is not told to change units."""
    rng = np.random.default_rng(0)
    unit, again = rng.random((60, 3)), rng.random((60, 3))
    for real, fake in ((unit, 255 * again), (255 * unit, again)):
        assert any(
            "other units?" in note and "x1, x2, x3" in note for note in judge_samples(real, fake, tests="none").notes
        )
    poor = judge_samples(unit, 0.5 * again + 0.5, tests="none")
    assert not any("other units?" in note for note in poor.notes)


def test_images_that_are_as_good_as_black_are_in_other_units(sides):
    images = np.load(sides / "same.npy") / 255.0
    notes = judge_samples(sides / "real", images / 255, tests="none").notes
    assert any("other units?" in note for note in notes)
    assert not any("other units?" in note for note in judge_samples(sides / "real", images / 2, tests="none").notes)


@pytest.mark.parametrize("by", [(1.02, 0.0), (1.0, -0.02)])
def test_a_pixel_a_little_outside_of_its_range_does_not_rescale_all(sides, by):
    scale, shift = by
    with pytest.raises(BestiaryError, match=r"a little outside of \[0, 1\]: clip them"):
        judge_samples(sides / "real", np.load(sides / "same.npy") / 255.0 * scale + shift)


def test_tiny_images_are_compared_in_pixels():
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 6, 3), np.uint8)
    found = judge_samples(images, images[::-1].copy(), tests="fast")
    assert found["kid"].protocol["features"] == "pixels"
    with pytest.raises(BestiaryError, match="halve images three times"):
        judge_samples(images, images, features="random")


def test_examples_held_out_are_the_floor_and_tell_copies():
    """All real examples are compared with; what was copied from them is found, and honest samples copied nothing."""
    g = np.random.default_rng(0)
    real, held, fresh = (g.standard_normal((400, 3)).astype(np.float32) for _ in range(3))
    copied, honest = (judge_samples(real, fake, held=held, tests="fast") for fake in (real[:300], fresh))
    assert copied["copied"].low > 0.9
    assert honest["copied"].low <= 0 <= honest["copied"].high
    assert copied["distance_ratio"].value < 1e-5  # units of columns are rounded
    assert honest["kid"].protocol["n"] == 400
    assert honest.protocol["n_held"] == 400
    assert not any("half of" in note for note in honest.notes)
    assert any("half of the 400" in note for note in judge_samples(real, fresh, tests="none").notes)
    few = judge_samples(real, fresh, held=held[:30], tests="fast")
    assert few["kid"].protocol["n"] == 30
    assert any("Only 30 real examples and samples are compared" in note for note in few.notes)
    assert any(
        "400 of 400 examples given as held are also in real" in note
        for note in judge_samples(real, fresh, held=real).notes
    )
    with pytest.raises(BestiaryError, match="goes with real="):
        judge(run="nowhere", held=held)
    with pytest.raises(BestiaryError, match="held is table"):
        judge_samples(IMAGES, IMAGES, held=held)


def test_images_in_0_to_255_are_the_images_in_0_to_1(sides):
    images = np.load(sides / "same.npy")
    whole, unit = (judge_samples(sides / "real", x, tests="none") for x in (images.astype(np.float32), images / 255.0))
    assert [n.value for n in whole.numbers] == [n.value for n in unit.numbers]


def test_images_of_other_levels_are_said(sides):
    black = (np.load(sides / "same.npy") > 127).astype(np.uint8)
    assert any("256 levels, fake ones 2" in note for note in judge_samples(sides / "real", black, tests="none").notes)


def test_what_was_left_out_while_loading_is_said(sides, tmp_path):
    for i, image in enumerate(np.load(sides / "same.npy")):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"no image")
    judgement = judge_samples(sides / "real", tmp_path, tests="none")
    assert judgement.protocol["n_fake"] == 37
    assert any(note.startswith("fake: 3 of 40 left out: 0.png") for note in judgement.notes)


def test_one_image_is_refused(sides):
    with pytest.raises(BestiaryError, match="at least 4 fake examples"):
        judge_samples(sides / "real", np.stack([IMAGES[0]] * 3))
    with pytest.raises(BestiaryError, match="fake: 1 example"):
        judge_samples(sides / "real", IMAGES[:1])


def test_a_folder_of_one_image_is_refused(sides, tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "one.png")
    for real, fake, side in ((sides / "real", tmp_path, "fake"), (tmp_path, IMAGES, "real")):
        with pytest.raises(BestiaryError, match=f"{side}: 1 example"):
            judge_samples(real, fake)


def test_duplicates_and_constants_are_said(sides):
    notes = judge_samples(sides / "real", IMAGES[:1].repeat(40, 0), tests="fast").notes
    assert any("19 of 20 samples are exact repetitions" in note for note in notes)
    x = np.column_stack([VECTORS[:, 0], np.ones(60)])
    assert any("1 of 2 features (columns) measure nothing" in note for note in judge_samples(x, x, tests="fast").notes)


def test_values_that_are_not_finite_are_refused(sides):
    bad = VECTORS.copy()
    bad[3, 1] = np.nan
    with pytest.raises(BestiaryError, match="missing"):
        judge_samples(VECTORS, bad)


def test_features_and_tests_are_chosen(sides):
    by = {name: judge_samples(sides / "real", IMAGES, features=name, tests="fast") for name in ("pixels", "random")}
    assert by["pixels"]["kid"].protocol["features"] == "pixels"
    assert by["random"]["kid"].protocol["features"].startswith("random@")
    assert [n.name for n in judge_samples(sides / "real", IMAGES, tests="none").numbers] == [
        "exact_copies", "mirrored_copies", "near_copies", "fidelity", "coverage",
    ]  # fmt: skip
    with pytest.raises(BestiaryError, match="did you mean `pixels`"):
        judge_samples(sides / "real", IMAGES, features="pixel")
    with pytest.raises(BestiaryError, match="features=labels works for a run only"):
        judge_samples(sides / "real", IMAGES, features="labels")


def test_a_toy_is_known_by_its_modes(sides):
    """In its own units: an array is standardised when it is loaded, a toy is not."""
    truth = load("ring").truth
    numbers = judge_samples("ring", truth.sample(1000, 3), n=1000, tests="fast")
    assert numbers["modes"].value == numbers["modes"].ceiling.value == 8
    assert numbers["mmd"].protocol["p"] > 0.01
    turned = judge_samples(truth.sample(1000, 3), "ring", n=1000, tests="fast")  # here the array says the units
    assert turned["mmd"].protocol["p"] > 0.01
    with pytest.raises(BestiaryError, match="they must agree"):
        judge_samples("ring", sides / "t.csv")
    rows = "\n".join(f"{a},{b}" for a, b in truth.sample(1000, 3).tolist())
    (sides / "ring.csv").write_text(f"x1,x2\n{rows}")
    table = judge_samples("ring", sides / "ring.csv", n=1000, tests="fast")
    assert table["mmd"].value == pytest.approx(numbers["mmd"].value, abs=1e-4)


# ------------------------------------------------------------------------- copies stand first


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.1])
def test_samples_that_are_the_real_examples_are_an_alarm_without_held(noise):
    """Their distances would look superb: the alarm stands above them, and first in the verdict."""
    real = np.random.default_rng(0).standard_normal((300, 6))
    fake = real + noise * np.random.default_rng(1).standard_normal(real.shape)
    judgement = judge_samples(real, fake, tests="fast" if noise else "all")
    assert "copies of real examples" in judgement.verdict[0]
    assert judgement.numbers[0].name == ("near_copies" if noise else "exact_copies")
    assert not any("no clear difference" in sentence for sentence in judgement.verdict)
    honest = judge_samples(real, np.random.default_rng(2).standard_normal(real.shape), tests="fast")
    assert honest.verdict[0] == "No near copies of real examples were found."


def test_pictures_and_their_mirror_images_are_counted(sides):
    images = np.load(sides / "same.npy")
    found = judge_samples(sides / "real", images[:, :, ::-1].copy(), tests="none")
    assert found["mirrored_copies"].value == 1
    assert found["exact_copies"].value == 0
    assert found.verdict[0] == "Copies: 40 of 40 samples are mirrored copies of real examples."


def test_samples_made_from_held_out_examples_are_a_leak():
    g = np.random.default_rng(0)
    real, held = (g.standard_normal((400, 3)) for _ in range(2))
    for noise in (0.0, 0.01):
        leak = judge_samples(real, held[:300] + noise * g.standard_normal((300, 3)), held=held, tests="none")
        assert leak["copied"].value == pytest.approx(-1, abs=0.05)
        assert "has seen" in leak.verdict[0]
        assert not any("No copies" in sentence for sentence in leak.verdict)


def test_columns_that_only_the_fake_table_has_are_named(sides):
    head, *rows = TABLE.strip().split("\n")
    (sides / "wide.csv").write_text(
        "\n".join([f"{head},shoe,hat", *(f"{row},{i},{i % 3}" for i, row in enumerate(rows))])
    )
    notes = judge_samples(sides / "t.csv", sides / "wide.csv", tests="none").notes
    assert "fake has columns that real has not, and they are not compared: shoe, hat." in notes
    assert not any(
        "not compared" in note for note in judge_samples(sides / "t.csv", sides / "t.csv", tests="none").notes
    )


def test_an_outlier_is_named_with_its_column_and_stands_beside_the_rest(sides):
    """One value at −40 deviations in a table of 300 rows."""
    g = np.random.default_rng(0)
    lines = [[f"{a},{b}" for a, b in g.standard_normal((300, 2))] for _ in range(2)]
    lines[0][4] = "0.1,-90.5"
    for name, rows in zip(("outlier.csv", "calm.csv"), lines, strict=True):
        (sides / name).write_text("\n".join(["width,income", *rows]))
    found = judge_samples(sides / "outlier.csv", sides / "calm.csv", tests="all")
    assert "with income = -90.5 (-" in found["fid_robust"].says
    assert "income = -90.5" in found["fid"].protocol["dominated_by"]
    assert found["fid"].detail
    assert found["fid_robust"].high < found["fid"].high / 10
