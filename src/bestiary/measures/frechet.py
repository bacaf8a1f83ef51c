"""Distances of features by moments and by a polynomial kernel: Fréchet (FID) and kernel (KID).

    FID    ‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁S₂)^½)                                              arXiv 1706.08500
           (S₁S₂)^½ has the eigenvalues of (Lᵀ S₂ L)^½, S₁ = L Lᵀ: symmetric, so that they are real
    KID    MMD² by k(x, y) = (xᵀy/F + 1)³, without its bias, so that it may be negative       arXiv 1801.01401
           the mean over disjoint blocks of so many examples; the interval is Student's over the blocks, which are
           independent, where subsets drawn again and again from one set are not

FID is biased upwards by about as much as what real data gets against real data at the same n: the floor. Its interval
is a jackknife over groups. Moments are accumulated in float64 over blocks of examples, so that any number of them fits.
With fewer examples than features the covariance is singular; the distance is defined all the same, and the protocol
says so. None of these is called FID or KID without the name of its features.

Legend: N examples, F features.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.number import Number, Reference

__all__ = ["Moments", "fid", "frechet", "kid", "kids", "moments", "same_features"]

GROUPS = 10  # of the jackknife
BLOCK = 1000  # examples of a block of KID: the published protocol's size
ROWS = 4096  # examples whose products are taken at a time


@dataclass(frozen=True)
class Moments:
    """n, Σ x, Σ x xᵀ about a fixed origin, in float64; moments of two sets add up."""

    n: int
    total: Tensor  # (F,)
    outer: Tensor  # (F, F)
    origin: Tensor  # (F,)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.n + other.n, self.total + other.total, self.outer + other.outer, self.origin)

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(self.n - other.n, self.total - other.total, self.outer - other.outer, self.origin)

    @property
    def mean(self) -> Tensor:
        return self.origin + self.total / self.n

    @property
    def covariance(self) -> Tensor:
        """With N − 1."""
        centre = self.total / self.n
        return (self.outer - self.n * torch.outer(centre, centre)) / (self.n - 1)


def moments(blocks: Iterable[Tensor], origin: Tensor | None = None) -> Moments:
    """Of features that come block by block, (n, F) each. Sums about the first block's mean keep their digits."""
    found: Moments | None = None
    for block in blocks:
        for rows in block.flatten(1).split(ROWS):
            x = rows.double()
            if origin is None:
                origin = x.mean(0)
            x = x - origin
            part = Moments(len(x), x.sum(0), x.T @ x, origin)
            found = part if found is None else found + part
    if found is None or found.n < 2:
        raise BestiaryError("moments need at least two examples")
    return found


def frechet(a: Moments, b: Moments) -> float:
    """‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁S₂)^½)."""
    s1, s2 = a.covariance, b.covariance
    root, failed = torch.linalg.cholesky_ex(s1)
    if int(failed):  # singular: the square root itself
        values, vectors = torch.linalg.eigh(s1)
        root = vectors * values.clamp_min(0).sqrt()
    crossed = torch.linalg.eigvalsh(root.T @ s2 @ root).clamp_min(0).sqrt().sum()
    return float((a.mean - b.mean).square().sum() + s1.trace() + s2.trace() - 2 * crossed)


def same_features(*sets: Tensor) -> None:
    """Refuse sets of examples that cannot be compared."""
    widths = {x.flatten(1).shape[1] for x in sets}
    if len(widths) > 1:
        raise BestiaryError(
            f"examples have {' and '.join(map(str, sorted(widths)))} features: they must be of one kind"
        )
    if not all(bool(x.isfinite().all()) for x in sets):
        raise BestiaryError("features hold values that are not finite (NaN or inf): no distance of them means anything")
    if min(map(len, sets)) < 2:
        raise BestiaryError("comparing two sets needs at least two examples of each")


