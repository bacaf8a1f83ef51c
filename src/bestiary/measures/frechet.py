"""Distances of features by moments and by a polynomial kernel: Fréchet (FID) and kernel (KID).

    FID    ‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁S₂)^½)                                              arXiv 1706.08500
           (S₁S₂)^½ has the eigenvalues of C^½, C = Lᵀ S₂ L, S₁ = L Lᵀ: symmetric, so that they are real
    KID    MMD² by k(x, y) = (xᵀy/F + 1)³, without its bias, so that it may be negative       arXiv 1801.01401
           over all pairs, or the mean over disjoint blocks of so many examples (subsets drawn again and again from one
           set are not independent, and their spread is no standard error)

Intervals are value ± 1.96 s, s² the sum over both sets of the variance of what one example adds, divided by n. For KID
over all pairs it is the jackknife; for FID, with Δ = μ₁ − μ₂ and T the optimal map from N(0, S₁) to N(0, S₂),

    ψ₁(x) = 2 Δᵀ(x − μ₁) + ‖x − μ₁‖² − (x − μ₁)ᵀ T (x − μ₁),      T = L⁻ᵀ C^½ L⁻¹

and ψ₂ likewise with −Δ and T⁻¹ = L C^−½ Lᵀ: the infinitesimal jackknife, from the decomposition at hand. Both are too
wide, never too narrow, by up to about 1.5 where the two distributions are the same and the value is of second order.

FID is biased upwards by about as much as what real data gets against real data at the same n: the floor; the interval
does not hold the bias. With fewer examples than features the covariance is singular; the distance is defined all the
same, on the span, and the protocol says so. Neither is called FID or KID without the name of its features.

Legend: N examples, F features, R rank.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import sqrt
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from bestiary.errors import BestiaryError, unknown_name
from bestiary.measures.intervals import Z, student
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title

__all__ = [
    "Moments",
    "Sums",
    "fid",
    "frechet",
    "jackknife",
    "kid",
    "kids",
    "moments",
    "same_features",
    "sums",
    "varied",
]

BLOCK = 1000  # examples of a block of KID: the published protocol's size
ROWS = 2048  # examples whose moments are taken at a time
COLUMNS = 128  # squared: the pairs of features that are not halved further, of which each product is taken twice
TILE = 1024  # squared: the pairs whose kernel is taken at a time, which stay in the cache


@dataclass(frozen=True)
class Moments:
    """n, the mean and Σ (x − mean)(x − mean)ᵀ in float64; moments of two sets add up."""

    n: int
    mean: Tensor  # (F,)
    scatter: Tensor  # (F, F)

    def __add__(self, other: "Moments") -> "Moments":
        n, apart = self.n + other.n, other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter.addr_(apart, apart, alpha=self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), scatter)

    @property
    def covariance(self) -> Tensor:
        """With N − 1."""
        return self.scatter / (self.n - 1)


def moments(blocks: Iterable[Tensor]) -> Moments:
    """Of features that come block by block, (n, F) each: sums about the mean c of the first few, n δ the first of them,

    Σ (x − mean)(x − mean)ᵀ = Σ (x − c)(x − c)ᵀ − n δ δᵀ,  mean = c + δ.
    """
    n, centre, total, scatter, buffer = 0, torch.empty(0), torch.empty(0), torch.empty(0), torch.empty(0)
    for rows in (rows for block in blocks if len(block) for rows in block.flatten(1).split(ROWS)):
        if n and rows.shape[1] != len(centre):
            raise BestiaryError(f"blocks have {len(centre)} and {rows.shape[1]} features: they must be of one kind")
        if len(buffer) < len(rows):  # the same memory for all: new pages cost as much as a tenth of the products
            buffer = rows.new_empty(rows.shape, dtype=torch.float64)
        x = buffer[: len(rows)].copy_(rows)
        if not n:
            centre, total, scatter = x.mean(0), x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1], x.shape[1])
        x -= centre
        n, total = n + len(x), total + x.sum(0)
        _add_products(scatter, x)
    if n < 2:
        raise BestiaryError("moments need at least two examples")
    for first, second in combinations_with_replacement(range(0, len(centre), COLUMNS), 2):
        here, there = slice(first, first + COLUMNS), slice(second, second + COLUMNS)
        if here != there:
            scatter[here, there] = scatter[there, here].T
    apart = total / n
    return Moments(n, centre + apart, scatter.addr_(apart, apart, alpha=-n))


def _add_products(scatter: Tensor, x: Tensor) -> None:
    """xᵀx to the lower triangle: the square below the diagonal's halves in one product, and so on with either half."""
    n = x.shape[1]
    if n <= COLUMNS:
        scatter.addmm_(x.T, x)
        return
    half = n // (2 * COLUMNS) * COLUMNS or COLUMNS
    scatter[half:, :half].addmm_(x[:, half:].T, x[:, :half])
    _add_products(scatter[:half, :half], x[:, :half])
    _add_products(scatter[half:, half:], x[:, half:])


