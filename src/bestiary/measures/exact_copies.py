"""Exact, mirrored and near copies of examples among samples: counted, with or without held-out examples.

    exact       share of samples that equal an example; mirrored: that equal an example flipped left to right
    near        share of samples with d₁/d₂ < ½, d₁ and d₂ the distances to the nearest and second nearest example.
                The ratio does not depend on scale: blurred or crowded samples do not lower it, copies do
                (the nearest-neighbour distance ratio of data protection, Lowe 2004)

The floor is what real examples get in place of samples: held-out ones, or, if there are none, the examples themselves,
each compared with all others. So rows that repeat by nature, as in a table of few categories, are no copies. It is an
alarm if the interval lies above the interval of the floor.

Two rows are equal if no number differs by more than `TOLERANCE` times its size or 1, in model units: a table that is
written and read again is the same. They are found among rows with the same projection on one random direction.

Legend: n samples, N examples, F numbers of a row.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from bestiary.measures.intervals import wilson
from bestiary.measures.neighbours import nearest
from bestiary.measures.number import ALARM, Number, Reference, percent

__all__ = ["equal_rows", "exact_copies", "near_copies"]

TOLERANCE = 1e-5
MOST_CANDIDATES = 64  # rows with the same projection that are compared number by number
ROWS = 2048  # rows in a block
RATIO = 0.5  # d₁/d₂ below which a sample is a near copy


def equal_rows(a: Tensor, b: Tensor, among_itself: bool = False) -> Tensor:
    """Whether each row of a equals a row of b: (n,) bool. `among_itself`: a is the first rows of b; a row of b at the
    same place does not count."""
    a, b = a.flatten(1), b.flatten(1)
    direction = torch.randn(b.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    place_a, place_b = (torch.cat([rows.double() @ direction for rows in x.split(ROWS)]) for x in (a, b))
    place_b, order = place_b.sort()
    window = TOLERANCE * float(direction.norm()) * place_a.abs().clamp_min(1)
    first, end = torch.searchsorted(place_b, place_a - window), torch.searchsorted(place_b, place_a + window)
    found = torch.zeros(len(a), dtype=torch.bool)
    for step in range(min(MOST_CANDIDATES, int((end - first).max()) if len(a) else 0)):
        rows = ((first + step < end) & ~found).nonzero()[:, 0]
        candidates = order[first[rows] + step]
        if among_itself:
            rows, candidates = rows[candidates != rows], candidates[candidates != rows]
        for part, other in zip(rows.split(ROWS), candidates.split(ROWS), strict=True):
            x = a[part].double()
            found[part] = ((x - b[other]).abs() <= TOLERANCE * x.abs().clamp_min(1)).all(1)
    return found


def exact_copies(
    samples: Tensor, training: Tensor, held_out: Tensor | None = None, *, pictures: bool = False,
    noun: str = "training", protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """The shares of exact copies of `training` examples, of mirrored ones if they are `pictures`, and of exact copies
    of `held_out` examples if there are any. `noun`: what the training examples are called."""
    samples, training = samples.cpu(), training.cpu()
    held_out = None if held_out is None or not len(held_out) else held_out.cpu()
    sizes = {"n": len(samples), "train": len(training)}
    full_protocol = {**(protocol or {}), **sizes, "equal": f"to {TOLERANCE:g}", "interval": "95%, Wilson"}
    others = training[: len(samples)] if held_out is None else held_out
    by_nature = equal_rows(others, training, among_itself=held_out is None)
    hits = equal_rows(samples, training)
    numbers = [_number("exact_copies", f"exact copies of {noun} examples", hits, by_nature, "", full_protocol)]
    if pictures:
        kind, mirrored = f"mirrored copies of {noun} examples", training.flip(-1)
        hits, by_nature = equal_rows(samples, mirrored), equal_rows(others, mirrored)
        numbers.append(_number("mirrored_copies", kind, hits, by_nature, "", full_protocol))
    if held_out is not None:
        hits, by_nature = equal_rows(samples, held_out), equal_rows(training[: len(samples)], held_out)
        kind, leak = "exact copies of held-out examples", " What made them has seen these: they are not held out."
        numbers.append(_number("held_out_copies", kind, hits, by_nature, leak, full_protocol))
    return numbers


def _number(
    name: str, kind: str, hits: Tensor, by_nature: Tensor, cause: str, protocol: Mapping[str, object]
) -> Number:
    """The share of samples that are hits; `by_nature`: whether real examples in their place are."""
    n, low_high = len(hits), wilson(int(hits.sum()), len(hits))
    floor_ends = wilson(int(by_nature.sum()), len(by_nature))
    alarm = low_high[0] > floor_ends[1]
    counted = f"{int(hits.sum())} of {n} samples are {kind}."
    return Number(
        name, f"share of samples that are {kind}", float(hits.double().mean()), *low_high, "share", "lower",
        Reference(float(by_nature.double().mean()), *floor_ends, "real examples in place of samples"),
        protocol=protocol, says=f"{counted} Samples were copied if the interval is above that of the floor.",
        plain=f"Copies: {counted}{cause}" if alarm else "", weight=ALARM if alarm else 0, detail=not alarm,
    )  # fmt: skip


def near_copies(
    samples: Tensor, real: Tensor, space: str = "pixels", protocol: Mapping[str, object] | None = None
) -> Number:
    """The share of samples that are far nearer to one real example than to any other. Needs three real examples."""
    (near, n), (near_real, n_real) = _near(samples, real, False), _near(real[: len(samples)], real, True)
    low, high = wilson(near * n, n)
    floor = Reference(near_real, *wilson(near_real * n_real, n_real), "real examples in place of samples")
    assert floor.high is not None  # Wilson gives it
    alarm = low > floor.high
    return Number(
        "near_copies", "share of samples that are near copies of real examples", near, low, high, "share", "lower",
        floor,
        protocol={**(protocol or {}), "n": len(samples), "n_real": len(real), "space": space,
                  "near": f"distance to the nearest example < {RATIO:g} of that to the second nearest",
                  "interval": "95%, Wilson, less what samples share"},
        says="Share of samples that lie at least twice as near to one real example as to any other. More than the"
        " floor: they were copied. Other real examples, given as held, show blurred copies too.",
        plain=_near_plain(near, near_real, alarm), weight=ALARM if alarm else 70,
    )  # fmt: skip


def _near_plain(near: float, near_real: float, alarm: bool) -> str:
    """The share of near copies in a sentence."""
    if not alarm:
        return "No near copies of real examples were found."
    share = (near - near_real) / (1 - near_real)
    return f"About {percent(share)} of the samples are exact or near copies of real examples."


def _near(x: Tensor, real: Tensor, is_real: bool) -> tuple[float, float]:
    """The share of near copies in x, and how many independent ones x has: k_j at example j count as N²/Σ k_j²."""
    d, index = nearest(x, real, 3)
    if is_real:  # each without itself, which is the nearest, or equal to the nearest
        d, index = d[:, 1:], index[:, 1:]
    near = (d[:, 0] < RATIO * d[:, 1]) | (d[:, 0] == 0)
    sizes = index[:, 0].unique(return_counts=True)[1].double()
    return float(near.double().mean()), len(x) ** 2 / float(sizes.square().sum())
