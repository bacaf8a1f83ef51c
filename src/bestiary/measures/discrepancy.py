"""Two samples apart: by the mean of a kernel (MMD, with its permutation test) and along random lines (Wasserstein).

    MMD²     E k(x, x′) + E k(y, y′) − 2 E k(x, y),   k(x, y) = 1/3 Σ_b exp(−‖x − y‖²/(2 b² m)),  b² ∈ {¼, 1, 4}
             m the median of ‖x − y‖² over pairs of both sets; without bias, so that it may be negative. The floor has
             the same m
    test     p = (1 + #{permutations of who is real with as large an MMD²})/(1 + permutations)
    sliced   mean over unit vectors u of W₁(uᵀx, uᵀy) = ∫ |F − G| dt,  F and G the shares below t of either set

(Gretton et al. 2012, JMLR 13; Bonneel et al. 2015, JMIV 51.) All permutations are one product: with signs s ∈ {0, 1} of
who counts as x, sums within and across are quadratic forms of one matrix of kernels.

The interval of MMD² is the jackknife's. W₁ answers to one example more at t by ∓ φ(t), φ(t) = ∫_{−∞}^t sgn(F − G), less
its mean: with φ averaged over lines, s² = Var φ(x)/N + Var φ(y)/M + Var_u W₁/L. Both intervals are too wide, never too
narrow, where the two distributions are the same.

Legend: N, M examples of the two sets, F features, P permutations, L lines.
"""

from collections.abc import Mapping
from math import gcd, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.frechet import Sums, jackknife, same_features, varied
from bestiary.measures.intervals import Z
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title

__all__ = ["Lines", "along_lines", "kernel_matrix", "mmd", "mmd_test", "sliced", "wasserstein_lines"]

WIDTHS = (0.25, 1.0, 4.0)  # b²
MOST = 1000  # examples of each set in the kernel's matrix
ROWS, LINES = 4096, 16  # examples, and lines, taken at a time


def kernel_matrix(x: Tensor, middle: float | None = None) -> Tensor:
    """k of all pairs, (N, N), in float64; `middle`: another m than that of x."""
    d = _squared(x)
    m = _middle(d) if middle is None else middle
    return torch.stack([torch.exp(-d / (2 * b * m)) for b in WIDTHS]).mean(0)


def _squared(x: Tensor) -> Tensor:
    """‖x − y‖² of all pairs, of centred features: far from the origin products would lose digits."""
    x = x.double() - x.double().mean(0)
    sizes = x.square().sum(1)
    return torch.addmm(sizes, x, x.T, alpha=-2).add_(sizes[:, None]).clamp_min_(0)


def _middle(d: Tensor) -> float:
    """m."""
    above = d[torch.triu(torch.ones_like(d, dtype=torch.bool), 1)]
    middle = float(above.median()) or float(above.mean())  # more than half of all pairs may be copies
    if middle == 0:
        raise BestiaryError("all examples are the same: no kernel tells them apart")
    return middle


def _unbiased(k: Tensor, sides: Tensor, n: int, m: int) -> Tensor:
    """MMD² for each column of `sides` (N + M, P), 1 where an example counts as x."""
    k = k - torch.diag(k.diagonal())
    other = 1 - sides
    on_x = k @ sides
    within_x = (sides * on_x).sum(0) / (n * (n - 1))
    across = (other * on_x).sum(0) / (n * m)
    within_y = (other * (k.sum(1, keepdim=True) - on_x)).sum(0) / (m * (m - 1))
    return within_x + within_y - 2 * across


def _sums(k: Tensor, n: int) -> Sums:
    """Of a matrix of kernels whose first n rows are of x."""
    k = k - torch.diag(k.diagonal())
    return Sums(k[:n, :n].sum(1), k[n:, n:].sum(1), k[:n, n:].sum(1), k[:n, n:].sum(0))


def mmd(x: Tensor, y: Tensor) -> float:
    """MMD² without bias."""
    return jackknife(_sums(kernel_matrix(torch.cat([x, y])), len(x)))[0]


def mmd_test(x: Tensor, y: Tensor, permutations: int = 500, seed: int = 0) -> tuple[float, float, Tensor]:
    """MMD², its p-value, and the values under permutation."""
    k, n, m = kernel_matrix(torch.cat([x, y])), len(x), len(y)
    g = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.arange(n + m), *(torch.randperm(n + m, generator=g) for _ in range(permutations))])
    sides = torch.zeros(n + m, permutations + 1, dtype=k.dtype).scatter_(0, orders.T[:n], 1.0).to(k)
    result = _unbiased(k, sides, n, m)
    value, null = float(result[0]), result[1:]
    return value, (1 + int((null >= value - 1e-12).sum())) / (1 + permutations), null


