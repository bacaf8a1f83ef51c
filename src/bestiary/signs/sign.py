"""What a sign is, and the story of a run that signs are read from.

A story is the journal as series of named numbers, `<player>.<term>` while fitting and `validation.<number>` on examples
kept from it, with the options of model and training. A sign is a function of a story: nothing, or what is wrong, by
which numbers, and what helps.

Legend: T lines of the journal.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import parse_schedule
from bestiary.grammar.values import text
from bestiary.storage.journal import read_journal

__all__ = ["Remedy", "Sign", "Story", "number", "sign_of", "told"]


@dataclass(frozen=True)
class Remedy:
    """What helps, and the options that apply it."""

    says: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sign:
    """A symptom that was found."""

    name: str
    says: str  # the illness and the numbers that show it, in a sentence
    remedies: tuple[Remedy, ...]

    def to_dict(self, round: int, command: Any = None) -> dict[str, Any]:
        """For signs.json; `command` makes a line to type of a remedy's options."""
        remedies = [
            {"says": r.says, "command": command(r.options) if command and r.options else ""} for r in self.remedies
        ]
        return {"name": self.name, "says": self.says, "round": round, "remedies": remedies}


class Story:
    """The numbers of a run so far, and its options."""

    def __init__(
        self, rounds: int, options: Mapping[str, Any] | None = None, failure: str = "", maps: bool = False,
        main: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.rounds, self.options, self.round = rounds, dict(options or {}), 0
        self.failure, self.maps = failure, maps  # what made it fail; whether x are images
        self.main = tuple(main)  # the players that fit what makes x
        self.series: dict[str, list[tuple[int, float]]] = {}

    def add(self, line: Mapping[str, Any]) -> None:
        """One line of the journal."""
        self.round = max(self.round, int(line["round"]))
        for key, value in line.items():
            if "." in key and isinstance(value, int | float) and isfinite(value):
                self.series.setdefault(key, []).append((int(line["round"]), float(value)))

    def last(self, key: str) -> float | None:
        """The newest value of a number, if there is one."""
        return self.series[key][-1][1] if key in self.series else None

    def recent(self, key: str, lines: int = 5) -> float | None:
        """The mean of its last few values: single batches are noisy."""
        values = [value for _, value in self.series.get(key, [])[-lines:]]
        return sum(values) / len(values) if values else None

    def term(self, name: str) -> float | None:
        """The recent mean of a term of the main player; of the only one that has it where none is named."""
        owners = [k.rpartition(".")[0] for k in self.series if k.rpartition(".")[2] == name and k.count(".") == 1]
        mine = [owner for owner in owners if owner != "validation" and (owner in self.main or not self.main)]
        return self.recent(f"{mine[0]}.{name}") if mine else None

    def every(self, *keys: str) -> tuple[float, ...] | None:
        """The newest values of several numbers, if all are there and of one round."""
        newest = [self.series[key][-1] for key in keys if key in self.series]
        together = len(newest) == len(keys) and len({round for round, _ in newest}) == 1
        return tuple(value for _, value in newest) if together else None

    @property
    def grown(self) -> bool:
        """Whether a fifth of the run is over: before that most symptoms are those of youth."""
        return self.round >= 0.2 * self.rounds


def told(
    path: Path, rounds: int, options: Mapping[str, Any] | None = None, failure: str = "", maps: bool = False,
    until: float = inf, main: Sequence[str] = (),
) -> Story:  # fmt: skip
    """The story that a journal tells up to a round; lines that are torn are left out."""
    story = Story(rounds, options, failure, maps, main)
    for line in read_journal(path):
        if line.get("round", inf) <= until:
            story.add(line)
    return story


def sign_of(story: Story, name: str, says: str, remedies: Iterable[Remedy]) -> Sign:
    """The sign with those of its remedies that the run has not got, each once."""
    wanted = [
        r for r in remedies if not r.options or not all(_is(story.options.get(k), v) for k, v in r.options.items())
    ]
    return Sign(name, says, tuple(wanted))


def _is(option: Any, value: str) -> bool:
    """Whether an option is what a remedy writes: 1.0 is 1, and a schedule is its text."""
    try:
        return parse_schedule(option) == parse_schedule(value)
    except (BestiaryError, TypeError, ValueError):
        return text(option) == value


def number(story: Story, key: str, otherwise: float) -> float:
    """An option that may be absent or a schedule."""
    value = story.options.get(key)
    return float(value) if isinstance(value, int | float) else otherwise
