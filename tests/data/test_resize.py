"""Images of an array are brought to a size as those of a folder are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bestiary.data.load import load
from bestiary.data.resize import resize
from bestiary.errors import BestiaryError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", ["8", "6x10"])
def test_an_array_becomes_what_a_folder_of_its_images_becomes(tmp_path: Path, size: str) -> None:
    (tmp_path / "a").mkdir()
    for i, image in enumerate(PIXELS):
        Image.fromarray(image).save(tmp_path / "a" / f"{i:02d}.png")
    np.save(tmp_path / "x.npy", PIXELS)
    np.savez(tmp_path / "x.npz", x=PIXELS)
    folder = load(tmp_path / "a", size=size)
    for source in (PIXELS, PIXELS.transpose(0, 3, 1, 2), PIXELS / 255, tmp_path / "x.npy", tmp_path / "x.npz"):
        data = load(source, size=size)
        assert np.array_equal(data.x, folder.x)
        assert "from 20×16 to" in data.source["note"]


def test_images_of_the_size_stay_as_they_are() -> None:
    stored = (PIXELS > 128).astype(np.uint8)
    assert resize(stored, 2, (20, 16)) == (stored, 2)
    assert load(stored, size="20x16").spec.x.levels == 2


def test_resized_images_of_few_levels_have_256() -> None:
    stored = np.zeros((3, 8, 8, 2), np.uint8)
    stored[:, :, 4:] = 1
    resized, levels = resize(stored, 2, (4, 4))
    assert levels == 256
    assert resized.shape == (3, 4, 4, 2)
    assert resized.min() == 0
    assert resized.max() == 255


def test_rows_of_numbers_have_no_size() -> None:
    with pytest.raises(BestiaryError, match="size=8 is for images"):
        load(np.random.default_rng(0).normal(size=(20, 9)), size=8)
    assert load(np.arange(640).reshape(10, 64) % 200 / 255, shape="8x8", size=4).spec.shape == (1, 4, 4)
    with pytest.raises(BestiaryError, match="size=x: say one number"):
        load(PIXELS, size="x")
