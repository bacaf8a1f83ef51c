"""The journal of a run: one JSON object a line, a function of the run's configuration alone.

Lines hold rounds and numbers but no times of day, so that a run resumed after a kill writes the journal that one never
stopped would have written, byte for byte. A checkpoint notes how long the journal was; resuming cuts it back to there.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bestiary.storage.atomic import run_error

__all__ = ["Journal", "parse_journal", "read_journal"]


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

    def sync(self) -> int:
        """Flush to the disk; how many bytes the journal now has."""
        if not self.path.exists():
            return 0
        try:
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())
                return file.seek(0, os.SEEK_END)
        except OSError as error:
            raise run_error(self.path, error) from error

    def cut(self, size: int) -> None:
        """Forget what was written after the journal had `size` bytes."""
        if self.path.exists():
            try:
                with open(self.path, "rb+") as file:
                    file.truncate(size)
                    os.fsync(file.fileno())
            except OSError as error:
                raise run_error(self.path, error) from error


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
