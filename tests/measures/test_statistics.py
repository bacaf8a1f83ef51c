"""Marginals and pairs: by hand, at their floors, and where moments agree and shapes do not."""

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.stats.contingency import association
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.statistics import (
    correlations,
    dependences_apart,
    means_apart,
    separations,
    spreads_apart,
    statistics,
)


def normal(n: int, f: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def test_separation_by_hand() -> None:
    """Zeros and ones: h = (¾, ¼), g = (¼, ¾): S = ½ (¼ + ¼) = ¼; nothing in common is 1."""
    real, fake = torch.tensor([0.0, 0, 0, 1]).repeat(100)[:, None], torch.tensor([0.0, 1, 1, 1]).repeat(100)[:, None]
    assert float(separations(fake, real)[0]) == pytest.approx(0.25)
    assert float(separations(real, real)[0]) == 0
    assert float(separations(normal(500, 1) + 100, normal(500, 1, 1))[0]) > 0.9


def test_a_constant_is_told_from_what_lies_beside_it() -> None:
    """On either side, however near; and a value that repeats among others keeps its own bin."""
    flat = torch.full((60, 1), 0.3)
    for fake in (flat - 1e-3, flat + 1e-3):
        assert float(separations(fake, flat)[0]) == 1
    assert float(separations(flat, flat)[0]) == 0
    half = torch.cat([torch.zeros(200), normal(200, 1)[:, 0].abs()])[:, None]  # half zeros: h = ½ there, g = 0
    assert float(separations(half.clamp_min(1e-9), half)[0]) == pytest.approx(0.5)


def test_separations_by_a_loop() -> None:
    """Continuous columns: NumPy's quantiles and histograms, one column at a time."""
    real, fake = normal(400, 3).double(), 1.5 * normal(300, 3, 1).double()
    for i, found in enumerate(separations(fake, real, 10).tolist()):
        edges = np.quantile(real[:, i].numpy(), np.linspace(0, 1, 11))
        edges[0], edges[-1] = -np.inf, np.inf
        h, g = (np.histogram(x[:, i].numpy(), edges)[0] / len(x) for x in (real, fake))
        assert found == pytest.approx(((h - g) ** 2 / (h + g)).sum() / 2, abs=1e-2)  # an edge value changes bins


@pytest.mark.parametrize("apart", [means_apart, spreads_apart])
@pytest.mark.parametrize("power", [1, 3])
def test_errors_are_standard_errors(apart, power) -> None:
    """Over many pairs of sets of one distribution, light or heavy in its tails, differences have variance 1."""
    z = apart(normal(3000, 400).pow(power), normal(3000, 400, 1).pow(power))
    assert float(z.square().mean()) == pytest.approx(1, abs=0.3 if power == 3 else 0.2)


def test_intervals_are_as_wide_as_new_draws_scatter() -> None:
    values, halves = [], []
    for seed in range(30):
        real, other = normal(400, seed=3 * seed), normal(400, seed=3 * seed + 1)
        fake = 1.3 * normal(400, seed=3 * seed + 2) + 0.5
        found = {n.name: n for n in statistics(fake, real, other, ["a", "b"])}
        values.append([found[name].value for name in ("separation", "means", "spreads")])
        halves.append([found[name].high - found[name].value for name in ("separation", "means", "spreads")])
    ratio = torch.tensor(halves).mean(0) / (1.96 * torch.tensor(values).std(0))
    assert ((ratio > 0.5) & (ratio < 2)).all(), ratio


def test_constants_that_differ_are_undefined_and_named() -> None:
    real = torch.cat([normal(50, 1), torch.ones(50, 1)], 1)
    found = {n.name: n for n in statistics(real + torch.tensor([0.0, 1.0]), real, real, ["mass", "charge"])}
    assert found["means"].value is None
    assert "charge inf" in found["means"].says
    assert found["separation"].value == pytest.approx(0.5)
    same = {n.name: n for n in statistics(real, real, real, ["mass", "charge"])}
    assert all(n.value == 0 for n in same.values())


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
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(2))
    fake = torch.stack([real[:, 0], real[order, 1]], 1)
    found = {n.name: n for n in statistics(fake, real, other, ["mass", "charge"])}
    assert found["correlations"].value == pytest.approx(0.9, abs=4 / 2000**0.5)
    assert "mass with charge" in found["correlations"].says


def test_dependence_without_correlation_is_told() -> None:
    """y = ±x has the marginals and the correlation of two independent normal columns."""
    real, other, fake = normal(4000), normal(4000, seed=1), normal(4000, seed=2)
    fake[:, 1] = fake[:, 0] * torch.sign(normal(4000, 1, seed=3)[:, 0])
    found = {n.name: n for n in statistics(fake, real, other, ["a", "b"])}
    assert found["correlations"].value < 4 / 4000**0.5
    assert found["dependence"].low > 5 * found["dependence"].floor.high
    assert "a with b" in found["dependence"].says