def _root(s: Tensor) -> Tensor:
    """L of S = L Lᵀ: (F, F) lower triangular, or (F, R) with orthogonal columns where S is singular."""
    root, failed = torch.linalg.cholesky_ex(s)
    if not int(failed):
        return root
    values, vectors = torch.linalg.eigh(s)
    kept = values > values[-1] * len(values) * torch.finfo(s.dtype).eps
    return vectors[:, kept] * values[kept].sqrt()


def _congruent(root: Tensor, s: Tensor) -> Tensor:
    """C = Lᵀ S L, of a triangular L without its zeros and each pair once: a third of the products, (R, R)."""
    n, width = root.shape
    if n != width:
        return root.T @ s @ root
    result = s.new_empty(n, n)
    for j in range(0, n, COLUMNS):
        across = slice(j, j + COLUMNS)
        product = s[:, j:] @ root[j:, across]  # of S L, (F, COLUMNS)
        for i in range(j, n, COLUMNS):
            down = slice(i, i + COLUMNS)
            result[down, across] = root[i:, down].T @ product[i:]
            if i > j:
                result[across, down] = result[down, across].T
    return result


def _assembled(a: Moments, b: Moments, crossed: Tensor) -> float:
    """From the eigenvalues of C."""
    traces = (a.scatter.trace() / (a.n - 1)) + (b.scatter.trace() / (b.n - 1))
    return float((a.mean - b.mean).square().sum() + traces - 2 * crossed.clamp_min(0).sqrt().sum())


def frechet(a: Moments, b: Moments) -> float:
    """‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁S₂)^½)."""
    crossed = torch.linalg.eigvalsh(_congruent(_root(a.scatter), b.scatter))
    return _assembled(a, b, crossed / ((a.n - 1) * (b.n - 1)))


def same_features(*sets: Tensor) -> None:
    """Refuse sets of examples that cannot be compared."""
    widths = {x.flatten(1).shape[1] for x in sets}
    if len(widths) > 1:
        raise BestiaryError(
            f"examples have {' and '.join(map(str, sorted(widths)))} features: they must be of one kind"
        )
    if not all(bool(rows.isfinite().all()) for x in sets for rows in x.split(ROWS)):
        raise BestiaryError("features hold values that are not finite (NaN or inf): no distance of them means anything")
    if min(map(len, sets)) < 2:
        raise BestiaryError("comparing two sets needs at least two examples of each")


def varied(real: Tensor, features: str) -> None:
    """Refuse features that tell no two real examples apart."""
    if all(bool((rows == real[0]).all()) for rows in real.split(ROWS)):
        raise BestiaryError(
            f"all {len(real)} real examples have the same features ({features}): such features measure nothing;"
            " look at the examples, or choose other features"
        )


def fid(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object] | None = None
) -> Number:
    """Fréchet distance of fake to real; other real examples give the floor. All cut to equal numbers."""
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    varied(real, features)
    about = moments([real])
    root = _root(about.covariance)
    value, half = _with_spread(real, about, root, fake)
    least, floor_half = _with_spread(real, about, root, other)
    full_protocol = {**(protocol or {}), "n": n, "features": features, "F": real.shape[1]}
    if n <= real.shape[1]:
        full_protocol["rank"] = f"rank-deficient: {n} examples of {real.shape[1]} features"
    floor = Reference(least, least - floor_half, least + floor_half, OTHER_REAL)
    return Number(
        "fid", feature_title("Fréchet distance", features), value, value - half, value + half,
        "squared feature units", "lower", floor,
        protocol={**full_protocol, "interval": "95%, infinitesimal jackknife; without the bias, which the floor shows"},
        says="Distance between the features' means and covariances. Real examples have the floor, not 0.",
    )  # fmt: skip


def _with_spread(x: Tensor, a: Moments, root: Tensor, y: Tensor) -> tuple[float, float]:
    """The distance of y to x, whose moments and root are at hand, and half of its interval."""
    b = moments([y])
    crossed, turn = torch.linalg.eigh(_congruent(root, b.covariance))
    kept = crossed > crossed[-1].abs() * len(crossed) * torch.finfo(crossed.dtype).eps
    quarter, turn, apart = crossed[kept].pow(0.25), turn[:, kept], a.mean - b.mean
    back = torch.linalg.inv(root) if root.shape[0] == root.shape[1] else (root / root.square().sum(0)).T  # L⁺
    added_x = _added(x, a.mean, apart, (back.T @ turn) * quarter)
    added_y = _added(y, b.mean, -apart, (root @ turn) / quarter)
    return _assembled(a, b, crossed), Z * sqrt(float(added_x.var() / len(x) + added_y.var() / len(y)))


def _added(x: Tensor, mean: Tensor, apart: Tensor, half_map: Tensor) -> Tensor:
    """ψ of each example, T = half_map half_mapᵀ; single precision is plenty for a variance: (N,)."""
    half, result = half_map.float(), []
    for rows in x.split(ROWS):
        centred = (rows - mean).float()
        linear = 2 * centred @ apart.float()
        result.append(linear + centred.square().sum(1) - (centred @ half).square().sum(1))
    return torch.cat(result).double()


