"""The journal: one JSON object a line, a function of the run's configuration alone.

Lines hold rounds and numbers but no times of day, so that a run resumed after a kill writes the journal that one never
stopped would have written, byte for byte. A checkpoint notes how long the journal was; resuming cuts it back to there.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from bestiary.training.checkpoint import disk_error

__all__ = ["Journal", "read_journal"]


class Journal:
    """An append-only file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Mapping[str, object]) -> None:
        try:
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise disk_error(self.path, error) from error

    def sync(self) -> int:
        """Flush to the disk; how many bytes the journal now has."""
        if not self.path.exists():
            return 0
        try:
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())
                return file.seek(0, os.SEEK_END)
        except OSError as error:
            raise disk_error(self.path, error) from error

    def cut(self, size: int) -> None:
        """Forget what was written after the journal had `size` bytes."""
        if self.path.exists():
            try:
                with open(self.path, "rb+") as file:
                    file.truncate(size)
                    os.fsync(file.fileno())
            except OSError as error:
                raise disk_error(self.path, error) from error


def read_journal(path: Path) -> list[dict[str, float]]:
    """Every whole line; a last line torn by a kill is passed over."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines
