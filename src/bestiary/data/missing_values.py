"""Values with gaps: what a user gives beside x → an array and a mask of the examples that have a value.

None is missing, and NaN where there is one number each:

    [3, None, 7]                    whole numbers, the second missing
    ["a cat", None, ""]             texts, the second missing, the third empty
    [[0.5, 1.0], None]              two numbers each

Legend: N examples.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from bestiary.errors import BestiaryError

__all__ = ["Values", "is_text", "to_values"]


class Values(NamedTuple):
    """One value for each example."""

    array: np.ndarray  # (N, …); Python texts are objects, since one long text would widen all
    present: np.ndarray | None = None  # bool (N,); None where every example has one

    def mask(self) -> np.ndarray:
        """Which examples have a value, bool (N,)."""
        return np.ones(len(self.array), bool) if self.present is None else self.present

    def rows(self, rows: np.ndarray | None) -> "Values":
        """Some rows; None is all of them, without a copy."""
        if rows is None:
            return self
        return Values(self.array[rows], None if self.present is None else self.present[rows])


def is_text(array: np.ndarray) -> bool:
    """Whether an array holds texts."""
    return array.dtype.kind in "US" or (array.dtype == object and all(isinstance(v, str) for v in array.flat))


def to_values(data: Any, name: str) -> Values:
    """Anything array-like, None where a value is missing → values; a memory-mapped array stays mapped.

    Raises BestiaryError, which calls the data `name`, where it is no array or has no value at all.
    """
    try:
        array = data if isinstance(data, np.ndarray) else _array(data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(
            f"{name} are no array: {error}. Of a torch tensor give {name}.detach().cpu().float()"
        ) from error
    if array.dtype != object or array.ndim != 1:
        return Values(array)
    present = np.array([not _is_missing(value) for value in array], bool)
    if not present.any():
        raise BestiaryError(f"{name} are all missing: leave them out")
    full = _typed(array, present, name)
    return Values(full) if present.all() else Values(full, present)


def _array(data: Any) -> np.ndarray:
    """An array; lists that numpy finds ragged, such as lists with None, become one object for each example."""
    try:
        array = np.asanyarray(data)
        if array.dtype.kind not in "US" or not isinstance(data, (list, tuple)):
            return array
    except ValueError:
        if not isinstance(data, (list, tuple)):
            raise
    objects = np.empty(len(data), object)
    for i, value in enumerate(data):
        objects[i] = value
    return objects


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))


def _typed(array: np.ndarray, present: np.ndarray, name: str) -> np.ndarray:
    """The values that are present, in an array of one type with zeros elsewhere; texts stay objects."""
    values: list[Any] = array[present].tolist()
    kinds = {_type_name(value) for value in values}
    if len(kinds) > 1:
        raise BestiaryError(f"{name} mix {' and '.join(sorted(kinds))}: give one whole number or word for each example")
    if kinds == {"text"}:
        return np.where(present, array, "")
    try:
        typed_values = np.asarray(values)
    except ValueError as error:
        raise BestiaryError(f"{name} are no array: {error}. Rows must have equal lengths") from error
    full = np.zeros((len(array), *typed_values.shape[1:]), typed_values.dtype)
    full[present] = typed_values
    return full


def _type_name(value: Any) -> str:
    """The type of a value, as a sentence calls it."""
    names: Iterable[tuple[type | tuple[type, ...], str]] = (
        (str, "text"), (bytes, "bytes"), ((bool, np.bool_), "yes/no"), ((int, float, np.number), "numbers"),
        ((list, tuple, np.ndarray), "lists"),
    )  # fmt: skip
    return next((name for types, name in names if isinstance(value, types)), "other objects")
