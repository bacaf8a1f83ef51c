"""Arrays are recognised, quantised only where that loses nothing unsaid, and standardised exactly."""

import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bestiary.data.labels import encode_labels
from bestiary.data.load import load
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError

G = np.random.default_rng(0)
BYTES = G.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (BYTES[..., 0], (1, 6, 5)),
        (BYTES[..., :1], (1, 6, 5)),
        (BYTES, (3, 6, 5)),
        (BYTES.transpose(0, 3, 1, 2), (3, 6, 5)),
        (BYTES[..., :1].transpose(0, 3, 1, 2), (1, 6, 5)),
    ],
)
def test_layouts_of_images(array: np.ndarray, shape: tuple[int, ...]) -> None:
    data = load(array)
    assert data.spec.shape == shape
    assert data.spec.x.levels == 256
    assert np.array_equal(data.x, BYTES[..., : shape[0]])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_on_256_levels_are_exact(low: int, high: int, kind: type) -> None:
    floats = (BYTES / 255 * (high - low) + low).astype(kind)
    data = load(floats)
    assert np.array_equal(data.x, BYTES)
    assert "exactly 256 levels" in data.source["note"]


def test_floats_between_levels_are_rounded_and_it_is_said() -> None:
    floats = G.random((12, 6, 5))
    data = load(floats)
    assert np.abs(data.x[..., 0] / 255 - floats).max() <= 0.5 / 255 + 1e-9
    assert "ROUNDED" in data.source["note"]


@pytest.mark.parametrize(
    "array", [BYTES > 99, (BYTES > 99).astype(np.uint8), (BYTES > 99) * 1.0, (BYTES > 99) * 2.0 - 1]
)
def test_binary_images(array: np.ndarray) -> None:
    data = load(array)
    assert data.spec.x.levels == 2
    assert np.array_equal(data.x, BYTES > 99)


def test_seventeen_levels() -> None:
    digits = G.integers(0, 17, (9, 8, 8))
    digits[0, 0, 0] = 1
    data = load(digits / 16)
    assert data.spec.x.levels == 17
    assert np.array_equal(data.x[..., 0], digits)


def test_sixteen_bits_are_rounded() -> None:
    data = load(BYTES[..., 0].astype(np.uint16) * 257)
    assert np.array_equal(data.x[..., 0], BYTES[..., 0])


def test_torch_tensors() -> None:
    assert np.array_equal(load(torch.from_numpy(BYTES)).x, BYTES)
    assert load(torch.randn(20, 3)).spec.x.noun == "table"
    with pytest.raises(BestiaryError, match="detach"):
        load(torch.randn(20, 3, requires_grad=True))


def test_vectors_are_standardised_by_the_training_rows() -> None:
    raw = G.normal(size=(50, 3)) * [1, 100, 0] + [5, -7, 0.3]
    data = load(raw)
    x = data.part("train").astype(np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=0), [1, 1, 0], atol=1e-6)
    assert data.spec.x.columns[2].support.scale == 1  # a constant column
    back = data.x * [c.support.scale for c in data.spec.x.columns] + [c.support.mean for c in data.spec.x.columns]
    np.testing.assert_allclose(back, raw, rtol=1e-5, atol=1e-5)


def test_density_of_raw_units_is_shifted_by_the_log_scale() -> None:
    """log N(raw; μ, σ²) = log N(x; 0, 1) − Σ log scale."""
    raw = G.normal(3, 2, size=(40, 2))
    spec, x = load(raw).spec, load(raw).x.astype(np.float64)
    mean, scale = np.array([(c.support.mean, c.support.scale) for c in spec.x.columns]).T
    log_raw = (-0.5 * ((raw - mean) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))).sum(axis=1)
    log_x = (-0.5 * x**2 - np.log(np.sqrt(2 * np.pi))).sum(axis=1)
    np.testing.assert_allclose(log_x - spec.log_scale, log_raw, atol=1e-5)


def test_missing_numbers_are_named_dropped_or_filled() -> None:
    raw = G.normal(size=(30, 3))
    raw[4, 1] = np.nan
    raw[7, 1] = np.inf
    with pytest.raises(BestiaryError, match=r"x2 \(2 rows, first row 4\)"):
        load(raw)
    labels = np.arange(30)
    dropped = load(raw, missing="drop", labels=labels)
    assert len(dropped.x) == 28
    assert dropped.spec.label.words[int(dropped.stored["label"][4])] == "5"  # labels stay with their rows
    filled = load(raw, missing="mean")
    column = filled.spec.x.columns[1]
    mean = raw[np.setdiff1d(filled.parts["train"], [4, 7]), 1].mean()
    assert filled.x[4, 1] * column.support.scale + column.support.mean == pytest.approx(mean, abs=1e-6)
    with pytest.raises(BestiaryError, match="missing="):
        load(raw, missing="zero")


