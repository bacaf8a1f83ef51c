"""Batches are a function of (seed, round, turn): permutations laid end to end, sliced among processes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.data.dataset import Dataset, split
from bestiary.data.load import load
from bestiary.data.spec import label, pictures, rows
from bestiary.data.support import Category, Column
from bestiary.errors import BestiaryError


def dataset(n: int = 40, levels: int = 17) -> Dataset:
    g = np.random.default_rng(0)
    stored = g.integers(0, levels, (n, 4, 6, 3), dtype=np.uint8)
    spec = pictures((3, 4, 6), levels, label(str(i) for i in range(n)))
    return Dataset("t", spec, {"x": stored, "label": np.arange(n)}, split(n))


@given(batch=st.integers(1, 50), turn=st.integers(0, 3), seed=st.integers(0, 9))
def test_every_example_is_seen_once_an_epoch(batch: int, turn: int, seed: int) -> None:
    batches = Batches(dataset(), batch, seed)
    n, epochs = len(batches), 3
    rounds = -(-epochs * n // batch)
    stream = torch.cat([batches.index(r, turn) for r in range(rounds)])[: epochs * n].reshape(epochs, n)
    for epoch in stream:
        assert torch.equal(epoch.sort().values, torch.arange(n))


def test_index_depends_on_seed_round_and_turn_only() -> None:
    one, same, other = Batches(dataset(), 8, 1), Batches(dataset(), 8, 1), Batches(dataset(), 8, 2)
    for r in (7, 0, 3):  # in any order
        assert torch.equal(one.index(r), same.index(r))
    same.index(100)
    assert torch.equal(one.index(2), same.index(2))
    assert not torch.equal(one.index(0), other.index(0))
    assert not torch.equal(one.index(0, 0), one.index(0, 1))
    assert not torch.equal(one.index(0), one.index(1))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_slices_of_the_processes_tile_the_batch(world: int) -> None:
    whole = Batches(dataset(), 12)
    shares = [Batches(dataset(), 12, rank=rank, world=world) for rank in range(world)]
    for r in range(5):
        assert torch.equal(torch.cat([share.index(r) for share in shares]), whole.index(r))


@pytest.mark.parametrize(("batch", "world"), [(0, 1), (-3, 1), (5, 2)])
def test_impossible_batches_are_refused(batch: int, world: int) -> None:
    with pytest.raises(BestiaryError):
        Batches(dataset(), batch, world=world)


def test_batches_hold_the_training_examples_and_their_labels() -> None:
    data = dataset()
    batch = Batches(data, 8, reads=["label"]).at(3)
    assert batch.x.shape == (8, 3, 4, 6)
    for x, y in zip(batch.x, batch.beside["label"], strict=True):
        assert y in data.parts["train"]
        expected = torch.from_numpy(data.x[int(y)]).permute(2, 0, 1).float() / 16
        assert torch.equal(x, expected)


def test_a_mapped_set_gives_the_same_batches(tmp_path) -> None:
    data = dataset()
    np.save(tmp_path / "x.npy", data.x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    streamed = Batches(replace(data, stored={**data.stored, "x": mapped}), 8, reads=["label"])
    held = Batches(data, 8, reads=["label"])
    assert list(streamed.mapped) == ["x"]
    assert not held.mapped
    for r, turn in [(0, 0), (1, 0), (1, 1), (2, 0), (9, 0), (0, 0)]:  # read ahead, jump, go back
        a, b = streamed.at(r, turn), held.at(r, turn)
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.beside["label"], b.beside["label"])


@pytest.mark.parametrize("layout", ["picture", "grid"])
def test_mapped_fields_give_what_fields_in_memory_give_to_every_process(tmp_path: Path, layout: str) -> None:
    """x and a picture beside it on the disk, some of them missing, with labels and captions in memory."""
    n, g = 40, np.random.default_rng(0)
    arrays = {"x": g.normal(size=(n, 2, 3, 4)), "low": g.integers(0, 256, (n, 5, 6, 4), dtype=np.uint8)}
    if layout == "picture":
        arrays["x"] = g.integers(0, 256, (n, 4, 6, 5), dtype=np.uint8)
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array.astype(np.float32) if array.dtype.kind == "f" else array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    small = {"labels": np.arange(n), "caption": [None if i % 5 == 0 else f"ball {i}" for i in range(n)]}
    held = load(np.array(mapped["x"]), pictures={"low": arrays["low"]}, layout=layout, **small)
    disk = load(mapped["x"], pictures={"low": mapped["low"]}, layout=layout, stream=True, **small)
    assert held.spec == disk.spec
    assert held.source["fingerprint"] == disk.source["fingerprint"]
    names = held.spec.names
    whole = Batches(held, 12, reads=names)
    shares = [Batches(disk, 12, rank=rank, world=2, reads=names) for rank in range(2)]
    assert shares[0].mapped.keys() == {"x", "low"}
    assert not whole.mapped
    for r, turn in [(0, 0), (1, 0), (1, 1), (5, 0), (0, 0)]:
        both = Batch.cat(share.at(r, turn) for share in shares)
        wanted = whole.at(r, turn)
        assert both.beside.keys() == wanted.beside.keys() == {"label", "caption", "caption?", "low"}
        for one, other in zip(both.tensors(), wanted.tensors(), strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
    assert Batches(disk, 12, reads=["label"]).at(0).beside.keys() == {"label"}
    rows = disk.rows(np.array([7, 3]), ["low"])
    assert torch.equal(rows.beside["low"], held.rows(np.array([7, 3])).beside["low"])


def test_what_stands_beside_stays_with_its_x_in_every_batch() -> None:
    n = 40
    grey = np.full((n, 3, 4), 100, np.uint8) + np.arange(n, dtype=np.uint8)[:, None, None]
    data = load(grey, labels=np.arange(n),
                numbers={"e": np.arange(n) + 0.5}, tokens=np.arange(n)[:, None].repeat(2, 1),
                beside={"t": [None if i % 3 else f"number{i}" for i in range(n)]})  # fmt: skip
    batches = Batches(data, 8, reads=data.spec.names)
    (column,) = data.spec["e"].columns
    for batch in (batches.at(0), batches.at(7, 2), data.rows(data.parts["test"])):
        i = (batch.x[:, 0, 0, 0] * 255).round().long() - 100
        assert torch.equal(batch.beside["label"], i)
        assert torch.equal(batch.beside["tokens"], i[:, None].expand(-1, 2))
        raw = batch.beside["e"][:, 0] * column.support.scale + column.support.mean
        torch.testing.assert_close(raw, i + 0.5, rtol=1e-5, atol=1e-4)
        assert torch.equal(batch.beside["t?"], i % 3 == 0)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_model_units_and_back(levels: int) -> None:
    field = pictures((3, 4, 6), levels).x
    stored = torch.from_numpy(dataset(levels=levels).x)
    x = field.to_model(stored)
    assert x.shape == (40, 3, 4, 6)
    assert float(x.min()) >= 0
    assert float(x.max()) <= 1
    assert torch.equal(field.to_stored(x), stored)


def test_vectors_pass_as_they_are() -> None:
    x = torch.randn(5, 2)
    field = rows(2).x
    assert torch.equal(field.to_model(x), x)
    assert torch.equal(field.to_stored(x), x)


def test_stored_categories_are_one_word_each() -> None:
    field = rows((Column("a"), Column("b", Category(("x", "y", "z"))), Column("c"))).x
    x = torch.tensor([[0.3, 0.2, 0.5, 0.3, -1.0], [1.5, 0.4, 0.3, 0.3, 2.0]])
    torch.testing.assert_close(field.to_stored(x), torch.tensor([[0.3, 0, 1, 0, -1], [1.5, 1, 0, 0, 2]]))
    assert rows(5).x.support.round_categories(x) is x
