"""Fréchet distance of features (FID), from means and covariances, with an interval.

    FID    ‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁S₂)^½)                                              arXiv 1706.08500
           (S₁S₂)^½ has the eigenvalues of C^½, C = Lᵀ S₂ L, S₁ = L Lᵀ: symmetric, so that they are real

The interval is value ± 1.96 s, s² the sum over both sets of the variance of ψ, the influence of one example, divided by
n. With Δ = μ₁ − μ₂ and T the optimal map from N(0, S₁) to N(0, S₂),

    ψ₁(x) = 2 Δᵀ(x − μ₁) + ‖x − μ₁‖² − (x − μ₁)ᵀ T (x − μ₁),      T = L⁻ᵀ C^½ L⁻¹

and ψ₂ likewise with −Δ and T⁻¹ = L C^−½ Lᵀ (infinitesimal jackknife). If the two distributions are the same, the value
is of second order, and the interval is too wide by up to about 1.5, never too narrow.

FID is biased upwards. Its floor, what real data gets against real data at the same n, is the bias only if samples are
as wide as the data; that of wider samples is larger. The interval does not include the bias. The bias is nearly b/n, so
that twice the distance less the mean of those of two halves is nearly without it:

    FID∞   2 FID(n) − FID(n/2)                                         (after Chong and Forsyth 2020, arXiv 1911.07023)

With fewer examples than features the covariance is singular; the distance is then that on the span,
and the protocol says so. It is called FID only together with the name of its features.

Legend: N examples, F features, R rank.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import sqrt

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.dominance import RowName, dominant_rows, number_rows
from bestiary.measures.intervals import error_interval
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title
from bestiary.measures.set_checks import check_same_features, check_variation

__all__ = ["SIDES", "Moments", "fid", "fid_numbers", "frechet", "moments"]

ROWS = 2048  # examples in a block
COLUMNS = 128  # features; blocks of so many are not halved further
SIDES = ("real example", "sample", "other real example")
LEAST_ROBUST = 10  # examples of each set that are left without outliers


@dataclass(frozen=True)
class Moments:
    """n, the mean and Σ (x − mean)(x − mean)ᵀ in float64. The moments of two sets can be added."""

    n: int
    mean: Tensor  # (F,)
    scatter: Tensor  # (F, F)

    def __add__(self, other: "Moments") -> "Moments":
        n, delta = self.n + other.n, other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter.addr_(delta, delta, alpha=self.n * other.n / n)
        return Moments(n, self.mean + delta * (other.n / n), scatter)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance, with N − 1."""
        return self.scatter / (self.n - 1)


def moments(blocks: Iterable[Tensor]) -> Moments:
    """The moments of features that come in blocks, (n, F) each.

    With c the mean of the first rows and δ = 1/n Σ (x − c):  Σ (x − mean)(x − mean)ᵀ = Σ (x − c)(x − c)ᵀ − n δ δᵀ,
    mean = c + δ.
    """
    n, centre, total, scatter, buffer = 0, torch.empty(0), torch.empty(0), torch.empty(0), torch.empty(0)
    for rows in (rows for block in blocks if len(block) for rows in block.flatten(1).split(ROWS)):
        if n and rows.shape[1] != len(centre):
            raise BestiaryError(
                f"blocks have {len(centre)} and {rows.shape[1]} features: they must have the same number"
            )
        if len(buffer) < len(rows):  # one buffer for all: new memory costs a tenth of the products
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
        columns, lower_columns = slice(first, first + COLUMNS), slice(second, second + COLUMNS)
        if columns != lower_columns:
            scatter[columns, lower_columns] = scatter[lower_columns, columns].T
    delta = total / n
    return Moments(n, centre + delta, scatter.addr_(delta, delta, alpha=-n))


def _add_products(scatter: Tensor, x: Tensor) -> None:
    """Add xᵀx to the lower triangle: one product for the square below the diagonal, then each half in the same way."""
    n = x.shape[1]
    if n <= COLUMNS:
        scatter.addmm_(x.T, x)
        return
    half = n // (2 * COLUMNS) * COLUMNS or COLUMNS
    scatter[half:, :half].addmm_(x[:, half:].T, x[:, :half])
    _add_products(scatter[:half, :half], x[:, :half])
    _add_products(scatter[half:, half:], x[:, half:])


def _root(s: Tensor) -> Tensor:
    """L of S = L Lᵀ: (F, F) lower triangular, or (F, R) with orthogonal columns if S is singular."""
    root, failed = torch.linalg.cholesky_ex(s)
    if not int(failed):
        return root
    values, vectors = torch.linalg.eigh(s)
    nonzero = values > values[-1] * len(values) * torch.finfo(s.dtype).eps
    return vectors[:, nonzero] * values[nonzero].sqrt()


def _congruent(root: Tensor, s: Tensor) -> Tensor:
    """C = Lᵀ S L, (R, R). Skips zeros of a triangular L and computes each pair once: a third of the products."""
    n, width = root.shape
    if n != width:
        return root.T @ s @ root
    result = s.new_empty(n, n)
    for j in range(0, n, COLUMNS):
        columns = slice(j, j + COLUMNS)
        product = s[:, j:] @ root[j:, columns]  # of S L, (F, COLUMNS)
        for i in range(j, n, COLUMNS):
            rows = slice(i, i + COLUMNS)
            result[rows, columns] = root[i:, rows].T @ product[i:]
            if i > j:
                result[columns, rows] = result[rows, columns].T
    return result


def _distance(a: Moments, b: Moments, eigenvalues: Tensor) -> float:
    """The Fréchet distance, from the eigenvalues of C."""
    traces = (a.scatter.trace() / (a.n - 1)) + (b.scatter.trace() / (b.n - 1))
    return float((a.mean - b.mean).square().sum() + traces - 2 * eigenvalues.clamp_min(0).sqrt().sum())


