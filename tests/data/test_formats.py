"""Archives: what is announced is checked before it is unpacked, and an array of the cache when it is used."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bestiary.data import formats
from bestiary.data.formats import map_array, open_zip
from bestiary.data.load import load
from bestiary.errors import BestiaryError


def empty_archive(path: Path, members: int, suffix: str) -> Path:
    """A zip whose members, of 1 MB each, hold nothing but zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(members):
            with archive.open(f"{i}{suffix}", "w") as file:
                np.lib.format.write_array(file, np.zeros((1024, 1024), np.uint8))
    return path


@pytest.mark.parametrize(("name", "suffix"), [("x.npz", ".npy"), ("x.zip", ".png")])
def test_an_archive_that_announces_far_more_than_it_has_is_refused(
    tmp_path: Path,
    peak_bytes: Callable[[Callable[[], object]], int],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    suffix: str,
) -> None:
    monkeypatch.setattr(formats, "_MAX_EMPTY", 2**21)
    path = empty_archive(tmp_path / name, 20, suffix)

    def refused() -> None:
        with pytest.raises(BestiaryError, match=r"announces 0.021 GB in a file of 0.0 MB, over 200 times"):
            load(path)

    assert peak_bytes(refused) < 8e6


def test_an_array_that_compresses_well_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((200, 64, 64), np.uint8))
    assert load(tmp_path / "x.npz").x.shape == (200, 64, 64, 1)
    open_zip(tmp_path / "x.npz").close()


def test_an_array_unpacked_into_the_cache_is_checked_when_it_is_used(tmp_path: Path, own_cache: Path) -> None:
    imgs = np.arange(9000, dtype=np.uint8).reshape(10, 30, 30)
    np.savez_compressed(tmp_path / "x.npz", imgs=imgs)
    assert np.array_equal(map_array(tmp_path / "x.npz", "imgs"), imgs)
    (unpacked,) = (own_cache / "unpacked").iterdir()
    raw = bytearray(unpacked.read_bytes())
    raw[-7] ^= 4
    unpacked.write_bytes(raw)
    assert np.array_equal(map_array(tmp_path / "x.npz", "imgs"), imgs)
    before = unpacked.stat().st_mtime_ns
    map_array(tmp_path / "x.npz", "imgs")
    assert unpacked.stat().st_mtime_ns == before
