"""Where data lies on disk, and writing so that a file is either whole or absent.

A file is written beside its place under a temporary name, flushed to the disk, then renamed: a reader never
sees half of one, whatever kills the writer. Two folders hold data that this program did not make:

    BESTIARY_DATA     data that the user has, one folder for each set (mnist/, omniglot/, …)
    BESTIARY_CACHE    what was downloaded or decoded; ~/.cache/bestiary if not set; can be deleted at any time
"""

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bestiary.errors import BestiaryError

__all__ = [
    "MEMORY_LIMIT",
    "atomic",
    "cache_folder",
    "data_folder",
    "fingerprint",
    "in_memory",
    "io_error",
    "plain_name",
]

MEMORY_LIMIT = 2**30  # a mapped array up to this size is read whole: a batch is then an index, not a read

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or choose another disk",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another disk",
    errno.EROFS: "the disk is read-only: choose another place",
    errno.EACCES: "permission denied: choose a place that you may use",
    errno.EPERM: "permission denied: choose a place that you may use",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "that is a folder, not a file",
    errno.ENAMETOOLONG: "the name is too long",
}


def io_error(doing: str, error: OSError) -> BestiaryError:
    """An operating-system error said in words; `doing` names the act and the path."""
    return BestiaryError(f"cannot {doing}: {_REASONS.get(error.errno or 0, error.strerror or str(error))}")


@contextmanager
def atomic(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path` when the block ends well, and vanishes when it does not."""
    path, temporary = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes a file that only its owner reads
        os.replace(temporary, path)
    except OSError as error:
        raise io_error(f"write {path}", error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


def cache_folder(*parts: str) -> Path:
    """A folder of the cache; not made until something is written to it."""
    try:
        root = os.environ.get("BESTIARY_CACHE") or Path.home() / ".cache" / "bestiary"
    except RuntimeError as error:  # no home folder at all, as in some containers
        raise BestiaryError("no home folder to keep a cache in: set BESTIARY_CACHE to a folder") from error
    return Path(root).expanduser().joinpath(*parts)


def data_folder() -> Path | None:
    """The user's own folder of data sets, if BESTIARY_DATA names one."""
    root = os.environ.get("BESTIARY_DATA")
    return Path(root).expanduser() if root else None


def in_memory(array: np.ndarray, stream: bool | None) -> np.ndarray:
    """A mapped array read whole, unless `stream` asks otherwise or (None) it is larger than MEMORY_LIMIT."""
    keep_mapped = array.nbytes > MEMORY_LIMIT if stream is None else stream
    return array if keep_mapped else np.array(array)


def plain_name(text: str) -> str:
    """A name that any file system and shell takes: letters, digits, dot, dash and underscore.

    >>> plain_name("my photos/2024 (best)")
    'my-photos-2024-best'
    """
    return re.sub(r"[^\w.-]+", "-", text)[:60].strip("-.") or "data"


def fingerprint(stored: np.ndarray) -> str:
    """A digest of an array's shape, type and values; a mapped array is read block by block."""
    digest = hashlib.blake2b(repr((stored.shape, stored.dtype.str)).encode(), digest_size=16)
    for start in range(0, len(stored), 4096):
        digest.update(np.ascontiguousarray(stored[start : start + 4096]).data)
    return digest.hexdigest()
