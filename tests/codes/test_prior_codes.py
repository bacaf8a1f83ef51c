"""Truncated draws against the closed form of their moments, and against drawing again."""

from math import erf, exp, pi, sqrt

import pytest
import torch

from bestiary.codes.prior_codes import truncated_normal
from bestiary.errors import BestiaryError


@pytest.mark.parametrize("t", [0.1, 0.7, 2.0, 12.0])
def test_truncated_draws_have_the_moments_of_the_truncated_normal(t) -> None:
    """Var = 1 − 2tφ(t)/(2Φ(t) − 1); uncorrelated dimensions; never beyond t."""
    torch.manual_seed(0)
    z = truncated_normal((20_000, 3), t).double()
    variance = 1 - 2 * t * exp(-t * t / 2) / sqrt(2 * pi) / erf(t / sqrt(2))
    assert torch.isfinite(z).all()
    assert z.abs().max() <= t
    assert (z.mean(0).abs() < 4.5 * sqrt(variance / 20_000)).all()
    square = z.square()
    assert ((square.mean(0) - variance).abs() < 4.5 * square.std(0) / 20_000**0.5).all()
    assert torch.corrcoef(z.T).triu(1).abs().max() < 4.5 / 20_000**0.5


def test_truncated_draws_have_the_distribution_of_drawing_again() -> None:
    """Kolmogorov's distance of two empirical distributions; 1.95 is its 0.1% point."""
    torch.manual_seed(0)
    n, normal = 20_000, torch.randn(60_000)
    rejected_beyond_1 = normal[normal.abs() <= 1][:n]
    both = torch.cat([truncated_normal((n,), 1.0), rejected_beyond_1])
    steps = torch.cat([torch.ones(n), -torch.ones(n)])[both.argsort()].cumsum(0) / n
    assert steps.abs().max() < 1.95 * sqrt(2 / n)


@pytest.mark.parametrize("t", [0.0, float("nan")])
def test_a_limit_that_is_not_positive_is_refused(t) -> None:
    with pytest.raises(BestiaryError, match="above 0"):
        truncated_normal((2,), t)
