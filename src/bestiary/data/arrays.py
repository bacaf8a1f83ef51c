"""Arrays: .npy and .npz files, numpy arrays and torch tensors.

    layout    array                                       x
    picture   (N, H, W), (N, H, W, C), (N, C, H, W)       images (data/pixels.py); the usual one from three axes up
    row       (N, F) or (N,)                              vectors, standardised column by column; the usual one below
    grid      (N, …)                                      numbers with neighbours (data/grids.py)
    tokens    (N, T) whole numbers                        sequences; pad= stands behind the end of shorter ones

`shape=28x28` reads rows of 784 numbers as images. What stands beside x: data/field_types.py. An array NAME? of yes and
no says which examples have NAME. Object arrays of a file are refused: they need pickle, which can run foreign code.

Legend: N examples, C channels, H height, W width, F features, T tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bestiary.data.beside import How, beside_of, tokens_field
from bestiary.data.columns import finite_rows, standardised
from bestiary.data.dataset import Dataset
from bestiary.data.field_types import Declared, Kind, RawField, Taken, taken
from bestiary.data.files import fingerprint, in_memory, plain_name
from bestiary.data.grids import grid_field, grid_of
from bestiary.data.missing_values import Values, values_of
from bestiary.data.pixels import pixels_of
from bestiary.data.spec import Field, Spec, known
from bestiary.data.splits import parts_of
from bestiary.data.support import Columns, Levels
from bestiary.errors import BestiaryError

__all__ = ["from_array"]

LAYOUTS = ("picture", "row", "grid", "tokens")
_NAMES: dict[Kind, str] = {"label": "label", "pictures": "picture"}  # of a bare array; the others: its kind


@dataclass(frozen=True)
class ArrayOptions:
    """How an array is to be read as x."""

    layout: str = ""
    shape: str = ""
    channels: str = ""
    pad: int | None = None
    missing: str = ""
    stream: bool | None = None


class Made(NamedTuple):
    """x as it is stored, which of its rows stayed (None: all), and what was done."""

    field: Field
    stored: np.ndarray
    rows: np.ndarray | None = None
    note: str = ""


def from_array(
    x: Any,
    *,
    labels: Any = None,
    numbers: Any = None,
    tokens: Any = None,
    factors: Any = None,
    caption: Any = None,
    pictures: Any = None,
    beside: Mapping[str, Any] | None = None,
    name: str = "array",
    layout: str = "",
    shape: str = "",
    channels: str = "",
    pad: int | None = None,
    missing: str = "",
    stream: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """labels, numbers, tokens, factors, caption, pictures: an array, or arrays by name, that stand beside x; beside:
    arrays by name whose type says what they are; layout: picture, row, grid or tokens; shape: HxW or HxWxC of a row;
    channels: first or last; pad: the token behind the end; missing: drop or mean."""
    array = _numbers(x)
    given: dict[Kind, Any] = {"label": labels, "numbers": numbers, "tokens": tokens, "factors": factors,
                              "caption": caption, "pictures": pictures}  # fmt: skip
    if beside is not None and not isinstance(beside, Mapping):
        raise BestiaryError("beside= takes arrays by name, for example beside={'energy': energy}")
    others = taken(_columns(beside or {}), Declared(), len(array) if array.ndim else 0)
    others.fields[:0] = _declared(given, len(array) if array.ndim else 0)
    how = ArrayOptions(layout, shape, channels, pad, missing, stream)
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    return assembled(plain_name(name), array, others, how, shares)


def _declared(given: Mapping[Kind, Any], n: int) -> list[RawField]:
    """Arrays, or mappings of arrays, by their kind."""
    fields = []
    for kind, arrays in given.items():
        if arrays is None:
            continue
        by_name = arrays if isinstance(arrays, Mapping) else {_NAMES.get(kind, kind): arrays}
        for name, array in by_name.items():
            values = values_of(array, "labels" if kind == "label" else name)
            if values.array.ndim == 0 or len(values.array) != n:
                what = "labels" if kind == "label" else f"{kind}={name}"
                raise BestiaryError(f"{what} have shape {values.array.shape}, and x has {n:,} rows: give one for each")
            fields.append(RawField(name, kind, values))
    return fields


def _columns(arrays: Mapping[str, Any]) -> dict[str, Callable[[], Values]]:
    """Arrays by name, those called NAME? as the masks of NAME."""
    masks = {known(name) for name in arrays} & arrays.keys()
    return {
        name: partial(masked, name, array, arrays.get(known(name)))
        for name, array in arrays.items()
        if name not in masks
    }


def masked(name: str, array: Any, mask: Any) -> Values:
    """An array beside x; `mask`, where there is one, says which examples have it."""
    values = values_of(array, name)
    if mask is None:
        return values
    there = np.asarray(mask)
    if there.dtype != bool or there.shape != values.array.shape[:1]:
        raise BestiaryError(f"{known(name)} says which examples have {name}: it must be yes or no for each of them")
    return Values(values.array, there & values.mask())


def assembled(name: str, array: np.ndarray, others: Taken, options: ArrayOptions, shares: dict[str, Any]) -> Dataset:
    """x and what stands beside it → a data set; `others.note` is told in its source."""
    if 0 in array.shape or array.ndim == 0:
        raise BestiaryError(f"the array is empty or a single number: its shape is {array.shape}")
    array = _reshaped(array, options.shape) if options.shape else array
    chosen = options.layout or ("row" if array.ndim <= 2 else "picture")
    if chosen not in LAYOUTS:
        raise BestiaryError(f"layout={chosen}: say layout=picture, layout=row, layout=grid or layout=tokens")
    made = _MAKERS[chosen](array, options, shares)
    parts = parts_of(len(made.stored), **shares)
    how = How(parts["train"], options.pad, options.channels, options.stream)
    beside = beside_of(others.fields, how, made.rows)
    spec = Spec(made.field, tuple(beside.fields))
    notes = [others.note(), made.note, *beside.notes]
    source = {"origin": "array", "fingerprint": beside.fingerprint(fingerprint(made.stored)),
              "note": "; ".join(note for note in notes if note)}  # fmt: skip
    return Dataset(name, spec, {"x": made.stored, **beside.stored}, parts, source=source)


def _numbers(x: Any) -> np.ndarray:
    """Anything array-like as a numpy array of plain numbers; a mapped array stays mapped."""
    try:
        array = np.asanyarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(
            f"this is not an array: {error}. Rows must have equal lengths; a torch tensor must lie on the "
            f"CPU, without gradient: x.detach().cpu().float()"
        ) from error
    if array.dtype.kind not in "biuf":
        raise BestiaryError(
            f"an array of type {array.dtype} cannot be data: give numbers. For words and categories write a "
            f"CSV table; for a name or a path give text"
        )
    return array


def _reshaped(array: np.ndarray, shape: str) -> np.ndarray:
    try:
        sides = tuple(int(side) for side in shape.lower().split("x"))
        if len(sides) not in (2, 3) or min(sides) < 1:
            raise ValueError
        return array.reshape(len(array), *sides)
    except (ValueError, TypeError) as error:
        raise BestiaryError(
            f"shape={shape} does not fit an array of shape {array.shape}: say shape=HxW or shape=HxWxC, "
            f"for example shape=28x28, with as many numbers as a row has"
        ) from error


def _row(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> Made:
    raw = np.asarray(array, np.float64).reshape(len(array), -1)
    names = [f"x{i + 1}" for i in range(raw.shape[1])]
    raw, kept = finite_rows(raw, names, options.missing, parts_of(len(raw), **shares)["train"])
    x, columns = standardised(raw, names, parts_of(len(raw), **shares)["train"])
    dropped = len(array) - len(kept)
    notes = [f"{dropped} rows dropped"] if dropped else []
    if array.dtype.kind in "iu" and array.ndim == 2 and not options.layout:
        notes.append("x are whole numbers, taken as vectors: say layout=tokens if they are tokens")
    return Made(Field("x", "row", (x.shape[1],), Columns(columns)), x, kept if dropped else None, "; ".join(notes))


def _picture(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> Made:
    stored, levels, note = pixels_of(array, options.channels)
    stored = in_memory(stored, options.stream) if isinstance(stored, np.memmap) else stored
    height, width, channels = stored.shape[1:]
    return Made(Field("x", "picture", (channels, height, width), Levels(levels)), stored, note=note)


def _grid(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> Made:
    grid = grid_of(array, options.channels)
    grid = in_memory(grid, options.stream) if isinstance(grid, np.memmap) else grid
    made = grid_field(grid, parts_of(len(grid), **shares)["train"])
    return Made(made, grid, note="some numbers are exactly 0, none is negative" if "atom" in made.to_dict() else "")


def _tokens(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> Made:
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise BestiaryError(
            f"layout=tokens needs whole numbers (N, T); x has shape {array.shape} and type {array.dtype}. Give "
            "x.reshape(len(x), -1).astype(int)"
        )
    return Made(*tokens_field("x", array.astype(np.int64), np.ones(len(array), bool), options.pad))


_MAKERS: dict[str, Callable[[np.ndarray, ArrayOptions, dict[str, Any]], Made]] = {
    "picture": _picture,
    "row": _row,
    "grid": _grid,
    "tokens": _tokens,
}
