"""Hints on columns of numbers that are probably none: row numbers, and classes that are written as numbers.

    row numbers   whole numbers that rise or fall from row to row, or whole numbers that are called id
    classes       at most 10 values, each of which occurs 10 times on average, such as ±1

They are fitted as Gaussians all the same: only the user knows. The hint has the option to type.

Legend: N rows.
"""

import re
from collections.abc import Mapping

import numpy as np

__all__ = ["column_hints"]

_NAMED_ID = re.compile(r"(?i:(?:.*[\W_])?(?:ids?|index|uuid))|.*[a-z]I[dD]")
_MOST_CLASSES = 10
_LEAST_ROWS = 10  # for each class; fewer rows in all show no order either


def column_hints(raw: Mapping[str, np.ndarray]) -> list[str]:
    """Columns of a table by name, (N,) each → sentences, each with the option to type.

    >>> column_hints({"id": np.arange(100.0), "sign": np.tile([-1.0, 1.0], 50), "mass": np.random.rand(100)})
    ['id looks like row numbers and is fitted as a number: drop=id leaves it out', 'sign takes 2 values and is fitted \
as a number: categories=sign makes them classes']
    """
    numbers = {name: values for name, values in raw.items() if values.dtype.kind == "f"}
    rows = [name for name, values in numbers.items() if _is_row_number(name, values)]
    counts = {name: len(np.unique(values)) for name, values in numbers.items() if name not in rows}
    classes = [
        name for name, k in counts.items() if k <= min(_MOST_CLASSES, len(numbers[name]) / _LEAST_ROWS) and k > 1
    ]
    hints = []
    if rows:
        looks = "looks like row numbers and is" if len(rows) == 1 else "look like row numbers and are"
        fitted = "a number" if len(rows) == 1 else "numbers"
        leaves = "it" if len(rows) == 1 else "them"
        hints.append(f"{', '.join(rows)} {looks} fitted as {fitted}: drop={','.join(rows)} leaves {leaves} out")
    if classes:
        takes = ", ".join(f"{name} takes {counts[name]} values" for name in classes)
        fitted = "is fitted as a number" if len(classes) == 1 else "are fitted as numbers"
        hints.append(f"{takes} and {fitted}: categories={','.join(classes)} makes them classes")
    return hints


def _is_row_number(name: str, values: np.ndarray) -> bool:
    if len(values) < _LEAST_ROWS or not (values == np.round(values)).all():
        return False
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all()) or _NAMED_ID.fullmatch(name) is not None
