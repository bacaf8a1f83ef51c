"""Run folders: names that are never taken twice, finding one by a name, and what is written at its root.

runs/<data>-<model>[-n]/        runs/latest → the newest
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bestiary.errors import BestiaryError, nearest
from bestiary.runs.toml import dumps
from bestiary.training.checkpoint import disk_error, write_atomic

__all__ = ["create", "find", "note", "read_config", "runs_in", "update_env", "write_config"]


def create(root: Path, data: str, model: str, name: str | None = None) -> Path:
    """Make a new run folder; the name that was asked for, or `<data>-<model>`, with a number if it is taken."""
    stem = name or f"{_slug(data)}-{model}"
    if name is not None and not re.fullmatch(r"[\w.][\w.+-]*", name):
        raise BestiaryError(f"--name {name}: a run's name is one word of letters, digits and . _ + -")
    number = 1
    while True:
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir()
            break
        except FileExistsError:
            if root.exists() and not root.is_dir():
                raise BestiaryError(f"--runs {root} is a file: name a folder") from None
            number += 1
        except OSError as error:
            raise disk_error(path, error) from error
    _point(root / "latest", path)
    return path


def _slug(data: str) -> str:
    word = re.sub(r"\W+", "-", Path(data.removeprefix("hf:")).stem or "data").strip("-").lower()
    return word[:40] or "data"


def _point(link: Path, path: Path) -> None:
    """`latest` → the newest run; where links cannot be made, there is none."""
    hidden = link.with_name(f".latest-{os.getpid()}")
    try:
        hidden.symlink_to(path.name)
        os.replace(hidden, link)
    except OSError:
        hidden.unlink(missing_ok=True)


def runs_in(root: Path) -> list[Path]:
    """All run folders under `root`."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if not p.is_symlink() and (p / "config.toml").is_file())


def find(name: str | Path, root: str | Path = "runs") -> Path:
    """The run folder that a path, a name under `root`, or `latest` means."""
    for path in (Path(name), Path(root) / str(name)):
        if (path / "config.toml").is_file():
            return path.resolve() if path.is_symlink() else path
    names = [p.name for p in runs_in(Path(root))]
    guess = nearest(Path(name).name, names)
    hint = f"did you mean `{guess}`? " if guess else ""
    have = (
        f"Runs in {root}: {', '.join(names)}." if names else f"There are no runs in {root} yet: bestiary fit digits vae"
    )
    raise BestiaryError(f"no run `{name}`: {hint}{have}")


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    write_atomic(path / "config.toml", dumps(config))


def read_config(path: Path) -> dict[str, Any]:
    """config.toml as nested dictionaries."""
    try:
        return tomllib.loads((path / "config.toml").read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BestiaryError(f"{path / 'config.toml'} cannot be read ({error}): the run cannot be loaded") from error


def update_env(path: Path, **facts: Any) -> None:
    """Add facts to env.json."""
    file = path / "env.json"
    try:
        before = json.loads(file.read_text()) if file.exists() else {}
    except (OSError, json.JSONDecodeError):
        before = {}
    write_atomic(file, json.dumps({**before, **facts}, indent=1))


def note(path: Path, message: str) -> None:
    """A line in log.txt, with the time."""
    from datetime import datetime

    try:
        with open(path / "log.txt", "a") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {message}\n")
    except OSError:
        pass  # the log is a courtesy: what it would say is on the terminal
