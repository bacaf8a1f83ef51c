"""Run folders: create one with a name of its own, find one by its name, and lock one while it is fitted.

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

__all__ = ["check_utf8", "create_run_folder", "find_run", "list_runs", "locked", "point_latest_at"]


def check_utf8(name: object) -> None:
    """Raise BestiaryError for a name that is not UTF-8, which no config, command or file of safetensors can hold."""
    try:
        str(name).encode("utf-8")
    except UnicodeEncodeError as error:
        readable = str(name).encode("utf-8", "replace").decode()
        raise BestiaryError(
            f"the name {readable} is not text in UTF-8: rename it, or set the locale to UTF-8"
        ) from error


def create_run_folder(root: Path, data: str, model: str, name: str | None = None) -> Path:
    """Create a run folder `name`, or `<data>-<model>`, with a number if there is one of that name.

    Raises BestiaryError for a name that is not one word, and where the folder cannot be created.
    """
    check_utf8(root.absolute())
    stem = name or f"{_slug(data)}-{model}"
    if name is not None and (not re.fullmatch(r"\w[\w.+-]{0,99}", name) or name == "latest"):
        raise BestiaryError(
            f"--name {name}: a run's name is one word of at most 100 letters, digits and . _ + -, beginning with a"
            " letter or a digit, and is not `latest`"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _make_unique_folder(root, stem)
    except FileExistsError:
        raise BestiaryError(f"--runs {root} is not a folder: give a folder, or leave it out") from None
    except OSError as error:
        raise io_error(f"create a run in {root}", error) from error


def _make_unique_folder(root: Path, stem: str) -> Path:
    """Make a folder `stem`, `stem-2`, …, the first that is free. `mkdir` decides, so two fits never share one."""
    number = 1
    while True:
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def _slug(data: str) -> str:
    """The name or path of data as a word of at most 40 letters for a folder's name."""
    word = re.sub(r"\W+", "-", Path(data.removeprefix("hf:")).stem or "data").strip("-").lower()
    return word[:40] or "data"


def point_latest_at(path: Path) -> None:
    """Make the link `latest` beside a run point to it; no link on a file system without links."""
    link = path.parent / "latest"
    temporary = link.with_name(f".latest-{os.getpid()}")
    try:
        temporary.symlink_to(path.name)
        os.replace(temporary, link)
    except OSError:
        temporary.unlink(missing_ok=True)


def list_runs(root: Path) -> list[Path]:
    """The run folders in `root`, sorted by name."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if not p.is_symlink() and (p / CONFIG).is_file())


def find_run(name: str | Path, root: str | Path = "runs") -> Path:
    """The folder of a run. name: its path, its name in `root`, or `latest`.

    Raises BestiaryError, with the nearest name, if there is no such run.
    """
    for path in (Path(name), Path(root) / str(name)):
        if (path / CONFIG).is_file():
            check_utf8(path.absolute())
            if path.name in ("", ".."):
                return path.resolve()
            return path.with_name(path.resolve().name) if _is_latest(path) else path
    names = [p.name for p in list_runs(Path(root))]
    guess = nearest_name(Path(name).name, names)
    hint = f"did you mean `{guess}`? " if guess else ""
    listing = (
        f"Runs in {root}: {', '.join(names)}." if names else f"There are no runs in {root} yet: bestiary fit digits vae"
    )
    raise BestiaryError(f"no run `{name}`: {hint}{listing}")


def _is_latest(path: Path) -> bool:
    """Whether a path is a link, such as `latest`, to a run in the same folder."""
    return path.is_symlink() and path.resolve().parent == path.parent.resolve()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within the block no other process of this machine fits this run. The lock ends with the process, even if killed.

    Raises BestiaryError if another process has the lock. Windows and some network disks have no file locks.
    """
    try:
        import fcntl
    except ImportError:  # on Windows
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
