"""The environment of a run for env.json: machine, versions, model; and warnings if it has changed since."""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from bestiary.data.dataset import Dataset
from bestiary.models.model import Bounds, Coded, Drawn, Encodes, Reconstructs, Samples, Shows
from bestiary.storage.run_files import read_config, read_env
from bestiary.training.trainer import Trainer

__all__ = ["describe_environment", "warn_of_changes"]

ABILITIES = (Samples, Shows, Coded, Encodes, Reconstructs, Drawn, Bounds)
COMPARED = ("threads", "torch", "device", "precision", "processes")  # facts on which the bits of a run depend


def describe_environment(trainer: Trainer, precision: str) -> dict[str, Any]:
    """The machine, the versions, and the size and players of the model, for env.json."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": str(trainer.device),
        "precision": precision,
        "processes": trainer.team.world,
        "rounds": trainer.rounds,
        "parameters": trainer.model.size,
        "abilities": [kind.__name__ for kind in ABILITIES if isinstance(trainer.model, kind)],
        "players": [player.name for player in trainer.players],
        "main": [player.name for player in trainer.players if player.main],
        "stages": [[s.rounds.start, s.rounds.stop, *s.players] for s in trainer.stages],
    }


def _processor() -> str:
    """The name of the processor in /proc/cpuinfo, or else the one that Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def warn_of_changes(run: Path, environment: Mapping[str, Any], data: Dataset, warn: Callable[[str], None]) -> None:
    """Warn if the data or the environment have changed since the run began; its numbers then change too.

    With another number of threads, for example, sums are added up in another order.
    """
    previous, fingerprint = read_env(run), read_config(run)["origin"].get("fingerprint")
    if fingerprint != data.source.get("fingerprint"):
        warn("the data have changed since this run began: it continues with the present data")
    changed = [key for key in COMPARED if key in previous and previous[key] != environment[key]]
    if changed:
        differences = ", ".join(f"{key} was {previous[key]}, is {environment[key]}" for key in changed)
        warn(f"resumed in another environment, so its numbers may differ from an uninterrupted run: {differences}")
