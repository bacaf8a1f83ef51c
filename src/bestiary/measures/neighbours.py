"""Nearest neighbours: the k nearest of another set, and balls around examples as far as their k-th neighbour.

    nearest     the k rows of B with the least ‖a − b‖ / √F, the root mean squared difference
    radii       r_k(x, X)², the squared distance to the k-th other example of X
    inside      which a lie in balls around b, and which b in balls around a

Neighbours are screened by matrix products, in tiles of `block`² numbers, and decided by exact differences: a copy is at
distance 0, and a tie is a tie. `nearest` searches another set; `radii` and `inside` take each pair of tiles once.

Legend: n, N, m examples, F features, k neighbours, P pairs.
"""

from itertools import combinations_with_replacement
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError

__all__ = ["BLOCK", "Cloud", "centre_of", "cloud", "distances", "inside", "nearest", "radii", "radii_within"]

EPS = torch.finfo(torch.float32).eps
SPARE = 8  # candidates beyond k, among which the exact distance decides


def nearest(a: Tensor, b: Tensor, k: int = 1, block: int = 2048) -> tuple[Tensor, Tensor]:
    """The k nearest rows of b for each row of a: distances (n, k), ascending, and row numbers (n, k)."""
    a, b = a.flatten(1).float(), b.flatten(1).float()
    if a.shape[1] != b.shape[1]:
        raise BestiaryError(f"examples have {a.shape[1]} and {b.shape[1]} numbers: they must be of the same shape")
    if not len(a) or not len(b):
        raise BestiaryError("nearest neighbours need at least one example on each side")
    if k < 1:
        raise BestiaryError(f"nearest neighbours are at least one; got k={k}")
    k, centre = min(k, len(b)), b.mean(0)  # far from the origin the products would lose digits
    reach = max(float((part - centre).norm(dim=1).max()) for part in b.split(block))
    blocks = [_of_block(rows, b, centre, reach, k, block) for rows in a.split(block)]
    d, index = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return d / sqrt(a.shape[1]), index


def _of_block(rows: Tensor, b: Tensor, centre: Tensor, reach: float, k: int, block: int) -> tuple[Tensor, Tensor]:
    """Screened in single precision; once more in double where that could have left out a nearer one, as it does in
    heaps that are far narrower than they lie apart. `reach`: the largest ‖b − centre‖."""
    index, last = _candidates(rows, b, centre, k + SPARE, block)
    d, result = _exactly(rows, b, index, k)
    size = (rows - centre).square().sum(1)
    doubt = 4 * EPS * sqrt(b.shape[1]) * (size.sqrt() + reach).square()
    again = (last + size - doubt < d[:, -1].square()) if index.shape[1] < len(b) else torch.zeros_like(size).bool()
    if again.any():
        closer, _ = _candidates(rows[again], b, centre, k + SPARE, block, torch.float64)
        d[again], result[again] = _exactly(rows[again], b, closer, k)
    return d, result


