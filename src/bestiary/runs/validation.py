"""Validation while a run is fitted: a picture of samples, the bound if the model has one, and the model's vitals.

Vitals are the numbers from which signs of failures are read. All numbers are of held-out examples, which are the same
at every validation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.dataset import Dataset
from bestiary.data.picture import write_picture
from bestiary.measures.copies import copy_share
from bestiary.measures.intervals import student_interval
from bestiary.measures.neighbours import distances
from bestiary.measures.structure import structure
from bestiary.models.model import Bounds, Encodes, Samples, Shows
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded
from bestiary.training.trainer import Trainer

__all__ = ["Validation"]

BOUND_EXAMPLES = 1000  # of the validation part, for the bound
BOUND_BLOCK = 250  # examples at once
VITAL_EXAMPLES = 250  # of these, for the vitals
LEAST_VITAL = 16  # below 16 examples the diagnostics are noise
LEAST_PIXELS = 16  # numbers of an image whose structure can be told from chance
COPIED_EXAMPLES = 1000  # training examples in which copies are searched, or fewer, of so many numbers in all:
COPIED_NUMBERS = 1 << 25
PICTURE_SAMPLES = 64


class Validation:
    """Validates the model of a trainer: a call returns the numbers, and writes the picture into the run's folder."""

    def __init__(self, trainer: Trainer, dataset: Dataset, path: Path) -> None:
        self.trainer, self.dataset, self.path = trainer, dataset, path
        self.seed, self.device, self.spec = trainer.recipe.seed, trainer.device, dataset.spec
        copied = max(VITAL_EXAMPLES, min(COPIED_EXAMPLES, COPIED_NUMBERS // self.spec.dimensions))
        self.held_out = self._examples("validation", BOUND_EXAMPLES)
        self.training = self._examples("train", copied)
        self._copy_radius: float | None = None  # the median distance of held-out to training examples
        self._structure = self._structure_of_images()

    def _examples(self, part: str, n: int) -> Batch:
        """Up to n examples of a part, shuffled, since some data sets are sorted by class."""
        model: Any = self.trainer.model
        rows = self.dataset.parts[part]
        order = np.random.Generator(np.random.PCG64(derive_seed(self.seed, "validation"))).permutation(len(rows))[:n]
        return self.dataset.rows(rows[order], model.reads())

    def _structure_of_images(self) -> dict[str, float]:
        """Whether images have anything that a model can learn; nothing for other data."""
        if not self.spec.x.is_spatial or len(self.held_out) < LEAST_VITAL or self.spec.dimensions < LEAST_PIXELS:
            return {}
        training, held_out = (x[:VITAL_EXAMPLES].to(self.device) for x in (self.training.x, self.held_out.x))
        return {"structure": structure(training, held_out)}

    def __call__(self) -> dict[str, float]:
        """Validation numbers by name; only the first process writes the picture."""
        with self.trainer.evaluation_model() as evaluated:
            model: Any = evaluated
            with seeded(derive_seed(self.seed, "picture"), self.device):
                picture = self._picture(model)
            with seeded(derive_seed(self.seed, "validation"), self.device):
                numbers = self._bound(model)
            if len(self.held_out) >= LEAST_VITAL:
                with seeded(derive_seed(self.seed, "vitals"), self.device):
                    numbers |= self._vitals(model) | self._structure
        if self.trainer.team.rank == 0 and picture is not None:
            stored = self.spec.x.to_stored(picture).cpu().numpy()
            write_picture(self.path / "samples" / f"round-{self.trainer.round:08d}.png", stored, self.spec)
        return numbers

    def _picture(self, model: Any) -> Tensor | None:
        """64 samples, or the reconstructions of 64 held-out examples if the model does not sample."""
        if isinstance(model, Samples):
            return self._sample(model, PICTURE_SAMPLES)
        if isinstance(model, Encodes) and isinstance(model, Shows):
            examples = self.held_out[:PICTURE_SAMPLES].to(self.device)
            return model.show(model.encode(examples), model.condition.of(examples))
        return None

    def _sample(self, model: Any, n: int) -> Tensor:
        """n samples under the conditions of training examples, which the model may have stored itself."""
        if model.condition.stores_examples:
            return model.sample(n, None)
        rows = torch.arange(n) % len(self.training)
        return model.sample(n, model.condition.of(self.training[rows].to(model.device)))

    def _bound(self, model: Any) -> dict[str, float]:
        """The bound with the ends of its interval, in the units of the data's file; nothing for other models."""
        if not isinstance(model, Bounds):
            return {}
        blocks = self.held_out.split(BOUND_BLOCK)
        values = torch.cat([model.bound(block.to(self.device), 1) for block in blocks])
        ends = zip(("bound", "low", "high"), student_interval(values), strict=True)
        return {name: end - self.spec.log_scale for name, end in ends if end is not None}  # one example has no interval

    def _vitals(self, model: Any) -> dict[str, float]:
        """The model's vitals, and the share of copies if its loss would not show that it overfits."""
        held_out, training = (
            model.observe(examples[:VITAL_EXAMPLES].to(self.device)) for examples in (self.held_out, self.training)
        )
        numbers = {name: float(value) for name, value in model.vitals(held_out, training).items()}
        has_no_loss_of_examples = isinstance(model, Samples) and not isinstance(model, Bounds | Encodes)
        if has_no_loss_of_examples and not model.condition.identifies_examples:
            numbers["copied"] = self._copied(model)
        return numbers

    def _copied(self, model: Any) -> float:
        """The low end of the share of samples that copy training examples."""
        training, held_out = (
            model.observe(examples.to(self.device)).x for examples in (self.training, self.held_out[:VITAL_EXAMPLES])
        )
        if self._copy_radius is None:  # once: what a model observes may be random
            self._copy_radius = float(distances(held_out, training).median())
        samples = self.spec.x.support.round_categories(self._sample(model, VITAL_EXAMPLES))
        return copy_share(samples, training, held_out, radius=self._copy_radius).low or 0.0
