"""Upper bounds on −log p(x), −ELBO and importance-weighted: always called bounds, with k, n and an interval.

    log p(x) ≥ L_k(x) = E log 1/k Σ_i p(x, z_i)/q(z_i|x),   z_i ~ q(z|x)      (Burda et al. 2016, arXiv 1509.00519)

All L_k with k ≤ K come from the same K draws with weights w_1 … w_K: L_k is the mean of log 1/k Σ w over the ⌊K/k⌋
disjoint runs of k draws, which is unbiased for every k.

L_1 is the ELBO. L_k rises with k towards log p(x). The numbers are −L_k, upper bounds on −log p(x): lower is better.
The interval is mean ± t s/√n over examples, Student's. It does not include the gap between the bound and −log p(x).

    bits/dim = nats / (ln 2 · dimensions)       only if x has levels: then p(x) is a probability, not a density

For columns that were standardised, log p(raw) = log p(x) − Σ log scale: `shift` adds that to −L.

Legend: n examples, k samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import log, nan
from typing import Any

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.dominance import FewRows, RowName, dominant_rows, number_rows
from bestiary.measures.intervals import student_interval
from bestiary.measures.number import Number, Reference

__all__ = ["bound_numbers", "draw_counts"]

Bounds = Callable[[Any, Sequence[int]], Tensor]  # examples (B, …), k_1 … k_R → L_k (R, B)


def draw_counts(k: int) -> list[int]:
    """The numbers of draws at which the bound is estimated: 1, 10, 100, … and k itself.

    >>> draw_counts(50), draw_counts(100), draw_counts(1)
    ([1, 10, 50], [1, 10, 100], [1])
    """
    powers = [10**i for i in range(10) if 10**i < k]
    return [*powers, k]


def bound_numbers(
    bounds: Bounds,
    x: Any,  # examples: a tensor, or a batch
    k: int = 100,
    *,
    dimensions: int = 0,
    shift: float = 0.0,
    floor: Reference | None = None,
    protocol: Mapping[str, object] | None = None,
    batch: int = 64,
    progress: Callable[[int, int], None] = lambda done, total: None,
    row_name: RowName = number_rows,
) -> tuple[list[Number], Tensor]:
    """−L_1 and −L_k of the examples x as numbers, and the curve of −L_k over k.

    Numbers are in nats, and in bits per dimension too if `dimensions` > 0. The curve has a row for each of k = 1, 10,
    100 …: k, −L_k and the ends of its interval, (R, 4). Where a few examples dominate a mean, these are named by
    `row_name`, and the mean without them follows.
    """
    if k < 1:
        raise BestiaryError(f"k={k}: the importance-weighted bound needs k ≥ 1 draws, for example k=100")
    if not len(x):
        raise BestiaryError("a bound needs at least one example, and there is none")
    ks = draw_counts(k)
    losses = -_batched_bounds(bounds, x, ks, batch, progress) + shift  # (R, N)
    intervals = [student_interval(row) for row in losses]
    shared = {**(protocol or {}), "n": len(x), "interval": "95%, Student, over examples"}
    numbers, robust = [], []
    for name, row, title, says in _ROWS[: 1 if k == 1 else 2]:
        number_protocol, full_title = {**shared, "k": ks[row]}, title.format(k=k)
        plain = f"An example costs at most {intervals[row][0]:,.1f} nats on average (−log p(x), lower is better)."
        numbers.append(
            Number(
                f"nll_{name}", full_title, *intervals[row], "nats", "lower", floor,
                protocol=number_protocol, says=says, plain=plain, weight=WEIGHT if k == 1 or name == "iwae" else 0,
            )
        )  # fmt: skip
        if few := dominant_rows(losses[row]):
            numbers[-1], without = _beside_outliers(numbers[-1], losses[row], few, row_name)
            robust.append(without)
        if dimensions:
            numbers.append(_in_bits(numbers[-1], name, log(2) * dimensions))
    return [*numbers, *robust], _curve(ks, intervals)


WEIGHT = 10  # the least of all in a verdict: it counts if there are no samples that say more

_ROWS = (
    ("elbo", 0, "−ELBO", "An upper bound on −log p(x), on average over examples."),
    (
        "iwae",
        -1,
        "upper bound on −log p(x), importance-weighted, k = {k}",
        "A tighter upper bound on −log p(x), from k draws of z for each example.",
    ),
)


def _curve(ks: Sequence[int], intervals: Sequence[tuple[float, float | None, float | None]]) -> Tensor:
    """k, −L_k and its ends, NaN where there are none: (R, 4)."""
    return torch.tensor(
        [[k, *(nan if v is None else v for v in interval)] for k, interval in zip(ks, intervals, strict=True)]
    )


def _beside_outliers(number: Number, losses: Tensor, few: FewRows, row_name: RowName) -> tuple[Number, Number]:
    """A number that a few examples dominate, which says so, and its robust form without them, which is read instead."""
    keep = few.keep(len(losses))
    mean, low, high = student_interval(losses[keep])
    sentence = few.sentence(len(losses), row_name)
    robust = replace(
        number, name=f"{number.name}_robust", title=f"{number.title}, without {len(few.rows)} outliers",
        value=mean, low=low, high=high, protocol={**number.protocol, "n": int(keep.sum()), "without": few.rows},
        says=f"{number.says} Without the rows that dominate the mean over all. Median over all:"
        f" {float(losses.median()):,.4g}.",
        plain=f"An example costs at most {mean:,.1f} nats on average (−log p(x), lower is better), without outliers."
        f" With all it is {number.value:,.1f}: {sentence}",
    )  # fmt: skip
    says = f"{number.says} Dominated by outliers: {sentence}"
    protocol = {**number.protocol, "dominated_by": sentence}
    return replace(number, protocol=protocol, says=says, plain="", weight=0, detail=True), robust


def _batched_bounds(
    bounds: Bounds, x: Any, ks: Sequence[int], batch: int, progress: Callable[[int, int], None]
) -> Tensor:
    """L_k of all examples for each k, (R, N)."""
    parts = []
    with torch.no_grad():
        for first in range(0, len(x), batch):
            parts.append(bounds(x[first : first + batch], ks).double().cpu())
            progress(min(first + batch, len(x)), len(x))
    return torch.cat(parts, 1)


def _in_bits(nats: Number, name: str, unit: float) -> Number:
    """The number in bits per dimension; `unit`: nats in one of these."""

    def scaled(value: float | None) -> float | None:
        return None if value is None else value / unit

    f = nats.floor
    floor = f and replace(f, value=f.value / unit, low=scaled(f.low), high=scaled(f.high))
    return replace(
        nats,
        name=f"bpd_{name}",
        plain="",
        weight=0,
        value=scaled(nats.value),
        low=scaled(nats.low),
        high=scaled(nats.high),
        unit="bits/dim",
        floor=floor,
    )
