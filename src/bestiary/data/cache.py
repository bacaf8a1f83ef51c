"""The cache of decoded images: for each key one .npy of bytes (N, H, W, C) and one .json of facts about it.

The key is a digest of the name and the content of every file and of the options: a changed pixel makes a new key. The
array is written in chunks, so that it may be larger than memory; its header is rewritten at the end, when N is known.
The .json is written last: it exists only if the array is complete. Its second line is a digest of the array and of the
first line: where a bit has flipped since, the images are decoded again.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.files import cache_folder, fingerprint
from bestiary.storage.atomic import atomic

__all__ = ["key_of", "lookup", "store", "write_array"]

_VERSION = 3  # raise it when decoding changes: older entries are then not found
_HEADER_BYTES = 256  # bytes of the .npy header, enough for any N; numpy wants a multiple of 64


def key_of(names: Iterable[str], digests: Iterable[bytes], options: dict[str, Any]) -> str:
    """The key of an array: a digest of the files' names and contents and of the options."""
    key = hashlib.blake2b(json.dumps([_VERSION, sorted(options.items())]).encode(), digest_size=16)
    for name, digest in zip(names, digests, strict=True):
        key.update(json.dumps([name, digest.hex()]).encode())  # as JSON, no two lists of names run together
    return key.hexdigest()


def _paths(key: str) -> tuple[Path, Path]:
    folder = cache_folder("images")
    return folder / f"{key}.npy", folder / f"{key}.json"


def lookup(key: str) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The memory-mapped array and its facts; None where they are not in the cache, or damaged."""
    array_path, facts_path = _paths(key)
    try:
        text, digest = facts_path.read_text(encoding="utf-8").split("\n")
        array = np.load(array_path, mmap_mode="r", allow_pickle=False)
        return (array, json.loads(text)) if digest == _digest(text, array) else None
    except (OSError, ValueError):  # absent or damaged: it is decoded again
        return None


def _digest(facts: str, array: np.ndarray) -> str:
    return hashlib.blake2b(f"{facts} {fingerprint(array)}".encode(), digest_size=16).hexdigest()


def store(key: str, chunks: Iterable[np.ndarray], facts: dict[str, Any]) -> None:
    """Write the chunks (n, H, W, C), then the facts; `facts` may be filled while the chunks are made."""
    array_path, facts_path = _paths(key)
    part_path = array_path.with_suffix(f".{os.getpid()}.part")  # several processes may write the same array at once
    try:
        shape, binary = write_array(part_path, chunks)
        if binary:  # 0 and 255 only: kept as 0 and 1
            array = np.load(part_path, mmap_mode="r", allow_pickle=False)
            write_array(array_path, (array[i : i + 4096] // 255 for i in range(0, len(array), 4096)))
        else:
            os.replace(part_path, array_path)
    finally:
        with suppress(OSError):
            part_path.unlink(missing_ok=True)
    facts |= {"shape": list(shape), "levels": 2 if binary else 256}
    text = json.dumps(facts)
    digest = _digest(text, np.load(array_path, mmap_mode="r", allow_pickle=False))
    with atomic(facts_path) as file:
        file.write(f"{text}\n{digest}".encode())


def write_array(path: Path, chunks: Iterable[np.ndarray]) -> tuple[tuple[int, ...], bool]:
    """Chunks (n, …) uint8 → one .npy; returns its shape and whether it holds 0 and 255 only."""
    n, binary, rest = 0, True, (0,)
    with atomic(path) as file:
        file.write(_npy_header((0,)))
        for chunk in chunks:
            file.write(np.ascontiguousarray(chunk).data)
            n, rest = n + len(chunk), chunk.shape[1:]
            binary = binary and bool(((chunk == 0) | (chunk == 255)).all())
        file.seek(0)
        file.write(_npy_header((n, *rest)))
    return (n, *rest), binary


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of a version 1.0 .npy file, padded to a fixed length."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", _HEADER_BYTES - 10)
    return magic + text.ljust(_HEADER_BYTES - 11) + b"\n"


def chunked(items: list[Any], size: int) -> Iterator[list[Any]]:
    """A list in pieces of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
