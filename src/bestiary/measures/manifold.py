"""Precision, recall, density and coverage: balls around examples, as far as their k-th neighbour.

With r_k(x, X) the distance from x to its k-th nearest in X, itself left out, and B(x) the closed ball of that radius:

    precision   share of fake in some B(real)              recall    share of real in some B(fake)      arXiv 1904.06991
    density     mean over fake of 1/k #{B(real) ∋ it}      covered   share of B(real) that hold a fake  arXiv 2002.09797

Balls are closed: where examples repeat, radii are 0 and an open ball would be empty, so that identical sets would score
0.5. Distances are screened by products in single precision, in tiles; where these leave open who is inside, or which
neighbour is the k-th, the rows concerned are taken again in double precision, and what is still a tie is inside.

Intervals take the radii as given (Wilson's for shares, normal for the density).

Legend: N real, M fake examples, n rows and m columns of a tile, F features, k neighbours.
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement, product
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.frechet import same_features, varied
from bestiary.measures.neighbours import wilson
from bestiary.measures.number import Number, Reference

__all__ = ["PRDC", "manifold_numbers", "prdc", "radii"]

SPARE = 4  # candidates beyond k, among which the exact distance decides
AT_ONCE = 1 << 22  # numbers of a temporary of exact differences


class PRDC(NamedTuple):
    """The four shares, with what the intervals need."""

    precision: float
    recall: float
    density: float
    covered: float
    spread: float  # standard error of the density


def _squares(a: Tensor, b: Tensor, centre: Tensor, width: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """‖a − b‖² less what rounding may have added, (n, m), and what it may have added or taken, by row and column."""
    a, b = a.to(width) - centre.to(width), b.to(width) - centre.to(width)  # far from the origin digits would be lost
    share = 2 * torch.finfo(width).eps * sqrt(a.shape[1])  # of ‖a‖² + ‖b‖²: the errors of a product's terms are random
    own, others = a.square().sum(1, keepdim=True), b.square().sum(1)
    low = torch.addmm(others * (1 - share), a, b.T, alpha=-2).add_(own * (1 - share))
    return low, share * own, share * others


def _nearer(best: Tensor, index: Tensor, low: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """The best so far and those of one more tile, whose columns are numbered from `first`."""
    m = best.shape[1]
    found, place = low.topk(min(m, low.shape[1]), largest=False)
    found, order = torch.cat([best, found], 1).topk(m, largest=False)
    return found, torch.cat([index, place + first], 1).gather(1, order)


def _exactly(x: Tensor, rows: Tensor, index: Tensor, k: int) -> Tensor:
    """The k-th smallest ‖x_row − x_j‖² among candidates j, from the differences themselves: (n,)."""
    step = max(1, AT_ONCE // (index.shape[1] * x.shape[1]))
    parts = zip(rows.split(step), index.split(step), strict=True)
    d = torch.cat([(x[r].double()[:, None] - x[i].double()).square().sum(2) for r, i in parts])
    return d.kthvalue(k, 1).values


def radii(x: Tensor, k: int, block: int = 1024) -> Tensor:
    """r_k(x, X)² of every example, in float64: (N,)."""
    if not 1 <= k < len(x):
        raise BestiaryError(f"k={k} neighbours need k ≥ 1 and more than {k} examples of each kind; there are {len(x)}")
    n, m, centre = len(x), min(k + SPARE, len(x) - 1), _centre(x, block)
    best = torch.full((n, m), torch.inf, device=x.device)
    index = torch.zeros(n, m, dtype=torch.long, device=x.device)
    for i, j in combinations_with_replacement(range(0, n, block), 2):  # each pair of tiles once
        here, there = slice(i, i + block), slice(j, j + block)
        low = _squares(x[here], x[there], centre, torch.float32)[0]
        if i == j:
            low.fill_diagonal_(torch.inf)  # itself
        else:
            best[there], index[there] = _nearer(best[there], index[there], low.T, i)
        best[here], index[here] = _nearer(best[here], index[here], low, j)
    everyone = torch.arange(n, device=x.device)
    found = _exactly(x, everyone, index, k)
    missed = (best[:, -1] < found) & (found > 0) if m < n - 1 else torch.zeros_like(found, dtype=torch.bool)
    for rows in everyone[missed].split(block):  # one that is no candidate may be nearer than the k-th that is
        found[rows] = _exactly(x, rows, _candidates(x, rows, m, centre, block), k)
    return found


def _centre(x: Tensor, block: int) -> Tensor:
    return torch.stack([rows.double().sum(0) for rows in x.split(block)]).sum(0) / len(x)


def _candidates(x: Tensor, rows: Tensor, m: int, centre: Tensor, block: int) -> Tensor:
    """The m nearest by products in double precision, itself left out: (n, m)."""
    best = torch.full((len(rows), m), torch.inf, device=x.device, dtype=torch.float64)
    index = torch.zeros(len(rows), m, dtype=torch.long, device=x.device)
    for first in range(0, len(x), block):
        low = _squares(x[rows], x[first : first + block], centre, torch.float64)[0]
        low[rows[:, None] == torch.arange(first, first + low.shape[1], device=x.device)] = torch.inf
        best, index = _nearer(best, index, low, first)
    return index


def _inside(a: Tensor, b: Tensor, centre: Tensor, reach_a: Tensor, reach_b: Tensor) -> tuple[Tensor, Tensor]:
    """Which a lie in the balls of b, and which b in the balls of a: two of (n, m)."""
    low, by_row, by_column = _squares(a, b, centre, torch.float32)
    in_b, in_a = low <= reach_b, low <= reach_a[:, None]
    surely_b = low <= reach_b - 2 * (by_column + by_row.max())
    surely_a = low <= reach_a[:, None] - 2 * (by_row + by_column.max())
    unsure = ((in_b ^ surely_b) | (in_a ^ surely_a)).any(1)
    if unsure.any():
        low = _squares(a[unsure], b, centre, torch.float64)[0]
        in_b[unsure], in_a[unsure] = low <= reach_b, low <= reach_a[unsure, None]
    return in_b, in_a


def prdc(real: Tensor, fake: Tensor, k: int = 5, block: int = 1024, around_real: Tensor | None = None) -> PRDC:
    """The four of fake (M, F) against real (N, F), whose radii may be at hand."""
    reach = radii(real, k, block) if around_real is None else around_real
    around_fake, centre = radii(fake, k, block), _centre(real, block)
    count = torch.zeros(len(fake), dtype=torch.float64, device=real.device)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    held = torch.zeros_like(recalled)
    for i, j in product(range(0, len(fake), block), range(0, len(real), block)):
        here, there = slice(i, i + block), slice(j, j + block)
        in_real, in_fake = _inside(fake[here], real[there], centre, around_fake[here], reach[there])
        count[here] += in_real.sum(1)
        held[there] |= in_real.any(0)
        recalled[there] |= in_fake.any(0)
    return PRDC(
        precision=float((count > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(count.mean()) / k,
        covered=float(held.double().mean()),
        spread=float(count.std()) / k / sqrt(len(count)) if len(count) > 1 else 0.0,
    )


def manifold_numbers(
    fake: Tensor, real: Tensor, other: Tensor, features: str, k: int = 5, protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """The four as numbers; other real examples in the place of fake ones give what can be reached. All cut to equal
    numbers."""
    same_features(fake, real, other)
    n = min(len(fake), len(real), len(other))
    varied(real, features)
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    reach = radii(real, k)
    found, best = (prdc(real, x, k, around_real=reach) for x in (fake, other))
    said = {**(protocol or {}), "n": n, "k": k, "features": features, "interval": "95%, radii as given"}
    return [
        Number(
            name, f"{name}, {features}", getattr(found, name), *_interval(found, name, n),
            "ratio" if name == "density" else "share", "higher",
            ceiling=Reference(getattr(best, name), *_interval(best, name, n), "other real examples, as many"),
            protocol=said, says=says,
        )
        for name, says in _SAYS.items()
    ]  # fmt: skip


def _interval(found: PRDC, name: str, n: int) -> tuple[float, float]:
    if name == "density":
        return found.density - 1.96 * found.spread, found.density + 1.96 * found.spread
    return wilson(getattr(found, name) * n, n)


_SAYS = {
    "precision": "Share of samples among the data. Outliers of the data make it generous.",
    "recall": "Share of the data among the samples. Scattered samples make it generous.",
    "density": "How many balls around the data hold a sample, against k: above 1 where samples crowd the densest part.",
    "covered": "Share of balls around the data that hold a sample: what the model reaches.",
}
