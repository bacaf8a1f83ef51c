"""Precision, recall, density and coverage: balls around examples, as far as their k-th neighbour.

With r_k(x, X) the distance from x to its k-th nearest in X, itself left out, and B(x) the closed ball of that radius:

    precision   share of fake in some B(real)              recall    share of real in some B(fake)      arXiv 1904.06991
    density     mean over fake of 1/k #{B(real) ∋ it}      covered   share of B(real) that hold a fake  arXiv 2002.09797

Balls are closed: where examples repeat, radii are 0 and an open ball would be empty, so that identical sets would score
0.5. Distances are screened by products, in tiles; where rounding leaves open who is inside, or which neighbour is the
k-th, the differences themselves decide. That is slow where most of it is open: where examples lie in heaps whose width
is less than about a hundredth of the distance between heaps.

Intervals take the radii as given (Wilson's for shares, the wider of the precision's and the normal one for density).

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
from bestiary.measures.number import Number, Reference, titled

__all__ = ["PRDC", "manifold_numbers", "prdc", "radii"]

BLOCK = 1024  # squared: the pairs whose distances are taken at a time
SPARE = 4  # candidates beyond k, among which the differences decide
AT_ONCE = 1 << 18  # numbers of a temporary of differences, which stay in the cache
TIE = 1e-6  # of a squared radius, within which single precision cannot tell a tie


class PRDC(NamedTuple):
    """The four shares, with what the intervals need."""

    precision: float
    recall: float
    density: float
    covered: float
    spread: float  # standard error of the density


class _Cloud(NamedTuple):
    """Examples about a centre (far from the origin products lose digits), in single precision."""

    x: Tensor  # (N, F)
    sizes: Tensor  # ‖x‖², (N,)
    doubt: Tensor  # what rounding may add to a product or take from it, for this side: (N,)


def _cloud(x: Tensor, centre: Tensor) -> _Cloud:
    x = x.to(centre.dtype) - centre
    sizes = torch.cat([rows.square().sum(1) for rows in x.split(BLOCK)])
    # errors of a product's F terms are random: of ‖a‖ ‖b‖, about half of this
    return _Cloud(x, sizes, sizes * torch.finfo(x.dtype).eps * sqrt(x.shape[1]))


def _centre(x: Tensor) -> Tensor:
    return (torch.stack([rows.double().sum(0) for rows in x.split(BLOCK)]).sum(0) / len(x)).float()


def _low(a: _Cloud, b: _Cloud, here: slice, there: slice) -> Tensor:
    """‖a − b‖² less what rounding may have added: (n, m)."""
    own, others = a.sizes[here] - a.doubt[here], b.sizes[there] - b.doubt[there]
    return torch.addmm(others, a.x[here], b.x[there].T, alpha=-2).add_(own[:, None])


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """‖a − b‖² from the differences of rows: (P,)."""
    return (a - b).square_().sum(-1)


def _nearer(best: Tensor, index: Tensor, low: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """The best so far and those of one more tile, whose columns are numbered from `first`."""
    m = best.shape[1]
    found, place = low.topk(min(m, low.shape[1]), largest=False)
    found, order = torch.cat([best, found], 1).topk(m, largest=False)
    return found, torch.cat([index, place + first], 1).gather(1, order)


def radii(x: Tensor, k: int, block: int = BLOCK) -> Tensor:
    """r_k(x, X)² of every example, and what may be a tie: (N,)."""
    return _radii(_cloud(x, _centre(x)), k, block)


def _radii(c: _Cloud, k: int, block: int) -> Tensor:
    n = len(c.x)
    if not 1 <= k < n:
        raise BestiaryError(f"k={k} neighbours need k ≥ 1 and more than {k} examples of each kind; there are {n}")
    best, index = _candidates(c, min(k + SPARE, n - 1), block)
    step = max(1, AT_ONCE // (index.shape[1] * c.x.shape[1]))
    parts = zip(c.x.split(step), index.split(step), strict=True)
    found = torch.cat([_kth(_apart(rows[:, None], c.x[i]), k) for rows, i in parts])
    if index.shape[1] < n - 1:  # where one that is no candidate may be nearer than the k-th that is
        for row in ((best[:, -1] < found) & (found > 0)).nonzero():
            step = max(1, AT_ONCE // c.x.shape[1])
            d = torch.cat([_apart(c.x[row], others) for others in c.x.split(step)])
            d[row] = torch.inf
            found[row] = _kth(d[None], k)
    return found * (1 + TIE)


def _kth(d: Tensor, k: int) -> Tensor:
    return d.topk(k, 1, largest=False).values[:, -1]


def _candidates(c: _Cloud, m: int, block: int) -> tuple[Tensor, Tensor]:
    """The least that the squared distances to the m nearest may be, ascending, and who they are: (N, m) each."""
    best = torch.full((len(c.x), m), torch.inf, device=c.x.device)
    index = torch.zeros(best.shape, dtype=torch.long, device=c.x.device)
    for i, j in combinations_with_replacement(range(0, len(c.x), block), 2):  # each pair of tiles once
        here, there = slice(i, i + block), slice(j, j + block)
        low = _low(c, c, here, there)
        if i == j:
            low.fill_diagonal_(torch.inf)  # itself
        else:
            best[there], index[there] = _nearer(best[there], index[there], low.T, i)
        best[here], index[here] = _nearer(best[here], index[here], low, j)
    return best, index


def _inside(a: _Cloud, b: _Cloud, here: slice, there: slice, reach_a: Tensor, reach_b: Tensor) -> tuple[Tensor, Tensor]:
    """Which a lie in the balls of b, and which b in the balls of a: two of (n, m)."""
    low, doubt_a, doubt_b = _low(a, b, here, there), a.doubt[here], b.doubt[there]
    in_b, in_a = low <= reach_b, low <= reach_a[:, None]
    surely_b = low <= reach_b - 2 * (doubt_b + doubt_a.max())
    surely_a = low <= (reach_a - 2 * (doubt_a + doubt_b.max()))[:, None]
    pairs = (in_b ^ surely_b).logical_or_(in_a ^ surely_a).nonzero()
    for i, j in (part.unbind(1) for part in pairs.split(max(1, AT_ONCE // a.x.shape[1]))):
        d = _apart(a.x[here][i], b.x[there][j])
        in_b[i, j], in_a[i, j] = d <= reach_b[j], d <= reach_a[i]
    return in_b, in_a


def prdc(real: Tensor, fake: Tensor, k: int = 5, block: int = BLOCK) -> PRDC:
    """The four of fake (M, F) against real (N, F)."""
    centre = _centre(real)
    around = _cloud(real, centre)
    return _against(around, _radii(around, k, block), _cloud(fake, centre), k, block)


def _against(real: _Cloud, reach: Tensor, fake: _Cloud, k: int, block: int) -> PRDC:
    around_fake = _radii(fake, k, block)
    count = torch.zeros(len(fake.x), dtype=torch.float64, device=reach.device)
    recalled = torch.zeros(len(real.x), dtype=torch.bool, device=reach.device)
    held = torch.zeros_like(recalled)
    for i, j in product(range(0, len(fake.x), block), range(0, len(real.x), block)):
        here, there = slice(i, i + block), slice(j, j + block)
        in_real, in_fake = _inside(fake, real, here, there, around_fake[here], reach[there])
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
    fake, real, other = (x[:n].flatten(1) for x in (fake, real, other))
    varied(real, features)
    centre = _centre(real)
    around = _cloud(real, centre)
    reach = _radii(around, k, BLOCK)
    found, best = (_against(around, reach, _cloud(x, centre), k, BLOCK) for x in (fake, other))
    said = {**(protocol or {}), "n": n, "k": k, "features": features, "interval": "95%, radii as given"}
    return [
        Number(
            name, titled(name, features), getattr(found, name), *_interval(found, name, n),
            "ratio" if name == "density" else "share", "higher",
            ceiling=Reference(getattr(best, name), *_interval(best, name, n), "other real examples, as many"),
            protocol=said, says=says,
        )
        for name, says in _SAYS.items()
    ]  # fmt: skip


def _interval(found: PRDC, name: str, n: int) -> tuple[float, float]:
    if name == "density":
        half = max(1.96 * found.spread, wilson(found.precision * n, n)[1] - found.precision)  # 0 of few is not surely 0
        return max(0.0, found.density - half), found.density + half
    return wilson(getattr(found, name) * n, n)


_SAYS = {
    "precision": "Share of samples among the data. Outliers of the data make it generous.",
    "recall": "Share of the data among the samples. Scattered samples make it generous.",
    "density": "How many balls around the data hold a sample, against k: above 1 where samples crowd the densest part.",
    "covered": "Share of balls around the data that hold a sample: what the model reaches.",
}
