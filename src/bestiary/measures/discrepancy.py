"""Two samples apart: by the mean of a kernel (MMD, with its permutation test) and along random lines (Wasserstein).

    MMD²     E k(x, x′) + E k(y, y′) − 2 E k(x, y),   k(x, y) = 1/3 Σ_b exp(−‖x − y‖²/(2 b² m)),  b² ∈ {¼, 1, 4}
             m the median of ‖x − y‖² over pairs of both sets; without bias, so that it may be negative
    test     p = (1 + #{permutations of who is real with as large an MMD²})/(1 + permutations)
    sliced   mean over unit vectors u of W₁(uᵀx, uᵀy) = ∫ |quantiles apart|

(Gretton et al. 2012, JMLR 13; Bonneel et al. 2015, JMIV 51.) All permutations are one product: with signs s ∈ {0, 1} of
who counts as x, sums within and across are quadratic forms of one matrix of kernels.

Legend: N examples of each set, F features.
"""

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.frechet import same_features
from bestiary.measures.number import Number, Reference

__all__ = ["kernel_matrix", "mmd", "mmd_test", "sliced", "wasserstein_lines"]

WIDTHS = (0.25, 1.0, 4.0)  # b²
MOST = 1000  # examples of each set in the kernel's matrix


def kernel_matrix(x: Tensor) -> Tensor:
    """k of all pairs, (N, N), in float64 sums of float32 products of centred features."""
    x = (x - x.mean(0)).double()
    sizes = x.square().sum(1)
    d = torch.addmm(sizes, x, x.T, alpha=-2).add_(sizes[:, None]).clamp_min_(0)
    above = d[torch.triu(torch.ones_like(d, dtype=torch.bool), 1)]
    middle = float(above.median())
    if middle == 0:  # more than half of all pairs are copies
        middle = float(above.mean())
    if middle == 0:
        raise BestiaryError("all examples are the same: no kernel tells them apart")
    return torch.stack([torch.exp(-d / (2 * b * middle)) for b in WIDTHS]).mean(0)


def _unbiased(k: Tensor, sides: Tensor, n: int, m: int) -> Tensor:
    """MMD² for each column of `sides` (N + M, P), 1 where an example counts as x."""
    k = k - torch.diag(k.diagonal())
    other = 1 - sides
    on_x = k @ sides
    within_x = (sides * on_x).sum(0) / (n * (n - 1))
    across = (other * on_x).sum(0) / (n * m)
    within_y = (other * (k.sum(1, keepdim=True) - on_x)).sum(0) / (m * (m - 1))
    return within_x + within_y - 2 * across


def mmd(x: Tensor, y: Tensor) -> float:
    """MMD² without bias."""
    sides = torch.cat([torch.ones(len(x)), torch.zeros(len(y))]).double()[:, None]
    return float(_unbiased(kernel_matrix(torch.cat([x, y])), sides, len(x), len(y)))


def mmd_test(x: Tensor, y: Tensor, permutations: int = 500, seed: int = 0) -> tuple[float, float, Tensor]:
    """MMD², its p-value, and the values under permutation."""
    k, n, m = kernel_matrix(torch.cat([x, y])), len(x), len(y)
    g = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.arange(n + m), *(torch.randperm(n + m, generator=g) for _ in range(permutations))])
    sides = torch.zeros(n + m, permutations + 1, dtype=torch.float64)
    sides.scatter_(0, orders.T[:n], 1.0)
    found = _unbiased(k, sides, n, m)
    value, null = float(found[0]), found[1:]
    return value, (1 + int((null >= value - 1e-12).sum())) / (1 + permutations), null


def wasserstein_lines(x: Tensor, y: Tensor, lines: int = 128, seed: int = 0) -> Tensor:
    """W₁ along each of so many random unit vectors: (lines,)."""
    u = torch.randn(x.shape[1], lines, generator=torch.Generator().manual_seed(seed))
    u = (u / u.norm(dim=0)).to(x)
    a, b = ((z @ u).sort(0).values for z in (x, y))
    if len(a) == len(b):
        return (a - b).abs().mean(0)
    places = torch.cat([torch.arange(1, len(z) + 1).double() / len(z) for z in (a, b)]).sort().values
    steps = torch.diff(places, prepend=torch.zeros(1).double())  # both quantile functions are flat on these
    middle = places - steps / 2
    at_a, at_b = (z[(middle * len(z)).long().clamp_max(len(z) - 1)] for z in (a, b))
    return ((at_a - at_b).abs() * steps[:, None].to(at_a)).sum(0)


def sliced(
    fake: Tensor, real: Tensor, other: Tensor, features: str, seed: int = 0, lines: int = 128,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """MMD² with its test, and the sliced Wasserstein distance; other real examples give the floors."""
    fake, real, other = (x.flatten(1).float() for x in (fake, real, other))
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    fake, real, other = fake[:n], real[:n], other[:n]
    return [
        _mmd_number(fake[:MOST], real[:MOST], other[:MOST], features, seed, protocol),
        _line_number(fake, real, other, features, seed, lines, protocol),
    ]


def _mmd_number(
    fake: Tensor, real: Tensor, other: Tensor, features: str, seed: int, protocol: Mapping[str, object] | None
) -> Number:
    value, p, null = mmd_test(fake, real, seed=seed)
    said = {**(protocol or {}), "n": len(fake), "features": features, "permutations": len(null), "p": round(p, 4)}
    low, high = null.quantile(torch.tensor([0.025, 0.975]).double()).tolist()
    reach = Reference(mmd(other, real), low, high, "other real examples; the interval is that of permutations")
    return Number(
        "mmd", f"kernel two-sample statistic, {features}", value, None, None, "kernel units", "lower", reach, protocol=said,
        says=f"p = {p:.3g} that samples and data are of one distribution, by permutation.",
    )  # fmt: skip


def _line_number(
    fake: Tensor, real: Tensor, other: Tensor, features: str, seed: int, lines: int,
    protocol: Mapping[str, object] | None,
) -> Number:  # fmt: skip
    along, reach = (wasserstein_lines(x, real, lines, seed) for x in (fake, other))
    half, floor_half = (1.96 * float(w.std()) / sqrt(lines) for w in (along, reach))
    said = {**(protocol or {}), "n": len(fake), "features": features, "lines": lines, "interval": "95%, over lines"}
    value, floor = float(along.mean()), float(reach.mean())
    return Number(
        "sliced", f"sliced Wasserstein distance, {features}", value, value - half, value + half, "feature units",
        "lower", Reference(floor, floor - floor_half, floor + floor_half, "other real examples, as many"),
        protocol=said, says="How far samples must be moved along a random line to lie like the data.",
    )  # fmt: skip
