"""95% intervals: of a mean, a share, a median, and of anything that is drawn again.

    mean       x̄ ± 1.96 s/√n                       normal, over examples
    few        x̄ ± t s/√n, t = student(n − 1)      over splits, blocks, groups or seeds (Student 1908)
    share      (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)        (Wilson 1927)
    median     quantiles of the medians of samples drawn again from the sample (bootstrap)

Each gives (value, low, high), or the two ends. Legend: n examples, R draws.
"""

from math import sqrt

import torch
from torch import Tensor

__all__ = ["ENDS", "Z", "median_interval", "normal_interval", "quantile_ends", "student", "wilson"]

Z = 1.96  # the standard normal lies within ± Z with probability 0.95
ENDS = (0.025, 0.975)  # quantiles between which 95% lie
LEAST_TO_RESAMPLE = 8  # values, below which a bootstrap knows nothing


def normal_interval(values: Tensor) -> tuple[float, float, float]:
    """Mean and ends, from the standard error over examples (n,); of one example the ends are NaN."""
    mean = float(values.double().mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = Z * float(values.double().std()) / len(values) ** 0.5
    return mean, mean - half, mean + half


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Ends for the share successes/n."""
    p = successes / n
    centre, spread = p + Z * Z / (2 * n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (centre - spread) / (1 + Z * Z / n), (centre + spread) / (1 + Z * Z / n)


def median_interval(values: Tensor, seed: int, draws: int = 200) -> tuple[float, float | None, float | None]:
    """The median of (n,) and its bootstrap ends; no ends from a handful of values."""
    if len(values) < LEAST_TO_RESAMPLE:
        return float(values.median()), None, None
    generator = torch.Generator().manual_seed(seed)
    again = values[torch.randint(len(values), (draws, len(values)), generator=generator)].median(1).values
    return float(values.median()), *quantile_ends(again)


def quantile_ends(draws: Tensor) -> tuple[float, float]:
    """Ends between which 95% of the draws (R,) lie."""
    low, high = draws.quantile(torch.tensor(ENDS).to(draws)).tolist()
    return low, high


def student(freedom: int) -> float:
    """The 97.5% quantile of Student's t, by degrees of freedom: ends lie so many standard errors from a mean of few.

    >>> round(student(9), 3), round(student(1), 3)
    (2.262, 12.706)
    """
    from scipy.special import stdtrit  # scipy.stats.t.ppf is the same, and takes twice as long to import

    return float(stdtrit(freedom, ENDS[1]))
