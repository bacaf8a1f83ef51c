"""Nearest neighbours: does a model copy its training examples, stay close to the data, and reach all of it?

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
    fidelity       median_s d(s, R)                 R real examples. Large where samples look like nothing real.
    coverage       median_r d(r, S)                 S samples, as many as R. Large where the model leaves things out.

The floors of the last two are real examples in the place of samples: a model cannot be asked to do better, though one
that makes averages of examples (blurred means) can come below the fidelity floor, which is no merit.

Neighbours are screened by matrix products, in blocks of `block`² numbers, and decided by exact distances.

Legend: n samples, m examples, F features.
"""

from collections.abc import Mapping
from math import hypot, sqrt

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.number import Number, Reference

__all__ = ["copying", "distance_ratio", "distances", "nearest", "two_sample_distances", "wilson"]

LEAST_TO_RESAMPLE = 8
TIED = 8  # rows that are equally near, of which it is counted how many are training examples
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
    found = [_of_block(rows, b, centre, reach, k, block) for rows in a.split(block)]
    d, index = (torch.cat(parts) for parts in zip(*found, strict=True))
    return d / sqrt(a.shape[1]), index


def _of_block(rows: Tensor, b: Tensor, centre: Tensor, reach: float, k: int, block: int) -> tuple[Tensor, Tensor]:
    """Screened in single precision; once more in double where that could have left out a nearer one, as it does in
    heaps that are far narrower than they lie apart. `reach`: the largest ‖b − centre‖."""
    index, last = _candidates(rows, b, centre, k + SPARE, block)
    d, found = _exactly(rows, b, index, k)
    size = (rows - centre).square().sum(1)
    doubt = 4 * EPS * sqrt(b.shape[1]) * (size.sqrt() + reach).square()
    again = (last + size - doubt < d[:, -1].square()) if index.shape[1] < len(b) else torch.zeros_like(size).bool()
    if again.any():
        closer, _ = _candidates(rows[again], b, centre, k + SPARE, block, torch.float64)
        d[again], found[again] = _exactly(rows[again], b, closer, k)
    return d, found


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


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    z, p = 1.96, successes / n
    centre, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)


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


def copying(
    samples: Tensor, train: Tensor, held: Tensor, space: str = "pixels", protocol: Mapping[str, object] | None = None,
    every: int = 0, radius: float | None = None,
) -> Number:  # fmt: skip
    """The share of samples that copy training examples; `every`: how many there are, where `train` is a part of them.

    Of the copies the part |T|/every is of examples that were searched, and the others count as not copied. `radius`: r,
    if it is known.
    """
    if len(held) < 4:
        raise BestiaryError(f"memorisation needs at least 4 held-out examples to compare with; got {len(held)}")
    radius = float(distances(held, train).median()) if radius is None else radius
    sizes = {"n": len(samples), "train": len(train), "held_out": len(held), "radius": round(radius, 6)}
    sizes |= {"of": every} if every > len(train) else {}
    times = max(1.0, every / len(train))
    value, low, high = (min(1.0, times * v) for v in _copied(samples, train, held, radius))
    return Number(
        "copied",
        "share of samples that copy training examples",
        value,
        low,
        high,
        "share",
        "lower",
        Reference(0.0, says="by exchangeability: what has not seen the training examples copies none"),
        protocol={
            **(protocol or {}),
            **sizes,
            "space": space,
            "interval": "95%, Wilson, of N_T/N and N/n, less what samples share",
        },
        says="About 0 when nothing was copied, 1 when every sample is a copy; below 0 is chance.",
    )


def distance_ratio(
    samples: Tensor, train: Tensor, held: Tensor, space: str = "pixels", seed: int = 0,
    protocol: Mapping[str, object] | None = None,
) -> Number:  # fmt: skip
    """How much nearer samples lie to training than to held-out examples, as many of each."""
    if len(held) < 4:
        raise BestiaryError(f"memorisation needs at least 4 held-out examples to compare with; got {len(held)}")
    fake = torch.stack([distances(samples, train), distances(samples, held)])  # (2, n)
    real = torch.stack([distances(held, train), nearest(held, held, 2)[0][:, 1]])
    sizes = {"n": len(samples), "train": len(train), "held_out": len(held), "space": space, "seed": seed}
    return Number(
        "distance_ratio", "distance to training over distance to held-out examples", *_ratio(fake, seed), "ratio", "",
        Reference(*_ratio(real, seed), "held-out examples in the place of samples"),
        protocol={**(protocol or {}), **sizes, "interval": "95%, bootstrap of the medians"},
        says="Well below its floor where half of the samples copy examples searched; a few do not move a median.",
    )  # fmt: skip


def _ratio(d: Tensor, seed: int, draws: int = 200) -> tuple[float, float | None, float | None]:
    """Of medians of distances (2, n), with its 95% bootstrap interval."""
    n, value = d.shape[1], float(_quotient(d.median(1).values))
    if n < LEAST_TO_RESAMPLE:
        return value, None, None
    index = torch.randint(n, (draws, n), generator=torch.Generator().manual_seed(seed))
    low, high = _quotient(d[:, index].median(2).values).quantile(torch.tensor([0.025, 0.975]).to(d)).tolist()
    return value, low, high


def _quotient(medians: Tensor) -> Tensor:
    """(2, …) → (…); 0/0, where all samples repeat examples of both sides, is 1."""
    top, bottom = medians
    return torch.where(top == bottom, torch.ones_like(top), top / bottom)


def two_sample_distances(
    fake: Tensor, real: Tensor, other: Tensor, space: str = "pixels", seed: int = 0,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """Fidelity and coverage of `fake` against `real`; `other` real ones give the floor. All cut to equal numbers."""
    n = min(len(fake), len(other), len(real))
    fake, real, other = fake[:n], real[:n], other[:n]
    said = {
        **(protocol or {}),
        "n": n,
        "space": space,
        "interval": "95%, bootstrap of the median",
        "seed": seed,
    }
    rows = (
        ("fidelity", "median distance, sample → nearest real", fake, real, other, real,
         "How far a sample is from anything real. Blurred means can come below the floor."),
        ("coverage", "median distance, real → nearest sample", real, fake, real, other,
         "How far real examples are from anything the model makes: large where it leaves things out."),
    )  # fmt: skip
    numbers = []
    for name, title, a, b, floor_a, floor_b, says in rows:
        value, low, high = _median(distances(a, b), seed)
        floor = Reference(*_median(distances(floor_a, floor_b), seed), "real examples in the place of samples")
        numbers.append(
            Number(name, title, value, low, high, "rms difference", "lower", floor, protocol=said, says=says)
        )
    return numbers


def _median(values: Tensor, seed: int, draws: int = 200) -> tuple[float, float | None, float | None]:
    """The median and its 95% bootstrap interval; none from a handful of values, of which a bootstrap knows nothing."""
    if len(values) < LEAST_TO_RESAMPLE:
        return float(values.median()), None, None
    generator = torch.Generator().manual_seed(seed)
    again = values[torch.randint(len(values), (draws, len(values)), generator=generator)].median(1).values
    low, high = again.quantile(torch.tensor([0.025, 0.975]).to(again)).tolist()
    return float(values.median()), low, high
