"""Files that are whole or absent: written beside their place, flushed to the disk, then renamed.

A reader never sees half of a file, whatever kills the writer, and after a power cut the file is the old or the new.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from bestiary.errors import BestiaryError

__all__ = ["atomic", "io_error", "remove", "run_error", "sync_folder", "write_atomic", "write_json", "write_synced"]

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or choose another disk",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another disk",
    errno.EFBIG: "the file is larger than the disk or `ulimit -f` allows: raise the limit, or choose another disk",
    errno.EROFS: "the disk is read-only: choose another place",
    errno.EACCES: "permission denied: choose a place that you may use",
    errno.EPERM: "permission denied: choose a place that you may use",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "that is a folder, not a file",
    errno.ENAMETOOLONG: "the name is too long",
}


def io_error(action: str, error: OSError) -> BestiaryError:
    """An error of the operating system in words; `action` names what was tried, and the path: "read x.csv"."""
    return BestiaryError(f"cannot {action}: {_REASONS.get(error.errno or 0, error.strerror or str(error))}")


def run_error(path: Path, error: OSError, kept: list[Path] | None = None) -> BestiaryError:
    """The same for a file of a run that is being fitted: how to go on; `kept`: its checkpoints."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, remedy = "the disk is full", "Free some space"
    elif error.errno == errno.EFBIG:
        reason, remedy = "the file is larger than the disk or `ulimit -f` allows", "Raise that limit"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        reason, remedy = "the folder cannot be written to", "Give yourself the right to write there"
    else:
        reason, remedy = error.strerror or str(error), "Mend that"
    last = f" The last good checkpoint is {kept[-1]}." if kept else ""
    return BestiaryError(f"could not write {path}: {reason}.{last} {remedy}, then go on with --resume.")


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of `path` when the block ends well, and vanishes when it does not."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes a file that only its owner reads
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


@contextmanager
def atomic(path: str | Path) -> Iterator[BinaryIO]:
    """Write a file of any kind: within the block to the file that is given, which then takes the place of `path`.

    Folders that are missing are made. Raises `BestiaryError` where the disk refuses.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path) as file:
            yield file
    except OSError as error:
        raise io_error(f"write {path}", error) from error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file of a run. Its folder must be there: a run whose folder has gone must not go on in a new one."""
    try:
        with _replacing(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise run_error(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON that a person can read."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False))


def write_synced(path: Path, content: bytes) -> None:
    """Write a file in place and flush it to the disk; for files in a folder that is renamed as a whole."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush a folder's list of names to the disk: after it a rename outlives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there. A folder is hidden first, so that no half of it looks whole."""
    try:
        if path.is_dir():
            hidden = path.with_name(f".{path.name}.old")
            shutil.rmtree(hidden, ignore_errors=True)
            os.rename(path, hidden)
            shutil.rmtree(hidden, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        pass  # what could not be removed does no harm: it is hidden or whole
