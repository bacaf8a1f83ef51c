"""Plan: everything that a fit needs, with every option resolved and every inference explained.

    plan(data, model, options)      gives each option to the data, the model or the training, by its name;
                                    infers `auto` and `steps` from the data, with the reason
    with_machine_options(…)         infers precision and threads, from the machine and the sizes of model and batch

`Plan.command` is the line that runs the same fit with nothing left to infer. A command cannot hold objects from Python
(an encoder, an array, its labels): the line is then one of Python with `…` in their places.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from os import PathLike
from pathlib import Path
from typing import Any

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
from bestiary.runs.config_options import config_values, is_python_object
from bestiary.runs.run_folder import check_utf8
from bestiary.runs.start_weights import load_earlier_runs
from bestiary.training.device import infer_precision, infer_threads
from bestiary.training.recipe import Recipe
from bestiary.version import FORMAT, __version__

__all__ = [
    "LEAST_STEPS", "MACHINE_OPTIONS", "MOST_STEPS", "PASSES", "Plan", "check_batch_and_steps", "plan",
    "with_machine_options",
]  # fmt: skip

MACHINE_OPTIONS = {"precision", "threads"}  # options of the training that are inferred from the machine

SCHEDULED = {"beta", "lr"}  # options that may be schedules
SMALL_BATCH = 1024  # a batch up to it may hold some examples of a small data set twice
PASSES, LEAST_STEPS, MOST_STEPS = 30, 2_000, 20_000  # inferred steps: 30 passes over the data, within these limits


@dataclass(frozen=True)
class Plan:
    """Data, model and training with all options resolved."""

    data: str  # a name or a path; `array` for an array from Python
    model: str
    recipe: Recipe
    dataset: Dataset
    data_options: Mapping[str, Any] = field(default_factory=dict)  # those that were given
    model_options: Mapping[str, Any] = field(default_factory=dict)  # all of them, `auto` replaced
    inferred: Mapping[str, Inferred] = field(default_factory=dict)  # option → value and reason
    command_options: Mapping[str, Any] = field(default_factory=dict)  # options in the command: given or inferred
    weights: Mapping[str, Tensor] = field(default_factory=dict, repr=False)  # the weights that the model starts from
    start: Mapping[str, str] = field(default_factory=dict)  # the run that they come from: its path, the weights' hash

    def with_inferred(self, key: str, value: Any, reason: str) -> "Plan":
        """The plan with an option of the training that was inferred from the machine."""
        return replace(
            self,
            recipe=replace(self.recipe, **{key: value}),
            inferred={**self.inferred, key: Inferred(value, reason)},
            command_options={**self.command_options, key: value},
        )

    @property
    def needs_python(self) -> bool:
        """Whether a command cannot repeat the plan, since it has an array or other objects from Python."""
        return self.data == "array" or bool(self.python_objects)

    @property
    def python_objects(self) -> dict[str, Any]:
        """The options that hold objects from Python."""
        return {k: v for k, v in {**self.data_options, **self.model_options}.items() if is_python_object(v)}

    @property
    def command(self) -> str:
        """The command with every option written out, or the line of Python that does the same."""
        if self.needs_python:
            return self._python_line()
        return f"bestiary fit {shlex.quote(self.data)} {self.model} {format_words(self.command_options)}".rstrip()

    def _python_line(self) -> str:
        source = "x" if self.data == "array" else repr(self.data)
        values = {k: v for k, v in self.command_options.items() if not is_python_object(v)}
        values = {k: str(v) if isinstance(v, Schedule) else v for k, v in values.items()}
        dotted = {k: values.pop(k) for k in list(values) if "." in k}  # data.seed cannot be a keyword
        arguments = [f"{k}={type(v).__name__}(…)" for k, v in self.python_objects.items()]
        arguments += [f"{k}={v!r}" for k, v in values.items()] + ([f"**{dotted!r}"] if dotted else [])
        return f"bst.fit({source}, {self.model!r}, {', '.join(arguments)})"

    def config(self) -> dict[str, Any]:
        """The tables of config.toml."""
        return {
            "command": self.command,
            "version": __version__,
            "format": FORMAT,
            "data": {"source": self.data, **config_values(self.data_options)},
            "spec": self.dataset.spec.to_dict(),
            "model": {"name": self.model, **config_values(self.model_options)},
            "training": self.recipe.to_dict(),
            "inferred": {k: {"value": value_text(v), "reason": reason} for k, (v, reason) in self.inferred.items()},
            "origin": {**self.dataset.source, **_working_folder(self.data)},
            "earlier": {k: v.to_dict() for k, v in self.model_options.items() if isinstance(v, EarlierRun)},
            "start": dict(self.start),
        }


def plan(data: Any, model: str, options: Mapping[str, Any] | None = None, resumed: bool = False) -> Plan:
    """The plan of a fit.

    data: a name, a path, or an array. model: a name of the zoo. options: keys of the data, the model and the training.
    resumed: whether the options come from an existing run; options without effect are not refused then. Raises
    BestiaryError for a name, a key or a value that cannot be used.
    """
    if not isinstance(model, str) or model not in MODELS:
        raise unknown_name("model", str(model), MODELS)
    has_name = isinstance(data, str | PathLike)
    if has_name:
        check_utf8(data)
    builder, user_options = MODELS[model], dict(options or {})
    model_signature = signature_options(builder) | list_part_options(builder, PART_LISTS)
    signatures: dict[str, Any] = {"data": signature_options(loader(data)), "model": model_signature, "training": Recipe}
    refuse_renamed(user_options)
    all_options, recipe_reason = with_recipe(model, user_options)
    given = route(all_options, signatures)  # section → the options given to it
    given["model"] = merge_part_options(builder, given["model"], PART_LISTS)
    dataset = load(data, **given["data"])
    given["model"], weights = load_earlier_runs(given["model"], dataset)
    recipe, steps_reason = _infer_steps(Recipe(**given["training"]), len(dataset.parts["train"]))
    model_options, inferred = infer(builder, dataset.spec, given["model"], recipe.steps)
    if not resumed:
        refuse_ineffective(given["model"], model_options, {k: default for k, (_, default) in model_signature.items()})
    inferred = {k: result for k, result in inferred.items() if k not in replaced_options(given["model"])}
    recipe, inferred_training = _apply_training_rules(model, recipe, given["training"])
    _check_batch(recipe.batch, len(dataset.parts["train"]))
    _check_schedules(model_options, recipe)
    inferred_recipe = {k: Inferred(v, recipe_reason) for k, v in all_options.items() if k not in user_options}
    inferred |= inferred_training | inferred_recipe
    command_options = _command_options(given, model_options, inferred, recipe, model_signature)
    if steps_reason:
        inferred["steps"] = Inferred(recipe.steps, steps_reason)
    return Plan(
        data=str(data) if has_name else "array",
        model=model,
        recipe=recipe,
        dataset=dataset,
        data_options=given["data"],
        model_options=model_options,
        inferred=inferred,
        command_options=command_options,
        weights=weights,
    )


def _apply_training_rules(model: str, recipe: Recipe, given: Mapping[str, Any]) -> tuple[Recipe, dict[str, Inferred]]:
    """The recipe with the model's rules for options that were not given, and what they inferred."""
    inferred = {}
    for key, rule in training_rules(MODELS[model]).items():
        if key not in given and (result := rule(recipe)):
            recipe, inferred[key] = replace(recipe, **{key: result.value}), result
    return recipe, inferred


