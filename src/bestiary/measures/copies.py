"""Copies of training examples among samples: their share, and a ratio of distances.

With d(a, B) = min_{b ∈ B} ‖a − b‖ / √F, the root mean squared difference to the nearest in B:

    copied         (N_T − P₀ N)/((1 − P₀) n),   P₀ = |T|/(|T| + |H|)

                   N of n samples are within r of a training (T) or held-out (H) example; r is the median of d(h, T).
                   N_T of these are nearest to a training example. If nothing is copied, T and H are exchangeable and
                   N_T = P₀ N. If a share c of the samples are copies, this number is c, however blurred they are
                   (after Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675). Samples with the same nearest example
                   are not independent: k_j samples at example j count as N²/Σ k_j² independent ones (in many
                   dimensions a few examples are nearest to most samples). The interval combines those of N_T/N and of
                   N/n. If T is only a part of the training examples, c is divided by this part.

    ratio          median_s d(s, T) / median_s d(s, H)

                   Its floor is that of held-out examples in place of samples (each without itself); it is below 1 if
                   T is larger than H. Copies are far below the floor; the ratio is 0 if half of the samples are exact.

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

__all__ = ["LEAST", "copy_share", "distance_ratio"]

LEAST = 4  # held-out examples that the measures need
TIES = 8  # of rows at equal distance, so many are looked at


def _copy_share(samples: Tensor, train: Tensor, held_out: Tensor, radius: float) -> tuple[float, float, float]:
    """The share of copies, with its ends.

    If several rows are equally near, the share of them in T counts: if one in T were enough, data with repeated rows
    would seem copied. Rows are shuffled, so that `nearest` prefers neither T nor H among them.
    """
    total = len(train) + len(held_out)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0)).to(train.device)
    d, index = nearest(samples, torch.cat([train, held_out])[order], k=TIES)
    is_near = d[:, 0] <= radius
    near, chance = int(is_near.sum()), len(train) / total
    if not near:
        return 0.0, 0.0, wilson(0, len(samples))[1]  # a copy would be near what it copies
    d, index = d[is_near], index[is_near]
    is_tied = (d == d[:, :1]).double()
    hits = float((((order < len(train))[index] * is_tied).sum(1) / is_tied.sum(1)).sum())
    group_sizes = index[:, 0].unique(return_counts=True)[1]
    independent_near = near**2 / float(group_sizes.double().square().sum())
    ends = (hits / near, *wilson(hits / near * independent_near, independent_near))
    share_near, independent_samples = near / len(samples), len(samples) * independent_near / near
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
    scale = max(1.0, training_size / len(train))
    value, low, high = (min(1.0, scale * v) for v in _copy_share(samples, train, held_out, radius))
    return Number(
        "copied", "share of samples that copy training examples", value, low, high, "share", "lower",
        Reference(0.0, says="a model that has not seen the training examples copies none"),
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
    samples: Tensor, train: Tensor, held_out: Tensor, space: str = "pixels", seed: int = 0,
    protocol: Mapping[str, object] | None = None,
) -> Number:  # fmt: skip
    """How much nearer samples are to training examples than to held-out ones."""
    _check_held_out(held_out)
    of_samples = torch.stack([distances(samples, train), distances(samples, held_out)])  # (2, n)
    of_held_out = torch.stack([distances(held_out, train), nearest(held_out, held_out, 2)[0][:, 1]])
    sizes = {"n": len(samples), "train": len(train), "held_out": len(held_out), "space": space, "seed": seed}
    return Number(
        "distance_ratio", "median distance to training examples ÷ that to held-out ones", *_ratio(of_samples, seed),
        "ratio", "",
        Reference(*_ratio(of_held_out, seed), "held-out examples in place of samples"),
        protocol={**(protocol or {}), **sizes, "interval": "95%, bootstrap of the medians"},
        says="Far below the floor if half of the samples or more are copies; fewer copies do not move a median.",
        detail=True,
    )  # fmt: skip


def _ratio(distances_: Tensor, seed: int, draws: int = 200) -> tuple[float, float | None, float | None]:
    """The ratio of the medians of distances (2, n), with its bootstrap ends."""
    n, value = distances_.shape[1], float(_ratio_of_rows(distances_.median(1).values))
    if n < LEAST_TO_RESAMPLE:
        return value, None, None
    rows = torch.randint(n, (draws, n), generator=torch.Generator().manual_seed(seed))
    return value, *quantile_ends(_ratio_of_rows(distances_[:, rows].median(2).values))


def _ratio_of_rows(medians: Tensor) -> Tensor:
    """The first row over the second, (2, …) → (…). 0/0 is 1: all samples are exact copies from both sides."""
    top, bottom = medians
    return torch.where(top == bottom, torch.ones_like(top), top / bottom)
