"""Kernel two-sample statistic (MMD, with its permutation test) and sliced Wasserstein distance of two sets.

    MMD²     E k(x, x′) + E k(y, y′) − 2 E k(x, y),   k(x, y) = 1/3 Σ_b exp(−‖x − y‖²/(2 b² m)),  b² ∈ {¼, 1, 4}
             m is the median of ‖x − y‖² over pairs of both sets; the floor has the same m. The estimate is unbiased,
             so that it may be negative
    test     p = (1 + #{permutations of who is real with as large an MMD²})/(1 + permutations)
    sliced   mean over unit vectors u of W₁(uᵀx, uᵀy) = ∫ |F − G| dt,  F and G: shares of either set below t

(Gretton et al. 2012, JMLR 13; Bonneel et al. 2015, JMIV 51.) All permutations are one matrix product: if
s ∈ {0, 1} says which examples count as x, sums within and across sets are quadratic forms of s and the kernel matrix.

The interval of MMD² is the jackknife's, and no narrower than the quantiles of its values under permutation: if the two
distributions are the same and discrete, it is far from normal. One more example at t changes W₁ by ∓ φ(t),
φ(t) = ∫_{−∞}^t sgn(F − G), minus its mean. With φ averaged over lines, s² = Var φ(x)/N + Var φ(y)/M + Var_u W₁/L. If
the two distributions are the same, both intervals are too wide, never too narrow.

Legend: N, M examples of the two sets, F features, P permutations, L lines.
"""

from collections.abc import Mapping
from math import gcd, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import error_interval, quantile_ends
from bestiary.measures.kernel_distance import KernelSums, jackknife
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title
from bestiary.measures.set_checks import check_same_features, check_variation

__all__ = [
    "LineDistances", "discrepancy_numbers", "kernel_matrix", "line_distances", "mmd", "mmd_test", "sliced_distances",
]  # fmt: skip

WIDTHS = (0.25, 1.0, 4.0)  # b²
MOST = 1000  # examples of each set in the kernel matrix
ROWS, LINES = 4096, 16  # examples and lines in a block


def kernel_matrix(x: Tensor, middle: float | None = None) -> Tensor:
    """k of all pairs of x, (N, N), in float64; `middle`: m, if it is not that of x."""
    d = _squared_distances(x)
    m = _median_distance(d) if middle is None else middle
    return torch.stack([torch.exp(-d / (2 * b * m)) for b in WIDTHS]).mean(0)


def _squared_distances(x: Tensor) -> Tensor:
    """‖x − y‖² of all pairs. Features are centred: products of examples far from the origin lose digits."""
    x = x.double() - x.double().mean(0)
    sizes = x.square().sum(1)
    return torch.addmm(sizes, x, x.T, alpha=-2).add_(sizes[:, None]).clamp_min_(0)


def _median_distance(d: Tensor) -> float:
    """m, from squared distances (N, N)."""
    pairs = d[torch.triu(torch.ones_like(d, dtype=torch.bool), 1)]
    m = float(pairs.median()) or float(pairs.mean())  # the median is 0 if more than half of all pairs are copies
    if m == 0:
        raise BestiaryError("all examples are the same: a kernel cannot tell them apart")
    return m


def _unbiased_mmd(k: Tensor, sides: Tensor, n: int, m: int) -> Tensor:
    """MMD² without bias for each column of `sides` (N + M, P), which is 1 for examples that count as x."""
    k = k - torch.diag(k.diagonal())
    complement = 1 - sides
    products = k @ sides
    within_x = (sides * products).sum(0) / (n * (n - 1))
    across = (complement * products).sum(0) / (n * m)
    within_y = (complement * (k.sum(1, keepdim=True) - products)).sum(0) / (m * (m - 1))
    return within_x + within_y - 2 * across


def _kernel_sums(k: Tensor, n: int) -> KernelSums:
    """KernelSums of a kernel matrix whose first n rows belong to x."""
    k = k - torch.diag(k.diagonal())
    return KernelSums(k[:n, :n].sum(1), k[n:, n:].sum(1), k[:n, n:].sum(1), k[:n, n:].sum(0))


def mmd(x: Tensor, y: Tensor) -> float:
    """MMD² without bias."""
    return jackknife(_kernel_sums(kernel_matrix(torch.cat([x, y])), len(x)))[0]


def mmd_test(x: Tensor, y: Tensor, permutations: int = 500, seed: int = 0) -> tuple[float, float, Tensor]:
    """MMD², its p-value, and its values under permutation, (P,)."""
    return _permutation_test(kernel_matrix(torch.cat([x, y])), len(x), permutations, seed)


def _permutation_test(k: Tensor, n: int, permutations: int, seed: int) -> tuple[float, float, Tensor]:
    """`mmd_test` of a kernel matrix whose first n rows belong to x."""
    m = len(k) - n
    g = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.arange(n + m), *(torch.randperm(n + m, generator=g) for _ in range(permutations))])
    sides = torch.zeros(n + m, permutations + 1, dtype=k.dtype).scatter_(0, orders.T[:n], 1.0).to(k)
    result = _unbiased_mmd(k, sides, n, m)
    value, null = float(result[0]), result[1:]
    return value, (1 + int((null >= value - 1e-12).sum())) / (1 + permutations), null


