"""Run folders: names that are never taken twice, finding one by a name, and what is written at its root.

runs/<data>-<model>[-n]/        runs/latest → the newest
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bestiary.data.files import io_error
from bestiary.errors import BestiaryError, nearest
from bestiary.report.run_record import refuse_old
from bestiary.storage.toml import dumps
from bestiary.training.checkpoint import write_atomic

__all__ = [
    "create",
    "find",
    "held",
    "note",
    "point",
    "read_config",
    "read_env",
    "runs_in",
    "update_env",
    "write_config",
]

_TABLES = ("command", "version", "data", "spec", "model", "training", "inferred", "origin")  # of config.toml, in order


def create(root: Path, data: str, model: str, name: str | None = None) -> Path:
    """Make a new run folder; the name that was asked for, or `<data>-<model>`, with a number if it is taken."""
    stem = name or f"{_slug(data)}-{model}"
    if name is not None and (not re.fullmatch(r"\w[\w.+-]{0,99}", name) or name == "latest"):
        raise BestiaryError(
            f"--name {name}: a run's name is one word of at most 100 letters, digits and . _ + -, beginning with a"
            " letter or a digit, and is not `latest`"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _untaken(root, stem)
    except FileExistsError:
        raise BestiaryError(f"--runs {root} is not a folder: name one, or leave it out") from None
    except OSError as error:
        raise io_error(f"make a run in {root}", error) from error


def _untaken(root: Path, stem: str) -> Path:
    """A new folder; making it is the test, so that two fits that begin together get one each."""
    number = 1
    while True:
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def _slug(data: str) -> str:
    word = re.sub(r"\W+", "-", Path(data.removeprefix("hf:")).stem or "data").strip("-").lower()
    return word[:40] or "data"


def point(path: Path) -> None:
    """`latest` → this run, the newest; where links cannot be made, there is none."""
    link = path.parent / "latest"
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
            if path.name in ("", ".."):
                return path.resolve()
            return path.with_name(path.resolve().name) if _is_latest(path) else path
    names = [p.name for p in runs_in(Path(root))]
    guess = nearest(Path(name).name, names)
    hint = f"did you mean `{guess}`? " if guess else ""
    have = (
        f"Runs in {root}: {', '.join(names)}." if names else f"There are no runs in {root} yet: bestiary fit digits vae"
    )
    raise BestiaryError(f"no run `{name}`: {hint}{have}")


def _is_latest(path: Path) -> bool:
    """Whether a path is a link to its neighbour, which has a name of its own."""
    return path.is_symlink() and path.resolve().parent == path.parent.resolve()


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write config.toml: from now on the folder is a run."""
    write_atomic(path / "config.toml", dumps(config))


def read_config(path: Path) -> dict[str, Any]:
    """config.toml as nested dictionaries."""
    file = path / "config.toml"
    try:
        config = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BestiaryError(f"{file} cannot be read ({error}): the run cannot be loaded") from error
    lost = [key for key in _TABLES if key not in config]
    if "spec" in config:
        refuse_old(config, path)
    if lost:  # half of a file may well be good TOML
        raise BestiaryError(f"{file} is torn, {', '.join(lost)} is missing: the run cannot be loaded")
    return config


def read_env(path: Path) -> dict[str, Any]:
    """env.json; nothing if it is not there or torn, for no run depends on it."""
    try:
        found = json.loads((path / "env.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def update_env(path: Path, **facts: Any) -> None:
    """Add facts to env.json."""
    write_atomic(path / "env.json", json.dumps({**read_env(path), **facts}, indent=1))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Within: no other process of this machine fits this run. The lock ends with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise BestiaryError(f"{path} is being fitted by another process: wait for it, or end it first") from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(folder)


def note(path: Path, message: str) -> None:
    """A line in log.txt, with the time."""
    from datetime import datetime

    try:
        with open(path / "log.txt", "a", encoding="utf-8", errors="replace") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {message}\n")
    except OSError:
        pass  # the log is a courtesy: what it would say is on the terminal
