"""Nearest neighbours against the slow obvious way, ties and clusters included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.neighbours import distances, nearest
from tests.measures.normal_draws import draws


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.integers(1, 50))
def test_nearest_is_brute_force_in_blocks_of_any_size(n: int, m: int, k: int, block: int) -> None:
    a, b = draws(n, 1, (2, 3)), draws(m, 2, (2, 3))
    every = (a[:, None] - b).square().flatten(2).mean(2).sqrt()  # (n, m), root mean squared difference
    d, i = nearest(a, b, k, block)
    assert d.shape == i.shape == (n, min(k, m))
    torch.testing.assert_close(d, every.sort(1).values[:, :k])
    torch.testing.assert_close(every.gather(1, i), d)  # the row numbers are those of the distances


def test_a_point_is_nearest_to_itself_exactly() -> None:
    """No digits are lost far from the origin, as they are where ‖a − b‖² is computed as ‖a‖² − 2ab + ‖b‖²."""
    x = draws(60, 3) + 1e4
    d, i = nearest(x, x, block=7)
    assert torch.equal(d, torch.zeros(60, 1))
    assert torch.equal(i[:, 0], torch.arange(60))


def test_distances_are_in_the_units_of_one_number() -> None:
    assert distances(torch.full((1, 3, 8, 8), 0.7), torch.full((1, 3, 8, 8), 0.2)).item() == pytest.approx(0.5)


@pytest.mark.parametrize(("a", "b", "k", "says"), [
    (draws(3, 0), draws(3, 0, (5,)), 1, "examples have 6 and 5 numbers"), (draws(0, 0), draws(3, 0), 1, "at least one"),
    (draws(3, 0), draws(0, 0), 1, "at least one"), (draws(3, 0), draws(3, 0), 0, "k=0"),
    (draws(3, 0), draws(3, 0), -2, "k=-2"),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused(a: Tensor, b: Tensor, k: int, says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        nearest(a, b, k)


@pytest.mark.parametrize("width", [1e-2, 1e-3, 1e-5])
def test_copies_are_found_in_heaps_that_are_far_apart(width: float) -> None:
    """Products in single precision cannot tell the examples of a heap; the exact distances are those of brute force."""
    g = torch.Generator().manual_seed(0)
    heaps = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).repeat(400, 1)
    train = heaps + width * torch.randn(800, 2, generator=g)
    d, index = nearest(train[:300], train, 3)
    assert (d[:, 0] == 0).all()
    exact = (train[:300, None].double() - train.double()).norm(dim=2).topk(3, largest=False).values / 2**0.5
    torch.testing.assert_close(d.double(), exact, rtol=1e-3, atol=1e-9)
    assert len(index) == 300
