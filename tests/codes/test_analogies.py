"""Arithmetic with codes: every row moves by the difference of the means."""

import pytest
import torch

from bestiary.codes.analogies import analogy
from bestiary.errors import BestiaryError


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_an_analogy_moves_every_example_by_the_mean_difference() -> None:
    a, minus, plus = codes(4, 3), codes(7, 3, seed=1), codes(2, 3, seed=2)
    assert torch.allclose(analogy(a, minus, plus) - a, (plus.mean(0) - minus.mean(0)).expand(4, 3), atol=1e-6)


@pytest.mark.parametrize(
    ("minus", "plus", "says"),
    [
        (codes(0, 3), codes(1, 3), "minus= needs at least one"),
        (codes(1, 3), codes(1, 4), "plus= needs at least one"),
    ],
)
def test_an_empty_group_or_one_of_another_shape_is_refused(minus, plus, says) -> None:
    with pytest.raises(BestiaryError, match=says):
        analogy(codes(2, 3), minus, plus)