class Lines(NamedTuple):
    """W₁ along each line, and what each example adds to their mean, but for a constant."""

    along: Tensor  # (L,)
    of_x: Tensor  # (N,)
    of_y: Tensor  # (M,)


def wasserstein_lines(x: Tensor, y: Tensor, lines: int = 128, seed: int = 0) -> Tensor:
    """W₁ along each of so many random unit vectors: (L,)."""
    return along_lines(x, y, lines, seed).along.to(x.dtype)


def along_lines(x: Tensor, y: Tensor, lines: int = 128, seed: int = 0) -> Lines:
    """W₁ along each of so many random unit vectors, with what its interval needs."""
    u = torch.randn(x.shape[1], lines, generator=torch.Generator().manual_seed(seed)).to(x)
    u, centre = u / u.norm(dim=0), x.mean(0)
    n, m = len(x), len(y)
    common = gcd(n, m)  # F − G is a whole number of common/(N M)
    weight = torch.cat([torch.full((n,), m // common), torch.full((m,), -n // common)]).to(x.device)
    along, added = [], torch.zeros(n + m, dtype=torch.float64, device=x.device)
    for part in u.split(LINES, 1):
        z = torch.cat([((rows - centre) @ part).T for side in (x, y) for rows in side.split(ROWS)], 1)  # (L, N + M)
        distance, potential = _line(z, weight)
        along.append(distance * (common / (n * m)))
        added += potential.sum(0) / lines
    return Lines(torch.cat(along), added[:n], -added[n:])


def _line(z: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Σ |F − G| Δt in units of the weights, (L,), and φ at each z, (L, N + M)."""
    z, order = z.sort(1)
    step = z.diff(dim=1).double()
    gap = weight[order].cumsum(1)[:, :-1]  # F − G from one to the next
    potential = torch.zeros_like(z, dtype=torch.float64)
    potential[:, 1:] = (gap.sign() * step).cumsum(1)
    return (gap.abs() * step).sum(1), torch.zeros_like(potential).scatter_(1, order, potential)


def sliced(
    fake: Tensor, real: Tensor, other: Tensor, features: str, seed: int = 0, lines: int = 128,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """MMD² with its test, and the sliced Wasserstein distance; other real examples give the floors."""
    same_features(fake, real, other)
    varied(real, features)
    if lines < 2:
        raise BestiaryError(f"the sliced distance needs at least two lines for an interval; got lines={lines}")
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1).float() for x in (fake, real, other))
    full_protocol = {**(protocol or {}), "features": features, "seed": seed}
    return [
        _mmd_number(fake[:MOST], real[:MOST], other[:MOST], seed, full_protocol),
        _line_number(fake, real, other, seed, lines, full_protocol),
    ]


def _mmd_number(fake: Tensor, real: Tensor, other: Tensor, seed: int, protocol: Mapping[str, object]) -> Number:
    value, p, null = mmd_test(fake, real, seed=seed)
    both = torch.cat([fake, real])
    _, low, high = jackknife(_sums(kernel_matrix(both), len(fake)))
    floor = kernel_matrix(torch.cat([other, real]), _middle(_squared(both)))
    least, most = null.quantile(torch.tensor([0.025, 0.975]).to(null)).tolist()
    full_protocol = {
        **protocol,
        "n": len(fake),
        "permutations": len(null),
        "p": round(p, 4),
        "interval": "95%, jackknife",
    }
    return Number(
        "mmd", feature_title("kernel two-sample statistic MMD²", str(protocol["features"])), value, low, high,
        "kernel units", "lower",
        Reference(jackknife(_sums(floor, len(other)))[0], least, most,
                  f"{OTHER_REAL}; its interval comes from permutations"),
        protocol=full_protocol, says="0 on average if samples and real examples have one distribution."
        f" Then so large a value would have the probability p = {p:.3g}.",
        detail=True,
    )  # fmt: skip


def _line_number(
    fake: Tensor, real: Tensor, other: Tensor, seed: int, lines: int, protocol: Mapping[str, object]
) -> Number:
    result, least = (_mean_of_lines(along_lines(x, real, lines, seed)) for x in (fake, other))
    full_protocol = {**protocol, "n": len(fake), "lines": lines, "interval": "95%, over examples and lines"}
    return Number(
        "sliced", feature_title("sliced Wasserstein distance", str(protocol["features"])), *result,
        "feature units", "lower",
        Reference(*least, OTHER_REAL),
        protocol=full_protocol,
        says="How far samples must move, on average along random lines, to be spread like the data.",
        detail=True,
    )  # fmt: skip


def _mean_of_lines(found: Lines) -> tuple[float, float, float]:
    value = float(found.along.mean())
    half = Z * sqrt(sum(float(part.var()) / len(part) for part in found))
    return value, value - half, value + half
