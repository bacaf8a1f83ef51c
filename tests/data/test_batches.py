"""Batches are a function of (seed, round, turn): permutations laid end to end, sliced among processes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bestiary.data.batches import Batches, model_units, settled, stored_units
from bestiary.data.dataset import Dataset, split
from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError


def dataset(n: int = 40, levels: int = 17) -> Dataset:
    g = np.random.default_rng(0)
    stored = g.integers(0, levels, (n, 4, 6, 3), dtype=np.uint8)
    return Dataset("t", Spec("image", (3, 4, 6), levels), stored, split(n), np.arange(n, dtype=np.int64))


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
    batch = Batches(data, 8).at(3)
    assert batch.x.shape == (8, 3, 4, 6)
    for x, y in zip(batch.x, batch.y, strict=True):
        assert y in data.parts["train"]
        expected = torch.from_numpy(data.stored[int(y)]).permute(2, 0, 1).float() / 16
        assert torch.equal(x, expected)


def test_a_mapped_set_gives_the_same_batches(tmp_path) -> None:
    data = dataset()
    np.save(tmp_path / "x.npy", data.stored)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    streamed = Batches(Dataset(data.name, data.spec, mapped, data.parts, data.labels), 8)
    held = Batches(data, 8)
    assert streamed.streams
    assert not held.streams
    for r, turn in [(0, 0), (1, 0), (1, 1), (2, 0), (9, 0), (0, 0)]:  # read ahead, jump, go back
        a, b = streamed.at(r, turn), held.at(r, turn)
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_model_units_and_back(levels: int) -> None:
    spec = Spec("image", (3, 4, 6), levels)
    stored = torch.from_numpy(dataset(levels=levels).stored)
    x = model_units(stored, spec)
    assert x.shape == (40, 3, 4, 6)
    assert float(x.min()) >= 0
    assert float(x.max()) <= 1
    assert torch.equal(stored_units(x, spec), stored)


def test_vectors_pass_as_they_are() -> None:
    x = torch.randn(5, 2)
    spec = Spec("vector", (2,))
    assert torch.equal(model_units(x, spec), x)
    assert torch.equal(stored_units(x, spec), x)


def test_stored_categories_are_one_word_each() -> None:
    spec = Spec("table", (5,), columns=(Column("a"), Column("b", categories=("x", "y", "z")), Column("c")))
    x = torch.tensor([[0.3, 0.2, 0.5, 0.3, -1.0], [1.5, 0.4, 0.3, 0.3, 2.0]])
    torch.testing.assert_close(stored_units(x, spec), torch.tensor([[0.3, 0, 1, 0, -1], [1.5, 1, 0, 0, 2]]))
    assert settled(x, Spec("vector", (5,))) is x
