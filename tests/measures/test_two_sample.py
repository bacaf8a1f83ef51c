"""The two-sample classifier: what it must and must not find, its p-values, ranks and calibrated odds."""

from math import log

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.two_sample import (
    HeldOutLogits,
    _permutation_p,
    _standardise,
    auc,
    calibrate,
    classify,
    two_sample_test,
)


def normal(n: int, f: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def test_it_cannot_tell_what_is_alike_and_tells_what_differs_in_spread_alone() -> None:
    """Means are equal, so that a linear classifier would see nothing."""
    real, other = normal(500, seed=1), normal(500, seed=2)
    (same, *_), _ = two_sample_test(normal(500), real, other, "columns")
    assert same.low < 0.5 < same.high
    assert same.protocol["p"] > 0.01
    (wide, ranked, jsd), _ = two_sample_test(3 * normal(500), real, other, "columns")
    assert wide.low > 0.6
    assert wide.protocol["p"] < 1e-3
    assert ranked.low > 0.6 > ranked.floor.value
    assert jsd.low > jsd.floor.value


def test_the_divergence_is_that_of_two_gaussians() -> None:
    """N(0, 1) against N(2, 1): JSD by quadrature, within the interval and the classifier's own loss."""
    x = torch.linspace(-8, 10, 20_001).double()
    a, b = (torch.distributions.Normal(m, 1).log_prob(x).exp() for m in (0.0, 2.0))
    m = (a + b) / 2
    exact = float(((a * (a / m).log() + b * (b / m).log()) / 2).sum() * (x[1] - x[0])) / float(torch.tensor(2.0).log())
    (_, _, jsd), _ = two_sample_test(normal(4000, 1) + 2, normal(4000, 1, 1), normal(4000, 1, 2), "columns")
    assert jsd.low - 0.02 < exact < jsd.high + 0.02
    # log r = 2 − 2x: −2 in the middle of the samples, 2 in that of the data
    assert log(jsd.protocol["ratio_on_samples"]) == pytest.approx(-2, abs=0.5)
    assert log(jsd.protocol["ratio_on_data"]) == pytest.approx(2, abs=0.5)


def test_auc_by_counting_pairs_with_ties() -> None:
    g = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 5, (30,), generator=g).float()
    real = torch.rand(30, generator=g) < 0.5
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in logits[real] for b in logits[~real]]
    assert auc(HeldOutLogits(logits, real)) == pytest.approx(sum(pairs) / len(pairs))


def test_p_values_by_relabelling_the_same_predictions() -> None:
    g = torch.Generator().manual_seed(1)
    found = HeldOutLogits(torch.randn(60, generator=g), torch.arange(60) < 25)
    hits = torch.tensor(
        [
            float(((found.logits > 0) == found.real[torch.randperm(60, generator=g)]).double().mean())
            for _ in range(4000)
        ]
    )
    expected = float((hits >= found.accuracy - 1e-9).double().mean())
    assert _permutation_p(found, 10_000, 0) == pytest.approx(expected, abs=0.03)  # two binomials: 3 standard errors


def test_calibrated_odds_are_the_ratio_of_densities() -> None:
    """From logits that know the ratio but stretch it: isotonic calibration gives log r = 2x back."""
    n = 20_000
    x = torch.cat([normal(n, 1) - 1, normal(n, 1, 1) + 1])[:, 0]
    p, rest = calibrate(HeldOutLogits(x.pow(3), torch.arange(2 * n) >= n))
    middle = x[rest].abs() < 1
    error = (p.logit() - 2 * x[rest].double())[middle].abs()
    assert float(error.mean()) < 0.15


def test_nothing_is_learned_from_the_held_out_examples() -> None:
    """Random labels cannot be told: a fold that leaked would be right about itself."""
    x = normal(600, 50)
    assert abs(classify(x[:300], x[300:]).accuracy - 0.5) < 4 * 0.5 / 600**0.5


@pytest.mark.slow
def test_equal_sets_are_called_different_as_often_as_is_said() -> None:
    """p is uniform, up to its steps, and intervals and the floor's hold ½ in 95 of 100: within 3.5 standard errors."""
    repeats, ps, held = 150, [], []
    for i in range(repeats):
        x = normal(240, 2, i)
        found, _ = two_sample_test(x[:80], x[80:160], x[160:], "columns", seed=i)
        ps.append(found[0].protocol["p"])
        held.append([found[0].low < 0.5 < found[0].high, found[1].low < 0.5 < found[1].high])
    error = 3.5 / repeats**0.5
    for level in (0.05, 0.2):
        share = sum(p <= level for p in ps) / repeats
        assert share < level + error * (level * (1 - level)) ** 0.5
    for holds in zip(*held, strict=True):
        assert sum(holds) / repeats > 0.95 - error * (0.05 * 0.95) ** 0.5


def test_constant_columns_are_left_out_and_constant_sets_cannot_be_told() -> None:
    flat = torch.ones(50, 3)
    assert classify(flat, flat).accuracy == 0.5
    half = torch.cat([normal(50, 1), torch.full((50, 1), 7.0)], 1)
    assert classify(half, half + torch.tensor([5.0, 0])).accuracy > 0.9


def test_too_few() -> None:
    with pytest.raises(BestiaryError, match="at least 10 examples"):
        two_sample_test(normal(9), normal(50), normal(50), "columns")


@pytest.mark.parametrize("far", [1e3, 1e9])
def test_one_value_far_away_blinds_no_classifier(far: float) -> None:
    g = torch.Generator().manual_seed(0)
    fake, real = 3 + torch.randn(150, 2, generator=g), torch.randn(150, 2, generator=g)
    fake[0], real[1] = far, -far
    assert classify(fake, real).accuracy > 0.95


def test_columns_that_are_seldom_other_than_constant_are_kept() -> None:
    x = torch.zeros(1000, 1)
    x[::300] = 1.0
    assert _standardise(x).std() == pytest.approx(1.0, abs=1e-3)


def test_certainty_of_few_examples_has_an_interval() -> None:
    g = torch.Generator().manual_seed(0)
    sides = (30 + torch.randn(10, 2, generator=g), torch.randn(10, 2, generator=g), torch.randn(10, 2, generator=g))
    _, ranked, _ = two_sample_test(*sides, "columns")[0]
    assert ranked.value == 1
    assert ranked.low < 0.95
    assert ranked.high == 1
    assert ranked.floor.low < 0.5 < ranked.floor.high
