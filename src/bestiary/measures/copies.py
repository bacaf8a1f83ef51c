"""Copies: does a model repeat its training examples?

With d(a, B) = min_{b ∈ B} ‖a − b‖ / √F, the root mean squared difference to the nearest in B:

    copied         (N_T − P₀ N)/((1 − P₀) n),   P₀ = |T|/(|T| + |H|)

                   Of n samples, N lie within r of a training (T) or held-out (H) example, r the median of d(h, T), and
                   N_T of these lie nearest to a training one. Were nothing copied, T and H would be exchangeable and
                   N_T = P₀ N; if a share c of the samples are copies, this is c, whatever the samples' blur (after
                   Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675). Samples that share their nearest example
                   are not independent: k_j of them at example j are worth N²/Σ k_j² (in many dimensions a few examples
                   are nearest to most). The interval has a part of N_T/N and one of N/n. Where T is a part of the
                   training examples, c is that of its examples, and is divided by the part.

    ratio          median_s d(s, T) / median_s d(s, H)

                   Of held-out examples in the place of samples (each without itself) it is the floor, below 1 where
                   T is larger than H. Samples that were remembered lie far below it; 0 where half or more are copies.

Legend: n samples, F features.
"""

from collections.abc import Mapping
from math import ceil, hypot

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import LEAST_TO_RESAMPLE, quantile_ends, wilson
from bestiary.measures.neighbours import distances, nearest
from bestiary.measures.number import Number, Reference, percent

__all__ = ["LEAST", "copying", "distance_ratio"]

LEAST = 4  # held-out examples, for any number that tells copies
TIED = 8  # rows that are equally near, of which it is counted how many are training examples


def _copied(samples: Tensor, train: Tensor, held: Tensor, radius: float) -> tuple[float, float, float]:
    """The share of copies, with its interval. Of rows that are equally near, which stand in no order of T and H, the
    share that is of T counts: were it enough that one is, data with repeated rows would seem copied."""
    both = len(train) + len(held)
    order = torch.randperm(both, generator=torch.Generator().manual_seed(0)).to(train.device)
    d, index = nearest(samples, torch.cat([train, held])[order], k=TIED)
    near = d[:, 0] <= radius
    n_near, null = int(near.sum()), len(train) / both
    if not n_near:
        return 0.0, 0.0, wilson(0, len(samples))[1]  # a copy is near what it copies
    d, index = d[near], index[near]
    tied = (d == d[:, :1]).double()
    wins = float((((order < len(train))[index] * tied).sum(1) / tied.sum(1)).sum())
    shared = index[:, 0].unique(return_counts=True)[1]
    worth = n_near**2 / float(shared.double().square().sum())
    ends = (wins / n_near, *wilson(wins / n_near * worth, worth))
    part, independent = n_near / len(samples), len(samples) * worth / n_near
    value, low, high = (part * (p - null) / (1 - null) for p in ends)
    least, most = sorted(value / part * end for end in wilson(part * independent, independent))
    return value, value - hypot(value - low, value - least), value + hypot(high - value, most - value)


def _enough(held: Tensor) -> None:
    if len(held) < LEAST:
        raise BestiaryError(f"copies are told by at least {LEAST} held-out examples, and there are {len(held)}")


def copying(
    samples: Tensor, train: Tensor, held: Tensor, space: str = "pixels", protocol: Mapping[str, object] | None = None,
    every: int = 0, radius: float | None = None,
) -> Number:  # fmt: skip
    """The share of samples that copy training examples; `every`: how many there are, where `train` is a part of them.

    Of the copies the part |T|/every is of examples that were searched, and the others count as not copied. `radius`: r,
    if it is known.
    """
    _enough(held)
    radius = float(distances(held, train).median()) if radius is None else radius
    sizes = {"n": len(samples), "train": len(train), "held_out": len(held), "radius": round(radius, 6)}
    sizes |= {"of": every} if every > len(train) else {}
    times = max(1.0, every / len(train))
    value, low, high = (min(1.0, times * v) for v in _copied(samples, train, held, radius))
    return Number(
        "copied", "share of samples that copy training examples", value, low, high, "share", "lower",
        Reference(0.0, says="by exchangeability: what has not seen the training examples copies none"),
        protocol={**(protocol or {}), **sizes, "space": space,
                  "interval": "95%, Wilson, of N_T/N and N/n, less what samples share"},
        says="0: no sample is a copy; 1: every sample is. It shows copying if the whole interval is above 0. A value"
        " below 0 comes from chance.",
        plain=_plain(value, low, high), weight=70,
    )  # fmt: skip


def _plain(value: float, low: float, high: float) -> str:
    """The share of copies in a sentence that its interval supports."""
    if low > 0:
        return f"About {percent(value)} of the samples copy training examples."
    most = f" (at most {ceil(100 * high)}% of the samples can be copies)" if high > 0 else ""
    return f"No copies of training examples were found{most}."


def distance_ratio(
    samples: Tensor, train: Tensor, held: Tensor, space: str = "pixels", seed: int = 0,
    protocol: Mapping[str, object] | None = None,
) -> Number:  # fmt: skip
    """How much nearer samples lie to training than to held-out examples, as many of each."""
    _enough(held)
    fake = torch.stack([distances(samples, train), distances(samples, held)])  # (2, n)
    real = torch.stack([distances(held, train), nearest(held, held, 2)[0][:, 1]])
    sizes = {"n": len(samples), "train": len(train), "held_out": len(held), "space": space, "seed": seed}
    return Number(
        "distance_ratio", "median distance to training examples ÷ that to held-out ones", *_ratio(fake, seed),
        "ratio", "",
        Reference(*_ratio(real, seed), "held-out examples in place of samples"),
        protocol={**(protocol or {}), **sizes, "interval": "95%, bootstrap of the medians"},
        says="Far below the floor if half of the samples or more are copies; fewer copies do not move a median.",
        detail=True,
    )  # fmt: skip


def _ratio(d: Tensor, seed: int, draws: int = 200) -> tuple[float, float | None, float | None]:
    """Of medians of distances (2, n), with its 95% bootstrap interval."""
    n, value = d.shape[1], float(_quotient(d.median(1).values))
    if n < LEAST_TO_RESAMPLE:
        return value, None, None
    index = torch.randint(n, (draws, n), generator=torch.Generator().manual_seed(seed))
    return value, *quantile_ends(_quotient(d[:, index].median(2).values))


def _quotient(medians: Tensor) -> Tensor:
    """(2, …) → (…); 0/0, where all samples repeat examples of both sides, is 1."""
    top, bottom = medians
    return torch.where(top == bottom, torch.ones_like(top), top / bottom)
