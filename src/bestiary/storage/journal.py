"""The journal of a run: one JSON object a line, a function of the run's configuration alone.

Lines hold rounds and numbers but no times of day, so that a run resumed after a kill writes the journal that one never
stopped would have written, byte for byte. A checkpoint holds the size and the hash of the journal; resuming cuts it
back to that size. If it has been damaged, a line `{"round": r, "gap": "…"}` says so in the journal itself.
"""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from bestiary.storage.atomic import run_error

__all__ = ["EMPTY", "Journal", "parse_journal", "read_journal"]

EMPTY = {"size": 0, "sha256": sha256(b"").hexdigest()}  # the mark of an empty journal


class Journal:
    """An append-only file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Mapping[str, object]) -> None:
        """Write one line."""
        try:
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise run_error(self.path, error) from error

    def sync(self) -> dict[str, Any]:
        """Flush to the disk; the journal's present size and hash, for `rewind`."""
        if not self.path.exists():
            return dict(EMPTY)
        try:
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())
                content = file.read()
        except OSError as error:
            raise run_error(self.path, error) from error
        return {"size": len(content), "sha256": sha256(content).hexdigest()}

    def rewind(self, mark: Mapping[str, Any]) -> str:
        """Cut the journal back to what it was at a `sync`; what is wrong with it, in words, or "" if nothing is."""
        try:
            with open(self.path, "ab+") as file:  # also makes a journal that has been deleted
                file.seek(0)
                content = file.read(mark["size"])
                whole = content[: content.rfind(b"\n") + 1]
                file.truncate(len(whole))
                os.fsync(file.fileno())
        except OSError as error:
            raise run_error(self.path, error) from error
        if len(content) < mark["size"]:
            return f"{self.path.name} has lost its end: {len(whole)} of {mark['size']} bytes are left"
        return "" if sha256(content).hexdigest() == mark["sha256"] else f"{self.path.name} has been changed"


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a journal, none where there is no file."""
    return parse_journal(path.read_text("utf-8", errors="replace")) if path.is_file() else []


def parse_journal(text: str) -> list[dict[str, Any]]:
    """The lines that are JSON objects; one torn by a kill, or by hand, is passed over.

    >>> parse_journal('{"round": 1}\\n[2]\\n{"rou')
    [{'round': 1}]
    """
    lines = []
    for written in text.splitlines():
        try:
            line = json.loads(written)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines
