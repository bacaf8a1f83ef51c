"""Folders and zips: what is taken, what is left out and named, and that the cache is neither stale nor rebuilt."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bestiary.data import cache
from bestiary.data import images as module
from bestiary.data.cache import write_array
from bestiary.data.load import load
from bestiary.errors import BestiaryError


def paint(path: Path, value: int | np.ndarray = 100, mode: str = "RGB", size: tuple[int, int] = (12, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(value) if isinstance(value, np.ndarray) else Image.new(mode, size, value)
    image.save(path)
    return path


def folder(root: Path, n: int = 6, **options) -> Path:
    for i in range(n):
        noise = np.random.default_rng(i).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        paint(root / f"{i:02d}.png", noise, **options)
    return root


def test_images_are_stored_as_they_are(tmp_path: Path) -> None:
    data = load(folder(tmp_path / "a"))
    assert data.x.shape == (6, 12, 12, 3)
    assert data.spec.x.levels == 256
    for i in range(6):
        assert np.array_equal(data.x[i], np.asarray(Image.open(tmp_path / "a" / f"{i:02d}.png")))
    assert data.spec.label is None
    assert not isinstance(data.x, np.memmap)


def test_a_zip_is_the_same_as_its_folder(tmp_path: Path) -> None:
    root = folder(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted(root.iterdir()):
            archive.write(file, file.name)
    assert np.array_equal(load(tmp_path / "a.zip").x, load(root).x)


def test_streaming_gives_a_map_with_the_same_pixels(tmp_path: Path) -> None:
    root = folder(tmp_path / "a")
    mapped = load(root, stream="yes")
    assert isinstance(mapped.x, np.memmap)
    assert np.array_equal(mapped.x, load(root).x)
    with pytest.raises(ValueError):
        mapped.x[0] = 0  # never written to


def test_the_cache_is_used_again_and_notices_a_changed_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "a")
    first = load(root)
    calls = []
    decode = module._decode_into_cache
    monkeypatch.setattr(module, "_decode_into_cache", lambda *args: (calls.append(1), decode(*args)))
    assert load(root).source["fingerprint"] == first.source["fingerprint"]
    assert not calls
    before = os.stat(root / "00.png")
    pixels = np.asarray(Image.open(root / "00.png")).copy()
    pixels[0, 0, 0] ^= 1
    paint(root / "00.png", pixels)
    os.utime(root / "00.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # its date says nothing
    changed = load(root)
    assert calls == [1]
    assert changed.source["fingerprint"] != first.source["fingerprint"]
    assert np.array_equal(changed.x[0], pixels)
    load(root, size=8)
    assert calls == [1, 1]


def test_a_damaged_cache_is_made_again(tmp_path: Path, own_cache: Path) -> None:
    root = folder(tmp_path / "a")
    first = load(root)
    for file in (own_cache / "images").iterdir():
        file.write_bytes(file.read_bytes()[:-40])
    assert np.array_equal(load(root).x, first.x)


def test_grey_and_colour_together(tmp_path: Path) -> None:
    for i in range(3):
        paint(tmp_path / f"{i}.png", 50 * i, "L")
    assert load(tmp_path).x.shape[3] == 1
    assert load(tmp_path, colour="rgb").x.shape[3] == 3
    paint(tmp_path / "c.png", (255, 0, 0))
    data = load(tmp_path)
    assert data.x.shape[3] == 3
    assert "grey images beside coloured" in data.source["note"]
    assert load(tmp_path, colour="grey").x[3, 0, 0, 0] == 76  # 0.299 × 255


def test_two_levels_are_found(tmp_path: Path) -> None:
    for i in range(4):
        paint(tmp_path / f"{i}.png", np.random.default_rng(i).random((9, 9)) > 0.5)
    data = load(tmp_path)
    assert data.spec.x.levels == 2
    assert set(np.unique(data.x)) == {0, 1}


def test_different_sizes_are_brought_to_one(tmp_path: Path) -> None:
    for i, size in enumerate([(100, 80), (70, 200), (90, 90)]):
        paint(tmp_path / f"{i}.jpg", 10 * i, "L", size)
    data = load(tmp_path)
    assert data.spec.shape == (1, 64, 64)
    assert "64×64" in data.source["note"]
    assert load(tmp_path, size="20x30").spec.shape == (1, 20, 30)


@pytest.mark.parametrize("size", ["big", "0", "4x5x6", "99999"])
def test_impossible_sizes_are_refused(tmp_path: Path, size: str) -> None:
    with pytest.raises(BestiaryError, match="size="):
        load(folder(tmp_path / "a"), size=size)


def test_folders_are_labels(tmp_path: Path) -> None:
    for i in range(4):
        paint(tmp_path / "all" / ("cat" if i % 2 else "dog") / f"{i}.png", i)
    data = load(tmp_path)
    assert data.spec.label.words == ("cat", "dog")
    assert data.stored["label"].tolist() == [0, 0, 1, 1]


def test_folders_called_train_and_test_are_the_split(tmp_path: Path) -> None:
    for part, n in (("train", 12), ("test", 4)):
        for i in range(n):
            paint(tmp_path / part / ("cat" if i % 2 else "dog") / f"{i}.png", i)
    data = load(tmp_path)
    assert data.spec.label.words == ("cat", "dog")
    assert {name: len(rows) for name, rows in data.parts.items()} == {"train": 11, "validation": 1, "test": 4}
    assert sorted(data.parts["test"].tolist()) == [0, 1, 2, 3]  # `test` sorts before `train`
    assert len(np.unique(np.concatenate(list(data.parts.values())))) == 16


def test_broken_files_are_left_out_and_named(tmp_path: Path, png_header: Callable[[int, int], bytes]) -> None:
    root = folder(tmp_path / "a")
    whole = (root / "01.png").read_bytes()
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "empty.jpg").write_bytes(b"")
    (root / "notes.txt").write_text("not an image by its name")
    (root / "bomb.png").write_bytes(png_header(32_000, 32_000))
    data = load(root)
    assert len(data.x) == 6
    skipped = data.source["skipped"]
    assert skipped.startswith("3 of 9")
    assert all(word in skipped for word in ("cut.png", "empty.jpg (empty file)", "bomb.png", "1024000000 pixels"))
    assert np.array_equal(load(root).x, data.x)  # from the cache
    assert load(root).source["skipped"] == skipped


def test_more_than_half_broken_is_an_error(tmp_path: Path) -> None:
    root = folder(tmp_path / "a", n=3)
    for i in range(4):
        (root / f"bad{i}.png").write_bytes(b"no")
    with pytest.raises(BestiaryError, match=r"4 of 7 image files cannot be used: bad0.png"):
        load(root)


def test_empty_folders_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(BestiaryError, match="no images"):
        load(tmp_path)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    secret = paint(tmp_path / "secret" / "s.png", 1)
    root = folder(tmp_path / "a")
    (root / "link.png").symlink_to(secret)
    (root / "dir").symlink_to(secret.parent)
    (root / "loop").symlink_to(root)
    (root / "gone.png").symlink_to(root / "nowhere.png")
    for name in ("self.png", "self.txt", "self"):
        (root / name).symlink_to(root / name)
    data = load(root)
    assert len(data.x) == 6
    assert "link.png (a link that points out of the folder)" in data.source["skipped"]
    assert "gone.png (a broken link)" in data.source["skipped"]
    assert "self.png (a " in data.source["skipped"]


def test_members_of_a_zip_that_lead_out_are_refused(tmp_path: Path) -> None:
    png = (folder(tmp_path / "a") / "00.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("1.png", "2.png", "3.png", "4.png", "../5.png", "/etc/6.png"):
            archive.writestr(name, png)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    data = load(tmp_path / "z.zip")
    assert len(data.x) == 4
    assert all(name in data.source["skipped"] for name in ("../5.png", "/etc/6.png", "link.png (a link)"))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bestiary.data import listing

    monkeypatch.setattr(listing, "MAX_BYTES", 10_000)
    png = (folder(tmp_path / "a") / "00.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(4):
            archive.writestr(f"{i}.png", png)
        archive.writestr("bomb.png", b"\0" * 1_000_000)
    assert "bomb.png (larger than" in load(tmp_path / "z.zip").source["skipped"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300), cut=st.integers(1, 400))
def test_only_our_error_escapes_from_a_damaged_zip(tmp_path: Path, raw: bytes, cut: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(4):
            archive.writestr(f"{i}.png", raw)
    for damaged in (buffer.getvalue()[:-cut], raw, buffer.getvalue()):
        (tmp_path / "z.zip").write_bytes(damaged)
        with pytest.raises(BestiaryError):
            load(tmp_path / "z.zip")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.binary(max_size=200), min_size=1, max_size=4),
    suffix=st.sampled_from([".png", ".gif", ".tif", ""]),
)
def test_only_our_error_escapes_from_a_folder_of_rubbish(tmp_path: Path, files: list[bytes], suffix: str) -> None:
    root = tmp_path / "rubbish"
    root.mkdir(exist_ok=True)
    for old in root.iterdir():
        old.unlink()
    for i, raw in enumerate(files):
        (root / f"{i}{suffix}").write_bytes(raw)
    with pytest.raises(BestiaryError):
        load(root)


def test_a_single_image_is_not_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(BestiaryError, match="one image"):
        load(paint(tmp_path / "one.png"))


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BESTIARY_CACHE", str(tmp_path / "file"))
    with pytest.raises(BestiaryError, match="cannot write"):
        load(folder(tmp_path / "a"))


def test_an_array_written_in_chunks_is_one_npy(tmp_path: Path) -> None:
    chunks = [np.random.default_rng(i).integers(0, 256, (n, 3, 2, 1), dtype=np.uint8) for i, n in enumerate((5, 1, 4))]
    shape, binary = write_array(tmp_path / "x.npy", iter(chunks))
    assert shape == (10, 3, 2, 1)
    assert not binary
    assert np.array_equal(np.load(tmp_path / "x.npy"), np.concatenate(chunks))


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def chunks():
        yield np.zeros((2, 2, 2, 1), np.uint8)
        raise BestiaryError("stop")

    with pytest.raises(BestiaryError, match="stop"):
        write_array(tmp_path / "x.npy", chunks())
    assert list(tmp_path.iterdir()) == []


def test_images_beside_train_and_test_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "train", 6)
    folder(tmp_path / "test", 4)
    assert sorted(load(tmp_path).parts["test"]) == list(range(4))
    paint(tmp_path / "cover.png")
    with pytest.raises(BestiaryError, match=r"1 image\(s\) outside of them, such as cover.png"):
        load(tmp_path)


def test_no_reader_sees_an_array_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of 0 and 255 are kept as 0 and 1, and never found as anything else."""
    monkeypatch.setattr(cache, "cache_folder", lambda name: tmp_path)
    write, seen = cache.write_array, []

    def watched(path: Path, chunks):
        told = write(path, chunks)
        seen.extend(int(np.load(found).max()) for found in tmp_path.glob("*.npy"))
        return told

    monkeypatch.setattr(cache, "write_array", watched)
    for _ in range(2):
        cache.store("key", iter([np.full((3, 4, 4, 1), 255, np.uint8)]), {})
        assert int(cache.lookup("key")[0].max()) == 1
    assert set(seen) == {1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.json", "key.npy"]


def test_frames_that_are_left_out_are_noted(tmp_path: Path) -> None:
    for i in range(4):
        frames = [Image.new("L", (9, 9), 20 * i + 10 * j) for j in range(3)]
        frames[0].save(tmp_path / f"{i}.gif", save_all=i > 1, append_images=frames[1:] if i > 1 else [])
    for _ in range(2):  # the second time from the cache
        note = load(tmp_path).source["note"]
        assert "2 file(s) hold several frames, of which the first was taken: 2.gif" in note


def test_an_image_outside_of_the_class_folders_is_named(tmp_path: Path) -> None:
    for i in range(6):
        paint(tmp_path / ("cat" if i % 2 else "dog") / f"{i}.png", i)
    paint(tmp_path / "cover.png", 9)
    data = load(tmp_path)
    assert data.spec.label is None
    assert "no labels: 1 image(s) lie outside of the folders cat and dog, such as cover.png" in data.source["note"]
    (tmp_path / "cover.png").unlink()
    assert "no labels" not in load(tmp_path).source["note"]


@pytest.mark.parametrize("place", [200, 400, -1])
def test_a_cache_of_which_a_bit_has_flipped_is_made_again(tmp_path: Path, own_cache: Path, place: int) -> None:
    root = folder(tmp_path / "a")
    first = load(root)
    for file in (own_cache / "images").iterdir():
        raw = bytearray(file.read_bytes())
        raw[place % len(raw)] ^= 1
        file.write_bytes(raw)
        again = load(root)
        assert np.array_equal(again.x, first.x)
        assert again.source == first.source


def test_floats_of_a_folder_have_one_white(tmp_path: Path) -> None:
    """A frame that is nearly black among others of 0 to 255 is not made white by itself."""
    for i, peak in enumerate((1.0, 200.0, 255.0)):
        paint(tmp_path / f"{i}.tif", np.linspace(0, peak, 144, dtype=np.float32).reshape(12, 12))
    assert [int(image.max()) for image in load(tmp_path).x] == [1, 200, 255]
