"""What happens at a validation: a picture of samples, the bound where the model has one, and its vital numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bestiary.data.batches import Batch, model_units, settled, stored_units
from bestiary.data.dataset import Dataset
from bestiary.data.picture import write_picture
from bestiary.data.spec import Spec
from bestiary.measures.neighbours import copying, distances
from bestiary.models.model import Model
from bestiary.training.clock import mix
from bestiary.training.device import seeded
from bestiary.training.trainer import Trainer

__all__ = ["validator"]

VALIDATION_EXAMPLES = 1000  # of the validation part, for the bound that is watched while fitting
LEAST_VITAL = 16  # examples, of fewer of which chance alone looks ill
VITAL_EXAMPLES = 250  # of these, for the numbers that signs of illness are told by
COPIED_FROM = 1000  # training examples among which copies are looked for, or as many as hold so many
COPIED_NUMBERS = 1 << 25
_ONE_BY_ONE = {"bound", "encode"}  # abilities of what is fitted to each example: overfitting shows in its loss


def validator(trainer: Trainer, dataset: Dataset, path: Path) -> Callable[[], dict[str, float]]:
    """To be called at each; only the first process writes the picture."""
    seed, device, spec = trainer.recipe.seed, trainer.device, dataset.spec
    stored, labels = _some(dataset, "validation", VALIDATION_EXAMPLES, seed)
    searched = max(VITAL_EXAMPLES, min(COPIED_FROM, COPIED_NUMBERS // spec.dimensions))
    of_fit, their_labels = _some(dataset, "train", searched, seed)
    radius: list[float] = []

    def copied(model: Any) -> float:
        """The low end of the share of samples that copy those of the training examples that are searched."""
        train, held = (model.observe(model_units(x.to(device), spec)) for x in (of_fit, stored[:VITAL_EXAMPLES]))
        if not radius:
            radius.append(float(distances(held, train).median()))
        return copying(settled(model.sample(VITAL_EXAMPLES), spec), train, held, radius=radius[0]).low or 0.0

    def validate() -> dict[str, float]:
        with trainer.judged() as judged:
            model: Any = judged
            with seeded(mix(seed, "picture"), device):
                picture = stored_units(_shown(model, stored[:64].to(device), spec), spec).cpu().numpy()
            numbers: dict[str, float] = {}
            if "bound" in model.abilities:
                with seeded(mix(seed, "validation"), device):
                    bounds = [model.bound(model.observe(model_units(s.to(device), spec)), 1) for s in stored.split(250)]
                values = torch.cat(bounds)
                numbers = {"bound": float(values.mean()) - spec.log_scale}  # in the units of the file
                if len(values) > 1:  # one example has no interval
                    half = 1.96 * float(values.std()) / len(values) ** 0.5
                    numbers |= {"low": numbers["bound"] - half, "high": numbers["bound"] + half}
            if len(stored) >= LEAST_VITAL:
                with seeded(mix(seed, "vitals"), device):
                    some, fitted = (
                        Batch(model.observe(model_units(x[:VITAL_EXAMPLES].to(device), spec)), _at(y, device))
                        for x, y in ((stored, labels), (of_fit, their_labels))
                    )
                    numbers |= {k: float(v) for k, v in model.vitals(*some, fitted).items()}
                    told = getattr(model, "condition", None)
                    if not model.abilities & _ONE_BY_ONE and not (told is not None and told.singles):
                        numbers["copied"] = copied(model)
        if trainer.team.rank == 0:
            write_picture(path / "samples" / f"round-{trainer.round:08d}.png", picture, spec)
        return numbers

    return validate


def _some(dataset: Dataset, part: str, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Up to n stored examples of a part with their labels; some sets keep them sorted by class."""
    rows = dataset.parts[part]
    chosen = rows[np.random.Generator(np.random.PCG64(mix(seed, "validation"))).permutation(len(rows))[:n]]
    labels = None if dataset.labels is None else torch.as_tensor(dataset.labels[chosen])
    return torch.as_tensor(dataset.stored[chosen]), labels


def _at(labels: torch.Tensor | None, device: torch.device) -> torch.Tensor | None:
    """Labels of the first few, where the model is."""
    return None if labels is None else labels[:VITAL_EXAMPLES].to(device)


def _shown(model: Model, stored: torch.Tensor, spec: Spec) -> torch.Tensor:
    """64 samples; of a model that cannot sample, what it makes of held-out examples."""
    if "sample" in model.abilities:
        return model.sample(64)
    return model.decode(model.encode(model.observe(model_units(stored, spec))))
