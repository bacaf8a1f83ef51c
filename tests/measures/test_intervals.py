"""Intervals hold what they should as often as they claim."""

import pytest
import torch

from bestiary.measures.intervals import Z, student


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
