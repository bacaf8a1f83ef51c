"""The plan of a run that is resumed: read from its own config.toml; only the options of RESUME_OPTIONS may change."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bestiary.data.spec import Inferred
from bestiary.errors import BestiaryError
from bestiary.runs.config_options import data_location, data_options, is_python_object, model_options, python_keys
from bestiary.runs.data_check import check_data
from bestiary.runs.plan import Plan
from bestiary.runs.plan import plan as make_plan
from bestiary.runs.start_weights import read_start_weights
from bestiary.storage.run_files import check_config, read_config, read_env, write_config

__all__ = ["RESUME_OPTIONS", "resumed_plan", "update_recipe"]

RESUME_OPTIONS = {"steps", "patience", "log", "validate", "save", "keep", "threads"}


def resumed_plan(run: Path, data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    """The plan of an existing run, with changed options of RESUME_OPTIONS.

    data: the array that the run was fitted to, if it was one. model: None, or the run's own. options: the changes, and
    the objects from Python that config.toml does not hold. Raises BestiaryError if anything else would change, if an
    object is missing, or if the data are no longer of the same shape.
    """
    config = read_config(run)
    check_config(run)
    source = config["data"]["source"]
    keys_of_objects = python_keys({**config["data"], **config["model"]})
    objects = {k: v for k, v in options.items() if is_python_object(v) or k in keys_of_objects}
    changes = {k: v for k, v in options.items() if k not in objects}
    _check_changes(config, data, model, changes)
    given = {f"data.{k}": v for k, v in data_options(config, data, objects, "fit(x, resume=run").items()}
    given |= {f"model.{k}": v for k, v in model_options(config, objects).items()}
    given |= {f"training.{k}": v for k, v in {**config["training"], **changes}.items()}
    plan = make_plan(data if source == "array" else data_location(config), config["model"]["name"], given, resumed=True)
    check_data(config, plan.dataset)
    inferred = {k: Inferred(**result) for k, result in config["inferred"].items()}
    weights, start = read_start_weights(run), config.get("start", {})
    plan = replace(plan, data=source, inferred=inferred, weights=weights, start=start)
    if plan.recipe.precision == "auto":  # the config of an older version: env.json has the precision
        return plan.with_inferred("precision", read_env(run).get("precision", "fp32"), "as the run began")
    return plan


def _check_changes(config: Mapping[str, Any], data: Any, model: str | None, changes: Mapping[str, Any]) -> None:
    """Raise BestiaryError for options, data or a model that differ from the run's and may not."""
    source = config["data"]["source"]
    fixed = sorted(set(changes) - RESUME_OPTIONS)
    fixed += [str(model)] if model not in (None, config["model"]["name"]) else []
    fixed += [str(data)] if source != "array" and data is not None and str(data) != source else []
    if fixed:
        raise BestiaryError(
            f"--resume takes data, model and options from the run: {', '.join(fixed)} cannot change, only"
            f" {', '.join(sorted(RESUME_OPTIONS))} can. Leave it out, or start a new run"
        )


def update_recipe(run: Path, plan: Plan) -> None:
    """Write the recipe of a resumed run into config.toml, if it has changed."""
    config, recipe = read_config(run), plan.recipe.to_dict()
    if config["training"] != recipe:
        inferred = {k: v for k, v in config["inferred"].items() if config["training"].get(k) == recipe.get(k)}
        write_config(run, {**config, "command": plan.command, "training": recipe, "inferred": inferred})
