"""What a user asks a sample to be of, in words, as the model is told it.

    condition=label            "cat", 3, "cat,dog" or [0, 1, 2]     names of classes, or numbers where none is so called
    condition=vector           [3.0, 0.1], {"y1": 3.0, "y2": 0.1} or "y1:3,y2:0.1", in the file's units; several
                               rows [[3.0, 0.1], [4.0, 0.1]]; of one number 3.0 or [3.0, 4.0]
    condition=species,petal    {"species": "setosa", "petal": 1.2}, or "species:setosa,petal:1.2", in the file's units

A tensor is taken as it is: labels (n,), or rows (n, F) in model units. Rows are taken again and again.
"""

from collections.abc import Iterable, Mapping
from math import isfinite, nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError, unknown
from bestiary.models.condition import named

__all__ = ["told"]


def told(said: Any, spec: Spec, wanted: str) -> Tensor:
    """`wanted`: the condition that the run was fitted with, as config.toml has it."""
    if wanted == "none":
        raise BestiaryError("this run takes no condition: leave out condition=, or fit one with condition=label")
    said = said.tolist() if isinstance(said, np.ndarray) else said
    if isinstance(said, Tensor):
        if not said.numel():
            raise BestiaryError("condition= holds no rows: give one, e.g. condition=torch.tensor([0])")
        return torch.atleast_1d(said)
    if wanted == "label":
        return torch.tensor([_label(word, spec.classes) for word in _words(said, spec.classes)])
    if wanted == "vector" and spec.beside:
        names = [column.name for column in spec.beside]
        return torch.cat([_row(row, spec.beside, names) for row in _rows(said, names)])
    columns = spec.columns or [Column(str(i)) for i in range(spec.dimensions)]
    names = named(wanted, [column.name for column in columns])
    return _row(said if isinstance(said, Mapping) else _pairs(str(said), names), columns, names)


def _words(said: Any, known: tuple[str, ...]) -> list[Any]:
    words = named(said, known) if isinstance(said, str) else said if isinstance(said, Iterable) else [said]
    found = [word.strip() if isinstance(word, str) else word for word in words]
    if not found:
        raise BestiaryError("condition= names no label: give one, e.g. condition=0")
    return found


def _label(word: Any, classes: tuple[str, ...]) -> int:
    if str(word) in classes:
        return classes.index(str(word))
    try:
        number = int(word)
    except (TypeError, ValueError, OverflowError):
        raise unknown("label", str(word), classes) from None
    if number != word and not isinstance(word, str):  # 2.7 is no label
        raise unknown("label", str(word), classes)
    if not 0 <= number < len(classes):
        raise BestiaryError(f"label {number} is none of these data's: they are 0 … {len(classes) - 1}")
    return number


def _pairs(said: str, names: list[str]) -> dict[str, str]:
    """name:value, name:value; of a single column the value will do."""
    if len(names) == 1 and ":" not in said:
        return {names[0]: said}
    found = dict[str, str]()
    for word in named(said):
        name, colon, value = word.partition(":")
        if not colon:
            raise BestiaryError(f"condition={said}: say name:value for each of {', '.join(names)}, with commas between")
        if name.strip() in found:
            raise BestiaryError(f"condition={said} names {name.strip()} twice: name each once")
        found[name.strip()] = value.strip()
    return found


def _rows(said: Any, names: list[str]) -> list[Mapping[str, Any]]:
    """Numbers in their order, by name: one row, or several."""
    if isinstance(said, Mapping):
        return [said]
    if isinstance(said, str):
        if ":" in said:
            return [_pairs(said, names)]
        said = named(said)
    values = list(said) if isinstance(said, list | tuple) else [said]
    if values and not any(isinstance(value, list | tuple) for value in values):
        values = [[value] for value in values] if len(names) == 1 else [values]
    for row in values:
        if not isinstance(row, list | tuple) or len(row) != len(names):
            raise BestiaryError(f"condition={row}: this run is told {len(names)} numbers, {', '.join(names)}")
    if not values:
        raise BestiaryError(
            "condition= holds no rows: give one, e.g. condition=[" + ", ".join("0" for _ in names) + "]"
        )
    return [dict(zip(names, row, strict=True)) for row in values]


def _row(said: Mapping[str, Any], known: Iterable[Column], names: list[str]) -> Tensor:
    """(1, F) in model units."""
    columns = {c.name: c for c in known}
    for name in said:
        if name not in names:
            raise unknown("column of this run's condition", str(name), names)
    if missing := [name for name in names if name not in said]:
        raise BestiaryError(f"condition= must say {', '.join(missing)} too: this run is told {', '.join(names)}")
    return torch.tensor([[x for name in names for x in _numbers(columns[name], said[name])]])


def _numbers(column: Column, value: Any) -> list[float]:
    if column.categories:
        if str(value) not in column.categories:
            raise unknown(f"value of {column.name}", str(value), column.categories)
        return [float(str(value) == category) for category in column.categories]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = nan
    if not isfinite(number):
        raise BestiaryError(f"{column.name}={value!r} must be a number, and finite")
    return [(number - column.mean) / column.scale]
