"""The options of a run in config.toml: written as plain values, and read back with the types of the signatures.

    config_values       options → what TOML holds; of an object from Python (an encoder, labels) the name of its type
    model_options       config → options of the model
    data_options        config → options of the data
    earlier_runs        config → the options of the model that hold an earlier run, run(PATH)
    data_location       config → the path or name of the data

Objects from Python are not in the file: whoever reads the options gives them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from bestiary.data.load import is_name
from bestiary.errors import BestiaryError, unknown_name
from bestiary.grammar.part_lists import merge_part_options
from bestiary.grammar.schedules import Schedule
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import coerce
from bestiary.models.frozen import EarlierRun
from bestiary.models.zoo import MODELS, PART_LISTS

__all__ = [
    "config_values", "data_location", "data_options", "earlier_runs", "is_python_object", "model_options",
    "python_keys", "typed_options",
]  # fmt: skip

FROM_PYTHON = "given from Python"  # the text in config.toml for an object, followed by the name of its type


def is_python_object(value: Any) -> bool:
    """Whether a value is an object that no command and no config can hold, such as a module or an array."""
    return type(value) is not tuple and not isinstance(value, str | int | float | NoneType | Schedule | EarlierRun)


def config_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as values of TOML, without those that are None."""
    values: dict[str, Any] = {}
    for key, value in options.items():
        if is_python_object(value):
            values[key] = f"{FROM_PYTHON}: {type(value).__name__}"
        elif value is not None:
            values[key] = str(value) if isinstance(value, Schedule | EarlierRun) else value
    return values


def python_keys(options: Mapping[str, Any]) -> dict[str, str]:
    """The options of a config that hold objects from Python: option → the name of the object's type."""
    texts = {key: str(value) for key, value in options.items()}
    return {key: text.rpartition(": ")[2] for key, text in texts.items() if text.startswith(FROM_PYTHON)}


def model_options(config: Mapping[str, Any], objects: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run's model. objects: option → the object from Python that config.toml does not hold.

    Raises BestiaryError if an object is missing, or belongs to no option of the model or the data.
    """
    model = config["model"]["name"]
    saved = {k: v for k, v in config["model"].items() if k != "name"}
    signature = signature_options(MODELS[model]) if model in MODELS else {}
    objects = merge_part_options(MODELS[model], objects, PART_LISTS) if signature else objects
    for key in objects:
        if key not in signature and key not in config["data"]:
            raise unknown_name(f"part of {model}", key, signature)
    _check_objects(saved, objects, "load(run")
    return typed_options(model, {**saved, **earlier_runs(config), **objects})


def data_options(config: Mapping[str, Any], data: Any, objects: Mapping[str, Any], call: str) -> dict[str, Any]:
    """The options of a run's data. data: the array that the run was fitted to, if it was one.

    call: the beginning of the call to show in an error, such as `load(run`. Raises BestiaryError if the array or an
    object is missing.
    """
    saved = {k: v for k, v in config["data"].items() if k != "source"}
    if config["data"]["source"] == "array" and data is None:
        full = f"bst.{call})" if "x" in call else f"bst.{call}, data=x)"
        raise BestiaryError(f"this run was fitted to an array given from Python: give it again, {full}")
    _check_objects(saved, objects, call)
    return saved | {k: v for k, v in objects.items() if k in saved}


def _check_objects(saved: Mapping[str, Any], objects: Mapping[str, Any], call: str) -> None:
    """Raise BestiaryError, with the call to write, if an object that the config names is missing."""
    missing = {key: kind for key, kind in python_keys(saved).items() if key not in objects}
    if missing:
        arguments = ", ".join(f"{key}={kind}(…)" for key, kind in missing.items())
        raise BestiaryError(
            f"this run was fitted with {', '.join(missing)} given from Python: give it again, bst.{call}, {arguments})"
        )


def typed_options(model: str, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Values from config.toml converted to the types of the model's signature; other keys are left out."""
    signature = signature_options(MODELS[model]) if model in MODELS else {}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items() if k in signature}
    return {k: v if isinstance(v, EarlierRun) else coerce(v, signature[k][0], k) for k, v in values.items()}


def earlier_runs(config: Mapping[str, Any]) -> dict[str, EarlierRun]:
    """The options of a run's model that hold the model of an earlier run."""
    return {
        key: EarlierRun(**{**earlier, "options": typed_options(earlier["model"], earlier["options"])})
        for key, earlier in config.get("earlier", {}).items()
    }


def data_location(config: Mapping[str, Any]) -> str:
    """The name or path of a run's data; a relative path is looked up first in the folder where the fit was started."""
    source = str(config["data"]["source"])
    path = Path(config["origin"].get("folder", "")) / source
    return str(path) if "folder" in config["origin"] and not is_name(source) and path.exists() else source
