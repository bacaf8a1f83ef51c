"""The standard sets: their readers on small files of the same form, and on the real ones where they are at hand."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bestiary.data import formats
from bestiary.data.load import catalogue, load
from bestiary.data.locations import DOWNLOADS
from bestiary.data.standard_sets import SETS
from bestiary.errors import BestiaryError

G = np.random.default_rng(0)


def write_idx(path: Path, array: np.ndarray) -> Path:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    raw = head + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw, 1) if path.suffix == ".gz" else raw)
    return path


def test_digits() -> None:
    from sklearn.datasets import load_digits

    data, reference = load("digits"), load_digits()
    assert data.x.shape == (1797, 8, 8, 1)
    assert data.spec.x.levels == 17
    assert np.array_equal(data.x[..., 0], reference.images)
    assert np.array_equal(data.stored["label"], reference.target)


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_files_are_found_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    fit, test = G.integers(0, 256, (10_020, 2, 2), np.uint8), G.integers(0, 256, (30, 2, 2), np.uint8)
    for name, array in (
        ("train-images-idx3-ubyte", fit),
        ("train-labels-idx1-ubyte", fit[:, 0, 0] % 10),
        ("t10k-images-idx3-ubyte", test),
        ("t10k-labels-idx1-ubyte", test[:, 0, 0] % 10),
    ):
        write_idx(tmp_path / "mnist" / f"{name}{suffix}", array)
    monkeypatch.setenv("BESTIARY_DATA", str(tmp_path))
    data = load("mnist")
    assert {name: len(rows) for name, rows in data.parts.items()} == {"train": 20, "validation": 10_000, "test": 30}
    assert np.array_equal(data.part("train")[..., 0], fit[:20])
    assert np.array_equal(np.sort(data.parts["test"]), np.arange(10_020, 10_050))
    assert np.array_equal(data.stored["label"], data.x[:, 0, 0, 0] % 10)
    assert catalogue()["mnist"]["where"] == str(tmp_path / "mnist")
    three = load("stacked-mnist", n=50)
    assert three.x.shape == (70, 2, 2, 3)
    assert np.array_equal(three.stored["label"], (three.x[:, 0, 0].astype(int) % 10) @ [100, 10, 1])
    for name in ("train", "test"):  # channels come from the same part of MNIST
        digits = {image.tobytes() for image in data.part(name)}
        assert all(c.tobytes() in digits for image in three.part(name) for c in np.moveaxis(image, -1, 0))
    assert not np.array_equal(load("stacked-mnist", n=50, seed=1).x, three.x)


@pytest.mark.parametrize("raw", [b"", b"\0\0\x08\x03", b"\0\0\x08\x01\0\0\0\x09abc", b"\x1f\x8b garbage"])
def test_damaged_idx_files_are_explained(tmp_path: Path, raw: bytes) -> None:
    for name in ("x", "x.gz"):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(BestiaryError, match="cannot read"):
            formats.read_idx(tmp_path / name)


def test_both_forms_of_the_binarised_set_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESTIARY_DATA", str(tmp_path))
    bits = {part: G.integers(0, 2, (n, 784), dtype=np.uint8) for part, n in (("train", 9), ("valid", 4), ("test", 5))}
    (tmp_path / "binarized-mnist").mkdir()
    for part, rows in bits.items():
        text = "\n".join(" ".join(map(str, row)) for row in rows) + "\n"
        (tmp_path / "binarized-mnist" / f"binarized_mnist_{part}.amat").write_text(text)
    from_text = load("binarized-mnist")
    (tmp_path / "mnist-static").mkdir()
    packed = {part: np.packbits(rows, axis=1) for part, rows in bits.items()}
    np.savez(tmp_path / "mnist-static" / "binarized_mnist.npz", **packed)
    from_bits = load("binarized-mnist")
    assert from_text.spec.x.levels == 2
    assert np.array_equal(from_text.x, from_bits.x)
    assert np.array_equal(from_text.part("train").reshape(-1, 784), bits["train"])
    assert "sorted by digit" in from_text.source["note"]


@pytest.mark.parametrize("text", ["", "0 1 2", "0 1\n" * 5, "hello"])
def test_damaged_amat_files_are_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.amat").write_text(text)
    with pytest.raises(BestiaryError, match="cannot read"):
        formats.read_amat(tmp_path / "x.amat")


def test_omniglot_from_its_zips_and_its_reduction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bestiary.data.standard_sets.split_parts", lambda n, *shares: {"train": np.arange(n)})
    monkeypatch.setenv("BESTIARY_DATA", str(tmp_path))
    (tmp_path / "omniglot").mkdir()
    drawings = G.random((4, 105, 105)) > 0.5
    for which, rows in (("background", (0, 1)), ("evaluation", (2, 3))):
        with zipfile.ZipFile(tmp_path / "omniglot" / f"images_{which}.zip", "w") as archive:
            for i in rows:
                buffer = io.BytesIO()
                Image.fromarray(~drawings[i]).save(buffer, "PNG")  # ink is black
                archive.writestr(f"images_{which}/Script{i}/character01/{i:04d}_01.png", buffer.getvalue())
    data = load("omniglot", size=105)
    assert np.array_equal(data.x[..., 0].astype(bool), drawings)
    assert data.spec.label.words == ("Script0", "Script1", "Script2", "Script3")
    small = load("omniglot")
    padded = np.pad(drawings, ((0, 0), (3, 4), (3, 4)))
    assert np.array_equal(small.x[..., 0], padded.reshape(-1, 28, 4, 28, 4).sum((2, 4)))
    assert small.spec.x.levels == 17
    with pytest.raises(BestiaryError, match="size=28"):
        load("omniglot", size=30)
    with pytest.raises(BestiaryError, match="by="):
        load("omniglot", by="letters")


def test_cifar_from_its_binary_archive(tmp_path: Path) -> None:
    images = G.integers(0, 256, (30, 3072), dtype=np.uint8)
    records = np.concatenate([(np.arange(30) % 10).astype(np.uint8)[:, None], images], axis=1)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz", compresslevel=0) as tar:
        for i, name in reversed(list(enumerate(names))):  # whatever their order in the archive
            raw = records[i * 5 : (i + 1) * 5].tobytes()
            info = tarfile.TarInfo(f"../cifar-10-batches-bin/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    got, labels = formats.read_cifar(tmp_path / "c.tar.gz", records_per_file=5)
    assert got.shape == (30, 32, 32, 3)
    assert got[7, 1, 2].tolist() == images[7].reshape(3, 32, 32)[:, 1, 2].tolist()
    assert np.array_equal(labels, np.arange(30) % 10)
    (tmp_path / "bad.tar.gz").write_bytes((tmp_path / "c.tar.gz").read_bytes()[:5000])
    with pytest.raises(BestiaryError, match="cannot read"):
        formats.read_cifar(tmp_path / "bad.tar.gz", records_per_file=5)


def test_frey_from_either_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    monkeypatch.setenv("BESTIARY_DATA", str(tmp_path))
    faces = G.integers(0, 256, (20, 28, 20), dtype=np.uint8)
    (tmp_path / "frey").mkdir()
    savemat(tmp_path / "frey" / "frey_rawface.mat", {"ff": faces.reshape(20, 560).T})
    assert np.array_equal(load("frey").x[..., 0], faces)
    np.savez(tmp_path / "frey" / "frey.npz", images=faces)
    assert np.array_equal(load("frey").x[..., 0], faces)


def test_the_whole_dsprites_is_mapped_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESTIARY_DATA", str(tmp_path))
    (tmp_path / "dsprites").mkdir()
    sprites = G.integers(0, 2, (30, 64, 64), dtype=np.uint8)
    shape, scale = np.arange(30) % 3, np.arange(30) // 3 % 2
    classes = np.stack([np.zeros(30, int), shape, scale, *np.arange(90).reshape(3, 30) % 5], axis=1)
    values = classes / [1, 1, 10, 4, 31, 31] + [1, 1, 0.5, 0, 0, 0]
    path = tmp_path / "dsprites" / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    np.savez_compressed(path, imgs=sprites, latents_classes=classes, latents_values=values, metadata=np.array({"a": 1}))
    for _ in range(2):
        data = load("dsprites", stream="yes")
        assert isinstance(data.x, np.memmap)
        assert np.array_equal(data.x[..., 0], sprites)
    assert data.spec.names == ["shape", "scale", "orientation", "position_x", "position_y"]  # one colour is no factor
    assert [np.array(data.spec["shape"].words)[i] for i in data.stored["shape"][:3]] == ["square", "ellipse", "heart"]
    assert data.spec["scale"].words == ("0.5", "0.6")
    for i, name in enumerate(data.spec.names, 1):
        assert np.array_equal(data.stored[name], classes[:, i])
        words = np.array(data.spec[name].words)[data.stored[name]]
        assert name == "shape" or np.allclose(words.astype(float), values[:, i], atol=5e-3)
    assert not isinstance(load("dsprites").x, np.memmap)


def test_a_part_of_dsprites_has_the_values_of_its_own_factors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a colour, and with classes that count only the values that occur."""
    monkeypatch.setenv("BESTIARY_DATA", str(tmp_path))
    (tmp_path / "dsprites-part").mkdir()
    classes = np.stack([np.arange(30) // 10, *(np.arange(30) % k for k in (2, 3, 4, 5))], axis=1)
    values = np.stack([classes[:, 0] + 1, *(0.25 * classes[:, 1:].T)], axis=1)
    sprites = G.integers(0, 2, (30, 64, 64), dtype=np.uint8)
    np.savez(
        tmp_path / "dsprites-part" / "dsprites_subset.npz", imgs=sprites, latents_classes=classes, latents_values=values
    )
    data = load("dsprites")
    assert data.spec.names == ["shape", "scale", "orientation", "position_x", "position_y"]
    assert data.spec["position_y"].words == ("0", "0.25", "0.5", "0.75", "1")
    assert data.spec.label is None
    assert all(np.array_equal(data.stored[name], classes[:, i]) for i, name in enumerate(data.spec.names))


def test_sets_that_are_nowhere_say_how_to_get_them() -> None:
    for name in SETS.keys() - {"digits", "glyphs"}:
        with pytest.raises(BestiaryError, match="BESTIARY_DATA") as caught:
            load(name)
        assert (f"bestiary data {name} --download" in str(caught.value)) == (name in DOWNLOADS)


@pytest.mark.parametrize(
    ("name", "shape", "levels"),
    [
        ("frey", (1965, 28, 20, 1), 256),
        ("binarized-mnist", (70_000, 28, 28, 1), 2),
        ("mnist", (70_000, 28, 28, 1), 256),
    ],
)
def test_real_sets(real_data: str, name: str, shape: tuple[int, ...], levels: int) -> None:
    if SETS[name].local_files() is None:
        pytest.skip(f"{name} is not in BESTIARY_DATA")
    data = load(name)
    assert data.x.shape == shape
    assert data.spec.x.levels == levels
    assert np.array_equal(np.sort(np.concatenate(list(data.parts.values()))), np.arange(len(data.x)))
    if name == "binarized-mnist":  # the zeros, which the file puts first, must not fill a prefix
        ink = data.part("test")[:200].reshape(200, -1).mean(axis=1)
        everywhere = data.part("test").reshape(10_000, -1).mean()
        assert abs(ink.mean() - everywhere) < 5 * ink.std() / np.sqrt(200)
