"""Checkpoints, complete or absent: safetensors + JSON, flushed to the disk, renamed into place, never pickled.

    checkpoints/00000500/state.safetensors     every tensor of the run: weights, moments, averages, the meter
    checkpoints/00000500/state.json            the round and other plain values, and the hash of both files

A checkpoint is written to a hidden folder; its files and the folder are flushed to the disk, and then the folder is
renamed. A reader checks the hash. A torn checkpoint, one that is incomplete or damaged, is skipped, and the one before
it is used.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.storage.atomic import remove, run_error, sync_folder, write_synced
from bestiary.storage.run_files import parse_object

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
    facts = {**facts, "round": round}
    facts |= {"sha256": _digest(facts, data)}
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


def _digest(facts: Mapping[str, Any], data: bytes) -> str:
    """The hash of a checkpoint: of its plain values, which are the same when JSON is read and written, and tensors."""
    return sha256(json.dumps(facts).encode() + data).hexdigest()


def checkpoints(folder: Path) -> list[Path]:
    """The folders of all finished checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch("[0-9]{8,}", path.name) and path.is_dir())


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and plain values of one checkpoint. Raises BestiaryError if it is torn."""
    try:
        facts = parse_object((path / "state.json").read_text("utf-8"))
        data, digest = (path / "state.safetensors").read_bytes(), facts.pop("sha256", "")
        if digest != _digest(facts, data) or facts["round"] != int(path.name):
            raise BestiaryError(f"checkpoint {path} is torn: its files do not have the hash in state.json")
        return load(data), facts
    except (OSError, KeyError, ValueError, RecursionError, SafetensorError) as error:
        raise BestiaryError(f"checkpoint {path} is torn or unreadable ({error})") from error


def load_latest(folder: Path, warn: Callable[[str], None]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is not torn, or None if there is none. Calls `warn` for each torn one."""
    for path in reversed(checkpoints(folder)):
        try:
            return load_checkpoint(path)
        except BestiaryError as error:
            warn(f"{error}: going back to the one before it")
    return None