def _candidates(
    rows: Tensor, b: Tensor, centre: Tensor, m: int, block: int, precision: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Row numbers of about the m nearest, (n, m), by ‖b‖² − 2⟨a, b⟩: a product, right but for its last digits. And the
    largest of their scores, (n,), which those that are left out exceed."""
    rows = rows.to(precision) - centre
    best = torch.full((len(rows), 0), torch.inf).to(rows)
    index = torch.zeros((len(rows), 0), dtype=torch.long, device=rows.device)
    for first in range(0, len(b), block):
        part = b[first : first + block].to(precision) - centre
        score = torch.addmm(part.square().sum(1), rows, part.T, alpha=-2)
        score, i = score.topk(min(m, len(part)), largest=False)
        best, i = torch.cat([best, score], 1), torch.cat([index, i + first], 1)
        best, order = best.topk(min(m, best.shape[1]), largest=False)
        index = i.gather(1, order)
    return index, best[:, -1]


def _exactly(rows: Tensor, b: Tensor, index: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of the candidates by ‖a − b‖ itself: a copy is at distance 0."""
    step = max(1, (1 << 24) // (index.shape[1] * rows.shape[1]))  # at most so many numbers at a time
    d = torch.cat([(r[:, None] - b[i]).norm(dim=2) for r, i in zip(rows.split(step), index.split(step), strict=True)])
    d, order = d.topk(k, largest=False)
    return d, index.gather(1, order)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """d(a_i, B) for each row of a: (n,)."""
    return nearest(a, b)[0][:, 0]


# ------------------------------------------------------------------ balls around examples

BLOCK = 1024  # squared: the pairs whose distances are taken at a time
CANDIDATES = 4  # beyond k, among which the differences decide
AT_ONCE = 1 << 18  # numbers of a temporary of differences, which stay in the cache
TIE = 1e-6  # of a squared radius, within which single precision cannot tell a tie


class Cloud(NamedTuple):
    """Examples about a centre (far from the origin products lose digits), in single precision."""

    x: Tensor  # (N, F)
    sizes: Tensor  # ‖x‖², (N,)
    doubt: Tensor  # what rounding may add to a product or take from it, for this side: (N,)


def cloud(x: Tensor, centre: Tensor) -> Cloud:
    """Examples (N, F) about a centre (F,)."""
    x = x.to(centre.dtype) - centre
    sizes = torch.cat([rows.square().sum(1) for rows in x.split(BLOCK)])
    # errors of a product's F terms are random: of ‖a‖ ‖b‖, about half of this
    return Cloud(x, sizes, sizes * torch.finfo(x.dtype).eps * sqrt(x.shape[1]))


def centre_of(x: Tensor) -> Tensor:
    """The mean (F,), summed in double precision."""
    return (torch.stack([rows.double().sum(0) for rows in x.split(BLOCK)]).sum(0) / len(x)).float()


def _low(a: Cloud, b: Cloud, here: slice, there: slice) -> Tensor:
    """‖a − b‖² less what rounding may have added: (n, m)."""
    own, others = a.sizes[here] - a.doubt[here], b.sizes[there] - b.doubt[there]
    return torch.addmm(others, a.x[here], b.x[there].T, alpha=-2).add_(own[:, None])


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """‖a − b‖² from the differences of rows: (P,)."""
    return (a - b).square_().sum(-1)


def _nearer(best: Tensor, index: Tensor, low: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """The best so far and those of one more tile, whose columns are numbered from `first`."""
    m = best.shape[1]
    result, place = low.topk(min(m, low.shape[1]), largest=False)
    result, order = torch.cat([best, result], 1).topk(m, largest=False)
    return result, torch.cat([index, place + first], 1).gather(1, order)


def radii(x: Tensor, k: int, block: int = BLOCK) -> Tensor:
    """r_k(x, X)² of every example, and what may be a tie: (N,)."""
    return radii_within(cloud(x, centre_of(x)), k, block)


def radii_within(c: Cloud, k: int, block: int) -> Tensor:
    """`radii` of a cloud."""
    n = len(c.x)
    if not 1 <= k < n:
        raise BestiaryError(f"k={k} neighbours need k ≥ 1 and more than {k} examples of each kind; there are {n}")
    best, index = _tile_candidates(c, min(k + CANDIDATES, n - 1), block)
    step = max(1, AT_ONCE // (index.shape[1] * c.x.shape[1]))
    parts = zip(c.x.split(step), index.split(step), strict=True)
    result = torch.cat([_kth(_apart(rows[:, None], c.x[i]), k) for rows, i in parts])
    if index.shape[1] < n - 1:  # where one that is no candidate may be nearer than the k-th that is
        for row in ((best[:, -1] < result) & (result > 0)).nonzero():
            step = max(1, AT_ONCE // c.x.shape[1])
            d = torch.cat([_apart(c.x[row], others) for others in c.x.split(step)])
            d[row] = torch.inf
            result[row] = _kth(d[None], k)
    return result * (1 + TIE)


def _kth(d: Tensor, k: int) -> Tensor:
    return d.topk(k, 1, largest=False).values[:, -1]


def _tile_candidates(c: Cloud, m: int, block: int) -> tuple[Tensor, Tensor]:
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


def inside(a: Cloud, b: Cloud, here: slice, there: slice, reach_a: Tensor, reach_b: Tensor) -> tuple[Tensor, Tensor]:
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
