"""Samples read back from every kind of file are the samples, in the units of the user."""

import csv

import numpy as np
import pytest
from PIL import Image

from bestiary.data.spec import pictures, rows
from bestiary.data.support import Category, Column, Reals
from bestiary.errors import BestiaryError
from bestiary.runs.sample_files import write_samples

DIGITS = pictures((1, 4, 4), 17)
COLOUR = pictures((3, 4, 4), 256)
POINTS = rows(2)
TABLE = rows((Column("age", Reals(40.0, 10.0)), Column("pay", Reals(-1.0, 0.5)), Column("kind", Category(("a", "b")))))
ROWS = np.array([[0, 1, 0.2, 0.7], [-1.5, 0, 0.9, 0.1]], np.float32)


def images(spec, n=5):
    channels, height, width = spec.shape
    return np.random.default_rng(0).integers(0, spec.x.levels, (n, height, width, channels)).astype(np.uint8)


@pytest.mark.parametrize("spec", [DIGITS, COLOUR], ids=["grey", "colour"])
def test_a_folder_holds_each_image(tmp_path, spec):
    stored = images(spec, 11)
    write_samples(tmp_path / "out", stored, spec)
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files][:2] == ["00.png", "01.png"]
    back = np.stack([np.asarray(Image.open(file)).reshape(4, 4, -1) for file in files])
    assert np.array_equal(np.round(back / 255 * (spec.x.levels - 1)).astype(np.uint8), stored)


def test_a_folder_that_is_there_is_a_folder_whatever_its_name(tmp_path):
    (tmp_path / "out.v2").mkdir()
    write_samples(tmp_path / "out.v2", images(DIGITS, 2), DIGITS)
    assert len(list((tmp_path / "out.v2").iterdir())) == 2


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_hold_eight_bit_images(tmp_path, suffix):
    stored = images(DIGITS)
    found = np.load(write_samples(tmp_path / f"out{suffix}", stored, DIGITS), allow_pickle=False)
    back = found if suffix == ".npy" else found["x"]
    assert back.dtype == np.uint8
    assert np.array_equal(np.round(back / 255 * 16).astype(np.uint8), stored)


def test_numbers_come_back_in_the_users_units(tmp_path):
    spec = rows(TABLE.x.columns[:2])
    back = np.load(write_samples(tmp_path / "out.npy", ROWS[:, :2], spec), allow_pickle=False)
    assert np.allclose(back, [[40, -0.5], [25, -1]])


def test_a_table_has_its_own_columns(tmp_path):
    with open(write_samples(tmp_path / "out.csv", ROWS, TABLE), newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["age", "pay", "kind"], ["40.0", "-0.5", "b"], ["25.0", "-1.0", "a"]]


@pytest.mark.parametrize(("stored", "spec"), [(images(DIGITS), DIGITS), (ROWS[:, :2], POINTS)], ids=["image", "points"])
def test_everything_has_a_picture(tmp_path, stored, spec):
    with Image.open(write_samples(tmp_path / "out.png", stored, spec)) as picture:
        assert min(picture.size) > 4


@pytest.mark.parametrize(
    ("name", "stored", "spec", "says"),
    [
        ("out.pkl", ROWS, TABLE, ".npz"),
        ("out.csv", images(DIGITS), DIGITS, "images do not fit a table"),
        ("out.npy", ROWS, TABLE, "out.csv"),
        ("out", ROWS, TABLE, "out.csv"),
        ("out.npy", ROWS[:0], TABLE, "no samples"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path, name, stored, spec, says):
    with pytest.raises(BestiaryError) as caught:
        write_samples(tmp_path / name, stored, spec)
    assert says in str(caught.value)
    assert not list(tmp_path.iterdir())
