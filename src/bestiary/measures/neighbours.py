"""Nearest neighbours: the k nearest examples of another set, and balls that reach to the k-th neighbour.

    nearest         the k rows of B with the least ‖a − b‖ / √F, the root mean squared difference
    squared_radii   r_k(x, X)², the squared distance from x to its k-th nearest other example of X
    ball_membership which a lie in balls around b, and which b lie in balls around a

Matrix products, in tiles of `block`² numbers, select candidates. Exact differences decide among them: the distance of a
copy is 0, and equal distances are equal. `squared_radii` and `ball_membership` visit each pair of tiles once.

Legend: n, N, m examples, F features, k neighbours, P pairs.
"""

from itertools import combinations_with_replacement
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError

__all__ = [
    "BLOCK", "PointCloud", "ball_membership", "centre_of", "cloud_radii", "distances", "distances_without_groups",
    "nearest", "point_cloud",
    "squared_radii",
]  # fmt: skip

EPS = torch.finfo(torch.float32).eps
WITHOUT_GROUP = 8  # neighbours, among which one of another group is looked for
SPARE = 8  # candidates beyond k; exact distances decide among them


def nearest(a: Tensor, b: Tensor, k: int = 1, block: int = 2048) -> tuple[Tensor, Tensor]:
    """The k nearest rows of b for each row of a: distances (n, k), ascending, and row numbers (n, k)."""
    a, b = a.flatten(1).float(), b.flatten(1).float()
    if a.shape[1] != b.shape[1]:
        raise BestiaryError(f"examples have {a.shape[1]} and {b.shape[1]} numbers: they must be of the same shape")
    if not len(a) or not len(b):
        raise BestiaryError("nearest neighbours need at least one example on each side")
    if k < 1:
        raise BestiaryError(f"nearest neighbours are at least one; got k={k}")
    k, centre = min(k, len(b)), b.mean(0)  # products of examples far from the origin would lose digits
    reach = max(float((part - centre).norm(dim=1).max()) for part in b.split(block))
    blocks = [_block_nearest(rows, b, centre, reach, k, block) for rows in a.split(block)]
    d, index = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return d / sqrt(a.shape[1]), index


def _block_nearest(rows: Tensor, b: Tensor, centre: Tensor, reach: float, k: int, block: int) -> tuple[Tensor, Tensor]:
    """The k nearest for one block of rows. `reach`: the largest ‖b − centre‖.

    Candidates are selected in single precision. If rounding may have left out a nearer example, they are selected again
    in double precision: this happens if examples lie in clusters much narrower than the distance between clusters.
    """
    index, least_left_out = _candidates(rows, b, centre, k + SPARE, block)
    d, neighbours = _exact_nearest(rows, b, index, k)
    size = (rows - centre).square().sum(1)
    rounding = 4 * EPS * sqrt(b.shape[1]) * (size.sqrt() + reach).square()
    doubtful = torch.zeros_like(size).bool()
    if index.shape[1] < len(b):
        doubtful = least_left_out + size - rounding < d[:, -1].square()
    if doubtful.any():
        candidates, _ = _candidates(rows[doubtful], b, centre, k + SPARE, block, torch.float64)
        d[doubtful], neighbours[doubtful] = _exact_nearest(rows[doubtful], b, candidates, k)
    return d, neighbours


