"""Copies of training examples among samples: their share, and a ratio of distances.

With d(a, B) = min_{b ∈ B} ‖a − b‖ / √F, the root mean squared difference to the nearest in B:

    copied         (N_T − P₀ N)/((1 − P₀) n),   P₀ = |T|/(|T| + |H|)

                   N of n samples are within r of a training (T) or held-out (H) example; r is the median of d(h, T).
                   N_T of these are nearest to a training example. If nothing is copied, T and H are exchangeable and
                   N_T = P₀ N. If a share c of the samples are copies within r/2 of their originals, this number is c.
                   Copies that are blurred more are counted in part: if fewer than 4/5 of those found within r lie
                   within r/2, the number is a lower bound and its interval ends at 1. A share c of copies of held-out
                   examples gives −c P₀/(1 − P₀).
                   (After Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675). Samples with the same nearest example
                   are not independent: k_j samples at example j count as N²/Σ k_j² independent ones (in many
                   dimensions a few examples are nearest to most samples). The interval combines those of N_T/N and of
                   N/n. If T is only a part of the training examples, c is divided by this part.

    ratio          median_s d(s, T) / median_s d(s, H)

                   Its floor is that of held-out examples in place of samples (each without itself); it is below 1 if
                   T is larger than H. Copies are far below the floor; the ratio is 0 if half of the samples are exact.

Legend: n samples, F features.
"""

from collections.abc import Mapping
from math import ceil, hypot, inf
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import group_count, jackknife_half, wilson
from bestiary.measures.neighbours import distances, distances_without_groups, nearest
from bestiary.measures.number import ALARM, Number, Reference, percent

__all__ = ["LEAST", "copy_share", "distance_ratio"]

LEAST = 4  # held-out examples that the measures need
TIES = 8  # of rows at equal distance, so many are looked at
BLURRED = 0.8  # part of the copies within r that lie within r/2, below which others lie beyond r


class _Nearest(NamedTuple):
    """The nearest of all examples to each sample: its distance, its row, and whether it is a training example."""

    d: Tensor  # (n,)
    row: Tensor  # (n,)
    in_training: Tensor  # (n,), a share if several rows are equally near
    chance: float  # P₀


def _nearest_examples(samples: Tensor, train: Tensor, held_out: Tensor) -> _Nearest:
    """The nearest example to each sample.

    If several rows are equally near, the share of them in T counts: if one in T were enough, data with repeated rows
    would seem copied. Rows are shuffled, so that `nearest` prefers neither T nor H among them.
    """
    total = len(train) + len(held_out)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0)).to(train.device)
    d, index = nearest(samples, torch.cat([train, held_out])[order], k=TIES)
    is_tied = (d == d[:, :1]).double()
    shares = ((order < len(train))[index] * is_tied).sum(1) / is_tied.sum(1)
    return _Nearest(d[:, 0], index[:, 0], shares, len(train) / total)


def _copy_share(found: _Nearest, radius: float) -> tuple[float, float, float]:
    """The share of copies within the radius, with its ends."""
    n, is_near, chance = len(found.d), found.d <= radius, found.chance
    near = int(is_near.sum())
    if not near:
        return 0.0, 0.0, wilson(0, n)[1]  # a copy would be near what it copies
    hits = float(found.in_training[is_near].sum())
    group_sizes = found.row[is_near].unique(return_counts=True)[1]
    independent_near = near**2 / float(group_sizes.double().square().sum())
    ends = (hits / near, *wilson(hits / near * independent_near, independent_near))
    share_near, independent_samples = near / n, n * independent_near / near
    value, low, high = (share_near * (p - chance) / (1 - chance) for p in ends)
    share_ends = wilson(share_near * independent_samples, independent_samples)
    least, most = sorted(value / share_near * end for end in share_ends)
    return value, value - hypot(value - low, value - least), value + hypot(high - value, most - value)


def _check_held_out(held_out: Tensor) -> None:
    """Refuse too few held-out examples."""
    if len(held_out) < LEAST:
        raise BestiaryError(f"counting copies needs at least {LEAST} held-out examples, and there are {len(held_out)}")


