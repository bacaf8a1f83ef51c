"""A plan: what will be run, with every option known and every inference said.

    plan(data, model, options)      each option goes to the data, the model or the training, by its name;
                                    `auto` and `steps` are inferred from the data, with the reason
    with_precision(plan, device, weights)  and the precision, from where it will run and how large the model is

`command` is the line that runs the same again with nothing left to inference. Parts given from Python (an encoder, an
array, its labels) cannot be written down: the line is then one of Python, with `…` in their places, and they must be
given again when the run is loaded.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any, Literal

import torch
from torch import Tensor

from bestiary.data.dataset import Dataset
from bestiary.data.load import is_name, load, loader
from bestiary.data.spec import Inferred
from bestiary.errors import BestiaryError, unknown_name
from bestiary.grammar.calls import split_arguments
from bestiary.grammar.command_line import format_words, route
from bestiary.grammar.part_calls import parse_part
from bestiary.grammar.part_lists import list_part_options, merge_part_options
from bestiary.grammar.schedules import Schedule, parse_schedule
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import value_text
from bestiary.models.auto_options import infer, training_rules
from bestiary.models.frozen import EarlierRun
from bestiary.models.ineffective_options import refuse_ineffective, replaced_options
from bestiary.models.model import Model
from bestiary.models.recipes import with_recipe
from bestiary.models.tricks.table import refuse_renamed, trick_options
from bestiary.models.zoo import MODELS, PART_LISTS, PARTS
from bestiary.runs.start_weights import with_earlier
from bestiary.training.device import infer_precision
from bestiary.training.recipe import Recipe
from bestiary.version import FORMAT, __version__

__all__ = ["GIVEN", "LEAST_STEPS", "MOST_STEPS", "PASSES", "Plan", "fits_training", "is_part", "plan", "with_precision"]

GIVEN = "given from Python"  # how config.toml begins to say what it cannot hold

SCHEDULED = {"beta", "lr"}  # options that may be schedules

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
    inferred: Mapping[str, Inferred] = field(default_factory=dict)  # key → value and reason
    said: Mapping[str, Any] = field(default_factory=dict)  # options of the command: given or inferred
    weights: Mapping[str, Tensor] = field(default_factory=dict, repr=False)  # those that the model begins from
    start: Mapping[str, str] = field(default_factory=dict)  # the run that it begins from: its path, the weights' hash

    def at(self, precision: Literal["fp32", "bf16"], why: str) -> "Plan":
        """In a precision that was inferred."""
        return replace(
            self,
            recipe=replace(self.recipe, precision=precision),
            inferred={**self.inferred, "precision": Inferred(precision, why)},
            said={**self.said, "precision": precision},
        )

    @property
    def command(self) -> str:
        """The full equivalent command."""
        if self.data == "array" or self.parts:
            return self._python()
        return f"bestiary fit {shlex.quote(self.data)} {self.model} {format_words(self.said)}".rstrip()

    def _python(self) -> str:
        """The same in Python, for what a command line cannot hold."""
        source = "x" if self.data == "array" else repr(self.data)
        plain = {k: str(v) if isinstance(v, Schedule) else v for k, v in self.said.items() if not is_part(v)}
        dotted = {k: plain.pop(k) for k in list(plain) if "." in k}  # data.seed is no name for a keyword
        words = [f"{k}={type(v).__name__}(…)" for k, v in self.parts.items()]
        words += [f"{k}={v!r}" for k, v in plain.items()] + ([f"**{dotted!r}"] if dotted else [])
        return f"bst.fit({source}, {self.model!r}, {', '.join(words)})"

    @property
    def parts(self) -> dict[str, Any]:
        """Options that hold something that only Python can give."""
        return {k: v for k, v in {**self.data_options, **self.model_options}.items() if is_part(v)}

    def config(self) -> dict[str, Any]:
        """What config.toml holds."""
        return {
            "command": self.command,
            "version": __version__,
            "format": FORMAT,
            "data": {"source": self.data, **_writable(self.data_options)},
            "spec": self.dataset.spec.to_dict(),
            "model": {"name": self.model, **_writable(self.model_options)},
            "training": self.recipe.to_dict(),
            "inferred": {k: {"value": value_text(value), "reason": why} for k, (value, why) in self.inferred.items()},
            "origin": {**self.dataset.source, **_folder(self.data)},
            "earlier": {k: v.to_dict() for k, v in self.model_options.items() if isinstance(v, EarlierRun)},
            "start": dict(self.start),
        }


def plan(data: Any, model: str, options: Mapping[str, Any] | None = None, resumed: bool = False) -> Plan:
    """Resolve everything that a fit needs to know; `resumed`: what a run was fitted with is not refused any more."""
    if not isinstance(model, str) or model not in MODELS:
        raise unknown_name("model", str(model), MODELS)
    by_name = isinstance(data, str | PathLike)
    if by_name:
        _readable(str(data))
    sections: dict[str, Any] = {
        "data": signature_options(loader(data)),
        "model": signature_options(MODELS[model]) | list_part_options(MODELS[model], PART_LISTS),
        "training": Recipe,
    }
    refuse_renamed(options or {})
    given, by_recipe = with_recipe(model, options or {})
    routed = route(given, sections)
    routed["model"] = merge_part_options(MODELS[model], routed["model"], PART_LISTS)
    dataset = load(data, **routed["data"])
    routed["model"], weights = with_earlier(routed["model"], dataset)
    recipe, why = _steps(Recipe(**routed["training"]), len(dataset.parts["train"]))
    model_options, inferred = infer(MODELS[model], dataset.spec, routed["model"], recipe.steps)
    if not resumed:
        refuse_ineffective(
            routed["model"], model_options, {k: default for k, (_, default) in sections["model"].items()}
        )
    inferred = {k: result for k, result in inferred.items() if k not in replaced_options(routed["model"])}
    for key, rule in training_rules(MODELS[model]).items():
        if key not in routed["training"] and (result := rule(recipe)):
            recipe, inferred[key] = replace(recipe, **{key: result.value}), result
    _schedules_end(model_options, recipe)
    inferred |= {k: Inferred(v, by_recipe) for k, v in given.items() if k not in (options or {})}
    twice = sections["model"].keys() | signature_options(Recipe).keys()  # ring's seed is not the recipe's
    data_options = {f"data.{k}" if k in twice else k: v for k, v in routed["data"].items()}
    of_model = {k: model_options[k] for k in inferred if k in model_options}
    full_protocol = data_options | routed["model"] | of_model | routed["training"]
    full_protocol |= {k: result.value for k, result in inferred.items() if k in signature_options(Recipe)}
    if why:
        inferred["steps"] = Inferred(recipe.steps, why)
    full_protocol = {k: v for k, v in full_protocol.items() if k != "epochs" and v is not None} | {
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
        said=full_protocol,
        weights=weights,
    )


def with_precision(plan: Plan, device: torch.device, weights: int) -> Plan:
    """With the precision inferred, where it is left to be: another machine then repeats it, and goes on in it."""
    if plan.recipe.precision != "auto":
        return plan
    options = plan.model_options
    fine = options.get("penalty", "none") != "none" or "weight_clip" in trick_options(options.get("tricks"))
    return plan.at(*infer_precision(device, plan.dataset.spec.x, weights, fine))


def _schedules_end(options: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse a schedule that the run is too short for: what it leads to would never be reached."""
    result = {k: parse_schedule(v) if k in SCHEDULED and isinstance(v, str) else v for k, v in options.items()}
    for key in (PARTS.keys() - PART_LISTS.keys()) & {k for k, v in options.items() if isinstance(v, str)}:
        result |= {f"{key}={options[key]}: {k}": v for k, v in parse_part(key, options[key], PARTS[key])[1].items()}
    for key in PART_LISTS.keys() & {k for k, v in options.items() if isinstance(v, str)}:
        for word in split_arguments(options[key]):
            result |= {f"{key}={word}: {k}": v for k, v in parse_part(key, word, PART_LISTS[key])[1].items()}
    for key, schedule in result.items():
        if isinstance(schedule, Schedule) and recipe.steps is not None and schedule.steps > recipe.steps:
            raise BestiaryError(
                f"{key}={schedule} takes {schedule.steps} steps, and the run has {recipe.steps}: it would never end."
                f" Give it at most {recipe.steps}, or steps={schedule.steps} or more"
            )


