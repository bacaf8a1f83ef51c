"""What happens at a validation: a picture of samples, the bound where the model has one, and its vital numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.dataset import Dataset
from bestiary.data.picture import write_picture
from bestiary.measures.copies import copy_share
from bestiary.measures.intervals import normal_interval
from bestiary.measures.neighbours import distances
from bestiary.models.model import Bounds, Encodes, Samples, Shows
from bestiary.networks.conditioned import ConditionTensors
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded
from bestiary.training.trainer import Trainer

__all__ = ["validator"]

VALIDATION_EXAMPLES = 1000  # of the validation part, for the bound that is watched while fitting
LEAST_VITAL = 16  # below 16 examples the diagnostics are noise
VITAL_EXAMPLES = 250  # of these, for the numbers that signs of illness are told by
COPIED_FROM = 1000  # training examples among which copies are looked for, or as many as hold so many
COPIED_NUMBERS = 1 << 25
PICTURED = 64  # samples of the picture


def validator(trainer: Trainer, dataset: Dataset, path: Path) -> Callable[[], dict[str, float]]:
    """To be called at each; only the first process writes the picture."""
    seed, device, spec = trainer.recipe.seed, trainer.device, dataset.spec
    model: Any = trainer.model
    reads = model.reads()
    kept = _some(dataset, "validation", VALIDATION_EXAMPLES, seed, reads)
    searched = max(VITAL_EXAMPLES, min(COPIED_FROM, COPIED_NUMBERS // spec.dimensions))
    of_fit = _some(dataset, "train", searched, seed, reads)
    radius: list[float] = []

    def sample(model: Any, n: int) -> Tensor:
        """Under conditions as the data have them: of training examples, where the model keeps none."""
        return model.sample(n, None if model.condition.stores_examples else _conditions(model, of_fit, n))

    def copied(model: Any) -> float:
        """The low end of the share of samples that copy those of the training examples that are searched."""
        train, held = (model.observe(some.to(device)).x for some in (of_fit, kept[:VITAL_EXAMPLES]))
        if not radius:
            radius.append(float(distances(held, train).median()))
        fake = spec.x.support.round_categories(sample(model, VITAL_EXAMPLES))
        return copy_share(fake, train, held, radius=radius[0]).low or 0.0

    def validate() -> dict[str, float]:
        with trainer.evaluation_model() as judged:
            model: Any = judged
            with seeded(derive_seed(seed, "picture"), device):
                picture = _shown(model, kept[:PICTURED].to(device), sample)
            numbers = _bound(model, kept, device, derive_seed(seed, "validation"), spec.log_scale)
            if len(kept) >= LEAST_VITAL:
                with seeded(derive_seed(seed, "vitals"), device):
                    some, fitted = (model.observe(b[:VITAL_EXAMPLES].to(device)) for b in (kept, of_fit))
                    numbers |= {k: float(v) for k, v in model.vitals(some, fitted).items()}
                    # what is fitted to each example shows overfitting in its loss
                    alone = not isinstance(model, Bounds | Encodes) and isinstance(model, Samples)
                    if alone and not model.condition.identifies_examples:
                        numbers["copied"] = copied(model)
        if trainer.team.rank == 0 and picture is not None:
            stored = spec.x.to_stored(picture).cpu().numpy()
            write_picture(path / "samples" / f"round-{trainer.round:08d}.png", stored, spec)
        return numbers

    return validate


def _some(dataset: Dataset, part: str, n: int, seed: int, reads: frozenset[str]) -> Batch:
    """Up to n examples of a part; some sets keep them sorted by class."""
    rows = dataset.parts[part]
    chosen = rows[np.random.Generator(np.random.PCG64(derive_seed(seed, "validation"))).permutation(len(rows))[:n]]
    return dataset.rows(chosen, reads)


def _conditions(model: Any, batch: Batch, n: int) -> ConditionTensors:
    rows = torch.arange(n) % len(batch)
    return model.condition.of(batch[rows].to(model.device))


def _bound(model: Any, kept: Batch, device: torch.device, seed: int, log_scale: float) -> dict[str, float]:
    """The ELBO with its interval, in the units of the file."""
    if not isinstance(model, Bounds):
        return {}
    with seeded(seed, device):
        values = torch.cat([model.bound(part.to(device), 1) for part in kept.split(250)])
    mean, low, high = (end - log_scale for end in normal_interval(values))
    return {"bound": mean} | ({"low": low, "high": high} if len(values) > 1 else {})  # one example has no interval


def _shown(model: Any, kept: Batch, sample: Callable[[Any, int], Tensor]) -> Tensor | None:
    """64 samples; of a model that cannot sample, what it makes of held-out examples."""
    if isinstance(model, Samples):
        return sample(model, PICTURED)
    if isinstance(model, Encodes) and isinstance(model, Shows):
        return model.show(model.encode(kept), model.condition.of(kept))
    return None
