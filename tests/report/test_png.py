"""Pictures: what a reader decodes is what the run stored."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bestiary.data.spec import pictures
from bestiary.report.png import BUDGET, LARGEST, fitting_side, grid, pixels, reduction, saved, single, tint


def decoded(plate_or_src):
    src = getattr(plate_or_src, "src", plate_or_src)
    head, body = src.split(",", 1)
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(BytesIO(b64decode(body))))


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_comes_back_from_the_page(levels, channels):
    spec = pictures((channels, 6, 5), levels)
    stored = np.random.default_rng(0).integers(0, levels, (4, 6, 5, channels)).astype(np.uint8)
    shown = decoded(single(pixels(stored, spec)[0], "one")).reshape(6, 5, channels)
    assert np.array_equal(np.round(shown / 255 * (levels - 1)), stored[0])
    assert np.array_equal(shown, (510 * stored[0].astype(int) + levels - 1) // (2 * (levels - 1)))  # ⌊255 v/(L−1) + ½⌋


def test_a_grid_lays_out_in_rows_with_transparent_gaps():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 3, 1), np.uint8)
    sheet = decoded(grid(images, 3, "five", gap=2))
    assert sheet.shape == (2 * 4 + 2, 3 * 3 + 2 * 2, 2)
    assert [int(sheet[6 * (i // 3), 5 * (i % 3), 0]) for i in range(5)] == [0, 1, 2, 3, 4]
    assert sheet[..., 1].astype(bool).sum() == 5 * 12  # opaque where there is a picture, nowhere else


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (3, 512, 384), (4, 300, 20), (2, 9, 9)])
def test_large_pictures_are_reduced_to_the_budget(shape):
    spec = pictures(shape, 256)
    side = fitting_side(64, spec)
    x = pixels(np.full((side * side, *shape[1:], shape[0]), 200, np.uint8), spec)
    assert max(x.shape[1:3]) <= LARGEST
    assert x.size <= max(BUDGET, x[0].size)
    assert (x == 200).all()  # averaging keeps a constant
    assert reduction(spec) == 1 or max(shape) > LARGEST


def test_a_torn_or_foreign_or_large_file_is_not_shown(tmp_path):
    path = tmp_path / "round-1.png"
    Image.new("L", (40, 30), 7).save(path)
    whole = path.read_bytes()
    plate = saved(path, "one", 10_000)
    assert plate is not None
    assert (plate.width, plate.height) == (40, 30)
    assert saved(path, "one", 10) is None
    path.write_bytes(whole[: len(whole) // 2])
    assert saved(path, "one", 10_000) is None
    path.write_bytes(b"<svg onload=alert(1)>")
    assert saved(path, "one", 10_000) is None
    assert saved(tmp_path / "none.png", "one", 10_000) is None


def test_the_tint_of_a_density_has_its_first_row_at_the_bottom():
    density = np.zeros((4, 4), np.float32)
    density[0, 1] = 1
    opacity = decoded(tint(density))[..., 3]
    assert np.argwhere(opacity).tolist() == [[3, 1]]
    assert not decoded(tint(np.full((3, 3), np.nan)))[..., 3].any()
