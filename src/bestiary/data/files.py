"""The folders of data sets and of the cache, and whether a file is read into memory or stays memory-mapped.

BESTIARY_DATA     data that the user has, one folder for each set (mnist/, omniglot/, …)
BESTIARY_CACHE    downloads and decoded images; ~/.cache/bestiary if not set; can be deleted at any time
"""

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from bestiary.errors import BestiaryError

__all__ = [
    "MEMORY_LIMIT",
    "cache_folder",
    "data_folder",
    "fingerprint",
    "in_memory",
    "plain_name",
    "printable",
]

MEMORY_LIMIT = 2**30  # bytes: smaller arrays are read into memory, where a batch is an index and not a read


def cache_folder(*parts: str) -> Path:
    """A folder of the cache, which may not exist yet. Raises BestiaryError where there is no home folder."""
    try:
        root = os.environ.get("BESTIARY_CACHE") or Path.home() / ".cache" / "bestiary"
    except RuntimeError as error:  # no home folder at all, as in some containers
        raise BestiaryError("no home folder to keep a cache in: set BESTIARY_CACHE to a folder") from error
    return Path(root).expanduser().joinpath(*parts)


def data_folder() -> Path | None:
    """The folder of data sets that BESTIARY_DATA names, or None."""
    root = os.environ.get("BESTIARY_DATA")
    return Path(root).expanduser() if root else None


def in_memory(array: np.ndarray, stream: bool | None) -> np.ndarray:
    """A mapped array, read into memory: where `stream` is False, or is None and the array is within MEMORY_LIMIT."""
    keep_mapped = array.nbytes > MEMORY_LIMIT if stream is None else stream
    return array if keep_mapped else np.array(array)


def plain_name(text: str) -> str:
    """A text → a name that any file system and shell takes: letters, digits, dot, dash and underscore.

    >>> plain_name("my photos/2024 (best)")
    'my-photos-2024-best'
    """
    return re.sub(r"[^\w.-]+", "-", text)[:60].strip("-.") or "data"


def printable(text: str) -> str:
    """A text in which one blank stands for each run of blanks and control characters, which a terminal would obey.

    >>> printable("height\\n(cm) \\x1b[31m")
    'height (cm) [31m'
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def fingerprint(stored: np.ndarray) -> str:
    """A digest of an array's shape, type and values; a mapped array is read block by block."""
    digest = hashlib.blake2b(repr((stored.shape, stored.dtype.str)).encode(), digest_size=16)
    for start in range(0, len(stored), 4096):
        digest.update(np.ascontiguousarray(stored[start : start + 4096]).data)
    return digest.hexdigest()
