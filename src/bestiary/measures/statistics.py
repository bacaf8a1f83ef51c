"""Statistics column by column and pair by pair: where samples and data differ, and by how much.

    separation    S = ½ Σ_b (h_b − g_b)²/(h_b + g_b), h, g shares of real and fake in bins of equal real counts: 0 to 1
    mean, spread  differences of mean and of standard deviation in their standard errors
    correlation   the largest |ρ_fake − ρ_real| over pairs of columns, and its root mean square

A separation is biased upwards by about (bins − 1)/(2 n) for n examples on each side: the floor shows it.

Legend: N examples, F columns.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.frechet import same_features
from bestiary.measures.number import Number, Reference

__all__ = ["correlations", "separations", "statistics"]

BINS = 50


def separations(fake: Tensor, real: Tensor, bins: int = BINS) -> Tensor:
    """S of each column, (F,): bins hold equal shares of the real values; values that repeat share a bin."""
    quantiles = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
    found = []
    for a, b in zip(fake.double().T, real.double().T, strict=True):
        edges = torch.quantile(b, quantiles).unique()
        size = len(edges) + 1
        # a value on an edge counts to the left, so that a column of zeros and ones has two bins
        h, g = (torch.bincount(torch.bucketize(x.contiguous(), edges), minlength=size).double() for x in (b, a))
        h, g = h / h.sum(), g / g.sum()
        found.append(((h - g).square() / (h + g).clamp_min(1e-300)).sum() / 2)
    return torch.stack(found)


def correlations(x: Tensor) -> Tensor:
    """The correlation matrix, (F, F); a constant column has none with any other."""
    z = x.double() - x.double().mean(0)
    scale = z.norm(dim=0)
    z = z / torch.where(scale > 0, scale, torch.ones_like(scale))
    return z.T @ z


def _worst(values: Tensor, names: Sequence[str], most: int = 3) -> str:
    order = values.argsort(descending=True)[:most]
    return ", ".join(f"{names[int(i)]} {float(values[i]):.3g}" for i in order)


def statistics(
    fake: Tensor, real: Tensor, other: Tensor, names: Sequence[str], protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """Marginals and pairs of fake against real; other real examples give the floors."""
    fake, real, other = (x.flatten(1) for x in (fake, real, other))
    same_features(fake, real, other)
    if len(names) != real.shape[1]:
        raise BestiaryError(f"{len(names)} names for {real.shape[1]} columns")
    n = min(len(fake), len(real), len(other))
    fake, real, other = fake[:n], real[:n], other[:n]
    said = {**(protocol or {}), "n": n}
    apart, floor = separations(fake, real), separations(other, real)
    as_many = "other real examples, as many"
    numbers = [
        Number("separation", "separation of the marginals, mean", float(apart.mean()), unit="share", better="lower",
               floor=Reference(float(floor.mean()), says=as_many), protocol={**said, "bins": BINS},
               says=f"0 where all columns are alike, 1 where none overlaps. Worst: {_worst(apart, names)}."),
        _moment(fake, real, other, names, said),
    ]  # fmt: skip
    if real.shape[1] > 1:
        numbers.append(_pairs(fake, real, other, names, said))
    return numbers


def _z(a: Tensor, b: Tensor) -> Tensor:
    """Differences of means in standard errors: (F,)."""
    a, b = a.double(), b.double()
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    return (a.mean(0) - b.mean(0)).abs() / error.clamp_min(1e-12)


def _moment(fake: Tensor, real: Tensor, other: Tensor, names: Sequence[str], said: Mapping[str, object]) -> Number:
    """The root mean square over columns of the means' distance in standard errors."""
    apart, floor = _z(fake, real), _z(other, real)
    return Number(
        "means", "means apart, in standard errors", float(apart.square().mean().sqrt()), unit="σ", better="lower",
        floor=Reference(float(floor.square().mean().sqrt()), says="other real examples, as many; 1 is expected"),
        protocol=dict(said), says=f"Root mean square over columns. Worst: {_worst(apart, names)}.",
    )  # fmt: skip


def _pairs(fake: Tensor, real: Tensor, other: Tensor, names: Sequence[str], said: Mapping[str, object]) -> Number:
    upper = torch.triu_indices(real.shape[1], real.shape[1], 1)
    there = correlations(real)
    apart, floor = ((correlations(x) - there)[upper[0], upper[1]].abs() for x in (fake, other))
    worst = int(apart.argmax())
    pair = f"{names[int(upper[0][worst])]} with {names[int(upper[1][worst])]} by {float(apart[worst]):.3g}"
    return Number(
        "correlations", "correlations apart, root mean square", float(apart.square().mean().sqrt()), unit="ρ",
        better="lower", floor=Reference(float(floor.square().mean().sqrt()), says="other real examples, as many"),
        protocol=dict(said), says=f"Over all pairs of columns. Worst: {pair}.",
    )  # fmt: skip
