"""Ranges of options, declared beside the type where the option is declared: `latent: Count = 20`.

    Count         1, 2, 3, …                Positive      x > 0
    Natural       0, 1, 2, …                NotNegative   x ≥ 0
    Size          1, 2, …, 100000           Share         0 ≤ x < 1
    Repeats       1, 2, …, 1000

`grammar/values.py` reads a value by its type and refuses it outside of the range. All numbers are finite. The range of
a tuple holds for each of its items; words and None have none.
"""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Any

__all__ = ["Count", "Natural", "NotNegative", "Positive", "Range", "Repeats", "Share", "Size"]


@dataclass(frozen=True)
class Range:
    """The numbers from `least` to `most` that are greater than `above` and less than `below`."""

    example: str  # one of them, for errors
    least: float = -inf
    most: float = inf
    above: float = -inf
    below: float = inf

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the range: a number, each item of a tuple, both ends of a schedule."""
        match value:
            case bool() | str() | None:
                return True
            case int() | float():
                return self._touches(value) and self.above < value < self.below
            case tuple():
                return all(map(self.holds, value))
            case object(start=start, stop=stop):  # a schedule may begin or end at an open end, but not stay there
                return self._touches(start) and self._touches(stop) and (self.holds(start) or self.holds(stop))
        return True

    def _touches(self, number: float) -> bool:
        return self.least <= number <= self.most and self.above <= number <= self.below

    def __str__(self) -> str:
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {end:g}" for word, end in words.items() if abs(end) < inf)


Count = Annotated[int, Range("10", least=1)]
Natural = Annotated[int, Range("0", least=0)]
Size = Annotated[int, Range("10", least=1, most=100_000)]  # of a layer, of a code, of a mixture
Repeats = Annotated[int, Range("5", least=1, most=1000)]  # what is done one after the other within a round
Positive = Annotated[float, Range("0.1", above=0)]
NotNegative = Annotated[float, Range("0.1", least=0)]
Share = Annotated[float, Range("0.5", least=0, below=1)]