def _command_options(
    given: Mapping[str, dict[str, Any]],
    model_options: Mapping[str, Any],
    inferred: Mapping[str, Inferred],
    recipe: Recipe,
    model_signature: Mapping[str, Any],
) -> dict[str, Any]:
    """The options to write into the command: those that were given (section → options) and those that were inferred."""
    recipe_keys = signature_options(Recipe).keys()
    shared = model_signature.keys() | recipe_keys  # the ring's seed is `data.seed`, since `seed` is the training's
    options = {f"data.{k}" if k in shared else k: v for k, v in given["data"].items()} | given["model"]
    options |= {k: model_options[k] for k in inferred if k in model_options} | given["training"]
    options |= {k: result.value for k, result in inferred.items() if k in recipe_keys}
    options = {k: v for k, v in options.items() if k != "epochs" and v is not None}
    return options | {"steps": recipe.steps, "seed": recipe.seed}


def with_machine_options(plan: Plan, device: torch.device, weights: int, processes: int = 1) -> Plan:
    """The plan with the options that this machine decides, so that another one repeats or resumes the same numbers.

    weights: how many the model has. processes: how many share the processors.
    """
    options = plan.model_options
    if plan.recipe.precision == "auto":
        bounded = options.get("penalty", "none") != "none" or "weight_clip" in trick_options(options.get("tricks"))
        precision = infer_precision(device, plan.dataset.spec.x, weights, bounded)
        plan = plan.with_inferred("precision", *precision)
    if plan.recipe.threads is None and device.type == "cpu":
        plan = plan.with_inferred(
            "threads", *infer_threads(plan.recipe.batch * plan.dataset.spec.dimensions, processes)
        )
    return plan


