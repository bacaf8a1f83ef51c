"""The files of a run folder: their names, how each is written and how each is read.

    config.toml            what was asked for and inferred: [data] [spec] [model] [training] [inferred] [origin]
    env.json               the machine, versions, seconds, why the fit ended
    journal.jsonl          numbers by round (storage/journal.py)
    signs.json             signs of illness, each with its remedies
    judgement.json         numbers with their protocols
    evidence.safetensors   what the report draws: samples, data, reconstructions, codes, neighbours
    model.safetensors      the fitted weights
    log.txt                what was said while fitting, with times

`read_config` is strict, since a run cannot be loaded without it: whatever is wrong with the file is one BestiaryError.
The others read what is there, and nothing from a file that is torn, absent or of another shape, for no run depends on
them.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bestiary.errors import BestiaryError
from bestiary.storage.atomic import write_atomic, write_json
from bestiary.storage.toml import dumps
from bestiary.version import FORMAT

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CONFIG", "ENV", "EVIDENCE", "JOURNAL", "JUDGEMENT", "MODEL", "SIGNS", "check_config", "has_shape", "note",
    "parse_object", "parsing_config", "read_config", "read_env", "read_evidence", "read_judgement", "read_signs",
    "refuse_old", "update_env", "weights_hash", "write_config", "write_judgement", "write_signs",
]  # fmt: skip

CONFIG, ENV, JOURNAL, SIGNS = "config.toml", "env.json", "journal.jsonl", "signs.json"
JUDGEMENT, EVIDENCE, MODEL, LOG = "judgement.json", "evidence.safetensors", "model.safetensors", "log.txt"

_HASH = "# sha256 of all lines above: "
_REMEDY = "The run cannot be loaded: restore this file from a copy, or fit the run again."

# shapes of plain values: a type, None, [shape of each item], {key: shape of its value}, or a tuple of alternatives
_CONFIG_SHAPE = {
    "command": str, "version": str, "data": {"source": str}, "spec": {"x": dict}, "model": {"name": str},
    "training": {"seed": int}, "inferred": dict, "origin": dict,
}  # fmt: skip
_VALUE = (int, float, None)
_REFERENCE = (None, {"value": _VALUE})
_JUDGEMENT_SHAPE = {
    "verdict": [str], "protocol": dict, "notes": [str],
    "numbers": [{"name": str, "title": str, "value": _VALUE, "low": _VALUE, "high": _VALUE, "unit": str,
                 "floor": _REFERENCE, "ceiling": _REFERENCE, "protocol": dict}],
}  # fmt: skip
_SIGN_SHAPE = {"says": str, "remedies": [{"says": str, "command": str}]}


def write_config(run: Path, config: Mapping[str, Any]) -> None:
    """Write config.toml, with the hash of its text in the last line: from now on the folder is a run."""
    text = dumps(config)
    write_atomic(run / CONFIG, f"{text}{_HASH}{sha256(text.encode()).hexdigest()}\n")


def check_config(run: Path) -> None:
    """Raise BestiaryError if config.toml is not as it was written: a resumed run would become another one."""
    content, mark, digest = (run / CONFIG).read_bytes().rpartition(_HASH.encode())
    if mark and digest.strip() != sha256(content).hexdigest().encode():
        raise BestiaryError(
            f"{run / CONFIG} has been changed since the run wrote it, and its resumed rounds would be those of another"
            " run. Restore the file or fit a new run; if you mean the change, delete the line `# sha256` at its end"
        )


def read_config(run: Path) -> dict[str, Any]:
    """config.toml as nested dictionaries. Raises where it is torn, or of another edition."""
    with parsing_config(run):
        config = tomllib.loads((run / CONFIG).read_text("utf-8"))
    missing = [key for key, shape in _CONFIG_SHAPE.items() if key not in config or not has_shape(config[key], shape)]
    if "spec" in config:
        refuse_old(config, run)
    if missing:  # half of a file may well be good TOML
        raise BestiaryError(f"{run / CONFIG} is torn, {', '.join(missing)} is missing or incomplete. {_REMEDY}")
    return config


@contextmanager
def parsing_config(run: Path) -> Iterator[None]:
    """Within the block whatever does not parse in config.toml raises a BestiaryError that says what to do."""
    try:
        yield
    except BestiaryError:
        raise
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = f"{error}" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
        raise BestiaryError(f"{run / CONFIG} cannot be read ({reason}). {_REMEDY}") from error


def has_shape(value: Any, shape: Any) -> bool:
    """Whether plain values have a shape.

    >>> has_shape({"says": "a", "more": 1}, {"says": str}), has_shape([1, "a"], [int]), has_shape(None, (int, None))
    (True, False, True)
    """
    match shape:
        case None:
            return value is None
        case dict():
            return isinstance(value, dict) and all(k in value and has_shape(value[k], s) for k, s in shape.items())
        case [item_shape]:
            return isinstance(value, list) and all(has_shape(item, item_shape) for item in value)
        case tuple():
            return any(has_shape(value, alternative) for alternative in shape)
    return isinstance(value, shape)


def refuse_old(config: Mapping[str, Any], run: Path) -> None:
    """Refuse a folder that another edition of bestiary wrote, with a word on what to do."""
    edition = config.get("format", 1)
    if edition != FORMAT:
        version, command = config.get("version", "an earlier version"), config.get("command", "bestiary fit …")
        raise BestiaryError(
            f"{run} was written by bestiary {version}, whose run folders have format {edition}; this one reads format"
            f" {FORMAT}. Fit it again, {command}, or install that version to read it"
        )


def read_env(run: Path) -> dict[str, Any]:
    """env.json."""
    return _object(run / ENV)


def update_env(run: Path, **facts: Any) -> None:
    """Add facts to env.json."""
    write_json(run / ENV, {**read_env(run), **facts})


def write_signs(run: Path, signs: list[dict[str, Any]]) -> None:
    """Write signs.json."""
    write_json(run / SIGNS, signs)


def read_signs(run: Path) -> list[dict[str, Any]]:
    """The signs of a run."""
    signs = _json(run / SIGNS)
    return [sign for sign in signs if has_shape(sign, _SIGN_SHAPE)] if isinstance(signs, list) else []


def write_judgement(run: Path, judgement: Mapping[str, Any], evidence: Mapping[str, np.ndarray]) -> None:
    """Write judgement.json and what the report draws beside it."""
    from safetensors.numpy import save

    write_json(run / JUDGEMENT, judgement)
    write_atomic(run / EVIDENCE, save({name: array.copy(order="C") for name, array in evidence.items()}))


def read_judgement(run: Path) -> dict[str, Any]:
    """judgement.json; empty where it is torn or of another shape."""
    judgement = _object(run / JUDGEMENT)
    return judgement if has_shape(judgement, _JUDGEMENT_SHAPE) else {}


def read_evidence(file: Path) -> dict[str, np.ndarray]:
    """The arrays of evidence.safetensors. Raises OSError, or ValueError where it is torn."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, KeyError, TypeError) as error:  # torn, or of a type that numpy lacks
        raise ValueError(str(error)) from error


def weights_hash(run: Path) -> str:
    """Twelve hexadecimal digits that other weights would not have."""
    return sha256((run / MODEL).read_bytes()).hexdigest()[:12]


def note(run: Path, message: str) -> None:
    """A line in log.txt, with the time."""
    try:
        with open(run / LOG, "a", encoding="utf-8", errors="replace") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {message}\n")
    except OSError:
        pass  # the log is a courtesy: what it would say is on the terminal


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError where the text is none."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return None


def _object(file: Path) -> dict[str, Any]:
    value = _json(file)
    return value if isinstance(value, dict) else {}
