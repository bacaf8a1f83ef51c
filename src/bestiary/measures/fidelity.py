"""Fidelity and coverage: the median distance from samples to data, and from data to samples.

With d(a, B) = min_{b ∈ B} ‖a − b‖ / √F, the root mean squared difference to the nearest in B:

    fidelity       median_s d(s, R)       R real examples. Large if samples look like nothing real
    coverage       median_r d(r, S)       S samples, as many as R. Large if the model leaves out part of the data

The floors are those of other real examples in place of samples. A model that makes averages of examples (blurred means)
can be below the floor of fidelity, which is no merit.

Legend: n samples, F features.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from bestiary.measures.intervals import group_count, jackknife_half
from bestiary.measures.neighbours import distances_without_groups
from bestiary.measures.number import OTHER_REAL, Number, Reference

__all__ = ["fidelity_and_coverage"]


def fidelity_and_coverage(
    fake: Tensor, real: Tensor, other: Tensor, space: str = "pixels",
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """Fidelity and coverage of `fake` against `real`. Floors: those of `other` real ones. Sets are cut to one size."""
    n = min(len(fake), len(other), len(real))
    fake, real, other = fake[:n], real[:n], other[:n]
    full_protocol = {
        **(protocol or {}),
        "n": n,
        "space": space,
        "interval": f"95%, jackknife of {group_count(n)} groups of both sets, Student",
    }
    rows = (
        ("fidelity", "median distance from a sample to the nearest real example", fake, real, other, real,
         "How far a sample is from anything real. Blurred samples can be below the floor, which is no merit."),
        ("coverage", "median distance from a real example to the nearest sample", real, fake, real, other,
         "How far a real example is from any sample. Large if the model leaves out part of the data."),
    )  # fmt: skip
    numbers = []
    for name, title, a, b, floor_a, floor_b, says in rows:
        value, low, high = _median_distance(a, b)
        floor = Reference(*_median_distance(floor_a, floor_b), OTHER_REAL)
        numbers.append(
            Number(name, title, value, low, high, "rms difference", "lower", floor, protocol=full_protocol, says=says)
        )
    return numbers


def _median_distance(a: Tensor, b: Tensor) -> tuple[float, float | None, float | None]:
    """The median of d(a, B), with the ends of its interval over both sets."""
    groups, group = group_count(len(a), len(b)), torch.arange(len(a))
    found, *without = distances_without_groups(a, b, groups).cpu()
    value = float(found.median())
    if not groups:
        return value, None, None
    half = jackknife_half(torch.stack([d[group % groups != g].median() for g, d in enumerate(without)]))
    return (value, None, None) if half is None else (value, max(0.0, value - half), value + half)