def _candidates(
    rows: Tensor, b: Tensor, centre: Tensor, m: int, block: int, precision: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Row numbers of the m nearest by ‖b‖² − 2⟨a, b⟩, up to rounding, (n, m); and the largest of their scores, (n,).

    All examples that are left out have larger scores.
    """
    rows = rows.to(precision) - centre
    scores = torch.full((len(rows), 0), torch.inf).to(rows)
    index = torch.zeros((len(rows), 0), dtype=torch.long, device=rows.device)
    for first in range(0, len(b), block):
        tile = b[first : first + block].to(precision) - centre
        score = torch.addmm(tile.square().sum(1), rows, tile.T, alpha=-2)
        score, i = score.topk(min(m, len(tile)), largest=False)
        scores, i = torch.cat([scores, score], 1), torch.cat([index, i + first], 1)
        scores, order = scores.topk(min(m, scores.shape[1]), largest=False)
        index = i.gather(1, order)
    return index, scores[:, -1]


def _exact_nearest(rows: Tensor, b: Tensor, index: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of the candidates `index` by ‖a − b‖ itself, so that the distance of a copy is 0."""
    step = max(1, (1 << 24) // (index.shape[1] * rows.shape[1]))  # at most so many numbers at a time
    d = torch.cat([(r[:, None] - b[i]).norm(dim=2) for r, i in zip(rows.split(step), index.split(step), strict=True)])
    d, order = d.topk(k, largest=False)
    return d, index.gather(1, order)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """d(a_i, B) for each row of a: (n,)."""
    return nearest(a, b)[0][:, 0]


def distances_without_groups(a: Tensor, b: Tensor, groups: int, among_itself: bool = False) -> Tensor:
    """d(a_i, B), and d(a_i, B without its g-th group) for each of the groups, which are the row numbers of B modulo
    their number: (groups + 1, n). `among_itself`: a is b, and no row is its own neighbour."""
    d, index = nearest(a, b, WITHOUT_GROUP + among_itself)
    d, index = d[:, int(among_itself) :], index[:, int(among_itself) :]
    result = [d[:, 0]]
    for g in range(groups):
        outside = index % groups != g
        first = torch.where(outside.any(1), outside.long().argmax(1), index.shape[1] - 1)
        result.append(d.gather(1, first[:, None])[:, 0])
    return torch.stack(result)


# ------------------------------------------------------------------ balls around examples

BLOCK = 1024  # side of a tile of pairs
CANDIDATES = 4  # candidates beyond k; exact differences decide among them
AT_ONCE = 1 << 18  # numbers in a temporary of differences: it stays in the cache
TIE = 1e-6  # part of a squared radius that rounding in single precision may hide


class PointCloud(NamedTuple):
    """Examples minus a centre, in single precision: products of examples far from the origin lose digits."""

    x: Tensor  # (N, F)
    sizes: Tensor  # ‖x‖², (N,)
    rounding: Tensor  # how much rounding may change a product with this example: (N,)


def point_cloud(x: Tensor, centre: Tensor) -> PointCloud:
    """The cloud of examples x (N, F) around a centre (F,)."""
    x = x.to(centre.dtype) - centre
    sizes = torch.cat([rows.square().sum(1) for rows in x.split(BLOCK)])
    # errors of a product's F terms are random: about half of this times ‖a‖ ‖b‖
    return PointCloud(x, sizes, sizes * torch.finfo(x.dtype).eps * sqrt(x.shape[1]))


def centre_of(x: Tensor) -> Tensor:
    """The mean of examples (F,), summed in double precision."""
    return (torch.stack([rows.double().sum(0) for rows in x.split(BLOCK)]).sum(0) / len(x)).float()


def _lower_bounds(a: PointCloud, b: PointCloud, rows_a: slice, rows_b: slice) -> Tensor:
    """A lower bound on ‖a − b‖² that holds in spite of rounding: (n, m)."""
    own, others = a.sizes[rows_a] - a.rounding[rows_a], b.sizes[rows_b] - b.rounding[rows_b]
    return torch.addmm(others, a.x[rows_a], b.x[rows_b].T, alpha=-2).add_(own[:, None])


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a − b‖² for pairs of rows, from their differences: (P,)."""
    return (a - b).square_().sum(-1)


def _merge_nearest(low_so_far: Tensor, index: Tensor, tile_low: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Merge the nearest so far with those of one more tile, whose columns are numbered from `first`."""
    m = low_so_far.shape[1]
    merged, column = tile_low.topk(min(m, tile_low.shape[1]), largest=False)
    merged, order = torch.cat([low_so_far, merged], 1).topk(m, largest=False)
    return merged, torch.cat([index, column + first], 1).gather(1, order)


def squared_radii(x: Tensor, k: int, block: int = BLOCK) -> Tensor:
    """r_k(x, X)² of every example, plus what rounding may hide: (N,)."""
    return cloud_radii(point_cloud(x, centre_of(x)), k, block)


def cloud_radii(c: PointCloud, k: int, block: int) -> Tensor:
    """`squared_radii` of a point cloud."""
    n = len(c.x)
    if not 1 <= k < n:
        raise BestiaryError(f"k={k} neighbours need k ≥ 1 and more than {k} examples on each side; there are {n}")
    low_bounds, index = _tile_candidates(c, min(k + CANDIDATES, n - 1), block)
    step = max(1, AT_ONCE // (index.shape[1] * c.x.shape[1]))
    parts = zip(c.x.split(step), index.split(step), strict=True)
    squared = torch.cat([_kth(_squared_distances(rows[:, None], c.x[i]), k) for rows, i in parts])
    if index.shape[1] < n - 1:  # an example that is no candidate may be nearer than the k-th candidate
        for row in ((low_bounds[:, -1] < squared) & (squared > 0)).nonzero():
            step = max(1, AT_ONCE // c.x.shape[1])
            d = torch.cat([_squared_distances(c.x[row], others) for others in c.x.split(step)])
            d[row] = torch.inf
            squared[row] = _kth(d[None], k)
    return squared * (1 + TIE)


def _kth(d: Tensor, k: int) -> Tensor:
    """The k-th smallest number of each row."""
    return d.topk(k, 1, largest=False).values[:, -1]


def _tile_candidates(c: PointCloud, m: int, block: int) -> tuple[Tensor, Tensor]:
    """Lower bounds on the squared distances to the m nearest, ascending, and their row numbers: (N, m) each."""
    low_bounds = torch.full((len(c.x), m), torch.inf, device=c.x.device)
    index = torch.zeros(low_bounds.shape, dtype=torch.long, device=c.x.device)
    for i, j in combinations_with_replacement(range(0, len(c.x), block), 2):  # each pair of tiles once
        rows_i, rows_j = slice(i, i + block), slice(j, j + block)
        low = _lower_bounds(c, c, rows_i, rows_j)
        if i == j:
            low.fill_diagonal_(torch.inf)  # an example is no neighbour of itself
        else:
            low_bounds[rows_j], index[rows_j] = _merge_nearest(low_bounds[rows_j], index[rows_j], low.T, i)
        low_bounds[rows_i], index[rows_i] = _merge_nearest(low_bounds[rows_i], index[rows_i], low, j)
    return low_bounds, index


def ball_membership(
    a: PointCloud, b: PointCloud, rows_a: slice, rows_b: slice, radii_a: Tensor, radii_b: Tensor
) -> tuple[Tensor, Tensor]:
    """Whether a is in the ball of b, and whether b is in the ball of a, for the pairs of a tile: (n, m) each.

    `rows_a`, `rows_b`: the rows of a and of b in the tile. `radii_a`, `radii_b`: their squared radii, (n,) and (m,).
    """
    low, rounding_a, rounding_b = _lower_bounds(a, b, rows_a, rows_b), a.rounding[rows_a], b.rounding[rows_b]
    in_b, in_a = low <= radii_b, low <= radii_a[:, None]
    certain_b = low <= radii_b - 2 * (rounding_b + rounding_a.max())
    certain_a = low <= (radii_a - 2 * (rounding_a + rounding_b.max()))[:, None]
    undecided = (in_b ^ certain_b).logical_or_(in_a ^ certain_a).nonzero()
    for i, j in (part.unbind(1) for part in undecided.split(max(1, AT_ONCE // a.x.shape[1]))):
        d = _squared_distances(a.x[rows_a][i], b.x[rows_b][j])
        in_b[i, j], in_a[i, j] = d <= radii_b[j], d <= radii_a[i]
    return in_b, in_a
