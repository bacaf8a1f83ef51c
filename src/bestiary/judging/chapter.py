"""A chapter: one family of numbers about a case, with what a case must have for it.

    judge(case) → findings        numbers, notes in words, and what the report draws, by name

`needs` are types of ability (models/model.py) that the model must have; `applies` asks the case for everything else:
samples, a label, a known density. A new family of measures is a function here and a line in `chapters.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from bestiary.judging.case import Case
from bestiary.measures.number import Number

__all__ = ["Chapter", "Evidence", "Findings"]

Evidence = dict[str, Tensor]  # what the report draws (storage/run_files.py)


@dataclass(frozen=True)
class Findings:
    """What a chapter has found."""

    numbers: list[Number] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    evidence: Evidence = field(default_factory=dict)


def _always(case: Case) -> bool:
    return True


@dataclass(frozen=True)
class Chapter:
    """A family of numbers."""

    title: str  # as it is called where it is left out
    judge: Callable[[Case], Findings]
    needs: tuple[type, ...] = ()
    applies: Callable[[Case], bool] = _always
    slow: bool = False  # whether tests=fast leaves it out

    def fits(self, case: Case) -> bool:
        """Whether the case has what this chapter needs."""
        return all(isinstance(case.model, ability) for ability in self.needs) and self.applies(case)
