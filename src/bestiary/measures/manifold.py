"""Precision, recall, density and coverage of samples, by balls around examples that reach to the k-th neighbour.

With r_k(x, X) the distance from x to its k-th nearest in X, itself left out, and B(x) the closed ball of that radius:

    precision   share of fake in some B(real)              recall    share of real in some B(fake)      arXiv 1904.06991
    density     mean over fake of 1/k #{B(real) ∋ it}      covered   share of B(real) that hold a fake  arXiv 2002.09797

Balls are closed: if examples repeat, radii are 0 and an open ball is empty, so that identical sets would score 0.5.
Distances come from matrix products, in tiles (measures/neighbours.py). If rounding leaves open whether an example is in
a ball, exact differences decide. This is slow if most pairs are open: if examples lie in clusters narrower than about a
hundredth of the distance between clusters.

Intervals of shares are Wilson's; those of recall and coverage are widened, since balls overlap. That of density is over
samples and over the balls of real examples, and no narrower than that of precision.

Legend: N real, M fake examples, n rows and m columns of a tile, F features, k neighbours.
"""

from collections.abc import Mapping
from itertools import product
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.measures.intervals import Z, wilson
from bestiary.measures.neighbours import BLOCK, PointCloud, ball_membership, centre_of, cloud_radii, point_cloud
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title, percent
from bestiary.measures.set_checks import check_same_features, check_variation

OVERLAP = {"recall": 1.5, "covered": 1.5}  # of the variances: one more example changes many balls (docs/coverage.md)

__all__ = ["PRDC", "manifold_numbers", "prdc"]


class PRDC(NamedTuple):
    """The four numbers, and the standard error of the density."""

    precision: float
    recall: float
    density: float
    covered: float
    density_error: float


def prdc(real: Tensor, fake: Tensor, k: int = 5, block: int = BLOCK) -> PRDC:
    """The four numbers of fake (M, F) against real (N, F)."""
    centre = centre_of(real)
    real_cloud = point_cloud(real, centre)
    return _prdc(real_cloud, cloud_radii(real_cloud, k, block), point_cloud(fake, centre), k, block)


def _prdc(real: PointCloud, real_radii: Tensor, fake: PointCloud, k: int, block: int) -> PRDC:
    """`prdc` of point clouds; `real_radii`: the squared radii of the real one."""
    fake_radii = cloud_radii(fake, k, block)
    balls = torch.zeros(len(fake.x), dtype=torch.float64, device=real_radii.device)
    held = torch.zeros(len(real.x), dtype=torch.float64, device=real_radii.device)  # samples in each real ball
    recalled = torch.zeros(len(real.x), dtype=torch.bool, device=real_radii.device)
    covered = torch.zeros_like(recalled)
    for i, j in product(range(0, len(fake.x), block), range(0, len(real.x), block)):
        rows_fake, rows_real = slice(i, i + block), slice(j, j + block)
        radii = fake_radii[rows_fake], real_radii[rows_real]
        in_real, in_fake = ball_membership(fake, real, rows_fake, rows_real, *radii)
        balls[rows_fake] += in_real.sum(1)
        held[rows_real] += in_real.sum(0)
        covered[rows_real] |= in_real.any(0)
        recalled[rows_real] |= in_fake.any(0)
    return PRDC(
        precision=float((balls > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(balls.mean()) / k,
        covered=float(covered.double().mean()),
        density_error=_density_error(balls, held) / k if min(len(balls), len(held)) > 1 else 0.0,
    )


def _density_error(balls: Tensor, held: Tensor) -> float:
    """The standard error of the mean number of balls around a sample, over samples (M,) and over real examples (N,).

    The mean is Σ held / M, too: another real example has another ball.
    """
    return sqrt(float(balls.var()) / len(balls) + float(held.var()) * len(held) / len(balls) ** 2)


def manifold_numbers(
    fake: Tensor, real: Tensor, other: Tensor, features: str, k: int = 5, protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """The four numbers of fake against real. Ceilings: those of `other` real ones. Sets are cut to one size."""
    check_same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    check_variation(real, features)
    centre = centre_of(real)
    real_cloud = point_cloud(real, centre)
    real_radii = cloud_radii(real_cloud, k, BLOCK)
    shares, ceilings = (_prdc(real_cloud, real_radii, point_cloud(x, centre), k, BLOCK) for x in (fake, other))
    full_protocol = {
        **(protocol or {}),
        "n": n,
        "k": k,
        "features": features,
        "interval": "95%, Wilson; of density, over samples and real examples",
    }
    return [
        Number(
            name, feature_title(_TITLES.get(name, name), features), getattr(shares, name), *_interval(shares, name, n),
            "ratio" if name == "density" else "share", "higher",
            ceiling=Reference(getattr(ceilings, name), *_interval(ceilings, name, n), OTHER_REAL),
            protocol=full_protocol, says=says, detail=name == "density",
            plain=_plain(shares, ceilings) if name == "covered" else "", weight=60 if name == "covered" else 0,
        )
        for name, says in _SAYS.items()
    ]  # fmt: skip


def _plain(shares: PRDC, ceilings: PRDC) -> str:
    """How much of the data is covered, in a sentence."""
    reached, perfect = percent(shares.covered), percent(ceilings.covered)
    if shares.covered >= ceilings.covered:
        return f"The samples reach {reached} of the data, as much as new real examples do ({perfect})."
    return f"The samples reach {reached} of the data ({perfect} would be perfect)."


def _interval(shares: PRDC, name: str, n: int) -> tuple[float, float]:
    """The ends of one of the four numbers."""
    if name == "density":
        # precision's: no hits among few samples do not prove that there are none
        half = max(Z * shares.density_error, wilson(shares.precision * n, n)[1] - shares.precision)
        return max(0.0, shares.density - half), shares.density + half
    independent = n / OVERLAP.get(name, 1.0)
    return wilson(getattr(shares, name) * independent, independent)


_TITLES = {"covered": "share of the data that samples reach"}

_SAYS = {
    "precision": "Share of samples within reach of a real example, which reaches as far as its k-th nearest real"
    " neighbour. Outliers in the data raise it.",
    "recall": "Share of real examples within reach of a sample, which reaches as far as its k-th nearest sample."
    " Scattered samples raise it.",
    "density": "Number of real examples that have a given sample within reach, averaged over samples, divided by k."
    " Above 1 if samples crowd the densest part of the data.",
    "covered": "Share of real examples with a sample within reach: as near as their k-th nearest real neighbour.",
}