def _check_schedules(options: Mapping[str, Any], recipe: Recipe) -> None:
    """Raise BestiaryError for a schedule that takes more steps than the run has: it would not reach its end."""
    values = {k: parse_schedule(v) if k in SCHEDULED and isinstance(v, str) else v for k, v in options.items()}
    calls = {k: v for k, v in options.items() if isinstance(v, str)}
    for key in (PARTS.keys() - PART_LISTS.keys()) & calls.keys():
        values |= {f"{key}={calls[key]}: {k}": v for k, v in parse_part(key, calls[key], PARTS[key])[1].items()}
    for key in PART_LISTS.keys() & calls.keys():
        for call in split_arguments(calls[key]):
            values |= {f"{key}={call}: {k}": v for k, v in parse_part(key, call, PART_LISTS[key])[1].items()}
    for key, schedule in values.items():
        if isinstance(schedule, Schedule) and recipe.steps is not None and schedule.steps > recipe.steps:
            raise BestiaryError(
                f"{key}={schedule} takes {schedule.steps} steps, and the run has {recipe.steps}: it would never end."
                f" Give it at most {recipe.steps}, or steps={schedule.steps} or more"
            )


def _check_batch(batch: int, n: int) -> None:
    """Raise BestiaryError for a batch of more than n training examples, unless it is small."""
    if batch > max(n, SMALL_BATCH):
        raise BestiaryError(f"batch={batch} is more than the {n:,} training examples: use batch={min(n, 128)}")


def check_batch_and_steps(model: Model, recipe: Recipe) -> None:
    """Raise BestiaryError if the run ends before a player begins, or if `pack` does not divide `batch`."""
    pack, batch = model.batch_multiple, recipe.batch
    for player in model.players():
        if recipe.steps is not None and player.rounds.start >= recipe.steps:
            raise BestiaryError(
                f"steps={recipe.steps} end before player `{player.name}` begins, at round {player.rounds.start}: give"
                f" steps={2 * player.rounds.start} or so"
            )
    if batch % pack:
        next_batch = ceil(batch / pack) * pack
        raise BestiaryError(f"pack={pack} does not divide batch={batch}: use batch={next_batch}")


def _working_folder(data: str) -> dict[str, str]:
    """The current folder, if the data are a path relative to it: the run may be judged from another folder."""
    path = Path(data)
    is_relative = (
        data != "array" and not is_name(data) and not path.is_absolute() and not data.startswith("~") and path.exists()
    )
    return {"folder": str(Path.cwd())} if is_relative else {}


def _infer_steps(recipe: Recipe, n: int) -> tuple[Recipe, str]:
    """The recipe with its number of steps for n training examples, and the reason; empty if the steps were given."""
    if recipe.steps is not None:
        return recipe, ""
    if recipe.epochs is not None:
        reason = f"{recipe.epochs:g} passes over {n} examples, {recipe.batch} at a time"
        return replace(recipe, steps=ceil(recipe.epochs * n / recipe.batch), epochs=None), reason
    steps_of_passes = ceil(PASSES * n / recipe.batch)
    steps = min(MOST_STEPS, max(LEAST_STEPS, steps_of_passes))
    limits = "" if steps == steps_of_passes else f", kept within {LEAST_STEPS} to {MOST_STEPS}"
    return replace(recipe, steps=steps), f"{PASSES} passes over {n} examples, {recipe.batch} at a time{limits}"
