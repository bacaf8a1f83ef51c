"""Weights that a new run starts from: those of a model inside it, run(PATH), or those of another run, --from RUN.

start.safetensors     the weights by the names of the new run's tensors, in its folder: it needs the earlier run no
                      longer
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from bestiary.data.dataset import Dataset
from bestiary.errors import BestiaryError
from bestiary.models.frozen import EarlierRun, run_path
from bestiary.models.model import Model
from bestiary.runs.config_options import earlier_runs, typed_options
from bestiary.runs.data_check import check_data
from bestiary.runs.run_folder import find_run
from bestiary.storage.atomic import write_atomic
from bestiary.storage.run_files import MODEL, read_config
from bestiary.training.parallel import place_like

__all__ = [
    "copy_matching_weights",
    "load_earlier_runs",
    "read_start_weights",
    "read_weights",
    "write_start_weights",
]

START = "start.safetensors"
RUN_BUFFERS = ("examples", "round", "second")  # buffers with facts of one run, which another run does not take over


def read_weights(run: Path) -> tuple[dict[str, Tensor], str]:
    """The weights of a run, and the first 12 digits of their hash. Raises BestiaryError if it has none yet."""
    try:
        data = (run / MODEL).read_bytes()
        return load(data), sha256(data).hexdigest()[:12]
    except (OSError, SafetensorError) as error:
        raise BestiaryError(
            f"{run} holds no whole model yet ({error}): finish it first, bestiary fit --resume {shlex.quote(str(run))}"
        ) from error


def load_earlier_runs(options: Mapping[str, Any], dataset: Dataset) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The options with each text run(PATH) replaced by its `EarlierRun`, and the weights of these runs' models.

    The weights are named as in the new model. Raises BestiaryError if there is no such run, or if it was fitted to
    other data than `dataset`.
    """
    loaded, weights = dict(options), dict[str, Tensor]()
    for key, value in options.items():
        path = run_path(value)
        if path is None:
            continue
        run = find_run(path)
        config = read_config(run)
        check_data(config, dataset)
        run_weights, digest = read_weights(run)
        saved = {k: v for k, v in config["model"].items() if k != "name"} | earlier_runs(config)
        model = config["model"]["name"]
        loaded[key] = EarlierRun(str(run), digest, model, typed_options(model, saved))
        weights |= {f"{key}.model.{name}": tensor for name, tensor in run_weights.items()}
    return loaded, weights


def copy_matching_weights(model: Model, weights: Mapping[str, Tensor]) -> tuple[int, list[str]]:
    """Copy the tensors that match the model's by name and shape; their number, and a text for each that does not match.

    Facts of the other run, and the conditions that it stored, are not copied, except into a frozen model, which keeps
    all of its own.
    """
    state, copied, mismatches = model.state_dict(), 0, []
    with torch.no_grad():
        for name, tensor in weights.items():
            last = name.rpartition(".")[2]
            is_frozen = name.startswith("first.model.")
            if not is_frozen and (last in RUN_BUFFERS or last.startswith("kept_")):
                continue
            if name not in state:
                mismatches.append(f"{name} (not here)")
            elif state[name].shape != tensor.shape:
                mismatches.append(f"{name} ({tuple(tensor.shape)}, here {tuple(state[name].shape)})")
            else:
                state[name].copy_(place_like(tensor.to(state[name].device), state[name]))
                copied += 1
    return copied, mismatches


def write_start_weights(run: Path, weights: Mapping[str, Tensor]) -> None:
    """Write start.safetensors, if there are such weights. To be called before the config is written."""
    if weights:
        tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
        write_atomic(run / START, save(tensors, metadata={"sha256": sha256(save(tensors)).hexdigest()}))


def read_start_weights(run: Path) -> dict[str, Tensor]:
    """The weights of start.safetensors; none if the run did not start from others. Raises BestiaryError if torn."""
    if not (run / START).is_file():
        return {}
    try:
        with safe_open(run / START, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            digest = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError) as error:
        raise BestiaryError(f"{run / START} is torn ({error}): the run cannot be resumed, fit a new one") from error
    if digest != sha256(save(tensors)).hexdigest():
        raise BestiaryError(f"{run / START} is torn, its hash is another: the run cannot be resumed, fit a new one")
    return tensors