def frechet(a: Moments, b: Moments) -> float:
    """‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁S₂)^½)."""
    eigenvalues = torch.linalg.eigvalsh(_congruent(_root(a.scatter), b.scatter))
    return _distance(a, b, eigenvalues / ((a.n - 1) * (b.n - 1)))


def fid(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object] | None = None
) -> Number:
    """Fréchet distance of fake to real. Floor: that of `other` real examples. Sets are cut to one size."""
    return fid_numbers(fake, real, other, features, protocol)[0]


def fid_numbers(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object] | None = None,
    row_names: Mapping[str, RowName] | None = None,
) -> list[Number]:  # fmt: skip
    """`fid`; where a few examples dominate its variance, these are named, and the distance without them follows.

    `row_names`: names of rows for each of `SIDES`.
    """
    check_same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    check_variation(real, features)
    full_protocol = {**(protocol or {}), "n": n, "features": features, "F": real.shape[1]}
    if n <= real.shape[1]:
        full_protocol["rank"] = f"rank-deficient: {n} examples of {real.shape[1]} features"
    number, influence = _fid_number(fake, real, other, features, full_protocol)
    few = {side: found for side, psi in zip(SIDES, influence, strict=True) if (found := dominant_rows(psi))}
    kept = [x[few[side].keep(n)] if side in few else x for side, x in zip(SIDES, (real, fake, other), strict=True)]
    if not few or min(map(len, kept)) < LEAST_ROBUST:
        return [number]
    kept_protocol = {**full_protocol, "n": min(map(len, kept))}
    robust = _fid_number(kept[1], kept[0], kept[2], features, kept_protocol)[0]
    names = {side: (row_names or {}).get(side, number_rows) for side in few}
    return _beside_outliers(
        number,
        robust,
        {side: found.sentence(n, names[side]) for side, found in few.items()},
        {side: found.rows for side, found in few.items()},
    )


def _fid_number(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object]
) -> tuple[Number, tuple[Tensor, ...]]:
    """The distance with its floor; and the influence of each real example, sample, and other real example."""
    real_moments = moments([real])
    root = _root(real_moments.covariance)
    found, floor = (_distance_and_influence(real, real_moments, root, x) for x in (fake, other))
    says = "Distance between the features' means and covariances. Real examples have the floor, not 0."
    if len(real) // 2 > real.shape[1]:
        extrapolated = 2 * found[0] - _of_halves(real, fake)
        protocol = {**protocol, "extrapolated": round(extrapolated, 6)}
        says += f" Extrapolated to infinitely many examples, without the bias: {extrapolated:.4g}."
    number = Number(
        "fid", feature_title("Fréchet distance", features), *_interval(*found),
        "squared feature units", "lower", Reference(*_interval(*floor), OTHER_REAL),
        protocol={**protocol, "interval": "95%, infinitesimal jackknife; without the bias, which the floor shows"},
        says=says,
        equals_at_best=True,
    )  # fmt: skip
    return number, (found[1], found[2], floor[2])


def _of_halves(x: Tensor, y: Tensor) -> float:
    """The mean of the distances of two halves."""
    return sum(frechet(moments([x[i::2]]), moments([y[i::2]])) for i in (0, 1)) / 2


def _beside_outliers(
    number: Number, robust: Number, sentences: Mapping[str, str], rows: Mapping[str, list[int]]
) -> list[Number]:
    """A distance that a few examples dominate, which says so, and its robust form without them."""
    sentence = " ".join(f"Of the {side}s, {text}" for side, text in sentences.items())
    return [
        replace(
            number, protocol={**number.protocol, "dominated_by": sentence}, detail=True, equals_at_best=False,
            says=f"{number.says} Dominated by outliers. {sentence}",
        ),
        replace(
            robust, name="fid_robust", title=f"{number.title}, without outliers",
            protocol={**robust.protocol, "without": rows},
            says=f"{number.says} Without the rows that dominate the one over all. {sentence}",
        ),
    ]  # fmt: skip


def _distance_and_influence(x: Tensor, a: Moments, root: Tensor, y: Tensor) -> tuple[float, Tensor, Tensor]:
    """The distance of y to x, and the influence of each example; `a`, `root`: the moments of x and their root."""
    b = moments([y])
    eigenvalues, vectors = torch.linalg.eigh(_congruent(root, b.covariance))
    nonzero = eigenvalues > eigenvalues[-1].abs() * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps
    quarter, vectors, delta = eigenvalues[nonzero].pow(0.25), vectors[:, nonzero], a.mean - b.mean
    inverse = torch.linalg.inv(root) if root.shape[0] == root.shape[1] else (root / root.square().sum(0)).T  # L⁺
    influence_x = _influence(x, a.mean, delta, (inverse.T @ vectors) * quarter)
    influence_y = _influence(y, b.mean, -delta, (root @ vectors) / quarter)
    return _distance(a, b, eigenvalues), influence_x, influence_y


def _interval(distance: float, influence_x: Tensor, influence_y: Tensor) -> tuple[float, float, float]:
    """The distance with its ends."""
    error = sqrt(sum(float(psi.var()) / len(psi) for psi in (influence_x, influence_y)))
    return error_interval(distance, error)


def _influence(x: Tensor, mean: Tensor, delta: Tensor, half_map: Tensor) -> Tensor:
    """ψ of each example (N,), with T = half_map half_mapᵀ. Single precision is enough for its variance."""
    half, result = half_map.float(), []
    for rows in x.split(ROWS):
        centred = (rows - mean).float()
        linear = 2 * centred @ delta.float()
        result.append(linear + centred.square().sum(1) - (centred @ half).square().sum(1))
    return torch.cat(result).double()
