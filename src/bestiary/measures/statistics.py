"""Statistics column by column and pair by pair: where samples and data differ, and by how much.

    separation    S = ½ Σ_b (h_b − g_b)²/(h_b + g_b), h, g shares of real and fake in bins of equal real counts: 0 to 1
    means         (m_fake − m_real) in standard errors, √(s²/n) of both
    spreads       (s_fake − s_real) in standard errors, √((m₄ − s⁴)/4 s² n) of both, m₄ the fourth central moment; at
                  least s/√2 n, what is left of it where m₄ = s⁴, as in a column of two values, each half of the time
    correlation   ρ_fake − ρ_real of each pair of columns
    dependence    V = √(Σ_ab [d_ab(fake) − d_ab(real)]²/(m_a m_b) / (b − 1)) of each pair of columns, where
                  d_ab = P(a, b) − P(a) P(b) in five bins of each column, m is the mean of P over both sides and b the
                  smaller number of bins. It sees what a correlation does not, such as y = ±x; it is 1 for a dependence
                  that is perfect on one side and absent on the other (Cramér's V where real columns are independent)

Over columns a separation is averaged, of the others the root mean square is taken; the worst columns are named. A value
that the real column repeats has a bin of its own, so that a constant is told from what lies beside it. A separation is
biased upwards by about (bins − 1)/(2 n) for n examples on each side: the floor shows it. Intervals are jackknives over
groups of examples, and hold for the columns as they are.

Legend: N examples, F columns, G groups, E edges of bins.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import group_count, jackknife_half
from bestiary.measures.number import OTHER_REAL, Number, Reference
from bestiary.measures.set_checks import check_same_features

__all__ = ["correlations", "dependences_apart", "means_apart", "separations", "spreads_apart", "statistics"]

BINS = 50
DEPENDENCE_BINS = 5
MOST_COLUMNS = 64  # whose pairs are compared for dependence: every one of a column's bins meets every other's
MOST_SORTED = 1 << 24  # numbers that torch's quantile takes at once

Apart = Callable[[Tensor, Tensor], Tensor]  # fake and real, (N, F) each → one number a column, or a pair


def separations(fake: Tensor, real: Tensor, bins: int = BINS) -> Tensor:
    """S of each column, (F,)."""
    edges = _edges(real.double(), bins)
    h, g = (_shares(x.double(), edges) for x in (real, fake))
    return ((h - g).square() / (h + g).clamp_min(1e-300)).sum(1) / 2


def _edges(real: Tensor, bins: int) -> Tensor:
    """Upper ends of the bins of each column, each its own: (F, E). Some bins are empty, and count nothing."""
    steps = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=real.device)[1:-1]
    columns = real.split(max(1, MOST_SORTED // len(real)), 1)
    at = torch.cat([torch.quantile(part, steps, dim=0) for part in columns], 1).T.contiguous()
    repeated = torch.zeros_like(at, dtype=torch.bool)
    repeated[:, 1:] = at[:, 1:] == at[:, :-1]
    below = torch.where(repeated, torch.nextafter(at, torch.full_like(at, -torch.inf)), at)
    return torch.cat([at, below], 1).sort(1).values


def _shares(x: Tensor, edges: Tensor) -> Tensor:
    """Of the values in each bin, (F, E + 1); a value on an edge counts to the left."""
    width, size = len(edges), edges.shape[1] + 1
    place = torch.searchsorted(edges, x.T.contiguous()) + size * torch.arange(width, device=x.device)[:, None]
    return torch.bincount(place.flatten(), minlength=width * size).view(width, size).double() / len(x)


def means_apart(fake: Tensor, real: Tensor) -> Tensor:
    """Differences of means in standard errors: (F,)."""
    a, b = fake.double(), real.double()
    return _in_errors(a.mean(0) - b.mean(0), a.var(0) / len(a) + b.var(0) / len(b))


def spreads_apart(fake: Tensor, real: Tensor) -> Tensor:
    """Differences of standard deviations in standard errors: (F,)."""
    (s, v), (t, w) = (_spread(x.double()) for x in (fake, real))
    return _in_errors(s - t, v + w)


def _spread(x: Tensor) -> tuple[Tensor, Tensor]:
    """The standard deviation and the variance of it."""
    variance, fourth = x.var(0), (x - x.mean(0)).pow(4).mean(0)
    error = (fourth - variance.square()) / (4 * variance * len(x)).clamp_min(1e-300)
    return variance.sqrt(), torch.maximum(error, variance / (2 * len(x) ** 2))


def _in_errors(apart: Tensor, variance: Tensor) -> Tensor:
    """Equal constants are 0 apart, different ones infinitely many errors."""
    return torch.where(apart == 0, apart, apart / variance.sqrt())


def correlations(x: Tensor) -> Tensor:
    """The correlation matrix, (F, F); a constant column has none with any other."""
    z = x.double() - x.double().mean(0)
    scale = z.norm(dim=0)
    z = z / torch.where(scale > 0, scale, torch.ones_like(scale))
    return z.T @ z


def _pairs_apart(fake: Tensor, real: Tensor) -> Tensor:
    upper = torch.triu_indices(real.shape[1], real.shape[1], 1)
    return (correlations(fake) - correlations(real))[upper[0], upper[1]]


def dependences_apart(fake: Tensor, real: Tensor) -> Tensor:
    """V of each pair of columns, in the order of the upper triangle."""
    edges = _edges(real.double(), DEPENDENCE_BINS)
    (d, p), (e, q) = (_dependences(x.double(), edges) for x in (fake, real))
    mean = (p + q) / 2  # (F, E + 1)
    weight = mean[:, :, None, None] * mean
    terms = torch.where(weight > 0, (d - e).square() / weight.clamp_min(1e-300), torch.zeros_like(weight))
    bins = (mean > 0).sum(1)
    degrees = (torch.minimum(bins[:, None], bins) - 1).clamp_min(1)
    i, j = torch.triu_indices(len(mean), len(mean), 1)
    return (terms.sum((1, 3)) / degrees).sqrt()[i, j]


def _dependences(x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """P(a, b) − P(a) P(b), (F, E + 1, F, E + 1), and P(a), (F, E + 1)."""
    width, size = len(edges), edges.shape[1] + 1
    place = torch.searchsorted(edges, x.T.contiguous()).T  # (N, F)
    member = torch.nn.functional.one_hot(place, size).flatten(1).double()  # (N, F·(E + 1))
    shares = member.mean(0)
    dependence = member.T @ member / len(x) - torch.outer(shares, shares)
    return dependence.view(width, size, width, size), shares.view(width, size)


def _mean(apart: Tensor) -> float:
    return float(apart.mean())


def _rms(apart: Tensor) -> float:
    return float(apart.square().mean().sqrt())


def statistics(
    fake: Tensor, real: Tensor, other: Tensor, names: Sequence[str], protocol: Mapping[str, object] | None = None,
    owners: Sequence[str] | None = None,
) -> list[Number]:  # fmt: skip
    """Marginals and pairs of fake against real; other real examples give the floors.

    names: of the numbers of an example. owners: the column of each of them, if a column has several, as a category has
    one for each word; of the worst ones only the first of a column, or of two columns, is named.
    """
    fake, real, other = (x.flatten(1) for x in (fake, real, other))
    check_same_features(fake, real, other)
    if len(names) != real.shape[1]:
        raise BestiaryError(f"{len(names)} names for {real.shape[1]} columns")
    n = min(len(fake), len(real), len(other))
    sides = fake[:n], real[:n], other[:n]
    full_protocol = {**(protocol or {}), "n": n, "columns": len(names)}
    alike = "0: every column is distributed as in the data; 1: no column overlaps the data's."
    one = "Root mean square over columns. About 1 if nothing differs."
    owners = names if owners is None else owners
    columns = [(name, owner) for name, owner in zip(names, owners, strict=True)]
    numbers = [
        _number("separation", "separation of single columns, mean", "share", alike, separations, _mean, sides, columns,
                {**full_protocol, "bins": BINS}),
        _number("means", "difference of means, in standard errors", "σ", one, means_apart, _rms, sides, columns,
                full_protocol),
        _number("spreads", "difference of standard deviations, in standard errors", "σ", one, spreads_apart, _rms,
                sides, columns, full_protocol),
    ]  # fmt: skip
    if real.shape[1] > 1:
        at = torch.triu_indices(len(names), len(names), 1).T.tolist()
        pairs = [(f"{names[i]} with {names[j]}", f"{owners[i]} with {owners[j]}") for i, j in at]
        title, over = "difference of correlations, root mean square", "Over all pairs of columns. 0: as in the data."
        numbers.append(_number("correlations", title, "ρ", over, _pairs_apart, _rms, sides, pairs, full_protocol))
        if len(names) <= MOST_COLUMNS:
            title, bins = "difference of dependence, root mean square", {"bins": DEPENDENCE_BINS}
            numbers.append(_number("dependence", title, "V", f"{over} It also sees what is no straight line.",
                                   dependences_apart, _rms, sides, pairs, {**full_protocol, **bins}))  # fmt: skip
    return numbers


def _number(
    name: str, title: str, unit: str, says: str, apart: Apart, whole: Callable[[Tensor], float],
    sides: tuple[Tensor, Tensor, Tensor], names: Sequence[tuple[str, str]], said: Mapping[str, object],
) -> Number:  # fmt: skip
    """One statistic with its interval, floor and worst columns. names: of each number, and of its column or columns."""
    fake, real, other = sides
    each = apart(fake, real)
    value, floor = whole(each), whole(apart(other, real))

    def ends(value: float, x: Tensor) -> tuple[float | None, float | None]:
        half = _jackknife(lambda a, b: whole(apart(a, b)), x, real) if isfinite(value) else None
        return (None, None) if half is None else (max(0.0, value - half), value + half)

    (low, high), groups = ends(value, fake), group_count(len(fake))
    return Number(
        name, title, value if isfinite(value) else None, low, high, unit, "lower",
        Reference(floor, *ends(floor, other), OTHER_REAL) if isfinite(floor) else None,
        protocol=said if low is None else {**said, "interval": f"95%, jackknife of {groups} groups, Student"},
        says=f"{says} Largest: {(largest := _worst(each, names))}.", detail=True,
        equals_at_best=True, largest=largest,
    )  # fmt: skip


def _jackknife(f: Callable[[Tensor, Tensor], float], fake: Tensor, real: Tensor) -> float | None:
    """Half of the 95% interval, from f without each group of both; none where there are too few examples."""
    groups = group_count(len(fake))
    if not groups:
        return None
    group = torch.arange(len(fake), device=fake.device) % groups
    return jackknife_half(torch.tensor([f(fake[group != g], real[group != g]) for g in range(groups)]))


def _worst(values: Tensor, names: Sequence[tuple[str, str]], most: int = 3) -> str:
    """The largest values with their names, one of each column or pair of columns."""
    first: dict[str, str] = {}
    for i in values.abs().argsort(descending=True).tolist():
        name, owner = names[i]
        first.setdefault(owner, f"{name} {f'{float(values[i]):.3g}'.replace('-', '−')}")
        if len(first) == most:
            break
    return ", ".join(first.values())
