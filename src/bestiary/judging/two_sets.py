"""Samples of any program against real data: both sides loaded, brought to the same units, and compared.

    judge(real=A, fake=B)            folders, files, arrays or names
    judge(real=A, fake=B, held=C)    C real as well, and unknown to whatever made B: copies of A are looked for

All chapters that need no model are asked (chapters.py). Half of the real examples are compared with, the other
half stand in the place of samples for the floors; or those held out do, and as many of all the real ones are compared
with as there are samples and held-out ones.
What loading left out, or what looks like other units, is noted.

Legend: N examples, F columns.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.columns import to_columns
from bestiary.data.dataset import Dataset
from bestiary.data.load import load as load_data
from bestiary.data.load import loader
from bestiary.data.spec import Spec
from bestiary.data.support import Column
from bestiary.errors import BestiaryError, unknown_name
from bestiary.grammar.signatures import signature_options
from bestiary.judging.case import LEAST, Case, Sides, Tests, check_tests, choose_features, feature_notes
from bestiary.judging.judge import judge_case
from bestiary.judging.sample_chapters import columns_of
from bestiary.measures.neighbours import distances
from bestiary.measures.number import Judgement
from bestiary.training.clock import derive_seed

__all__ = ["judge_samples"]

FAR = 10.0  # deviations of a real column, beyond which samples are rather in other units than bad


def judge_samples(
    real: Any,
    fake: Any,
    *,
    held: Any = None,  # other real examples, that whatever made the samples has not seen
    n: int = 10_000,  # examples of each side
    seed: int = 0,  # of the choice of examples
    features: str = "auto",  # where sets are compared: pixels, random, mnist, glyphs, or a file of weights
    tests: Tests = "all",  # all; fast, without what takes longest; or none
    device: str | torch.device = "cpu",  # of the features
    **options: Any,
) -> Judgement:
    """`fake` against `real`: folders, files, arrays or names; `options` load them (size=)."""
    check_tests(tests)
    if features == "labels":
        raise BestiaryError("features=labels works for a run only: use features=auto or a file of weights")
    sources = {"real": real, "fake": fake} | ({} if held is None else {"held": held})
    datasets = _loaded(sources, options)
    x = {side: _all(dataset, datasets["real"], n, seed) for side, dataset in datasets.items()}
    _comparable(datasets, x, n)
    spec = datasets["real"].spec
    case = Case(
        spec=spec,
        examples=Batch(x["real"]),
        samples=Batch(x["fake"]),
        real=Batch(x["real"] if "held" in x else x["real"][::2]),
        other=Batch(x["held"] if "held" in x else x["real"][1::2]),
        seen=Batch(x["real"]),
        held=Batch(x["held"]) if "held" in x else None,
        spare=Batch(x["real"][:0]),
        truth=datasets["real"].truth,
        modes=datasets["real"].modes,
        seen_of=len(datasets["real"]),
        protocol=_protocol(sources, x, seed, spec),
        notes=(
            *_sizes(x),
            *_of_loading(datasets),
            *_other_units(x["fake"], x["real"], spec),
            *(feature_notes(features, datasets["real"]) if tests != "none" else []),
        ),
        features=None
        if tests == "none"
        else choose_features(features, spec, seed, device, datasets["real"].modes, datasets["real"].name),
        tests=tests,
        seed=seed,
    )
    return judge_case(case)[0]


def _comparable(datasets: Mapping[str, Dataset], x: Mapping[str, Tensor], n: int) -> None:
    """Refuse sides of different shapes, and sides of too few examples."""
    spec = datasets["real"].spec
    for side, dataset in datasets.items():
        own = dataset.spec
        if spec.x.layout != own.x.layout or x[side].shape[1:] != x["real"].shape[1:]:
            raise BestiaryError(
                f"real is {spec.x.noun} of shape {spec.shape}, {side} is {own.x.noun} of shape {own.shape}, and they"
                " must agree: for images give size=HxW and colour=grey or rgb; for rows of pixels shape=HxW"
            )
        least = 2 * LEAST if side == "real" and "held" not in x else LEAST
        if len(x[side]) < least:
            raise BestiaryError(
                f"judging needs at least {least} {side} examples; n={n} takes {len(x[side])} of {len(dataset)}"
            )


def _protocol(sources: Mapping[str, Any], x: Mapping[str, Tensor], seed: int, spec: Spec) -> dict[str, object]:
    names = {side: _source_name(source) for side, source in sources.items()}
    sizes = {f"n_{side}": len(values) for side, values in x.items()}
    units = {"units": "standard deviations of the real columns"} if spec.x.columns else {}
    return {**names, **sizes, "seed": seed, **units}


def _sizes(x: Mapping[str, Tensor]) -> list[str]:
    """What the numbers of examples do to the judgement."""
    real, fake = x["real"], x["fake"]
    notes = [f"Only {len(fake)} samples: intervals are wide."] if len(fake) < 200 else []
    if "held" in x:
        return notes + _of_held(x)
    if len(fake) > (half := -(-len(real) // 2)):
        notes.append(
            f"Only {half} of {len(fake)} samples are compared: half of the {len(real)} real examples are used for the"
            " floors. With other real examples given as held, all are compared."
        )
    return notes


def _of_held(x: Mapping[str, Tensor]) -> list[str]:
    """What makes less of the examples held out than they should be."""
    real, fake, held = (x[side] for side in ("real", "fake", "held"))
    notes = []
    if len(held) < min(len(real), len(fake)):
        notes.append(f"Only {len(held)} real examples and samples are compared, as many as are given as held.")
    if known := int((distances(held, real) == 0).sum()):
        notes.append(f"{known} of {len(held)} examples given as held are also in real: they cannot show copies.")
    return notes


def _of_loading(sides: Mapping[str, Dataset]) -> list[str]:
    """What was left out or changed when the sides were read."""
    real, fake = sides["real"], sides["fake"]
    notes = [
        f"{side}: {text}." for side, d in sides.items() for key in ("skipped", "note") if (text := d.source.get(key))
    ]
    notes += [note for side, d in sides.items() if (note := _more_columns(side, d.spec, real.spec))]
    ours, theirs = real.spec.x.levels, fake.spec.x.levels
    if ours != theirs:
        notes.append(
            f"Real images have {ours} levels, fake ones {theirs}: a classifier may tell them apart by that alone."
        )
    return notes


def _more_columns(side: str, own: Spec, wanted: Spec) -> str:
    """Which columns of a table are not compared, for the real table has none of that name."""
    known = {column.name for column in wanted.x.columns}
    more = [column.name for column in own.x.columns if known and column.name not in known]
    shown = ", ".join(more[:5]) + (f" and {len(more) - 5} more" if len(more) > 5 else "")
    return f"{side} has columns that real has not, and they are not compared: {shown}." if more else ""


def _other_units(fake: Tensor, real: Tensor, spec: Spec) -> list[str]:
    """Columns in which samples lie or spread as other units do, and seldom bad samples; images as much darker."""
    if min(len(fake), len(real)) < 2:
        return []
    if spec.x.layout != "row":
        ours, theirs = float(fake.std()), float(real.std())
        apart = max(ours, theirs) > FAR * min(ours, theirs)
        return (
            [f"Pixels of samples have the standard deviation {ours:.2g}, those of the data {theirs:.2g}: other units?"]
            if apart
            else []
        )
    _, names, _ = columns_of(Sides(fake, real, real), spec)
    scale, spread = real.std(0), fake.std(0)
    away = (fake.median(0).values - real.median(0).values).abs() > FAR * scale
    odd = (away | (spread > FAR * scale) | (FAR * spread < scale)) & (scale > 0)
    result = [name for name, bad in zip(names, odd.tolist(), strict=True) if bad]
    named = ", ".join(result[:5]) + (f" and {len(result) - 5} more" if len(result) > 5 else "")
    far = f"Samples are {FAR:g} standard deviations from the data, or {FAR:g} times as wide or narrow"
    return [f"{far}, in {named}: other units?"] if result else []


def _loaded(sides: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Dataset]:
    """Each side, loaded with the options that its kind of file knows."""
    known = {side: signature_options(loader(source)) for side, source in sides.items()}
    for key in options:
        if not any(key in k for k in known.values()):
            raise unknown_name("data option", key, {name: v for k in known.values() for name, v in k.items()})
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
    rows = np.random.Generator(np.random.PCG64(derive_seed(seed, "all"))).permutation(len(dataset))[:n]
    stored, own, wanted = np.ascontiguousarray(dataset.x[rows]), dataset.spec.x, like.spec.x
    if own.layout != "row" or wanted.layout != "row" or not (own.columns or wanted.columns):
        return own.to_model(torch.as_tensor(stored))
    result = to_columns(dataset.spec, stored)
    if wanted.columns:
        return torch.cat([_column(result, column) for column in wanted.columns], 1)
    if any(values.dtype.kind == "U" for values in result.values()):  # a toy keeps its own units
        raise BestiaryError(f"{dataset.name} has columns of words and {like.name} has none: they must agree")
    return torch.from_numpy(np.column_stack([*result.values()]).astype(np.float32))


def _column(found: dict[str, np.ndarray], like: Column) -> Tensor:
    """One column in the units of another: (n,) → (n, width), a number or a category."""
    values = found.get(like.name)
    if values is None or (values.dtype.kind == "U") != bool(like.words):
        kind = "of words" if like.words else "of numbers"
        theirs = ", ".join(found)
        raise BestiaryError(f"the real data have a column {like.name} {kind}; the other side has {theirs}")
    return torch.from_numpy(like.support.read_column(values))


def _source_name(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else f"array of shape {tuple(np.shape(source))}"
