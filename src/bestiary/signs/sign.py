"""Signs and remedies, and the history of a run that signs are read from.

A history is the journal as series of named numbers (`<player>.<term>` of training, `validation.<number>` of held-out
examples) with the options of model and training. A sign is read by a function of a history. It returns None, or a
`Sign` with the failure, the numbers that show it, and remedies.

Legend: T lines of the journal.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import parse_schedule
from bestiary.grammar.values import value_text
from bestiary.storage.journal import read_journal

__all__ = ["Remedy", "RunHistory", "Sign", "make_sign", "option_number", "read_history"]


@dataclass(frozen=True)
class Remedy:
    """Advice against a failure, and the options that follow it."""

    advice: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sign:
    """A symptom in the numbers of a run."""

    name: str
    message: str  # the failure and the numbers that show it, in a sentence
    remedies: tuple[Remedy, ...]

    def to_dict(self, round: int, command: Any = None) -> dict[str, Any]:
        """For signs.json. command: a function from the options of a remedy to the command that applies them."""
        remedies = [
            {"says": r.advice, "command": command(r.options) if command and r.options else ""} for r in self.remedies
        ]
        return {"name": self.name, "says": self.message, "round": round, "remedies": remedies}


class RunHistory:
    """The numbers of a run so far, and its options.

    rounds: of the whole run. failure: why it failed, empty if it did not. maps: whether x are images. main: the players
    that train the networks that generate x.
    """

    def __init__(
        self, rounds: int, options: Mapping[str, Any] | None = None, failure: str = "", maps: bool = False,
        main: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.rounds, self.options, self.round = rounds, dict(options or {}), 0
        self.failure, self.maps, self.main = failure, maps, tuple(main)
        self.series: dict[str, list[tuple[int, float]]] = {}  # name → (round, value) of each line

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line of the journal."""
        self.round = max(self.round, int(line["round"]))
        for key, value in line.items():
            if "." in key and isinstance(value, int | float) and isfinite(value):
                self.series.setdefault(key, []).append((int(line["round"]), float(value)))

    def latest(self, key: str) -> float | None:
        """The newest value of a number; None if there is none."""
        return self.series[key][-1][1] if key in self.series else None

    def latest_values(self, *keys: str) -> tuple[float, ...] | None:
        """The newest values of several numbers; None unless all exist and are of the same round."""
        newest = [self.series[key][-1] for key in keys if key in self.series]
        complete = len(newest) == len(keys) and len({round for round, _ in newest}) == 1
        return tuple(value for _, value in newest) if complete else None

    def recent_mean(self, key: str, lines: int = 5) -> float | None:
        """The mean of the last few values of a number, since single batches are noisy; None if there is none."""
        values = [value for _, value in self.series.get(key, [])[-lines:]]
        return sum(values) / len(values) if values else None

    def main_term(self, name: str) -> float | None:
        """The recent mean of a term of a main player, or of any player if no main player is known."""
        players = [k.rpartition(".")[0] for k in self.series if k.rpartition(".")[2] == name and k.count(".") == 1]
        candidates = [p for p in players if p != "validation" and (p in self.main or not self.main)]
        return self.recent_mean(f"{candidates[0]}.{name}") if candidates else None

    @property
    def is_mature(self) -> bool:
        """Whether a fifth of the run is over; before, most symptoms only show that training has just begun."""
        return self.round >= 0.2 * self.rounds


def read_history(
    path: Path, rounds: int, options: Mapping[str, Any] | None = None, failure: str = "", maps: bool = False,
    until: float = inf, main: Sequence[str] = (),
) -> RunHistory:  # fmt: skip
    """The history in a journal, up to the round `until`. Lines that cannot be read are skipped."""
    history = RunHistory(rounds, options, failure, maps, main)
    for line in read_journal(path):
        if "round" in line and line["round"] <= until:
            history.add(line)
    return history


def make_sign(history: RunHistory, name: str, message: str, remedies: Iterable[Remedy]) -> Sign:
    """The sign, without the remedies whose options the run already has."""
    useful = [
        r
        for r in remedies
        if not r.options or not all(_equals(history.options.get(k), v) for k, v in r.options.items())
    ]
    return Sign(name, message, tuple(useful))


def _equals(option: Any, value: str) -> bool:
    """Whether an option has the value that a remedy writes as text: 1.0 equals "1", a schedule equals its text."""
    try:
        return parse_schedule(option) == parse_schedule(value)
    except (BestiaryError, TypeError, ValueError):
        return value_text(option) == value


def option_number(history: RunHistory, key: str, default: float) -> float:
    """The number that an option has; the default if the option is absent or a schedule."""
    value = history.options.get(key)
    return float(value) if isinstance(value, int | float) else default