class Sums(NamedTuple):
    """Sums of a kernel over the pairs of each example, itself left out: all that MMD² and its jackknife need."""

    xx: Tensor  # (N,)
    yy: Tensor  # (M,)
    xy: Tensor  # (N,)
    yx: Tensor  # (M,)


def jackknife(s: Sums) -> tuple[float, float | None, float | None]:
    """MMD² without bias and the ends of its 95% interval, by leaving out each example in turn."""
    n, m = len(s.xx), len(s.yy)
    x, y, across = s.xx.sum(), s.yy.sum(), s.xy.sum()
    value = float(x / (n * (n - 1)) + y / (m * (m - 1)) - 2 * across / (n * m))
    if min(n, m) < 3:
        return value, None, None
    without_x = (x - 2 * s.xx) / ((n - 1) * (n - 2)) - 2 * (across - s.xy) / ((n - 1) * m)
    without_y = (y - 2 * s.yy) / ((m - 1) * (m - 2)) - 2 * (across - s.yx) / ((m - 1) * n)
    variance = without_x.var() * (n - 1) ** 2 / n + without_y.var() * (m - 1) ** 2 / m
    half = Z * sqrt(float(variance))
    return value, value - half, value + half


def _cubic(a: Tensor, b: Tensor) -> Tensor:
    """(aᵀb/F + 1)³, (n, m); a product errs by about 10⁻⁷, at random, and a mean of n m of them by far less."""
    return torch.addmm(torch.ones((), device=a.device, dtype=a.dtype), a, b.T, alpha=1 / a.shape[1]).pow_(3)


def _part(x: Tensor, first: int) -> Tensor:
    """One tile's examples, in single precision at least."""
    return x[first : first + TILE].to(torch.promote_types(x.dtype, torch.float32))


def _within(x: Tensor) -> Tensor:
    """Σ_{j ≠ i} k(x_i, x_j), each pair taken once: (N,)."""
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for i, j in combinations_with_replacement(range(0, len(x), TILE), 2):
        k = _cubic(_part(x, i), _part(x, j))
        if i == j:
            k.fill_diagonal_(0)
        else:
            total[j : j + TILE] += k.sum(0).double()
        total[i : i + TILE] += k.sum(1).double()
    return total


def _across(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_j k(x_i, y_j), (N,), and Σ_i k(x_i, y_j), (M,)."""
    of_x, of_y = (torch.zeros(len(z), dtype=torch.float64, device=x.device) for z in (x, y))
    for i, j in product(range(0, len(x), TILE), range(0, len(y), TILE)):
        k = _cubic(_part(x, i), _part(y, j))
        of_x[i : i + TILE] += k.sum(1).double()
        of_y[j : j + TILE] += k.sum(0).double()
    return of_x, of_y


def sums(x: Tensor, y: Tensor) -> Sums:
    """Of the cubic kernel, over all pairs of x (N, F) and y (M, F)."""
    return Sums(_within(x), _within(y), *_across(x, y))


def kids(x: Tensor, y: Tensor, block: int = BLOCK) -> Tensor:
    """Unbiased MMD² of each pair of disjoint blocks, in float64."""
    n = min(len(x), len(y))
    size = n // max(1, n // block)
    pairs = zip(x[:n].flatten(1).split(size), y[:n].flatten(1).split(size), strict=True)
    return torch.tensor([jackknife(sums(a, b))[0] for a, b in pairs if len(a) == size], dtype=torch.float64)


Pairs = Literal["all", "blocks"]


def kid(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object] | None = None,
    pairs: Pairs = "all", block: int = BLOCK,
) -> Number:  # fmt: skip
    """Kernel distance of fake to real; other real examples give the floor. All cut to equal numbers."""
    if pairs not in get_args(Pairs):
        raise unknown_name("pairs", str(pairs), get_args(Pairs))
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    varied(real, features)
    full_protocol = {**(protocol or {}), "n": n, "features": features, "kernel": "(xᵀy/F + 1)³"}
    if pairs == "all":
        own = _within(real)
        result, least = (jackknife(Sums(_within(x), own, *_across(x, real))) for x in (fake, other))
        full_protocol |= {"pairs": "all", "interval": "95%, jackknife"}
    else:
        block = min(block, max(2, n // 5))  # five blocks at least, for an interval
        result, least = (_over_blocks(kids(x, real, block)) for x in (fake, other))
        full_protocol |= {"pairs": f"within disjoint blocks of {block}", "interval": "95%, Student, over blocks"}
    return Number(
        "kid", feature_title("kernel distance", features), *result, "kernel units", "lower",
        Reference(*least, OTHER_REAL), protocol=full_protocol,
        says="0 on average if the features have the same first three moments. Chance can make it negative.",
        detail=True,
    )  # fmt: skip


def _over_blocks(values: Tensor) -> tuple[float, float | None, float | None]:
    m, g = float(values.mean()), len(values)
    if g < 2:
        return m, None, None
    half = student(g - 1) * float(values.std()) / sqrt(g)
    return m, m - half, m + half
