"""Parse `condition=` into the tensors that a model takes.

    one label       "cat", 3, "cat,dog" or [0, 1, 2]               names of classes, or their numbers
    numbers         [3.0, 0.1], {"y1": 3.0, "y2": 0.1}, "y1:3,y2:0.1", in the file's units; several rows [[3.0, 0.1],
                    [4.0, 0.1]]; a single number 3.0 or [3.0, 4.0]
    a caption       "a small red square", or a list of captions
    several fields  {"species": "setosa", "petal": 1.2}, or "species:setosa,petal:1.2", each as above

A tensor is used as it is, in model units: labels (n,), or rows (n, F) of all fields side by side. So is a mapping of
tensors by the field's name, as `Condition.of(batch)` returns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.data.spec import Field, mask_name
from bestiary.data.support import Column
from bestiary.errors import BestiaryError, unknown_name
from bestiary.networks.conditioned import ConditionTensors

__all__ = ["read_condition"]

Row = Mapping[str, Any]  # one condition: values by the name of a label, a caption or a column


def read_condition(words: Any, fields: Sequence[Field]) -> ConditionTensors:
    """The condition c of these fields for a user's words, numbers or tensors: a row for each one given.

    Raises BestiaryError for unknown names, missing or wrong values.
    """
    words = words.tolist() if isinstance(words, np.ndarray) else words
    if isinstance(words, Tensor):
        return _from_tensor(words, fields)
    if isinstance(words, Mapping) and words and all(isinstance(value, Tensor) for value in words.values()):
        return _from_tensors(words, fields)
    rows = _rows(words, fields)
    if not rows:
        noun = "label" if fields[0].layout == "label" else "row"
        raise BestiaryError(
            f"condition= holds no rows and names no {noun}: give one, e.g. condition={_example(fields)}"
        )
    for name in (name for row in rows for name in row if name not in _names(fields)):
        raise unknown_name("column of this run's condition", str(name), _names(fields))
    c = {f.name: torch.cat([_value(f, row) for row in rows]) for f in fields}
    return c | {mask_name(f.name): torch.ones(len(rows), dtype=torch.bool) for f in fields if f.optional}


def _example(fields: Sequence[Field]) -> str:
    """A condition that would be right, for an error."""
    f = fields[0]
    if len(fields) == 1 and not f.columns:
        return f.words[0] if f.words else "…"
    return "[" + ", ".join("0" for f in fields for _ in f.columns) + "]"


def _from_tensor(values: Tensor, fields: Sequence[Field]) -> ConditionTensors:
    """One tensor for all fields, in model units."""
    if not values.numel():
        raise BestiaryError("condition= holds no rows: give one, e.g. condition=torch.tensor([0])")
    masks = {mask_name(f.name): torch.ones(len(torch.atleast_1d(values)), dtype=torch.bool, device=values.device)
             for f in fields if f.optional}  # fmt: skip
    if len(fields) == 1 and len(fields[0].shape) != 1:
        return {fields[0].name: torch.atleast_1d(values)} | masks
    widths = [f.dimensions for f in fields]
    if values.ndim != 2 or values.shape[1] != sum(widths):
        names = ", ".join(f.name for f in fields)
        raise BestiaryError(
            f"the condition {names} is a tensor of shape (n, {sum(widths)}) in model units; got {tuple(values.shape)}"
        )
    return {f.name: part for f, part in zip(fields, values.split(widths, 1), strict=True)} | masks


def _from_tensors(c: Mapping[str, Tensor], fields: Sequence[Field]) -> ConditionTensors:
    """Tensors by field in model units; masks that are missing are added, all true."""
    names = {f.name for f in fields} | {mask_name(f.name) for f in fields if f.optional}
    for name in c:
        if name not in names:
            raise unknown_name("field of this model's condition", name, names)
    n = len(next(iter(c.values())))
    masks = {mask_name(f.name): torch.ones(n, dtype=torch.bool) for f in fields if f.optional}
    return {**masks, **c}


def _names(fields: Sequence[Field]) -> list[str]:
    """The names that a row of a condition has values for: labels, captions, single columns."""
    return [name for f in fields for name in ([c.name for c in f.columns] or [f.name])]


def _rows(words: Any, fields: Sequence[Field]) -> list[Row]:
    """A user's words or numbers as one mapping for each condition."""
    names = _names(fields)
    if isinstance(words, Mapping):
        return _rows_of_mapping(words, fields)
    if len(names) == 1:
        return [{names[0]: value} for value in _single_values(words, fields[0], names[0])]
    if isinstance(words, str):
        if ":" in words:
            return [_pairs(words, names)]
        words = _split(words)
    values = list(words) if isinstance(words, list | tuple) else [words]
    if values and not any(isinstance(value, list | tuple) for value in values):
        values = [values]
    for row in values:
        if not isinstance(row, list | tuple) or len(row) != len(names):
            text = row[0] if isinstance(row, list | tuple) and len(row) == 1 else row
            raise BestiaryError(
                f"condition={text}: the condition of this run has {len(names)} values, {', '.join(names)}: give"
                " name:value for each, with commas between"
            )
    return [dict(zip(names, row, strict=True)) for row in values]


