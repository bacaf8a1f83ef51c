"""What env.json holds of the machine and the run, and what a resumed run finds changed."""

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


def describe_environment(trainer: Trainer, precision: str) -> dict[str, Any]:
    """Where, and with how much, a run is fitted."""
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
    """The processor's name, as Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def warn_of_changes(path: Path, facts: Mapping[str, Any], data: Dataset, warn: Callable[[str], None]) -> None:
    """Say what has changed since a run began: with other threads, say, sums are added up in another order."""
    before, saved = read_env(path), read_config(path)["origin"].get("fingerprint")
    if saved != data.source.get("fingerprint"):
        warn("the data are no longer those that this run began with: it goes on with what is there now")
    changed = [
        k for k in ("threads", "torch", "device", "precision", "processes") if k in before and before[k] != facts[k]
    ]
    if changed:
        differences = ", ".join(f"{k} was {before[k]}, is {facts[k]}" for k in changed)
        warn(f"goes on where it stood, but not bit by bit as if never stopped: {differences}")
