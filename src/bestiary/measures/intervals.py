"""95% confidence intervals: normal, Student, Wilson, and bootstrap.

    error_interval      v ± 1.96 s                           a value v with its standard error s
    student_interval    x̄ ± t s/√n, t = student(n − 1)       a mean over examples, splits or seeds (Student 1908)
    wilson              (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)         a share p (Wilson 1927)
    jackknife_half      t √((G − 1)/G Σ_g (v_g − v̄)²), t = student(G − 1): v_g without the g-th of G groups of
                        examples, of all sets at once
    quantile_ends       quantiles of R bootstrap values of anything
    count_ends          quantiles of R bootstrap counts of kinds, moved up: resampling loses kinds that occur once

Each returns (value, low, high), or the two ends. Legend: n examples, R draws.
"""

from math import isfinite, sqrt

import torch
from torch import Tensor

__all__ = [
    "ENDS", "Z", "count_ends", "error_interval", "group_count", "jackknife_half",
    "quantile_ends", "student", "student_interval", "wilson",
]  # fmt: skip

Z = 1.96  # the standard normal lies within ± Z with probability 0.95
ENDS = (0.025, 0.975)  # quantiles between which 95% lie
LEAST_GROUPS, GROUPS = 5, 10  # of a jackknife


def error_interval(value: float, error: float, quantile: float = Z) -> tuple[float, float, float]:
    """A value and its ends, `quantile` standard errors to either side."""
    return value, value - quantile * error, value + quantile * error


def student_interval(values: Tensor) -> tuple[float, float | None, float | None]:
    """The mean of values (n,) and its ends. A single value has no ends."""
    values = values.double()
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return mean, None, None
    return error_interval(mean, float(values.std()) / sqrt(n), student(n - 1))


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Ends for the share successes/n."""
    p = successes / n
    centre, half = p + Z * Z / (2 * n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (centre - half) / (1 + Z * Z / n), (centre + half) / (1 + Z * Z / n)


def group_count(*sizes: int) -> int:
    """How many groups a jackknife of sets of these sizes has; 0 if they are too few for an interval."""
    groups = min(GROUPS, min(sizes) // 4)
    return groups if groups >= LEAST_GROUPS else 0


def jackknife_half(left: Tensor) -> float | None:
    """Half of the interval of a statistic, from its values without each group (G,); None if these are not finite."""
    groups = len(left)
    half = student(groups - 1) * sqrt((groups - 1) / groups * float((left - left.mean()).square().sum()))
    return half if isfinite(half) else None


def quantile_ends(draws: Tensor) -> tuple[float, float]:
    """Ends between which 95% of the draws (R,) lie."""
    low, high = draws.quantile(torch.tensor(ENDS, dtype=draws.dtype, device=draws.device)).tolist()
    return low, high


def count_ends(count: int, draws: Tensor) -> tuple[float, float]:
    """Ends for a number of kinds, from the numbers (R,) in bootstrap samples, moved up until their middle is `count`.

    A bootstrap sample often misses a kind that occurs once in the sample, and never has a kind that is not in it.
    """
    low, high = quantile_ends(draws)
    missed = max(0.0, count - (low + high) / 2)
    return low + missed, high + missed


def student(freedom: int) -> float:
    """The 97.5% quantile of Student's t for so many degrees of freedom.

    >>> round(student(9), 3), round(student(1), 3)
    (2.262, 12.706)
    """
    from scipy.special import stdtrit  # scipy.stats.t.ppf is the same, and takes twice as long to import

    return float(stdtrit(freedom, ENDS[1]))
