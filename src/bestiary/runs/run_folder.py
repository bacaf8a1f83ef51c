"""Run folders: names that are never taken twice, finding one by a name, and one writer at a time.

runs/<data>-<model>[-n]/        runs/latest → the newest
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bestiary.errors import BestiaryError, nearest_name
from bestiary.storage.atomic import io_error
from bestiary.storage.run_files import CONFIG

__all__ = ["create", "find", "locked", "point_latest_at", "runs_in"]


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


def point_latest_at(path: Path) -> None:
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
    return sorted(p for p in root.iterdir() if not p.is_symlink() and (p / CONFIG).is_file())


def find(name: str | Path, root: str | Path = "runs") -> Path:
    """The run folder that a path, a name under `root`, or `latest` means."""
    for path in (Path(name), Path(root) / str(name)):
        if (path / CONFIG).is_file():
            if path.name in ("", ".."):
                return path.resolve()
            return path.with_name(path.resolve().name) if _is_latest(path) else path
    names = [p.name for p in runs_in(Path(root))]
    guess = nearest_name(Path(name).name, names)
    hint = f"did you mean `{guess}`? " if guess else ""
    have = (
        f"Runs in {root}: {', '.join(names)}." if names else f"There are no runs in {root} yet: bestiary fit digits vae"
    )
    raise BestiaryError(f"no run `{name}`: {hint}{have}")


def _is_latest(path: Path) -> bool:
    """Whether a path is a link to its neighbour, which has a name of its own."""
    return path.is_symlink() and path.resolve().parent == path.parent.resolve()


@contextmanager
def locked(path: Path) -> Iterator[None]:
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