@pytest.mark.parametrize(
    "bad",
    [
        np.array(["a", "b"]),
        np.array([{}, {}], dtype=object),
        [[1, 2], [3]],
        np.zeros((0, 4)),
        np.float64(3),
        G.normal(size=(5, 4, 4)) * 100,
        np.full((5, 4, 4), np.nan),
        np.zeros((5, 4, 4, 7), np.uint8),
        np.zeros((5, 4, 4, 4, 1), np.uint8),
        G.normal(size=(5, 2)) + 1j,
        np.zeros((2, 3)),
        np.full((9, 2), 1e300) * np.arange(9)[:, None],
        None,
        object(),
    ],
)
def test_what_is_no_data_is_refused_with_a_reason(bad: object) -> None:
    with pytest.raises(BestiaryError):
        load(bad)


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.bool_]),
        st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    )
)
def test_any_array_gives_a_data_set_or_our_error(array: np.ndarray) -> None:
    try:
        data = load(array)
    except BestiaryError:
        return
    assert len(data.x) == len(array)
    assert data.x.dtype == (np.uint8 if data.spec.x.is_picture else np.float32)


def test_rows_become_images_by_shape() -> None:
    flat = BYTES[..., 0].reshape(12, 30)
    assert np.array_equal(load(flat, shape="6x5").x[..., 0], BYTES[..., 0])
    for wrong in ("7x5", "6", "axb", "0x30"):
        with pytest.raises(BestiaryError, match="shape="):
            load(flat, shape=wrong)


def test_words_of_a_data_frame_are_labels_and_what_cannot_be_told_apart_is_refused() -> None:
    numbers, names = encode_labels(np.array(["b", "a", "b"], dtype=object), 3)
    assert numbers.tolist() == [1, 0, 1]
    assert names == ("a", "b")
    assert encode_labels(np.array([7, 3], dtype=object), 2)[1] == ("3", "7")
    for wrong, says in ((np.array(["a", 1], dtype=object), "one whole number or word"), ([1.0, 1e300], "63 bits"),
                        (np.array([b"\xff", b"\xfe"]), "decode them")):  # fmt: skip
        with pytest.raises(BestiaryError, match=says):
            encode_labels(wrong, 2)


def test_labels_are_numbers_or_words() -> None:
    data = load(BYTES, labels=["b", "a"] * 6)
    assert data.spec.label.words == ("a", "b")
    assert data.stored["label"][:2].tolist() == [1, 0]
    assert load(BYTES, labels=np.array([10, 9] * 6)).spec.label.words == ("9", "10")
    for wrong in ([1, 2], np.linspace(0, 1, 11), np.zeros((12, 4, 2)), [None] * 12, [0.5] * 11 + [np.nan]):
        with pytest.raises(BestiaryError, match="labels"):
            load(BYTES, labels=wrong)


def test_one_hot_rows_are_labels_and_floats_in_a_column_are_numbers() -> None:
    data = load(BYTES, labels=np.eye(3)[np.arange(12) % 3])
    assert data.spec.label.words == ("0", "1", "2")
    assert data.stored["label"].tolist() == (np.arange(12) % 3).tolist()
    energies = 10.0 * np.arange(12)
    assert len(load(BYTES, labels=energies).spec.label.words) == 12
    assert [c.name for c in load(BYTES, numbers=energies).spec["numbers"].columns] == ["numbers"]
    with pytest.raises(BestiaryError, match="are no array"):
        load(BYTES, labels=[[1.0, 2.0], [3.0]] * 6)


@pytest.mark.parametrize(
    "numbers", [np.linspace(0, 9, 12), np.arange(12.0)[:, None], np.linspace(0, 9, 24).reshape(12, 2)]
)
def test_numbers_given_as_labels_are_refused_with_the_word_for_them(numbers: np.ndarray) -> None:
    with pytest.raises(BestiaryError, match="numbers="):
        load(BYTES, labels=numbers)


