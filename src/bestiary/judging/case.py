"""A case: all that a judge has before it. Samples, the data they are compared with, and the model where there is one.

    examples       real examples that the model is judged on: bounds, codes, reconstructions
    samples        what was made; beside them the conditions that they were made under
    real, other    real examples that samples are compared with, and more of them in the place of samples: the floors
    seen, held     real examples among which copies are looked for, and others that whatever made the samples never saw
    spare          real examples that are compared with nothing: what is fitted in order to judge is fitted to these

A case is built once, of a run (runs/run_case.py) or of two sets (judging/two_sets.py), and each chapter asks it for
what it needs. What several chapters need is computed once, when it is first asked for.

Legend: N examples, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from bestiary.codes.encoding import encode, observe
from bestiary.data.batch import Batch
from bestiary.data.dataset import Dataset, Density
from bestiary.data.spec import Spec
from bestiary.errors import unknown_name
from bestiary.measures.features import Extractor, extractor, fitting
from bestiary.models.model import Model

__all__ = ["LEAST", "Case", "Sides", "Space", "Tests", "check_tests", "choose_features", "feature_notes", "space_name"]

LEAST = 4  # examples, for any number that compares two sets

Space = Literal["pixels", "latent"]
Tests = Literal["all", "fast", "none"]


class Sides(NamedTuple):
    """Equally many examples of each: x in model units, or features (N, F)."""

    fake: Tensor
    real: Tensor
    other: Tensor  # more real examples, in the place of samples


class Points(NamedTuple):
    """Where distances are taken: x itself, or codes."""

    samples: Tensor
    real: Tensor
    other: Tensor
    seen: Tensor
    held: Tensor


@dataclass(frozen=True, eq=False)
class Case:
    """Samples, data, perhaps a model, and how they are judged."""

    spec: Spec
    examples: Batch
    samples: Batch | None
    real: Batch
    other: Batch
    seen: Batch
    held: Batch | None
    spare: Batch
    model: Model | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model, for protocols
    truth: Density | None = None  # the density of the data, where it is known
    modes: str = ""  # how modes are counted: Dataset.modes
    seen_of: int = 0  # how many training examples there are, where `seen` is a part of them
    protocol: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what a reader of the numbers must know about the data and the run
    k: int = 100  # draws of z for the importance-weighted bound
    space: Space = "pixels"
    features: Extractor | None = None  # None: no tests of samples
    tests: Tests = "all"
    seed: int = 0
    quiet: bool = True

    @property
    def device(self) -> torch.device:
        return torch.device("cpu") if self.model is None else self.model.device

    @property
    def where(self) -> str:
        """What distances are taken in, for protocols."""
        return space_name(self.spec, self.space)

    @cached_property
    def look(self) -> Batch:
        """The examples as the model observes them: all its numbers are of one look."""
        assert self.model is not None  # chapters that look need a model
        return observe(self.model, self.examples, self.seed)

    @cached_property
    def points(self) -> Points:
        """Samples and data in the space of distances."""
        assert self.samples is not None  # chapters that compare need samples
        held = self.seen[:0] if self.held is None else self.held
        return Points(*map(self._place, (self.samples, self.real, self.other, self.seen, held)))

    def _place(self, examples: Batch) -> Tensor:
        if self.space == "pixels" or not len(examples):
            return examples.x
        assert self.model is not None  # space=latent is refused without one
        return encode(self.model, examples, self.seed)

    @cached_property
    def sides(self) -> Sides:
        """x of samples and data, equally many."""
        assert self.samples is not None
        n = min(len(self.samples), len(self.real), len(self.other))
        return Sides(self.samples.x[:n], self.real.x[:n], self.other.x[:n])

    @cached_property
    def feature_sides(self) -> Sides:
        """Their features."""
        assert self.features is not None
        return Sides(*map(self.features, self.sides))

    @property
    def feature_protocol(self) -> dict[str, object]:
        """The protocol of numbers that are of features."""
        about = self.features.about if self.features else ""
        return {**self.protocol, **({"prepared": about} if about else {})}


def check_tests(tests: str) -> None:
    """Refuse a word that `tests=` does not know."""
    if tests not in get_args(Tests):
        raise unknown_name("tests", tests, get_args(Tests))


def choose_features(
    name: str, spec: Spec, seed: int, device: str | torch.device = "cpu", modes: str = "", data: str = ""
) -> Extractor:
    """By name, by a file of weights, or (auto) what fits the data; `modes`, `data`: `Dataset.modes`, `Dataset.name`."""
    return extractor(fitting(spec, modes, data).value if name == "auto" else name, spec, seed, device)


def feature_notes(name: str, dataset: Dataset) -> list[str]:
    """Which features `auto` took for pictures, and why."""
    if name != "auto" or not dataset.spec.x.is_picture:
        return []
    chosen, reason = fitting(dataset.spec, dataset.modes, dataset.name)
    return [f"features=auto compares {chosen} features: {reason}."]


def space_name(spec: Spec, space: str = "pixels") -> str:
    """What distances are taken in: of rows, their columns."""
    return "columns" if space == "pixels" and spec.x.layout == "row" else space