class LineDistances(NamedTuple):
    """W₁ along each line, and φ, the influence of each example on their mean, up to a constant."""

    distance: Tensor  # (L,)
    influence_x: Tensor  # (N,)
    influence_y: Tensor  # (M,)


def sliced_distances(x: Tensor, y: Tensor, lines: int = 128, seed: int = 0) -> Tensor:
    """W₁ along each of `lines` random unit vectors: (L,)."""
    return line_distances(x, y, lines, seed).distance.to(x.dtype)


def line_distances(x: Tensor, y: Tensor, lines: int = 128, seed: int = 0) -> LineDistances:
    """W₁ along each of `lines` random unit vectors, with the influence of each example."""
    u = torch.randn(x.shape[1], lines, generator=torch.Generator().manual_seed(seed)).to(x)
    u, centre = u / u.norm(dim=0), x.mean(0)
    n, m = len(x), len(y)
    divisor = gcd(n, m)  # F − G is a whole number of divisor/(N M)
    steps = torch.cat([torch.full((n,), m // divisor), torch.full((m,), -n // divisor)]).to(x.device)
    distances, influence = [], torch.zeros(n + m, dtype=torch.float64, device=x.device)
    for directions in u.split(LINES, 1):
        # (L, N + M)
        z = torch.cat([((rows - centre) @ directions).T for side in (x, y) for rows in side.split(ROWS)], 1)
        distance, potential = _line(z, steps)
        distances.append(distance * (divisor / (n * m)))
        influence += potential.sum(0) / lines
    return LineDistances(torch.cat(distances), influence[:n], -influence[n:])


def _line(z: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Σ |F − G| Δt in units of the weights, (L,), and φ at each z, (L, N + M)."""
    z, order = z.sort(1)
    gaps = z.diff(dim=1).double()
    difference = steps[order].cumsum(1)[:, :-1]  # F − G between neighbours on the line
    potential = torch.zeros_like(z, dtype=torch.float64)
    potential[:, 1:] = (difference.sign() * gaps).cumsum(1)
    return (difference.abs() * gaps).sum(1), torch.zeros_like(potential).scatter_(1, order, potential)


def discrepancy_numbers(
    fake: Tensor, real: Tensor, other: Tensor, features: str, seed: int = 0, lines: int = 128,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """MMD² with its test, and the sliced Wasserstein distance. Floors: those of `other` real examples."""
    check_same_features(fake, real, other)
    check_variation(real, features)
    if lines < 2:
        raise BestiaryError(f"lines={lines}: an interval of the sliced distance needs two lines, e.g. lines=128")
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1).float() for x in (fake, real, other))
    full_protocol = {**(protocol or {}), "features": features, "seed": seed}
    return [
        _mmd_number(fake[:MOST], real[:MOST], other[:MOST], seed, full_protocol),
        _line_number(fake, real, other, seed, lines, full_protocol),
    ]


def _mmd_number(fake: Tensor, real: Tensor, other: Tensor, seed: int, protocol: Mapping[str, object]) -> Number:
    """MMD² with its p-value."""
    middle = _median_distance(_squared_distances(torch.cat([fake, real])))
    (p, null, interval), (_, _, floor) = (_mmd_interval(x, real, middle, seed) for x in (fake, other))
    full_protocol = {
        **protocol,
        "n": len(fake),
        "permutations": len(null),
        "p": round(p, 4),
        "interval": "95%, the wider of jackknife and permutations",
    }
    return Number(
        "mmd", feature_title("kernel two-sample statistic MMD²", str(protocol["features"])), *interval,
        "kernel units", "lower",
        Reference(*floor, OTHER_REAL),
        protocol=full_protocol, says="0 on average if samples and real examples have one distribution."
        f" Then so large a value would have the probability p = {p:.3g}.",
        detail=True, equals_at_best=True,
    )  # fmt: skip


def _mmd_interval(
    x: Tensor, y: Tensor, middle: float, seed: int
) -> tuple[float, Tensor, tuple[float, float | None, float | None]]:
    """The p-value, the values under permutation, and MMD² with its ends."""
    k = kernel_matrix(torch.cat([x, y]), middle)
    value, low, high = jackknife(_kernel_sums(k, len(x)))
    _, p, null = _permutation_test(k, len(x), 500, seed)
    if low is not None and high is not None:
        least, most = quantile_ends(null)
        low, high = min(low, value - most), max(high, value - least)
    return p, null, (value, low, high)


def _line_number(
    fake: Tensor, real: Tensor, other: Tensor, seed: int, lines: int, protocol: Mapping[str, object]
) -> Number:
    """The sliced Wasserstein distance."""
    interval, floor = (_line_mean(line_distances(x, real, lines, seed)) for x in (fake, other))
    full_protocol = {**protocol, "n": len(fake), "lines": lines, "interval": "95%, over examples and lines"}
    return Number(
        "sliced", feature_title("sliced Wasserstein distance", str(protocol["features"])), *interval,
        "feature units", "lower",
        Reference(*floor, OTHER_REAL),
        protocol=full_protocol,
        says="How far samples must move, on average along random lines, to be spread like the data.",
        detail=True, equals_at_best=True,
    )  # fmt: skip


def _line_mean(lines: LineDistances) -> tuple[float, float, float]:
    """The mean over lines, with its ends."""
    error = sqrt(sum(float(part.var()) / len(part) for part in lines))
    return error_interval(float(lines.distance.mean()), error)