@pytest.mark.parametrize("numbers", [np.linspace(3, 9, 12), np.arange(24).reshape(12, 2)])
def test_numbers_beside_each_example_are_standardised_over_the_training_rows(numbers: np.ndarray, tmp_path) -> None:
    np.savez(tmp_path / "x.npz", x=BYTES, y=numbers)
    wanted, given = numbers.reshape(12, -1), {"y": numbers}
    flat = BYTES.reshape(12, -1)
    for data in (load(BYTES, numbers=given), load(tmp_path / "x.npz", numbers="y"), load(flat, numbers=given)):
        assert data.spec.label is None
        columns = data.spec["y"].columns
        assert [c.name for c in columns] == (["y"] if len(columns) == 1 else [f"y{i + 1}" for i in range(len(columns))])
        mean, scale = (np.array([getattr(c.support, key) for c in columns]) for key in ("mean", "scale"))
        np.testing.assert_allclose(data.stored["y"] * scale + mean, wanted, rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(data.stored["y"][data.parts["train"]].mean(0), 0, atol=1e-6)
        assert Spec.from_dict(data.spec.to_dict()) == data.spec


@pytest.mark.filterwarnings("error")
def test_an_array_of_python_2_is_read_without_a_word(tmp_path: Path) -> None:
    """Its shape is written `(20L, 3L)`, of which numpy warns on the terminal."""
    x = np.random.default_rng(0).normal(size=(20, 3))
    np.save(tmp_path / "x.npy", x)
    content = (tmp_path / "x.npy").read_bytes()
    assert b"(20, 3), }  " in content
    (tmp_path / "x.npy").write_bytes(content.replace(b"(20, 3), }  ", b"(20L, 3L), }", 1))
    assert load(tmp_path / "x.npy").stored["x"].shape == (20, 3)


def test_npy_files_are_mapped_when_asked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BYTES)
    assert np.array_equal(load(tmp_path / "x.npy").x, BYTES)
    mapped = load(tmp_path / "x.npy", stream=True)
    assert isinstance(mapped.x, np.memmap)
    assert np.array_equal(mapped.x, BYTES)
    assert mapped.source["fingerprint"] == load(BYTES).source["fingerprint"]


def test_constant_numbers_of_vectors_are_noted() -> None:
    x = np.random.default_rng(0).normal(size=(50, 9))
    assert "constant" not in load(x).source["note"]
    x[:, 1:8] = 4.0
    assert "constant, so that their density" in load(x).source["note"]
    assert load(x).source["note"].endswith("x2, x3, x4, x5, x6 and 2 more")


def test_npz_says_which_array_it_took(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=BYTES, y=np.arange(12) % 3, extra=np.zeros(3))
    data = load(path)
    assert data.source["note"] == "took images as x, y as label; left out extra: 3 rows where x has 12"
    assert data.stored["y"].tolist() == (np.arange(12) % 3).tolist()
    assert load(path, label="none").spec.beside == ()
    assert load(path, beside="none").spec.beside == ()
    with pytest.raises(BestiaryError, match="no array `imags`"):
        load(path, key="imags")
    np.savez(path, a=BYTES, b=BYTES)
    with pytest.raises(BestiaryError, match="key=NAME"):
        load(path)
    assert np.array_equal(load(path, key="b").x, BYTES)
    np.savez(path, whatever=BYTES)
    assert np.array_equal(load(path).x, BYTES)


class Trap:
    """What a hostile pickle does: loading it runs a function."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("sprung",)


def test_objects_are_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BestiaryError, match="foreign code"):
        load(tmp_path / "bare.npy")
    assert not (tmp_path / "sprung").exists()
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", x=np.array([{"a": 1}], dtype=object))
    for name in ("o.npy", "o.npz"):
        with pytest.raises(BestiaryError, match="foreign code"):
            load(tmp_path / name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 4000), flip=st.integers(0, 300), suffix=st.sampled_from([".npy", ".npz"]))
def test_damaged_files_give_our_error_or_data(tmp_path: Path, cut: int, flip: int, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    np.save(path, BYTES) if suffix == ".npy" else np.savez(path, x=BYTES)
    raw = bytearray(path.read_bytes())
    path.write_bytes(raw[: max(0, len(raw) - cut)])
    with pytest.raises(BestiaryError):
        load(path)
    raw[flip] ^= 0x41
    path.write_bytes(raw)
    with suppress(BestiaryError):
        load(path)
