"""Readers of a condition: one-hot labels, numbers, words and pictures; zeros for what is missing."""

import pytest
import torch
from torch import nn

from bestiary.data.spec import Field, label, mask_name, numbers, pictures, rows, sequence
from bestiary.data.support import Column, Levels, Reals
from bestiary.errors import BestiaryError
from bestiary.networks.conditioned import LEARNED_WIDTH, Conditioned, Reader, repeat_rows, select_rows

PETS = label(("cat", "dog", "newt"))
ENERGY = numbers([Column("energy", Reals(3.0, 2.0)), Column("angle")], "energy")
CAPTION = sequence(("<pad>", "red", "blue", "cat"), 4)
SKETCH = Field("sketch", "picture", (2, 6, 6), Levels(256))
GRID = Field("grid", "grid", (2, 3), Reals())


def test_labels_are_one_hot_and_numbers_stand_as_they_are() -> None:
    c = {"label": torch.tensor([2, 0]), "energy": torch.tensor([[1.5, -1.0], [0.0, 2.0]]), "grid": torch.randn(2, 2, 3)}
    read = Reader((PETS, ENERGY, GRID))
    wanted = torch.cat([torch.tensor([[0.0, 0, 1], [1, 0, 0]]), c["energy"], c["grid"].flatten(1)], 1)
    assert torch.equal(read(c), wanted)
    assert read.width == 11
    assert not list(read.parameters())


def test_what_is_not_known_is_zeros_and_of_numbers_a_flag_says_so() -> None:
    fields = (label(("cat", "dog"), optional=True), numbers([Column("energy")], "energy", optional=True))
    there = torch.tensor([True, False])
    c = {
        "label": torch.tensor([1, 1]),
        mask_name("label"): there,
        "energy": torch.ones(2, 1),
        mask_name("energy"): there,
    }
    read = Reader(fields)
    assert torch.equal(read(c), torch.tensor([[0.0, 1, 1, 1], [0, 0, 0, 0]]))
    assert read.width == 4


def test_words_are_the_mean_of_their_vectors_without_padding() -> None:
    torch.manual_seed(0)
    read = Reader((CAPTION,))
    vectors = read.learned["0"].embed.weight
    tokens = torch.tensor([[1, 3, 0, 0], [3, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]])
    wanted = torch.stack([(vectors[1] + vectors[3]) / 2] * 2 + [vectors[2], torch.zeros(LEARNED_WIDTH)])
    torch.testing.assert_close(read({"caption": tokens}), wanted)
    (slope,) = torch.autograd.grad(read({"caption": tokens}).sum(), vectors)
    assert torch.equal(slope.abs().sum(1) > 0, torch.tensor([False, True, True, True]))
    whole = Reader((sequence(("a", "b"), 2, pad=None),))  # codes have no padding: 0 is a word
    vectors = whole.learned["0"].embed.weight
    torch.testing.assert_close(whole({"caption": torch.tensor([[0, 1]])})[0], vectors.mean(0))


def test_pictures_are_read_one_by_one_and_every_pixel_counts() -> None:
    torch.manual_seed(0)
    read, x = Reader((SKETCH,)), torch.rand(3, 2, 6, 6, requires_grad=True)
    out = read({"sketch": x})
    assert out.shape == (3, LEARNED_WIDTH)
    torch.testing.assert_close(read({"sketch": x[1:2]}), out[1:2])
    (slope,) = torch.autograd.grad(out[0].sum(), x)
    assert (slope[0] != 0).all()
    assert not slope[1:].any()


@pytest.mark.parametrize("optional", [False, True])
def test_the_width_is_that_of_what_is_read(optional: bool) -> None:
    fields = [Field(f.name, f.layout, f.shape, f.support, optional) for f in (PETS, ENERGY, CAPTION, SKETCH, GRID)]
    batch = rows(2, *fields).random_batch(3)
    for some in (*([f] for f in fields), fields, fields[::-1]):
        read = Reader(some)
        assert read(batch.beside).shape == (3, read.width)


def test_c_stands_in_rows_or_as_maps() -> None:
    x, c = torch.rand(2, 3, 4, 5), {"label": torch.tensor([2, 0])}
    one_hot = torch.tensor([[0.0, 0, 1], [1, 0, 0]])
    in_rows, as_maps = (Conditioned(nn.Identity(), (PETS,), join)(x, c) for join in ("rows", "maps"))
    assert torch.equal(in_rows, torch.cat([x.flatten(1), one_hot], 1))
    assert torch.equal(as_maps, torch.cat([x, one_hot[:, :, None, None].expand(-1, -1, 4, 5)], 1))
    assert Conditioned(nn.Identity())(x, c) is x  # without a condition the network is used as it is


def test_rows_of_a_condition_go_with_draws_of_z() -> None:
    """All rows k times: those of draw after draw, as z (K, B, D) is flattened."""
    c = {"label": torch.tensor([2, 0]), "sketch": torch.rand(2, 2, 6, 6)}
    again = repeat_rows(c, 3)
    assert again["label"].tolist() == [2, 0, 2, 0, 2, 0]
    assert torch.equal(again["sketch"].view(3, 2, 2, 6, 6)[1], c["sketch"])
    assert repeat_rows(c, 1) is c
    assert select_rows(c, slice(1, 2))["label"].tolist() == [0]


def test_a_missing_field_is_named() -> None:
    with pytest.raises(BestiaryError, match="takes the condition label, energy: give energy of each example"):
        Reader((PETS, ENERGY))({"label": torch.tensor([0])})
    spec = pictures((1, 4, 4), 2, label(("a", "b"), optional=True))
    with pytest.raises(BestiaryError, match=r"give label\? of each example"):
        Reader(spec.beside)({"label": torch.tensor([0])})
