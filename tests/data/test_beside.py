"""What stands beside x: what an array is said to be, what its type leaves no doubt about, what is left out, masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bestiary.data.dataset import Dataset
from bestiary.data.load import describe, load
from bestiary.data.spec import Spec, mask_name
from bestiary.data.support import Levels
from bestiary.errors import BestiaryError

G = np.random.default_rng(0)
N = 30
ROWS = np.arange(3.0 * N).reshape(N, 3)
TOKENS = G.integers(1, 9, (N, 5))
FACTORS = np.stack([np.arange(N) % 2, np.arange(N) % 3], axis=1)
BYTES = G.integers(0, 256, (N, 4, 6, 3), dtype=np.uint8)
CAPTIONS = [f"Ball number {i}, {'red' if i % 2 else 'blue'}" for i in range(N)]
CASES: dict[str, tuple[Any, str, str, tuple[int, ...]]] = {  # values, kind, layout, shape
    "words": (["cat", "dog", "owl"] * 10, "label", "label", ()),
    "whole": (np.arange(N) % 4, "label", "label", ()),
    "yes": (np.arange(N) % 2 == 0, "label", "label", ()),
    "one": (np.linspace(2, 3, N), "numbers", "row", (1,)),
    "several": (np.linspace(2, 3, 2 * N).reshape(N, 2), "numbers", "row", (2,)),
    "texts": (CAPTIONS, "caption", "sequence", (5,)),
    "small": (BYTES, "pictures", "picture", (3, 4, 6)),
    "grey": (BYTES[..., 0], "pictures", "picture", (1, 4, 6)),
}


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{name: np.asarray(array) for name, array in arrays.items()})
    return path


def whole(data: Dataset) -> Dataset:
    """Checks what holds of any data set: the spec reads itself back, a batch of everything is of its fields."""
    assert Spec.from_dict(data.spec.to_dict()) == data.spec
    assert describe(data)["beside"].keys() == set(data.spec.names)
    batch = data.rows(np.arange(len(data)))
    for f in data.spec.beside:
        f.refuse(batch.beside[f.name])
    return data


@pytest.mark.parametrize("name", CASES)
def test_type_and_axes_say_what_an_array_is_where_they_leave_no_doubt(name: str, tmp_path: Path) -> None:
    values, kind, layout, shape = CASES[name]
    option = "labels" if kind == "label" else kind
    path = save(tmp_path / "d.npz", x=ROWS, **{name: values})
    for data in (load(ROWS, beside={name: values}), load(path)):
        assert data.spec.names == [name]
        assert (data.spec[name].layout, data.spec[name].shape) == (layout, shape)
        assert f"{name} as {kind}" in whole(data).source["note"]
    declared = load(ROWS, **{option: {name: values}})
    assert declared.spec == data.spec
    assert np.array_equal(declared.stored[name], data.stored[name])
    assert load(path, **{kind: name}).spec == data.spec


@pytest.mark.parametrize("y", [TOKENS, FACTORS, TOKENS.astype(np.uint8), np.eye(3, dtype=int)[np.arange(N) % 3]])
def test_whole_numbers_of_two_axes_are_never_guessed_to_be_numbers(y: np.ndarray, tmp_path: Path) -> None:
    """Tokens (N, T) became standardised numbers."""
    path = save(tmp_path / "d.npz", x=ROWS, y=y)
    for data in (load(path), load(ROWS, beside={"y": y})):
        assert data.spec.names == []
        assert f"left out y: whole numbers {y.shape} may be tokens, factors or numbers" in data.source["note"]
        assert "say tokens=y, factors=y or numbers=y" in data.source["note"]
    if not (y.sum(1) == 1).all():
        with pytest.raises(BestiaryError, match="numbers=, tokens= or factors="):
            load(ROWS, labels=y)
        with pytest.raises(BestiaryError, match="numbers=, tokens= or factors="):
            load(path, label="y")
    assert load(path, tokens="y").spec["y"].layout == "sequence"
    assert load(path, numbers="y").spec["y"].layout == "row"
    assert [f.layout for f in load(path, factors="y").spec.beside] == ["label"] * y.shape[1]


def test_several_of_every_kind_at_once() -> None:
    arrays = {name: values for name, (values, *_) in CASES.items()}
    data = whole(load(ROWS, beside=arrays, tokens=TOKENS, factors={"f": FACTORS}))
    assert data.spec.names == ["tokens", "f1", "f2", *CASES]
    assert "took tokens as tokens, f as factors, words as label" in data.source["note"]


def test_tokens_are_stored_as_they_are() -> None:
    data = load(ROWS, tokens={"code": TOKENS}, pad=0)
    assert np.array_equal(data.stored["code"], TOKENS)
    assert data.spec["code"].words == tuple(map(str, range(9)))
    assert data.spec["code"].support.pad == 0
    assert load(ROWS, tokens=TOKENS).spec["tokens"].support.pad is None
    assert load(ROWS, tokens=TOKENS, pad=11).spec["tokens"].support.n == 12


def test_a_negative_pad_becomes_the_last_word_and_other_negative_tokens_are_refused() -> None:
    tokens = TOKENS.copy()
    tokens[3:, 4] = -1
    data = whole(load(ROWS, tokens=tokens, pad=-1))
    assert data.spec["tokens"].support.pad == 9
    assert np.array_equal(data.stored["tokens"], np.where(tokens == -1, 9, tokens))
    with pytest.raises(BestiaryError, match="say pad=-1"):
        load(ROWS, tokens=tokens)
    with pytest.raises(BestiaryError, match="from 0 up"):
        load(ROWS, tokens=tokens - 1, pad=-1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tokens": TOKENS / 2}, "fractions: say numbers=tokens"),
        ({"tokens": TOKENS[:, 0]}, r"must be whole numbers \(N, T\)"),
        ({"tokens": TOKENS + 10**6}, "whole numbers below 65,536"),
        ({"factors": FACTORS / 2}, "fractions"),
        ({"numbers": ["a"] * N}, r"must be numbers \(N,\) or \(N, n\)"),
        ({"numbers": np.where(np.arange(N) == 4, np.inf, 1.0)}, "infinite in example 4"),
        ({"caption": np.arange(N)}, "must be one text"),
        ({"pictures": np.full((N, 4, 4), 7.5) * np.arange(-1, N - 1)[:, None, None]}, "picture: pixels lie between"),
        ({"pictures": ROWS}, "is no images"),
        ({"labels": ["a"] * (N - 1)}, "labels have shape"),
        ({"numbers": np.ones(N + 1)}, "numbers=numbers have shape"),
        ({"labels": {"y": [None] * N}}, "all missing"),
        ({"labels": ["a", 1] * 15}, "mix"),
        ({"tokens": [[1, 2], [1]] * 15}, "equal lengths"),
        ({"labels": {"x": np.arange(N)}}, "two fields are called x"),
        ({"labels": np.arange(N), "beside": {"label": np.arange(N)}}, "two fields are called label"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_their_kind_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        load(ROWS, **options)


def test_names_of_an_npz_are_checked(tmp_path: Path) -> None:
    path = save(tmp_path / "d.npz", x=ROWS, kind=np.arange(N) % 3, short=np.arange(3), odd=np.array({}))
    with pytest.raises(BestiaryError, match=r"label=knd: there is no `knd`; did you mean `kind`\?"):
        load(path, label="knd")
    with pytest.raises(BestiaryError, match="declared twice, by label= and by numbers="):
        load(path, label="kind", numbers="kind")
    with pytest.raises(BestiaryError, match=r"short has shape \(3,\), and x has 30 rows"):
        load(path, label="short")
    with pytest.raises(BestiaryError, match=r"single has shape \(\)"):
        load(save(tmp_path / "e.npz", x=ROWS, single=3.0), tokens="single")
    with pytest.raises(BestiaryError, match="Nothing stands beside x"):
        load(save(tmp_path / "f.npz", x=ROWS), label="y")
    with pytest.raises(BestiaryError, match="foreign code"):
        load(path, label="odd")
    note = load(path).source["note"]
    assert "took x as x, kind as label; left out short: 3 rows where x has 30; left out odd: " in note
    assert load(path, beside="none").spec.names == []
    assert load(path, beside="kind").spec.names == ["kind"]


def test_numbers_are_standardised_by_the_training_rows_that_have_them() -> None:
    energy = np.where(np.arange(N) % 4 == 0, np.nan, 10.0 + np.arange(N))
    data = whole(load(ROWS, numbers={"energy": energy}))
    there, x = data.stored[mask_name("energy")], data.stored["energy"][:, 0]
    assert np.array_equal(there, ~np.isnan(energy))
    assert not x[~there].any()
    train = data.parts["train"][there[data.parts["train"]]]
    assert x[train].mean() == pytest.approx(0, abs=1e-6)
    assert x[train].std() == pytest.approx(1, abs=1e-6)
    (column,) = data.spec["energy"].columns
    np.testing.assert_allclose(x[there] * column.support.scale + column.support.mean, energy[there], rtol=1e-5)
    assert "8 of 30 examples lack energy" in data.source["note"]


def test_what_is_missing_is_masked_and_stored_as_nothing() -> None:
    gaps = [i % 5 == 2 for i in range(N)]
    given = {
        "kind": [None if gap else "ab"[i % 2] for i, gap in enumerate(gaps)],
        "text": [None if gap else "" if i % 5 == 1 else f"word{i} ball" for i, gap in enumerate(gaps)],
        "energy": [None if gap else 0.5 * i for i, gap in enumerate(gaps)],
        "pair": [None if gap else [0.5, i] for i, gap in enumerate(gaps)],
    }
    data = whole(load(ROWS, beside=given))
    assert [data.spec[name].layout for name in given] == ["label", "sequence", "row", "row"]
    for name in given:
        assert data.spec[name].optional
        assert data.stored[mask_name(name)].tolist() == [not gap for gap in gaps]
        assert not data.stored[name][gaps].any()
    empty = np.arange(N) % 5 == 1  # a text that is empty is there
    assert not data.stored["text"][empty].any()
    assert data.stored[mask_name("text")][empty].all()
    tokens = load(ROWS, tokens=[None if gap else [1, 2] for gap in gaps], pad=7)
    assert (tokens.stored["tokens"][gaps] == 7).all()
    batch = data.rows(np.arange(6))
    assert batch.beside[mask_name("kind")].tolist() == [not gap for gap in gaps[:6]]


def test_masks_of_an_npz_stand_under_the_name_with_a_question_mark(tmp_path: Path) -> None:
    there = np.arange(N) % 3 > 0
    path = save(tmp_path / "d.npz", **{"x": ROWS, "low": BYTES, "low?": there, "y": np.arange(N) % 2})
    data = whole(load(path))
    assert data.spec.names == ["low", "y"]
    assert data.spec.masks == ["low?"]
    assert np.array_equal(data.stored["low?"], there)
    assert np.array_equal(data.stored["low"], np.where(there[:, None, None, None], BYTES, 0))
    with pytest.raises(BestiaryError, match="must be a boolean array"):
        load(save(path, **{"x": ROWS, "low": BYTES, "low?": np.arange(N)}), pictures="low")


@pytest.mark.parametrize("name", ["caption", "text"])
def test_texts_that_are_called_so_are_captions_however_often_they_repeat(name: str, tmp_path: Path) -> None:
    texts = ["a red ball", "a blue ball"] * 15
    for data in (load(ROWS, beside={name: texts}), load(save(tmp_path / "d.npz", x=ROWS, **{name: texts}))):
        assert data.spec[name].layout == "sequence"
    assert load(ROWS, beside={"colour": texts}).spec["colour"].words == ("a blue ball", "a red ball")


def test_the_vocabulary_is_of_the_training_captions() -> None:
    texts = [f"number{i} ball" for i in range(N)]
    data = load(ROWS, caption=texts)
    words = data.spec["caption"].support
    assert set(words.words[2:]) == {"ball", *(f"number{i}" for i in data.parts["train"])}
    for i in range(N):
        known_word = i in data.parts["train"]
        assert words.text_of(data.stored["caption"][i]) == (f"number{i} ball" if known_word else "<unknown> ball")


def test_what_stands_beside_stays_with_its_row_when_rows_are_dropped() -> None:
    raw = ROWS.copy()
    raw[[3, 11], 1] = np.nan
    kept = np.setdiff1d(np.arange(N), [3, 11])
    gap = [None if i % 7 == 0 else f"w{i}" for i in range(N)]
    data = whole(load(raw, missing="drop", labels=np.arange(N), numbers={"e": np.arange(N) + 0.5}, pictures=BYTES,
                      caption=gap, tokens=TOKENS))  # fmt: skip
    assert len(data) == N - 2
    first = data.x[:, 0] * data.spec.x.columns[0].support.scale + data.spec.x.columns[0].support.mean
    np.testing.assert_allclose(first, ROWS[kept, 0], rtol=1e-5, atol=1e-4)
    assert [int(data.spec["label"].words[i]) for i in data.stored["label"]] == kept.tolist()
    (column,) = data.spec["e"].columns
    np.testing.assert_allclose(
        data.stored["e"][:, 0] * column.support.scale + column.support.mean, kept + 0.5, rtol=1e-5
    )
    assert np.array_equal(data.stored["picture"], BYTES[kept])
    assert np.array_equal(data.stored["tokens"], TOKENS[kept])
    assert data.stored["caption?"].tolist() == [i % 7 != 0 for i in kept]


def test_pictures_beside_x_have_levels_and_channels_of_their_own() -> None:
    low = (BYTES[..., :2] / 255).astype(np.float32)
    data = whole(load(ROWS, pictures={"low": low, "mask": BYTES[..., 0] > 99}))
    assert data.spec["low"].shape == (2, 4, 6)
    assert np.array_equal(data.stored["low"], BYTES[..., :2])
    assert data.spec["mask"].support == Levels(2)
    assert "low: floats in [0, 1], exactly 256 levels" in data.source["note"]


def test_the_fingerprint_is_of_everything() -> None:
    prints = {
        load(ROWS, **options).source["fingerprint"]
        for options in ({}, {"labels": FACTORS[:, 0]}, {"labels": FACTORS[:, 1]}, {"numbers": FACTORS[:, 0]})
    }
    assert len(prints) == 4


def test_files_beside_an_npy_file(tmp_path: Path) -> None:
    for name, array in (("x", BYTES), ("y", np.arange(N) % 3), ("low", BYTES[:, ::2, ::2])):
        np.save(tmp_path / f"{name}.npy", array)
    data = whole(load(tmp_path / "x.npy", label="y.npy", pictures="low.npy", stream="yes"))
    assert data.spec.names == ["y", "low"]
    assert isinstance(data.stored["low"], np.memmap)
    assert np.array_equal(data.stored["low"], BYTES[:, ::2, ::2])
    assert load(tmp_path / "x.npy", beside="y.npy").spec["y"].layout == "label"
    for wrong in ("y", "z.npy"):
        with pytest.raises(BestiaryError, match=r"label=FILE\.npy"):
            load(tmp_path / "x.npy", label=wrong)
