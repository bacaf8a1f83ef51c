"""Weights that a new run begins from: of a model that stands in it, run(PATH), or of a run to go on from, --from.

start.safetensors     in the new run's folder, by the names of its own tensors: it needs the earlier run no more
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bestiary.data.dataset import Dataset
from bestiary.errors import BestiaryError
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import coerce
from bestiary.models.frozen import EarlierRun, run_path
from bestiary.models.model import Model
from bestiary.models.zoo import MODELS
from bestiary.runs.data_check import check_data
from bestiary.runs.run_folder import find
from bestiary.storage.atomic import write_atomic
from bestiary.storage.run_files import read_config
from bestiary.training.parallel import place_like

__all__ = [
    "earlier_options",
    "load_fitting_weights",
    "read_start",
    "read_weights",
    "typed_options",
    "with_earlier",
    "write_start",
]

START = "start.safetensors"
OWN = ("examples", "round", "second")  # what a run knows of itself


def typed_options(model: str, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Options as config.toml holds them, read by the annotations of the model's."""
    known = signature_options(MODELS[model]) if model in MODELS else {}
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items() if k in known}
    return {k: v if isinstance(v, EarlierRun) else coerce(v, known[k][0], k) for k, v in plain.items()}


def earlier_options(config: Mapping[str, Any]) -> dict[str, EarlierRun]:
    """The options of a run that hold a model of an earlier one."""
    result = {k: EarlierRun(**{**d, "options": typed_options(d["model"], d["options"])})
             for k, d in config.get("earlier", {}).items()}  # fmt: skip
    return result


def read_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    """The weights of a run, and their hash."""
    file = path / "model.safetensors"
    try:
        data = file.read_bytes()
        return load(data), sha256(data).hexdigest()[:12]
    except (OSError, SafetensorError) as error:
        raise BestiaryError(f"{path} holds no whole model yet ({error}): finish it first, --resume {path}") from error


def with_earlier(options: Mapping[str, Any], dataset: Dataset) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Options in which run(PATH) has become the model of that run, and its weights by the names of the new one."""
    result, weights = dict(options), dict[str, Tensor]()
    for key, value in options.items():
        if (path := run_path(value)) is None:
            continue
        run = find(path)
        config = read_config(run)
        check_data(config, dataset)
        saved, digest = read_weights(run)
        plain = {k: v for k, v in config["model"].items() if k != "name"} | earlier_options(config)
        name = config["model"]["name"]
        result[key] = EarlierRun(str(run), digest, name, typed_options(name, plain))
        weights |= {f"{key}.model.{k}": v for k, v in saved.items()}
    return result, weights


def load_fitting_weights(model: Model, weights: Mapping[str, Tensor]) -> tuple[int, list[str]]:
    """Copy what fits by name and shape; how many, and what was left, in words. What a run knows of itself, and the
    conditions it keeps, are its own."""
    own, taken, left = model.state_dict(), 0, []
    with torch.no_grad():
        for name, value in weights.items():
            last = name.rpartition(".")[2]
            inside = name.startswith("first.model.")  # a whole model: all of it
            if not inside and (last in OWN or last.startswith("kept_")):
                continue
            if name not in own:
                left.append(f"{name} (not here)")
            elif own[name].shape != value.shape:
                left.append(f"{name} ({tuple(value.shape)}, here {tuple(own[name].shape)})")
            else:
                own[name].copy_(place_like(value.to(own[name].device), own[name]))
                taken += 1
    return taken, left


def write_start(path: Path, weights: Mapping[str, Tensor]) -> None:
    """What a run begins from, in its own folder; to be written before its config."""
    if weights:
        write_atomic(path / START, save({k: v.contiguous() for k, v in weights.items()}))


def read_start(path: Path) -> dict[str, Tensor]:
    """The inverse of `write_start`; nothing of a run that begins afresh."""
    if not (path / START).is_file():
        return {}
    try:
        return load((path / START).read_bytes())
    except (OSError, SafetensorError) as error:
        raise BestiaryError(f"{path / START} is torn ({error}): the run cannot begin again, fit it anew") from error
