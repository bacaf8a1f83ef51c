"""Kernel distance of features (KID): MMD² by a cubic kernel, with a jackknife interval.

    KID    MMD² by k(x, y) = (xᵀy/F + 1)³, without bias, so that it may be negative           arXiv 1801.01401
           over all pairs, or the mean over disjoint blocks of examples (subsets that are drawn again and again from one
           set are not independent: their deviation is no standard error)

The interval over all pairs is value ± 1.96 s, s² the sum over both sets of the variance of one example's influence, by
leaving out each example in turn (jackknife), divided by n. If the two distributions are the same, the value is of
second order, and the interval is too wide by up to about 1.5, never too narrow. Over blocks it is Student's.

It is called KID only together with the name of its features.

Legend: N, M examples, F features.
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement, product
from math import sqrt
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from bestiary.errors import unknown_name
from bestiary.measures.intervals import error_interval, student_interval
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title
from bestiary.measures.set_checks import check_same_features, check_variation

__all__ = ["KernelSums", "block_kids", "jackknife", "kernel_sums", "kid"]

BLOCK = 1000  # examples of a block: the size in the published protocol
TILE = 1024  # side of a tile of pairs whose kernel is computed at once: it stays in the cache


class KernelSums(NamedTuple):
    """For each example, sums of the kernel over its pairs with others: all that MMD² and its jackknife need."""

    xx: Tensor  # (N,)
    yy: Tensor  # (M,)
    xy: Tensor  # (N,)
    yx: Tensor  # (M,)


def jackknife(s: KernelSums) -> tuple[float, float | None, float | None]:
    """MMD² without bias and its ends, by leaving out each example in turn. Two examples have no ends."""
    n, m = len(s.xx), len(s.yy)
    x, y, across = s.xx.sum(), s.yy.sum(), s.xy.sum()
    value = float(x / (n * (n - 1)) + y / (m * (m - 1)) - 2 * across / (n * m))
    if min(n, m) < 3:
        return value, None, None
    without_x = (x - 2 * s.xx) / ((n - 1) * (n - 2)) - 2 * (across - s.xy) / ((n - 1) * m)
    without_y = (y - 2 * s.yy) / ((m - 1) * (m - 2)) - 2 * (across - s.yx) / ((m - 1) * n)
    variance = without_x.var() * (n - 1) ** 2 / n + without_y.var() * (m - 1) ** 2 / m
    return error_interval(value, sqrt(float(variance)))


def _cubic(a: Tensor, b: Tensor) -> Tensor:
    """(aᵀb/F + 1)³, (n, m). Single precision errs by about 10⁻⁷, at random; a mean of n m of them errs far less."""
    return torch.addmm(torch.ones((), device=a.device, dtype=a.dtype), a, b.T, alpha=1 / a.shape[1]).pow_(3)


def _rows(x: Tensor, first: int) -> Tensor:
    """The examples of a tile, in single precision or double."""
    return x[first : first + TILE].to(torch.promote_types(x.dtype, torch.float32))


def _sums_within(x: Tensor) -> Tensor:
    """Σ_{j ≠ i} k(x_i, x_j), each pair taken once: (N,)."""
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for i, j in combinations_with_replacement(range(0, len(x), TILE), 2):
        k = _cubic(_rows(x, i), _rows(x, j))
        if i == j:
            k.fill_diagonal_(0)
        else:
            total[j : j + TILE] += k.sum(0).double()
        total[i : i + TILE] += k.sum(1).double()
    return total


def _sums_across(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_j k(x_i, y_j), (N,), and Σ_i k(x_i, y_j), (M,)."""
    of_x, of_y = (torch.zeros(len(z), dtype=torch.float64, device=x.device) for z in (x, y))
    for i, j in product(range(0, len(x), TILE), range(0, len(y), TILE)):
        k = _cubic(_rows(x, i), _rows(y, j))
        of_x[i : i + TILE] += k.sum(1).double()
        of_y[j : j + TILE] += k.sum(0).double()
    return of_x, of_y


def kernel_sums(x: Tensor, y: Tensor) -> KernelSums:
    """Sums of the cubic kernel over all pairs of x (N, F) and y (M, F)."""
    return KernelSums(_sums_within(x), _sums_within(y), *_sums_across(x, y))


def block_kids(x: Tensor, y: Tensor, block: int = BLOCK) -> Tensor:
    """Unbiased MMD² of each pair of disjoint blocks, in float64."""
    n = min(len(x), len(y))
    size = n // max(1, n // block)
    pairs = zip(x[:n].flatten(1).split(size), y[:n].flatten(1).split(size), strict=True)
    return torch.tensor([jackknife(kernel_sums(a, b))[0] for a, b in pairs if len(a) == size], dtype=torch.float64)


Pairs = Literal["all", "blocks"]


def kid(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object] | None = None,
    pairs: Pairs = "all", block: int = BLOCK,
) -> Number:  # fmt: skip
    """Kernel distance of fake to real. Floor: that of `other` real examples. Sets are cut to one size.

    `pairs`: over all pairs, or within disjoint blocks of `block` examples.
    """
    if pairs not in get_args(Pairs):
        raise unknown_name("pairs", str(pairs), get_args(Pairs))
    check_same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    check_variation(real, features)
    full_protocol = {**(protocol or {}), "n": n, "features": features, "kernel": "(xᵀy/F + 1)³"}
    if pairs == "all":
        sums_real = _sums_within(real)
        interval, floor = (
            jackknife(KernelSums(_sums_within(x), sums_real, *_sums_across(x, real))) for x in (fake, other)
        )
        full_protocol |= {"pairs": "all", "interval": "95%, jackknife"}
    else:
        block = min(block, max(2, n // 5))  # at least five blocks, for an interval
        interval, floor = (student_interval(block_kids(x, real, block)) for x in (fake, other))
        full_protocol |= {"pairs": f"within disjoint blocks of {block}", "interval": "95%, Student, over blocks"}
    return Number(
        "kid", feature_title("kernel distance", features), *interval, "kernel units", "lower",
        Reference(*floor, OTHER_REAL), protocol=full_protocol,
        says="0 on average if the features have the same first three moments. Chance can make it negative.",
        detail=True, equals_at_best=True,
    )  # fmt: skip
