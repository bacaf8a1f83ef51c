"""Samples of any program against real data: both sides loaded, brought to the same units, and compared.

    judge(real=A, fake=B)            folders, files, arrays or names
    judge(real=A, fake=B, held=C)    C real as well, and unknown to whatever made B: copies of A are looked for

All numbers are those of likeness.py, with fidelity and coverage. Half of the real examples are compared with, the other
half stand in the place of samples for the floors; or those held out do, and as many of all the real ones are compared
with as there are samples and held-out ones.
What loading left out, or what looks like other units, is noted.

Legend: N examples, F columns.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.data.columns import to_columns
from bestiary.data.dataset import Dataset
from bestiary.data.load import load as load_data
from bestiary.data.load import loader
from bestiary.data.spec import Spec
from bestiary.data.support import Column
from bestiary.errors import BestiaryError, unknown
from bestiary.grammar.options import signature_options
from bestiary.judging.sample_chapter import Sides, Tests, chosen_features, columns_of, sample_numbers
from bestiary.measures.neighbours import copying, distance_ratio, distances, two_sample_distances
from bestiary.measures.number import Judgement
from bestiary.training.clock import mix

__all__ = ["LEAST", "judge_samples", "space_of"]

LEAST = 4  # examples, for any number that compares two sets
FAR = 10.0  # deviations of a real column, beyond which samples are rather in other units than bad


def judge_samples(
    real: Any,
    fake: Any,
    *,
    held: Any = None,  # other real examples, that whatever made the samples has not seen
    n: int = 10_000,  # examples of each side
    seed: int = 0,  # of the choice of examples
    features: str = "auto",  # where sets are compared: pixels, random, mnist, or a file of weights
    tests: Tests = "all",  # all; fast, without what takes longest; or none
    device: str | torch.device = "cpu",  # of the features
    **options: Any,
) -> Judgement:
    """`fake` against `real`: folders, files, arrays or names; `options` load them (size=)."""
    if features == "labels":
        raise BestiaryError("features=labels are of a run's data: here use features=auto, or a file of weights")
    named = {"real": real, "fake": fake} | ({} if held is None else {"held": held})
    sides = _loaded(named, options)
    spec = sides["real"].spec
    x = {side: _all(d, sides["real"], n, seed) for side, d in sides.items()}
    for side, d in sides.items():
        if spec.x.layout != d.spec.x.layout or x[side].shape[1:] != x["real"].shape[1:]:
            raise BestiaryError(
                f"real is {spec.x.noun} of shape {spec.shape}, {side} is {d.spec.x.noun} of shape {d.spec.shape}: they"
                " must agree. For images give size=HxW and colour=grey or rgb; for rows of pixels shape=HxW"
            )
        least = 2 * LEAST if side == "real" and held is None else LEAST
        if len(x[side]) < least:
            raise BestiaryError(
                f"judging needs at least {least} {side} examples; n={n} takes {len(x[side])} of {len(d)}"
            )
    real_x, other = (x["real"][::2], x["real"][1::2]) if held is None else (x["real"], x["held"])
    protocol = {side: _said(what) for side, what in named.items()} | {f"n_{side}": len(v) for side, v in x.items()}
    protocol |= {"seed": seed} | ({"units": "standard deviations of the real columns"} if spec.x.columns else {})
    notes = [f"Only {len(x['fake'])} samples: intervals are wide."] if len(x["fake"]) < 200 else []
    if held is None and len(x["fake"]) > len(real_x):
        notes.append(
            f"Half of {len(x['real'])} real examples are kept for the floors, and {len(real_x)} samples are compared."
            " With as many other real ones given as held it is all of them."
        )
    if held is not None:
        notes += _of_held(x)
    where = space_of(spec)
    numbers = two_sample_distances(x["fake"], real_x, other, where, seed, protocol)
    if held is not None:
        numbers.append(copying(x["fake"], x["real"], other, where, protocol, len(sides["real"])))
        numbers.append(distance_ratio(x["fake"], x["real"], other, where, seed, protocol))
    more, said, _ = sample_numbers(
        (x["fake"], real_x, other), spec, chosen_features(features, spec, seed, device), tests, seed, protocol,
        sides["real"].truth, sides["real"].modes,
    )  # fmt: skip
    notes += _of_loading(sides) + _other_units(x["fake"], x["real"], spec) + said
    return Judgement(tuple(numbers + more), protocol, tuple(notes), datetime.now().isoformat(timespec="seconds"))


def _of_held(x: Mapping[str, Tensor]) -> list[str]:
    """What makes less of the examples held out than they should be."""
    real, fake, held = (x[side] for side in ("real", "fake", "held"))
    notes = []
    if len(held) < min(len(real), len(fake)):
        notes.append(f"Only {len(held)} examples are held out: so many real ones and samples are compared.")
    if known := int((distances(held, real) == 0).sum()):
        notes.append(
            f"{known} of {len(held)} examples held out are among the real ones: no copies can be told by them."
        )
    return notes


def _of_loading(sides: Mapping[str, Dataset]) -> list[str]:
    """What was left out or changed when the sides were read."""
    real, fake = sides["real"], sides["fake"]
    notes = [
        f"{side}: {said}." for side, d in sides.items() for key in ("skipped", "note") if (said := d.source.get(key))
    ]
    ours, theirs = real.spec.x.levels, fake.spec.x.levels
    if ours != theirs:
        notes.append(f"Real images have {ours} levels and fake ones {theirs}: tests may tell them by that alone.")
    return notes


def _other_units(fake: Tensor, real: Tensor, spec: Spec) -> list[str]:
    """Columns in which samples lie or spread as other units do, and seldom bad samples; images as much darker."""
    if min(len(fake), len(real)) < 2:
        return []
    if spec.x.layout != "row":
        ours, theirs = float(fake.std()), float(real.std())
        apart = max(ours, theirs) > FAR * min(ours, theirs)
        return (
            [f"Pixels of samples spread {ours:.2g}, and those of the data {theirs:.2g}: other units?"] if apart else []
        )
    _, names, _ = columns_of(Sides(fake, real, real), spec)
    scale, spread = real.std(0), fake.std(0)
    away = (fake.median(0).values - real.median(0).values).abs() > FAR * scale
    odd = (away | (spread > FAR * scale) | (FAR * spread < scale)) & (scale > 0)
    found = [name for name, bad in zip(names, odd.tolist(), strict=True) if bad]
    named = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return [f"Samples lie or spread {FAR:g} times otherwise than the data in {named}: other units?"] if found else []


def _loaded(sides: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Dataset]:
    """Each side, loaded with the options that its kind of file knows."""
    known = {side: signature_options(loader(source)) for side, source in sides.items()}
    for key in options:
        if not any(key in k for k in known.values()):
            raise unknown("data option", key, {name: v for k in known.values() for name, v in k.items()})
    return {
        side: _side(side, source, {key: v for key, v in options.items() if key in known[side]})
        for side, source in sides.items()
    }


def _side(side: str, source: Any, options: dict[str, Any]) -> Dataset:
    """One of the sides; an error says which."""
    try:
        return load_data(source, **options)
    except BestiaryError as error:
        raise BestiaryError(f"{side}: {error}") from None


def _all(dataset: Dataset, like: Dataset, n: int, seed: int) -> Tensor:
    """Up to n examples of a set, over all of its parts and shuffled by seed, in the model units of the set `like`."""
    rows = np.random.Generator(np.random.PCG64(mix(seed, "all"))).permutation(len(dataset))[:n]
    stored, own, wanted = np.ascontiguousarray(dataset.x[rows]), dataset.spec.x, like.spec.x
    if own.layout != "row" or wanted.layout != "row" or not (own.columns or wanted.columns):
        return own.units(torch.as_tensor(stored))
    found = to_columns(dataset.spec, stored)
    if wanted.columns:
        return torch.cat([_column(found, column) for column in wanted.columns], 1)
    if any(values.dtype.kind == "U" for values in found.values()):  # a toy keeps its own units
        raise BestiaryError(f"{dataset.name} has columns of words and {like.name} none: they must agree")
    return torch.from_numpy(np.column_stack([*found.values()]).astype(np.float32))


def _column(found: dict[str, np.ndarray], like: Column) -> Tensor:
    """One column in the units of another: (n,) → (n, width), a number or a category."""
    values = found.get(like.name)
    if values is None or (values.dtype.kind == "U") != bool(like.words):
        kind = "of words" if like.words else "of numbers"
        theirs = ", ".join(found)
        raise BestiaryError(f"the real data have a column {like.name} {kind}; what is compared with them has {theirs}")
    return torch.from_numpy(like.support.read_column(values))


def space_of(spec: Spec, space: str = "pixels") -> str:
    """What the distances of a number are taken in."""
    return "columns" if space == "pixels" and spec.x.layout == "row" else space


def _said(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else f"array of shape {tuple(np.shape(source))}"
