"""A plan: what will be run, with every option known and every inference said.

    plan(data, model, options)      each option goes to the data, the model or the training, by its name;
                                    `auto` and `steps` are inferred from the data, with the reason

`command` is the line that runs the same again with nothing left to inference. Parts given from Python (an encoder, an
array) cannot be written down: they are named in the config, and must be given again when the run is loaded.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from os import PathLike
from types import NoneType
from typing import Any

from bestiary.data.dataset import Dataset
from bestiary.data.load import load, loader
from bestiary.errors import unknown
from bestiary.models.infer import infer
from bestiary.models.zoo import MODELS
from bestiary.runs.grammar import route, signature_options, to_words
from bestiary.training.clock import Schedule
from bestiary.training.recipe import Recipe
from bestiary.version import __version__

__all__ = ["LEAST_STEPS", "MOST_STEPS", "PASSES", "Plan", "is_part", "plan"]

PASSES, LEAST_STEPS, MOST_STEPS = (
    30,
    2_000,
    20_000,
)  # inferred steps: 30 passes over the data, within these limits


@dataclass(frozen=True)
class Plan:
    """Data, model and training, resolved."""

    data: str  # a name or a path; `array` for one given from Python
    model: str
    recipe: Recipe
    dataset: Dataset
    data_options: Mapping[str, Any] = field(default_factory=dict)  # as given
    model_options: Mapping[str, Any] = field(default_factory=dict)  # all of them, `auto` replaced
    inferred: Mapping[str, str] = field(default_factory=dict)  # key → value and reason
    said: Mapping[str, Any] = field(default_factory=dict)  # options of the command: given or inferred

    @property
    def command(self) -> str:
        """The full equivalent command."""
        words = {k: v for k, v in self.said.items() if not is_part(v)}
        return f"bestiary fit {shlex.quote(self.data)} {self.model} {to_words(words)}".rstrip()

    @property
    def parts(self) -> list[str]:
        """Options that hold a part given from Python."""
        return [k for k, v in self.model_options.items() if is_part(v)]

    def config(self) -> dict[str, Any]:
        """What config.toml holds."""
        options = {
            k: f"given from Python: {type(v).__name__}" if is_part(v) else v for k, v in self.model_options.items()
        }
        options = {
            k: v if isinstance(v, str | int | float | tuple) else str(v) for k, v in options.items() if v is not None
        }
        return {
            "command": self.command,
            "version": __version__,
            "data": {"source": self.data, **self.data_options},
            "spec": self.dataset.spec.to_dict(),
            "model": {"name": self.model, **options},
            "training": self.recipe.to_dict(),
            "inferred": dict(self.inferred),
            "origin": dict(self.dataset.source),
        }


def plan(data: Any, model: str, options: Mapping[str, Any] | None = None) -> Plan:
    """Resolve everything that a fit needs to know."""
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    by_name = isinstance(data, str | PathLike)
    sections: dict[str, Any] = {
        "data": signature_options(loader(data)),
        "model": signature_options(MODELS[model]),
        "training": Recipe,
    }
    routed = route(options or {}, sections)
    dataset = load(data, **routed["data"])
    model_options, reasons = infer(MODELS[model], dataset.spec, routed["model"])
    recipe, why = _steps(Recipe(**routed["training"]), len(dataset.parts["train"]))
    inferred = {k: f"{model_options[k]}: {reason}" for k, reason in reasons.items()}
    said = routed["data"] | routed["model"] | {k: model_options[k] for k in reasons} | routed["training"]
    if why:
        inferred["steps"] = f"{recipe.steps}: {why}"
    said = {k: v for k, v in said.items() if k != "epochs" and v is not None} | {
        "steps": recipe.steps,
        "seed": recipe.seed,
    }
    return Plan(
        data=str(data) if by_name else "array",
        model=model,
        recipe=recipe,
        dataset=dataset,
        data_options=routed["data"],
        model_options=model_options,
        inferred=inferred,
        said=said,
    )


def is_part(value: Any) -> bool:
    """Whether a value is an object from Python rather than something that can be written in a command."""
    return not isinstance(value, str | int | float | tuple | NoneType | Schedule)


def _steps(recipe: Recipe, n: int) -> tuple[Recipe, str]:
    """A recipe whose steps are known, and how they were inferred if they were."""
    if recipe.steps is not None:
        return recipe, ""
    if recipe.epochs is not None:
        steps = ceil(recipe.epochs * n / recipe.batch)
        return replace(
            recipe, steps=steps, epochs=None
        ), f"{recipe.epochs:g} passes over {n} examples, {recipe.batch} at a time"
    wish = ceil(PASSES * n / recipe.batch)
    steps = min(MOST_STEPS, max(LEAST_STEPS, wish))
    limit = "" if steps == wish else f", kept within {LEAST_STEPS} to {MOST_STEPS}"
    return replace(recipe, steps=steps), f"{PASSES} passes over {n} examples, {recipe.batch} at a time{limit}"
