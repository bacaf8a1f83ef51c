"""Intervals hold what they should as often as they claim."""

from math import sqrt

import pytest
import torch

from bestiary.measures.intervals import (
    Z,
    count_ends,
    error_interval,
    group_count,
    jackknife_half,
    quantile_ends,
    student,
    student_interval,
    wilson,
)


@pytest.mark.parametrize("freedom", [1, 2, 9, 30, 1000])
def test_student_is_the_quantile_of_scipy(freedom: int) -> None:
    from scipy.stats import t

    assert student(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=1e-12)


def test_student_falls_to_the_normal() -> None:
    ends = [student(freedom) for freedom in range(1, 200)]
    assert ends == sorted(ends, reverse=True)
    assert student(10**9) == pytest.approx(Z, abs=1e-4)


def test_means_of_three_are_within_students_ends_in_95_of_100() -> None:
    n, sets = 3, 20_000
    x = torch.randn(sets, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inside = x.mean(1).abs() < student(n - 1) * x.std(1) / n**0.5
    assert float(inside.double().mean()) == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / sets) ** 0.5)


def test_wilson_solves_its_equation() -> None:
    """Its ends are the p with |p̂ − p| = z √(p(1 − p)/n), by which the interval is defined."""
    for s, n in ((0, 10), (3, 10), (10, 10), (81, 263), (7.5, 20), (1, 1)):
        for end in wilson(s, n):
            assert abs(s / n - end) == pytest.approx(1.96 * sqrt(max(0, end * (1 - end)) / n), abs=1e-9)
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert wilson(10, 10)[1] == pytest.approx(1, abs=1e-12)


def test_wilson_gives_published_values() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3."""
    for s, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(s, n) == pytest.approx((low, high), abs=6e-5)


def test_wilson_covers() -> None:
    """Near 95% of the intervals hold the true share: between 92 and 98% by the exact sum over the binomial."""
    for n, p in ((20, 0.3), (50, 0.5), (200, 0.1)):
        s = torch.arange(n + 1.0)
        mass = torch.distributions.Binomial(n, torch.tensor(p)).log_prob(s).exp()
        held = torch.tensor([wilson(float(i), n)[0] <= p <= wilson(float(i), n)[1] for i in s])
        assert 0.92 < float(mass[held].sum()) < 0.98


def test_the_interval_covers() -> None:
    """Of 2000 intervals for a mean that is known, 95% hold it: .95 ± 4.5 √(.95·.05/2000), Student's for n = 200."""
    draws = torch.randn(2000, 200, generator=torch.Generator().manual_seed(1)).exp()  # skewed, as losses are
    held = [low <= torch.tensor(0.5).exp() <= high for _, low, high in map(student_interval, draws)]
    assert 0.95 - 0.025 - 0.022 < sum(map(float, held)) / 2000 < 0.95 + 0.022


def test_an_error_is_as_far_to_either_side() -> None:
    assert error_interval(3.0, 0.5) == pytest.approx((3.0, 3.0 - 0.5 * Z, 3.0 + 0.5 * Z))
    assert error_interval(3.0, 0.5, 2.0) == (3.0, 2.0, 4.0)


def test_the_mean_of_a_few_has_students_ends() -> None:
    mean, low, high = student_interval(torch.tensor([1.0, 2.0, 6.0]))
    assert mean == 3
    assert high - mean == pytest.approx(student(2) * sqrt(7 / 3), rel=1e-6)
    assert mean - low == pytest.approx(high - mean)
    assert student_interval(torch.tensor([2.0])) == (2.0, None, None)


def test_quantile_ends_hold_95_of_100_draws() -> None:
    draws = torch.arange(1001, dtype=torch.float64)
    assert quantile_ends(draws) == pytest.approx((25, 975), abs=1e-3)


def test_a_jackknife_of_the_mean_is_that_of_the_means_of_groups() -> None:
    """Without group g the mean is (x̄ − x̄_g/G) G/(G − 1), so that the jackknife is Student's interval of group means."""
    x = torch.randn(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    groups = group_count(60, 80)
    group = torch.arange(60) % groups
    left = torch.stack([x[group != g].mean() for g in range(groups)])
    mean, low, _ = student_interval(torch.stack([x[group == g].mean() for g in range(groups)]))
    assert jackknife_half(left) == pytest.approx(mean - low)
    assert jackknife_half(torch.tensor([1.0, torch.inf, 1, 1, 1])) is None
    assert (group_count(19), group_count(20), group_count(1000, 20), group_count(1000)) == (0, 5, 5, 10)


def test_a_count_that_resampling_lowers_is_moved_back() -> None:
    """50 kinds, each once: a bootstrap sample misses a third of them. Counts above are left as they are."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(50, (400, 50), generator=generator)
    counts = torch.tensor([float(len(row.unique())) for row in samples], dtype=torch.float64)
    low, high = quantile_ends(counts)
    assert high < 50
    moved = count_ends(50, counts)
    assert sum(moved) / 2 == pytest.approx(50)
    assert moved[1] - moved[0] == pytest.approx(high - low)
    assert count_ends(20, counts) == (low, high)