def fits_training(model: Model, recipe: Recipe) -> None:
    """Refuse packs that a batch does not hold a whole number of, and a run that ends before a player begins."""
    m, batch = model.batch_multiple, recipe.batch
    for player in model.players():
        if recipe.steps is not None and player.rounds.start >= recipe.steps:
            raise BestiaryError(
                f"steps={recipe.steps} end before player `{player.name}` begins, at round {player.rounds.start}: give"
                f" steps={2 * player.rounds.start} or so"
            )
    if batch % m:
        whole = ceil(batch / m) * m
        raise BestiaryError(f"pack={m} does not divide batch={batch}, and a critic takes whole packs: batch={whole}")


def is_part(value: Any) -> bool:
    """Whether a value is an object from Python rather than something that can be written in a command."""
    return type(value) is not tuple and not isinstance(value, str | int | float | NoneType | Schedule | EarlierRun)


def _readable(data: str) -> None:
    """A name of bytes that are no text cannot be written into a config or a command."""
    try:
        data.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = data.encode("utf-8", "replace").decode()
        raise BestiaryError(f"the name {shown} is not text in UTF-8: rename it, or set the locale to UTF-8") from error


def _writable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as config.toml holds them."""
    values = {k: f"{GIVEN}: {type(v).__name__}" if is_part(v) else v for k, v in options.items() if v is not None}
    return {k: str(v) if isinstance(v, Schedule | EarlierRun) else v for k, v in values.items()}


def _folder(data: str) -> dict[str, str]:
    """Where a relative path was relative to: a run may be judged from another folder than it was fitted in."""
    path = Path(data)
    relative = (
        data != "array" and not is_name(data) and not path.is_absolute() and not data.startswith("~") and path.exists()
    )
    return {"folder": str(Path.cwd())} if relative else {}


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