def _rows_of_mapping(words: Mapping[Any, Any], fields: Sequence[Field]) -> list[Row]:
    """Rows from values by name, one value or a list each. The name may be that of a field with several columns."""
    names, columns = _names(fields), {f.name: [c.name for c in f.columns] for f in fields if f.columns}
    values: dict[str, Any] = {}
    for name, value in words.items():
        if name not in names and name in columns:
            values |= _by_column(name, columns[name], value)
        else:
            values[str(name)] = value
    lengths = {len(value) for value in values.values() if isinstance(value, list | tuple)}
    if len(lengths) > 1:
        raise BestiaryError(
            f"condition= gives {' and '.join(map(str, sorted(lengths)))} values: give the same number for each name"
        )
    n = lengths.pop() if lengths else 1
    return [{k: v[i] if isinstance(v, list | tuple) else v for k, v in values.items()} for i in range(n)]


def _by_column(name: str, columns: list[str], value: Any) -> dict[str, Any]:
    """One row of a field or several rows, as values by the names of the field's columns."""
    values = _split(value) if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]
    several = len(columns) == 1 or any(isinstance(row, list | tuple) for row in values)
    rows = [list(row) if isinstance(row, list | tuple) else [row] for row in values] if several else [values]
    for row in rows:
        if len(row) != len(columns):
            raise BestiaryError(
                f"{name} has {len(columns)} columns, {', '.join(columns)}: give a value for each; got {len(row)}"
            )
    return {column: [row[i] for row in rows] if several else rows[0][i] for i, column in enumerate(columns)}


def _single_values(words: Any, field: Field, name: str) -> list[Any]:
    """The values of a condition that has only one label, caption or number."""
    if isinstance(words, str):
        if field.layout == "sequence":
            return [words]
        if words.strip() not in field.words and words.partition(":")[0].strip().lstrip("(") == name:
            return [_pairs(words, [name])[name]]
        words = [words.strip()] if words.strip() in field.words else _split(words)
    values = words if isinstance(words, Iterable) and not isinstance(words, str) else [words]
    flat = [v[0] if isinstance(v, list | tuple) and len(v) == 1 else v for v in values]
    return [value.strip() if isinstance(value, str) else value for value in flat]


def _split(words: str) -> list[str]:
    words = words.strip()
    inside = words[1:-1] if words.startswith("(") and words.endswith(")") else words
    return [word.strip() for word in inside.split(",")]


def _pairs(words: str, names: list[str]) -> dict[str, str]:
    """Values by name from "name:value,name:value"."""
    pairs = dict[str, str]()
    for word in _split(words):
        name, colon, value = word.partition(":")
        if not colon:
            raise BestiaryError(
                f"condition={words}: give name:value for each of {', '.join(names)}, with commas between"
            )
        if name.strip() in pairs:
            raise BestiaryError(f"condition={words} names {name.strip()} twice: name each once")
        pairs[name.strip()] = value.strip()
    return pairs


def _value(f: Field, row: Row) -> Tensor:
    """The value of a field in a row, (1, …) in model units."""
    if f.layout == "label":
        return torch.tensor([f.support.number(_look_up(f.name, row))])  # type: ignore[attr-defined]
    if f.layout == "sequence":
        return torch.tensor([f.support.tokens_of(str(_look_up(f.name, row)), f.shape[0])])  # type: ignore[attr-defined]
    if not f.columns:
        raise BestiaryError(f"condition= takes {f.name} from Python only, as {{'{f.name}': x}} with a tensor x (n, …)")
    return torch.tensor([[x for column in f.columns for x in _numbers(column, _look_up(column.name, row))]])


def _look_up(name: str, row: Row) -> Any:
    if name not in row:
        raise BestiaryError(f"condition= must give {name} too, e.g. {name}:…")
    return row[name]


def _numbers(column: Column, value: Any) -> list[float]:
    """The numbers of a column in model units, from a word or a number in the file's units."""
    if column.words:
        if str(value) not in column.words:
            raise unknown_name(f"value of {column.name}", str(value), column.words)
    else:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = nan
        if not isfinite(number):
            raise BestiaryError(f"{column.name}={value!r} must be a finite number")
    return column.support.read_column([value])[0].tolist()
