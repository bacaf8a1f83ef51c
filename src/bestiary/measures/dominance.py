"""Which few rows dominate a mean: an outlier, a row in other units, a value that was mistyped.

    few rows dominate    the largest 1% of (v − median)², at least one, have more than half of its sum
    the rows             the fewest of them, the largest first, without which no few rows dominate; or all of them

For n Gaussian values the largest 1% have about 8% of the sum, for n exponential ones about 22%, for log-normal ones of
deviation 1 about half. A mean that a few rows dominate says nothing of the others: it stands beside the mean without
them.

Legend: n rows.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["FewRows", "RowName", "dominant_rows", "number_rows"]

PART, SHARE = 0.01, 0.5  # of the rows, and of the sum of squares that they have
LEAST = 20  # rows, of fewer of which one has half of the sum by chance
NAMED = 3  # rows that a sentence names

RowName = Callable[[int], str]  # the number of a row → what a reader can find it by


class FewRows(NamedTuple):
    """The rows that dominate a mean, the largest first, and their share of the sum of squares."""

    rows: list[int]
    share: float

    def sentence(self, n: int, name: RowName) -> str:
        """How much of the sum is theirs, and which they are."""
        names = "; ".join(name(row) for row in self.rows[:NAMED])
        more = f" and {len(self.rows) - NAMED} more" if len(self.rows) > NAMED else ""
        return f"{len(self.rows)} of {n} rows make {100 * self.share:.0f}% of its variance: {names}{more}."

    def keep(self, n: int) -> Tensor:
        """Which of n rows are others: (n,) bool."""
        result = torch.ones(n, dtype=torch.bool)
        result[self.rows] = False
        return result


def number_rows(row: int) -> str:
    """The name of a row of which only the number is known, counted from 0."""
    return f"row {row}"


def dominant_rows(values: Tensor) -> FewRows | None:
    """The few rows that dominate the mean of values (n,), or None."""
    n = len(values)
    if n < LEAST:
        return None
    squares = (values.double() - values.double().median()).square()
    most = max(1, int(PART * n))
    largest, rows = squares.topk(2 * most)
    of_largest = torch.cat([largest.new_zeros(1), largest.cumsum(0)])
    without = torch.arange(most + 1)  # so many of the largest are left out
    left = (squares.sum() - of_largest[without]).clamp_min(1e-300)
    dominated = (of_largest[without + most] - of_largest[without]) / left > SHARE
    if not dominated[0]:
        return None
    count = most if dominated.all() else int(dominated.long().argmin())
    return FewRows(rows[:count].tolist(), float(of_largest[count] / squares.sum()))
