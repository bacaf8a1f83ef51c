"""What a user gives beside x, as an array and a mask: None, and NaN where there is one number each, is missing.

    [3, None, 7]                    whole numbers, the second missing
    ["a cat", None, ""]             texts, the second missing, the third empty
    [[0.5, 1.0], None]              two numbers each

Legend: N examples.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from bestiary.errors import BestiaryError

__all__ = ["Values", "is_text", "values_of"]


class Values(NamedTuple):
    """One value for each example."""

    array: np.ndarray  # (N, …); texts of Python as objects, since one long one would widen all
    there: np.ndarray | None = None  # bool (N,); None where every example has one

    def mask(self) -> np.ndarray:
        return np.ones(len(self.array), bool) if self.there is None else self.there

    def rows(self, rows: np.ndarray | None) -> "Values":
        """Some rows of it; None is all, without a copy."""
        if rows is None:
            return self
        return Values(self.array[rows], None if self.there is None else self.there[rows])


def is_text(array: np.ndarray) -> bool:
    """Whether an array holds texts."""
    return array.dtype.kind in "US" or (array.dtype == object and all(isinstance(v, str) for v in array.flat))


def values_of(given: Any, what: str) -> Values:
    """Anything array-like, None where a value is missing; a mapped array stays mapped. Raises what is no array."""
    try:
        array = given if isinstance(given, np.ndarray) else _array(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(
            f"{what} are no array: {error}. Of a torch tensor give {what}.detach().cpu().float()"
        ) from error
    if array.dtype != object or array.ndim != 1:
        return Values(array)
    there = np.array([not _missing(value) for value in array], bool)
    if not there.any():
        raise BestiaryError(f"{what} are all missing: leave them out")
    full = _filled(array, there, what)
    return Values(full) if there.all() else Values(full, there)


def _array(given: Any) -> np.ndarray:
    """An array; lists that numpy finds ragged, as of lists and None, become one object for each example."""
    try:
        array = np.asanyarray(given)
        if array.dtype.kind not in "US" or not isinstance(given, (list, tuple)):
            return array
    except ValueError:
        if not isinstance(given, (list, tuple)):
            raise
    objects = np.empty(len(given), object)
    for i, value in enumerate(given):
        objects[i] = value
    return objects


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))


def _filled(array: np.ndarray, there: np.ndarray, what: str) -> np.ndarray:
    """What is there as an array of one type; texts stay objects."""
    known: list[Any] = array[there].tolist()
    kinds = {_kind(value) for value in known}
    if len(kinds) > 1:
        raise BestiaryError(f"{what} mix {' and '.join(sorted(kinds))}: give one whole number or word for each example")
    if kinds == {"text"}:
        return np.where(there, array, "")
    try:
        values = np.asarray(known)
    except ValueError as error:
        raise BestiaryError(f"{what} are no array: {error}. Rows must have equal lengths") from error
    full = np.zeros((len(array), *values.shape[1:]), values.dtype)
    full[there] = values
    return full


def _kind(value: Any) -> str:
    """In a sentence."""
    names: Iterable[tuple[type | tuple[type, ...], str]] = (
        (str, "text"), (bytes, "bytes"), ((bool, np.bool_), "yes/no"), ((int, float, np.number), "numbers"),
        ((list, tuple, np.ndarray), "lists"),
    )  # fmt: skip
    return next((name for types, name in names if isinstance(value, types)), "other objects")