def fid(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object] | None = None,
    groups: int = GROUPS,
) -> Number:  # fmt: skip
    """Fréchet distance of fake to real; other real examples give the floor. All cut to equal numbers."""
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    origin = real[:ROWS].flatten(1).double().mean(0)
    a, b = (_grouped(x[:n], groups, origin) for x in (fake, real))
    whole_a, whole_b = _sum(a), _sum(b)
    value = frechet(whole_a, whole_b)
    low, high = _jackknife(value, a, b, whole_a, whole_b)
    said = {**(protocol or {}), "n": n, "features": features, "F": len(origin), "interval": "95%, jackknife of groups"}
    if n <= len(origin):
        said["rank"] = f"deficient: {n} examples of {len(origin)} features"
    floor = Reference(frechet(_sum(_grouped(other[:n], 1, origin)), whole_b), says="other real examples, as many")
    return Number(
        "fid", f"Fréchet distance, {features}", value, low, high, "squared feature units", "lower", floor,
        protocol=said, says="Between Gaussians with the features' means and covariances; biased by about its floor.",
    )  # fmt: skip


def _grouped(x: Tensor, groups: int, origin: Tensor) -> list[Moments]:
    """Moments of as many equal parts."""
    groups = max(1, min(groups, len(x) // 4))
    return [moments([part], origin) for part in x.flatten(1).tensor_split(groups)]


def _sum(parts: list[Moments]) -> Moments:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def _jackknife(
    value: float, a: list[Moments], b: list[Moments], whole_a: Moments, whole_b: Moments
) -> tuple[float | None, float | None]:
    """The ends of the 95% interval from the distance without each group; none where there is one group."""
    g = min(len(a), len(b))
    if g < 2:
        return None, None
    left = torch.tensor([frechet(whole_a - x, whole_b - y) for x, y in zip(a[:g], b[:g], strict=True)])
    half = 1.96 * sqrt((g - 1) / g * float((left - left.mean()).square().sum()))
    return value - half, value + half


def kids(a: Tensor, b: Tensor, block: int = BLOCK) -> Tensor:
    """Unbiased MMD² of each pair of disjoint blocks, in float64."""
    a, b = a.flatten(1), b.flatten(1)
    n = min(len(a), len(b))
    parts = max(1, n // block)
    size = n // parts
    pairs = zip(a[: parts * size].split(size), b[: parts * size].split(size), strict=True)
    return torch.stack([_unbiased(x, y) for x, y in pairs])


def _unbiased(x: Tensor, y: Tensor) -> Tensor:
    n, width = x.shape

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        # one part in 10⁷ of a product, averaged over n² of them: far below the spread over blocks
        return torch.addmm(torch.ones((), device=a.device, dtype=a.dtype), a, b.T, alpha=1 / width).pow_(3)

    def within(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum(dtype=torch.float64) - k.diagonal().sum(dtype=torch.float64)) / (n * (n - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean(dtype=torch.float64)


STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}  # by freedom


def kid(
    fake: Tensor, real: Tensor, other: Tensor, features: str, protocol: Mapping[str, object] | None = None,
    block: int = BLOCK,
) -> Number:  # fmt: skip
    """Kernel distance of fake to real; other real examples give the floor."""
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    block = min(block, max(2, n // 5))  # five blocks at least, for an interval
    value, low, high = _over_blocks(kids(fake[:n], real[:n], block))
    floor = Reference(*_over_blocks(kids(other[:n], real[:n], block)), "other real examples, as many")
    said = {**(protocol or {}), "n": n, "features": features, "block": block, "kernel": "(xᵀy/F + 1)³"}
    return Number(
        "kid", f"kernel distance, {features}", value, low, high, "kernel units", "lower", floor,
        protocol={**said, "interval": "95%, Student, over disjoint blocks"},
        says="Unbiased, so that it may be negative; 0 where the features have the same first three moments.",
    )  # fmt: skip


def _over_blocks(values: Tensor) -> tuple[float, float | None, float | None]:
    m, g = float(values.mean()), len(values)
    if g < 2:
        return m, None, None
    half = STUDENT.get(g - 1, 1.96 + 2.6 / (g - 1)) * float(values.std()) / sqrt(g)
    return m, m - half, m + half