def test_dependence_is_cramers_v_of_independent_real_columns() -> None:
    """Against scipy where the real columns are exactly independent and both sides have the same shares."""
    grid = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0)).repeat(40, 1)  # 1000 rows
    turned = (grid[:, :1] + torch.cat([torch.zeros(500, 1), torch.ones(500, 1)])) % 5
    fake = torch.cat([grid[:, :1], turned], 1)
    table = torch.bincount((5 * fake[:, 0] + fake[:, 1]).long(), minlength=25).view(5, 5).numpy()
    v = association(table, method="cramer")
    assert float(dependences_apart(fake, grid)) == pytest.approx(v, abs=1e-9)
    same = torch.cat([grid[:, :1]] * 2, 1)
    assert float(dependences_apart(same, grid)) == pytest.approx(1.0, abs=1e-9)
    assert float(dependences_apart(grid[torch.randperm(1000)], grid)) == pytest.approx(0.0, abs=1e-9)
    assert torch.isfinite(dependences_apart(torch.full((9, 3), 7.0), normal(9, 3))).all()


def test_names_must_be_as_many_as_columns() -> None:
    with pytest.raises(BestiaryError, match="1 names for 2 columns"):
        statistics(normal(10), normal(10), normal(10), ["a"])


def test_edges_of_many_columns_are_those_of_each(monkeypatch) -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(50, 7), torch.randn(50, 7)
    whole = separations(fake, real)
    monkeypatch.setattr("bestiary.measures.statistics.MOST_SORTED", 120)
    torch.testing.assert_close(separations(fake, real), whole)


def test_columns_of_two_values_have_spreads() -> None:
    """m₄ = s⁴ where both are as frequent, and the error of s is of second order there."""
    z = []
    for seed in range(200):
        g = torch.Generator().manual_seed(seed)
        sides = ((torch.rand(1000, 1, generator=g) < 0.5).float() for _ in range(2))
        z.append(float(spreads_apart(*sides)))
    assert np.isfinite(z).all()
    assert max(map(abs, z)) < 6


def test_too_few_examples_have_no_jackknife() -> None:
    g = torch.Generator().manual_seed(0)
    for n, given in ((19, False), (20, True)):
        sides = (torch.randn(n, 3, generator=g) for _ in range(3))
        assert all((number.low is not None) == given for number in statistics(*sides, ["a", "b", "c"]))


def test_intervals_of_few_examples_hold() -> None:
    """Of a mean that differs by one: the jackknife of five groups, against the value of very many."""
    g, held = torch.Generator().manual_seed(0), 0
    expected = sqrt(20 / 2)  # in errors of the difference of two means, 20 examples each
    for _ in range(200):
        fake, real = 1 + torch.randn(20, 1, generator=g), torch.randn(20, 1, generator=g)
        found = statistics(fake, real, real, ["a"])[1]
        held += found.low <= expected <= found.high
    assert held >= 176


def test_floors_have_intervals_by_the_same_groups() -> None:
    x = torch.randn(3, 400, 4, generator=torch.Generator().manual_seed(0))
    for number in statistics(*x, list("abcd")):
        assert number.floor.low <= number.floor.value <= number.floor.high
        again = {n.name: n for n in statistics(x[2], x[1], x[0], list("abcd"))}[number.name]
        assert (again.value, again.low, again.high) == (number.floor.value, number.floor.low, number.floor.high)


def test_the_words_of_one_column_are_one_fact() -> None:
    """Of a category of two words each component says the same: the three worst are of three columns, or pairs."""
    torch.manual_seed(0)
    word, x, y = (torch.rand(400) < 0.5).float(), normal(400), normal(400)
    real = torch.stack([word, 1 - word, x[:, 0], y[:, 0]], 1)
    fake = torch.stack([word * 0, 1 - word * 0, x[:, 0] + word, y[:, 0] + 0.1], 1)
    names, owners = ["c=a", "c=b", "x", "y"], ["c", "c", "x", "y"]
    found = {n.name: n for n in statistics(fake, real, real, names, owners=owners)}
    assert [part.split()[0][0] for part in found["means"].largest.split(", ")] == ["c", "x", "y"]
    pairs = {tuple(sorted(w.partition("=")[0] for w in part.split() if w[0] in "cxy")) for part in
             found["correlations"].largest.split(", ")}  # fmt: skip
    assert len(pairs) == 3
    assert found["means"].largest in found["means"].says
