"""Checkpoints, complete or absent: safetensors + JSON, flushed to the disk, renamed into place, never pickled.

    checkpoints/00000500/state.safetensors     every tensor of the run: weights, moments, averages, the meter
    checkpoints/00000500/state.json            the round and other plain values, and the hash of state.safetensors

A checkpoint is written to a hidden folder; its files and the folder are flushed to the disk, and then the folder is
renamed. A reader checks the hash. A torn checkpoint, one that is incomplete or damaged, is skipped, and the one before
it is used.
"""

import json
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.storage.atomic import remove, run_error, sync_folder, write_synced

__all__ = ["checkpoints", "load_checkpoint", "load_latest", "save_checkpoint"]


def save_checkpoint(
    folder: Path, round: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], keep: int
) -> Path:
    """Write checkpoint `round` into `folder`, then remove all but the last `keep` up to it; returns its path.

    Later checkpoints are left alone: they are torn, or belong to rounds from before a resume. Raises BestiaryError if
    the disk refuses.
    """
    target, hidden = folder / f"{round:08d}", folder / f".{round:08d}.part"
    data = save({name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()})
    facts = {**facts, "round": round, "sha256": sha256(data).hexdigest()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove(hidden)
        hidden.mkdir()
        write_synced(hidden / "state.safetensors", data)
        write_synced(hidden / "state.json", json.dumps(facts, indent=1).encode())
        sync_folder(hidden)
        remove(target)  # a checkpoint of the same round from before a resume has the same content
        os.rename(hidden, target)
        sync_folder(folder)
    except OSError as error:
        remove(hidden)
        raise run_error(target, error, kept=checkpoints(folder)) from error
    for outdated in [path for path in checkpoints(folder) if int(path.name) <= round][:-keep]:
        remove(outdated)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The folders of all finished checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdigit() and path.is_dir())


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and plain values of one checkpoint. Raises BestiaryError if it is torn."""
    try:
        facts = json.loads((path / "state.json").read_text())
        data = (path / "state.safetensors").read_bytes()
        if sha256(data).hexdigest() != facts["sha256"]:
            raise BestiaryError(f"checkpoint {path} is torn: state.safetensors does not have the hash in state.json")
        return load(data), facts
    except (OSError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise BestiaryError(f"checkpoint {path} is torn or unreadable ({error})") from error


def load_latest(folder: Path, warn: Callable[[str], None]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is not torn, or None if there is none. Calls `warn` for each torn one."""
    for path in reversed(checkpoints(folder)):
        try:
            return load_checkpoint(path)
        except BestiaryError as error:
            warn(f"{error}: going back to the one before it")
    return None
