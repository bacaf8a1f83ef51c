"""Marginals and pairs: by hand, at their floors, and where moments agree and shapes do not."""

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.statistics import correlations, separations, statistics


def normal(n: int, f: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def test_separation_by_hand() -> None:
    """Zeros and ones: h = (¾, ¼), g = (¼, ¾): S = ½ (¼ + ¼) = ¼; nothing in common is 1."""
    real, fake = torch.tensor([0.0, 0, 0, 1]).repeat(100)[:, None], torch.tensor([0.0, 1, 1, 1]).repeat(100)[:, None]
    assert float(separations(fake, real)[0]) == pytest.approx(0.25)
    assert float(separations(real, real)[0]) == 0
    assert float(separations(normal(500, 1) + 100, normal(500, 1, 1))[0]) > 0.9


def test_the_floor_is_the_bias_that_is_stated() -> None:
    """(bins − 1)/(2 n)."""
    values = separations(normal(2000, 40), normal(2000, 40, 1), 50)
    assert float(values.mean()) == pytest.approx(49 / 4000, rel=0.15)


def test_correlations_are_numpys_and_constant_columns_have_none() -> None:
    x = normal(100, 4) @ normal(4, 4, 1)
    torch.testing.assert_close(correlations(x), torch.corrcoef(x.double().T))
    x[:, 0] = 3
    assert correlations(x)[0].abs().max() == 0


def test_equal_moments_and_other_shapes_are_told_by_the_separation_alone() -> None:
    """±1 against N(0, 1): mean, deviation and correlation agree."""
    real, other = normal(3000), normal(3000, seed=1)
    fake = torch.sign(normal(3000, seed=2))
    found = {n.name: n for n in statistics(fake, real, other, ["a", "b"])}
    assert found["separation"].value > 10 * found["separation"].floor.value
    assert found["means"].value < 3
    assert found["correlations"].value < 0.1
    assert "a" in found["separation"].says


def test_pairs_are_told_where_marginals_agree() -> None:
    real, other = (z @ torch.tensor([[1.0, 0.9], [0, 0.436]]) for z in (normal(2000), normal(2000, seed=1)))
    fake = torch.stack([real[:, 0], real[torch.randperm(2000), 1]], 1)
    found = {n.name: n for n in statistics(fake, real, other, ["mass", "charge"])}
    assert found["correlations"].value == pytest.approx(0.9, abs=0.05)
    assert "mass with charge" in found["correlations"].says


def test_names_must_be_as_many_as_columns() -> None:
    with pytest.raises(BestiaryError, match="1 names for 2 columns"):
        statistics(normal(10), normal(10), normal(10), ["a"])