def copy_share(
    samples: Tensor, train: Tensor, held_out: Tensor, space: str = "pixels",
    protocol: Mapping[str, object] | None = None, training_size: int = 0, radius: float | None = None,
) -> Number:  # fmt: skip
    """The share of samples that copy training examples.

    `training_size`: the number of training examples, if `train` is a part of them; the share is divided by that part.
    `radius`: r, if it is known.
    """
    _check_held_out(held_out)
    radius = float(distances(held_out, train).median()) if radius is None else radius
    sizes = {"n": len(samples), "train": len(train), "held_out": len(held_out), "radius": round(radius, 6)}
    sizes |= {"of": training_size} if training_size > len(train) else {}
    found = _nearest_examples(samples, train, held_out)
    scale = max(1.0, training_size / len(train))
    value, low, high = (min(1.0, scale * v) for v in _copy_share(found, radius))
    blurred = low > 0 and _copy_share(found, radius / 2)[0] < BLURRED * value / scale
    high = 1.0 if blurred else high
    leaked = max(0.0, -value * (1 - found.chance) / found.chance) if high < 0 else 0.0
    return Number(
        "copied", f"share of samples that copy training examples{', at least' if blurred else ''}", value, low, high,
        "share", "lower", Reference(0.0, says="a model that has not seen the training examples copies none"),
        protocol={**(protocol or {}), **sizes, "space": space,
                  "interval": "95%, Wilson, of N_T/N and N/n, less what samples share"
                  + ("; without an upper end, for the copies are blurred" if blurred else "")},
        says="0: no sample is a copy; 1: every sample is. It shows copying if the whole interval is above 0. It holds"
        f" for copies within {radius / 2:.2g} of their original, half of the median distance from a held-out example to"
        " a training example; of blurrier ones it counts a part. Below 0: chance, or samples that copy held-out"
        " examples.",
        plain=_plain(value, low, high, blurred, leaked), weight=ALARM if low > 0 or leaked else 70,
    )  # fmt: skip


def _plain(value: float, low: float, high: float, blurred: bool, leaked: float) -> str:
    """The share of copies in a sentence that its interval supports."""
    if leaked:
        return (
            f"About {percent(leaked)} of the samples copy held-out examples: what made the samples has seen them, and"
            " they test nothing."
        )
    if low > 0:
        share = f"At least {percent(low)}" if blurred else f"About {percent(value)}"
        return f"{share} of the samples copy training examples."
    most = f" (at most {ceil(100 * high)}% of the samples can be copies)" if high > 0 else ""
    return f"No copies of training examples were found{most}."


def distance_ratio(
    samples: Tensor, train: Tensor, held_out: Tensor, space: str = "pixels",
    protocol: Mapping[str, object] | None = None,
) -> Number:  # fmt: skip
    """How much nearer samples are to training examples than to held-out ones."""
    _check_held_out(held_out)
    groups = group_count(len(samples), len(train), len(held_out))
    to_train, to_held = (distances_without_groups(samples, b, groups) for b in (train, held_out))
    floor_groups = group_count(len(train), len(held_out))
    floor_train = distances_without_groups(held_out, train, floor_groups)
    floor_held = distances_without_groups(held_out, held_out, floor_groups, among_itself=True)
    sizes = {"n": len(samples), "train": len(train), "held_out": len(held_out), "space": space}
    return Number(
        "distance_ratio", "median distance to training examples ÷ that to held-out ones", *_ratio(to_train, to_held),
        "ratio", "",
        Reference(*_ratio(floor_train, floor_held), "held-out examples in place of samples"),
        protocol={**(protocol or {}), **sizes, "interval": "95%, jackknife of groups of all sets, Student"},
        says="Far below the floor if half of the samples or more are copies; fewer copies do not move a median.",
        detail=True,
    )  # fmt: skip


def _ratio(top: Tensor, bottom: Tensor) -> tuple[float, float | None, float | None]:
    """The ratio of the medians of distances, whole and without each group (G + 1, n), with its ends."""
    groups, group = len(top) - 1, torch.arange(top.shape[1], device=top.device)
    value = _quotient(top[0], bottom[0])
    if not groups:
        return value, None, None
    kept = [group % groups != g for g in range(groups)]
    left = [_quotient(a[rows], b[rows]) for a, b, rows in zip(top[1:], bottom[1:], kept, strict=True)]
    half = jackknife_half(torch.tensor(left))
    return (value, None, None) if half is None else (value, max(0.0, value - half), value + half)


def _quotient(top: Tensor, bottom: Tensor) -> float:
    """The median of one over that of the other. 0/0 is 1: all samples are exact copies from both sides."""
    a, b = float(top.median()), float(bottom.median())
    return 1.0 if a == b else a / b if b else inf
