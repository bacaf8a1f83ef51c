"""Bounds on the log-likelihood: never called a likelihood, always with k, n and an interval.

    log p(x) ≥ L_k(x) = E log 1/k Σ_i p(x, z_i)/q(z_i|x),   z_i ~ q(z|x)      (Burda et al. 2016, arXiv 1509.00519)

From one set of K draws with weights w_1 … w_K, each L_k with k ≤ K is estimated by the mean over the ⌊K/k⌋ disjoint
runs of k draws of log 1/k Σ w: unbiased for every k, and ELBO and L_K rest on the same draws.

L_1 is the ELBO; L_k rises with k towards log p(x). Reported as −L_k, an upper bound on −log p(x): lower is better.
The interval is mean ± 1.96 s/√n over examples; it does not cover the gap between the bound and log p(x).

    bits/dim = nats / (ln 2 · dimensions)       only where x has levels, so that log p(x) is that of a probability

For columns that were standardised, log p(raw) = log p(x) − Σ log scale: `shift` adds that to −L.

Legend: n examples, k samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Any

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import normal_interval
from bestiary.measures.number import Number, Reference

__all__ = ["bound_numbers", "curve_of"]


Bounds = Callable[[Any, Sequence[int]], Tensor]  # examples (B, …), k_1 … k_R → L_k (R, B)


def curve_of(k: int) -> list[int]:
    """1, 10, 100, … and k itself.

    >>> curve_of(50), curve_of(100), curve_of(1)
    ([1, 10, 50], [1, 10, 100], [1])
    """
    powers = [10**i for i in range(10) if 10**i < k]
    return [*powers, k]


def bound_numbers(
    bounds: Bounds,
    x: Any,  # examples: a tensor, or a batch of them with what stands beside
    k: int = 100,
    *,
    dimensions: int = 0,
    shift: float = 0.0,
    floor: Reference | None = None,
    protocol: Mapping[str, object] | None = None,
    batch: int = 64,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Number], Tensor]:
    """−L_1 and −L_k of the examples x, in nats, and in bits per dimension where `dimensions` > 0; and the k-curve.

    The curve has a row for each of 1, 10, 100 … k: k, −L_k, and the ends of its interval, (R, 4).
    """
    if k < 1:
        raise BestiaryError(f"the importance-weighted bound needs k ≥ 1 samples; got k={k}")
    if not len(x):
        raise BestiaryError("a bound needs at least one example to be judged on")
    ks = curve_of(k)
    losses = -_in_batches(bounds, x, ks, batch, progress) + shift  # (R, N)
    rows = [normal_interval(row) for row in losses]
    shared = {**(protocol or {}), "n": len(x), "interval": "95%, normal, over examples"}
    numbers = []
    for name, row, title, says in _ROWS[: 1 if k == 1 else 2]:
        own, full = {**shared, "k": ks[row]}, title.format(k=k)
        plain = f"An example costs at most {rows[row][0]:,.1f} nats on average (−log p(x), lower is better)."
        numbers.append(
            Number(
                f"nll_{name}", full, *rows[row], "nats", "lower", floor, protocol=own, says=says, plain=plain,
                weight=WEIGHT if k == 1 or name == "iwae" else 0,
            )
        )  # fmt: skip
        if dimensions:
            numbers.append(_in_bits(numbers[-1], name, log(2) * dimensions))
    return numbers, torch.tensor([[size, *interval] for size, interval in zip(ks, rows, strict=True)])


WEIGHT = 10  # said where a model gives no samples that say more

_ROWS = (
    ("elbo", 0, "−ELBO", "An upper bound on −log p(x), on average over examples."),
    (
        "iwae",
        -1,
        "upper bound on −log p(x), importance-weighted, k = {k}",
        "A tighter upper bound on −log p(x), from k draws of z for each example.",
    ),
)


def _in_batches(bounds: Bounds, x: Any, ks: Sequence[int], batch: int, progress: Callable[[int, int], None]) -> Tensor:
    parts = []
    with torch.no_grad():
        for first in range(0, len(x), batch):
            parts.append(bounds(x[first : first + batch], ks).double().cpu())
            progress(min(first + batch, len(x)), len(x))
    return torch.cat(parts, 1)


def _in_bits(nats: Number, name: str, unit: float) -> Number:
    """The same number in bits per dimension."""

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
