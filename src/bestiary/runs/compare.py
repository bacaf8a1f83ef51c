"""Samples against real data: every number that needs no likelihood, for a run's samples or anyone's.

    judge(real=A, fake=B)    folders, arrays or names

    features → two-sample classifier, Fréchet and kernel distances, precision and coverage, MMD, sliced Wasserstein
    columns  → statistics of marginals and pairs            known modes → how many are reached

Each stands beside what other real examples get in the place of samples. What the examples do not allow is left out and
said in a note, never given as a silent number.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.data.batches import model_units
from bestiary.data.columns import to_columns
from bestiary.data.dataset import Dataset, Density
from bestiary.data.load import load as load_data
from bestiary.data.load import loader
from bestiary.data.spec import Column, Spec
from bestiary.data.toys import Mixture
from bestiary.errors import BestiaryError, unknown
from bestiary.measures.classifier import FOLDS, two_sample_test
from bestiary.measures.discrepancy import sliced
from bestiary.measures.features import extractor, fitting
from bestiary.measures.frechet import fid, kid
from bestiary.measures.manifold import manifold_numbers
from bestiary.measures.modes import mode_numbers
from bestiary.measures.neighbours import two_sample_distances
from bestiary.measures.number import Judgement, Number
from bestiary.measures.score import score_numbers
from bestiary.measures.statistics import statistics
from bestiary.models.options import signature_options
from bestiary.training.clock import mix

__all__ = ["LEAST", "judge_samples", "sample_numbers", "space_of"]

LEAST = 4  # examples, for any number that compares two sets
MOST_COLUMNS = 200  # beyond which statistics by column are of no use
NEIGHBOURS = 5  # k of precision and coverage


def sample_numbers(
    fake: Tensor, real: Tensor, other: Tensor, spec: Spec, features: str, seed: int, protocol: dict[str, object],
    truth: Density | None = None, device: str | torch.device = "cpu",
) -> tuple[list[Number], list[str]]:  # fmt: skip
    """All that samples tell of a generator, and notes on what could not be told. Examples in model units."""
    n = min(len(fake), len(real), len(other))
    if n < 2 * FOLDS:
        return [], [f"Only {n} examples to compare: too few for any statistic of two sets."]
    chosen = fitting(spec)[0] if features == "auto" else features
    extract = extractor(chosen, spec, seed, device)
    f, r, o = (extract(x[:n]) for x in (fake, real, other))
    notes = _remarks(f, r, extract.says)
    numbers, _ = two_sample_test(f, r, o, extract.says, seed, protocol=protocol)
    numbers += [fid(f, r, o, extract.says, protocol), kid(f, r, o, extract.says, protocol)]
    if n > NEIGHBOURS:
        numbers += manifold_numbers(f, r, o, extract.says, NEIGHBOURS, protocol)
    if not _all_alike(f, r):
        numbers += sliced(f, r, o, extract.says, seed, protocol=protocol)
    if extract.logits is not None:
        numbers += score_numbers(extract.classes(fake[:n]), extract.classes(real[:n]), extract.says, protocol)
    if spec.kind != "image" and spec.dimensions <= MOST_COLUMNS:
        numbers += statistics(fake, real, other, _names(spec), protocol)
    if isinstance(truth, Mixture) and truth.separate:
        perfect = torch.from_numpy(truth.sample(len(fake), mix(seed, "perfect") % 2**32))
        numbers += mode_numbers(fake, torch.from_numpy(truth.means), truth.sigma, perfect, protocol)
    return numbers, notes


def _all_alike(*sets: Tensor) -> bool:
    whole = torch.cat(sets)
    return bool((whole == whole[0]).all())


def _remarks(fake: Tensor, real: Tensor, features: str) -> list[str]:
    """What a reader of the numbers must know about the examples."""
    notes = []
    flat = int((real.std(0) == 0).sum())
    if flat:
        notes.append(f"{flat} of {real.shape[1]} features ({features}) are constant among the real examples.")
    for what, x in (("samples", fake), ("real examples", real)):
        copies = len(x) - len(x.unique(dim=0))
        if copies > 0.01 * len(x):
            notes.append(f"{copies} of {len(x)} {what} repeat another one exactly.")
    if len(real) <= real.shape[1]:
        notes.append(
            f"{len(real)} examples of {real.shape[1]} features ({features}): the Fréchet distance is of singular"
            " covariances, and far from its value for many examples. Its floor says how far."
        )
    return notes


def _names(spec: Spec) -> list[str]:
    """A name for each component of x."""
    if not spec.columns:
        return [str(i) for i in range(spec.dimensions)]
    each = ([f"{c.name}={v}" for v in c.categories] or [c.name] for c in spec.columns)
    return [name for names in each for name in names]


def judge_samples(
    real: Any,
    fake: Any,
    *,
    n: int = 10_000,  # examples of each side
    seed: int = 0,  # of the choice of examples
    features: str = "auto",  # where distances are taken: pixels, random, mnist, or a file of weights
    **options: Any,
) -> Judgement:
    """`fake` against `real`: folders, files, arrays or names; `options` load both (size=)."""
    a, b = _both(real, fake, options)
    x_real, x_fake = _all(a, a, n, seed), _all(b, a, n, seed)
    if a.spec.kind == "image" != b.spec.kind or x_real.shape[1:] != x_fake.shape[1:]:
        raise BestiaryError(
            f"real is {a.spec.kind} of shape {a.spec.shape}, fake is {b.spec.kind} of shape {b.spec.shape}: they must"
            " agree. For images give size=HxW and colour=grey or rgb; for rows of pixels shape=HxW"
        )
    if len(x_real) < 2 * LEAST or len(x_fake) < LEAST:
        raise BestiaryError(
            f"judging needs at least {2 * LEAST} real and {LEAST} fake examples; n={n} takes {len(x_real)} of"
            f" {len(a.stored)} and {len(x_fake)} of {len(b.stored)}"
        )
    protocol = {"real": _said(real), "fake": _said(fake), "n_real": len(x_real), "n_fake": len(x_fake), "seed": seed}
    protocol |= {"units": "standard deviations of the real columns"} if a.spec.columns else {}
    notes = [f"Only {len(x_fake)} samples: intervals are wide."] if len(x_fake) < 200 else []
    numbers = two_sample_distances(x_fake, x_real[::2], x_real[1::2], space_of(a.spec), seed, protocol)
    more, said = sample_numbers(x_fake, x_real[::2], x_real[1::2], a.spec, features, seed, protocol, a.truth)
    numbers, notes = numbers + more, notes + said
    return Judgement(tuple(numbers), protocol, tuple(notes), datetime.now().isoformat(timespec="seconds"))


def _both(real: Any, fake: Any, options: dict[str, Any]) -> tuple[Dataset, Dataset]:
    """Both sides, each loaded with the options that its kind of file knows."""
    known = [signature_options(loader(side)) for side in (real, fake)]
    for key in options:
        if not any(key in k for k in known):
            raise unknown("data option", key, known[0] | known[1])
    a, b = (
        load_data(side, **{key: v for key, v in options.items() if key in k})
        for side, k in zip((real, fake), known, strict=True)
    )
    return a, b


def _all(dataset: Dataset, like: Dataset, n: int, seed: int) -> Tensor:
    """Up to n examples of a set, over all of its parts and shuffled by seed, in the model units of the set `like`."""
    rows = np.random.Generator(np.random.PCG64(mix(seed, "all"))).permutation(len(dataset.stored))[:n]
    stored = np.ascontiguousarray(dataset.stored[rows])
    if dataset.spec.kind == "image" or not like.spec.columns:
        return model_units(torch.as_tensor(stored), dataset.spec)
    found = to_columns(dataset.spec, stored)
    return torch.cat([_column(found, column) for column in like.spec.columns], 1)


def _column(found: dict[str, np.ndarray], like: Column) -> Tensor:
    """One column in the units of another: (n,) → (n, width), a number or a category."""
    values = found.get(like.name)
    if values is None or (values.dtype.kind == "U") != bool(like.categories):
        kind = "of words" if like.categories else "of numbers"
        raise BestiaryError(f"the real data have a column {like.name} {kind}; the fake ones have {', '.join(found)}")
    if like.categories:  # a word that the real data never use is far from all of theirs
        return torch.from_numpy((values[:, None] == np.array(like.categories)).astype(np.float32))
    return torch.from_numpy(((values[:, None] - like.mean) / like.scale).astype(np.float32))


def space_of(spec: Spec, space: str = "pixels") -> str:
    """What the distances of a number are taken in."""
    return "columns" if space == "pixels" and spec.kind != "image" else space


def _said(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else f"array of shape {tuple(np.shape(source))}"
