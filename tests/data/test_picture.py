"""Pictures hold the pixels they should, where they should."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bestiary.data.load import load
from bestiary.data.picture import eight_bit, grid, save_png, write_picture
from bestiary.errors import BestiaryError


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_span_black_to_white(levels: int) -> None:
    stored = np.arange(levels, dtype=np.uint8)
    shown = eight_bit(stored, levels)
    assert shown[0] == 0
    assert shown[-1] == 255
    assert (np.diff(shown.astype(int)) > 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_in_its_cell(channels: int) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (7, 4, 5, channels), dtype=np.uint8)
    picture = grid(stored, columns=3, levels=256, gap=1)
    assert picture.shape == (3 * 5 + 1, 3 * 6 + 1, channels)
    for i in range(7):
        top, left = (i // 3) * 5 + 1, (i % 3) * 6 + 1
        assert np.array_equal(picture[top : top + 4, left : left + 5], stored[i])
    assert (picture[-5:, 7:] == 255).all()  # cells without an image


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_other_channels_are_drawn_side_by_side(channels: int, tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (5, 4, 6, channels), dtype=np.uint8)
    picture = grid(stored, columns=2, levels=256, gap=1)
    assert picture.shape == (3 * 5 + 1, 2 * (6 * channels + 1) + 1, 1)
    for c in range(channels):
        assert np.array_equal(picture[1:5, 1 + 6 * c : 7 + 6 * c, 0], stored[0, ..., c])
    shown = np.asarray(Image.open(save_png(tmp_path / "p.png", stored[0])))
    assert np.array_equal(shown, np.concatenate(list(np.moveaxis(stored[0], -1, 0)), axis=1))


@pytest.mark.parametrize("shape", [(9, 4, 6), (9, 2, 4, 6), (9, 2, 3, 2, 2)])
def test_grids_have_a_picture(shape: tuple[int, ...], tmp_path: Path) -> None:
    data = load(np.random.default_rng(0).normal(size=shape), layout="grid")
    path = write_picture(tmp_path / "p.png", data.x, data.spec)
    assert np.asarray(Image.open(path)).std() > 1


def test_the_picture_of_a_map_is_black_where_it_is_largest(tmp_path: Path) -> None:
    maps = np.zeros((3, 4, 6), np.float32)
    maps[0, 1, 2] = 7
    data = load(maps, layout="grid")
    shown = np.asarray(Image.open(write_picture(tmp_path / "p.png", data.x, data.spec, columns=3)))
    assert (shown == 0).sum() == 8 * 8  # one number, enlarged


def test_sequences_are_drawn_as_rows(tmp_path: Path) -> None:
    tokens = np.arange(12).reshape(4, 3) % 5
    data = load(tokens, layout="tokens")
    shown = np.asarray(Image.open(write_picture(tmp_path / "p.png", data.x, data.spec)))
    scale = 8
    assert np.array_equal(
        shown[2 * scale : -2 * scale : scale, 2 * scale : -2 * scale : scale], np.round(tokens * 63.75)
    )


def test_a_png_is_written_enlarged(tmp_path: Path) -> None:
    picture = np.array([[[0], [255]]], np.uint8)
    path = save_png(tmp_path / "new" / "p.png", picture, scale=3)
    assert np.asarray(Image.open(path)).tolist() == [[0] * 3 + [255] * 3] * 3


@pytest.mark.parametrize("source", ["digits", "ring", "gaussian"])
def test_each_kind_of_data_has_a_picture(tmp_path: Path, source: str) -> None:
    data = load(source) if source != "gaussian" else load(source, n=100, dimensions=3)
    path = write_picture(tmp_path / "p.png", data.x[:20], data.spec)
    assert np.asarray(Image.open(path)).std() > 1
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


def test_table_names_are_not_read_as_mathematics(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("$x^,b\n" + "\n".join(f"{i},{'u' if i % 2 else 'v'}" for i in range(9)))
    data = load(tmp_path / "t.csv")
    write_picture(tmp_path / "p.png", data.x, data.spec)


def test_impossible_pictures_are_refused(tmp_path: Path) -> None:
    data = load("digits")
    with pytest.raises(BestiaryError):
        write_picture(tmp_path / "p.png", data.x[:0], data.spec)
    with pytest.raises(BestiaryError):
        grid(data.x[0], 3, 17)
    with pytest.raises(BestiaryError):
        grid(data.x[:3], 0, 17)
