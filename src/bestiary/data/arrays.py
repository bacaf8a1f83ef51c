"""Data sets from arrays: numpy arrays, torch tensors, and what data/array_files.py reads from .npy and .npz files.

    layout    array                                       x
    picture   (N, H, W), (N, H, W, C), (N, C, H, W)       images (data/pixels.py); the default from three axes up
    row       (N, F) or (N,)                              vectors, standardised column by column; the default below
    grid      (N, …)                                      numbers with neighbours (data/grids.py)
    tokens    (N, T) whole numbers                        sequences; pad= stands behind the end of shorter ones

`shape=28x28` reads rows of 784 numbers as images. Arrays beside x: data/field_types.py. A boolean array NAME? says
which examples have NAME. Object arrays of a file are refused: they need pickle, which can run foreign code.

Legend: N examples, C channels, H height, W width, F features, T tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bestiary.data.beside import EncodingOptions, encode_fields, tokens_field
from bestiary.data.columns import finite_rows, standardise
from bestiary.data.dataset import Dataset
from bestiary.data.field_types import Declarations, FieldSelection, Kind, RawField, select_fields
from bestiary.data.files import fingerprint, in_memory, plain_name
from bestiary.data.grids import grid_field, to_grid
from bestiary.data.missing_values import Values, to_values
from bestiary.data.pixels import levels_of, to_pixels
from bestiary.data.resize import parse_size, resize
from bestiary.data.spec import Field, Spec, mask_name
from bestiary.data.splits import split_parts
from bestiary.data.support import Columns
from bestiary.errors import BestiaryError

__all__ = ["from_array"]

LAYOUTS = ("picture", "row", "grid", "tokens")
_DEFAULT_NAMES: dict[Kind, str] = {
    "label": "label",
    "pictures": "picture",
}  # of an array without one; the others take their kind's


@dataclass(frozen=True)
class ArrayOptions:
    """The options that say how an array is read as x."""

    layout: str = ""
    shape: str = ""
    size: int | str | None = None
    channels: str = ""
    pad: int | None = None
    missing: str = ""
    stream: bool | None = None


class StoredX(NamedTuple):
    """The field and the stored array of x."""

    field: Field
    stored: np.ndarray
    rows: np.ndarray | None = None  # the rows of the user's array that were kept; None: all
    note: str = ""  # for the source of the data set


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
    size: int | str | None = None,
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
    size: HxW or one number, to which images are brought; channels: first or last; pad: the token behind the end;
    missing: drop or mean."""
    array = _to_array(x)
    by_kind: dict[Kind, Any] = {"label": labels, "numbers": numbers, "tokens": tokens, "factors": factors,
                                "caption": caption, "pictures": pictures}  # fmt: skip
    if beside is not None and not isinstance(beside, Mapping):
        raise BestiaryError("beside= takes arrays by name, for example beside={'energy': energy}")
    selection = select_fields(_columns(beside or {}), Declarations(), len(array) if array.ndim else 0)
    selection.fields[:0] = _declared_fields(by_kind, len(array) if array.ndim else 0)
    options = ArrayOptions(layout, shape, size, channels, pad, missing, stream)
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    return build_dataset(plain_name(name), array, selection, options, shares)


def _declared_fields(by_kind: Mapping[Kind, Any], n: int) -> list[RawField]:
    """An array, or arrays by name, of each kind → fields."""
    fields = []
    for kind, arrays in by_kind.items():
        if arrays is None:
            continue
        by_name = arrays if isinstance(arrays, Mapping) else {_DEFAULT_NAMES.get(kind, kind): arrays}
        for name, array in by_name.items():
            values = to_values(array, "labels" if kind == "label" else name)
            if values.array.ndim == 0 or len(values.array) != n:
                option = "labels" if kind == "label" else f"{kind}={name}"
                raise BestiaryError(
                    f"{option} have shape {values.array.shape}, and x has {n:,} rows: give a value for each row"
                )
            fields.append(RawField(name, kind, values))
    return fields


def _columns(arrays: Mapping[str, Any]) -> dict[str, Callable[[], Values]]:
    """Arrays by name, each with its mask NAME? where there is one, as functions that read them."""
    masks = {mask_name(name) for name in arrays} & arrays.keys()
    return {
        name: partial(with_mask, name, array, arrays.get(mask_name(name)))
        for name, array in arrays.items()
        if name not in masks
    }


def with_mask(name: str, array: Any, mask: Any) -> Values:
    """An array beside x, and the examples that have it: `mask`, bool (N,), or all where it is None."""
    values = to_values(array, name)
    if mask is None:
        return values
    present = np.asarray(mask)
    if present.dtype != bool or present.shape != values.array.shape[:1]:
        raise BestiaryError(
            f"{mask_name(name)} says which examples have {name}: it must be a boolean array of shape (N,), one for each"
        )
    return Values(values.array, present & values.mask())


def build_dataset(
    name: str, array: np.ndarray, selection: FieldSelection, options: ArrayOptions, shares: dict[str, Any]
) -> Dataset:
    """x and the fields beside it → a data set, whose source has the notes on both. Raises BestiaryError."""
    if array.dtype.kind not in "biuf":
        raise BestiaryError(
            f"x is an array of type {array.dtype}: give numbers. For words and categories write a CSV table; a name "
            f"or a path is given as text"
        )
    if 0 in array.shape or array.ndim == 0:
        raise BestiaryError(f"x is empty or a single number: its shape is {array.shape}. Give an array (N, …)")
    array = _reshape(array, options.shape) if options.shape else array
    layout = options.layout or ("row" if array.ndim <= 2 else "picture")
    if layout not in LAYOUTS:
        raise BestiaryError(f"layout={layout}: say layout=picture, layout=row, layout=grid or layout=tokens")
    if options.size is not None and layout != "picture":
        raise BestiaryError(
            f"size={options.size} is for images, and x is read as layout={layout}: leave it out, or say layout=picture"
        )
    x = _READERS[layout](array, options, shares)
    parts = split_parts(len(x.stored), **shares)
    encoding = EncodingOptions(parts["train"], options.pad, options.channels, options.stream)
    beside = encode_fields(selection.fields, encoding, x.rows)
    spec = Spec(x.field, tuple(beside.fields))
    notes = [selection.note(), x.note, *beside.notes]
    source = {"origin": "array", "fingerprint": beside.fingerprint(fingerprint(x.stored)),
              "note": "; ".join(note for note in notes if note)}  # fmt: skip
    return Dataset(name, spec, {"x": x.stored, **beside.stored}, parts, source=source)


def _to_array(x: Any) -> np.ndarray:
    """Anything array-like → a numpy array of numbers; a memory-mapped array stays mapped. Raises BestiaryError."""
    try:
        array = np.asanyarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(
            f"x is not an array: {error}. Rows must have equal lengths; of a torch tensor give x.detach().cpu().float()"
        ) from error
    return array


def _reshape(array: np.ndarray, shape: str) -> np.ndarray:
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


def _read_rows(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> StoredX:
    raw = np.asarray(array, np.float64).reshape(len(array), -1)
    names = [f"x{i + 1}" for i in range(raw.shape[1])]
    raw, rows = finite_rows(raw, names, options.missing, split_parts(len(raw), **shares)["train"])
    x, columns = standardise(raw, names, split_parts(len(raw), **shares)["train"])
    dropped = len(array) - len(rows)
    notes = [f"{dropped} rows dropped"] if dropped else []
    if constant := [name for name, values in zip(names, raw.T, strict=True) if (values == values[0]).all()]:
        named = ", ".join(constant[:5]) + (f" and {len(constant) - 5:,} more" if len(constant) > 5 else "")
        notes.append(f"constant, so that their density lowers −log p by nats that mean nothing: {named}")
    if array.dtype.kind in "iu" and array.ndim == 2 and not options.layout:
        notes.append("x holds whole numbers, read as vectors: say layout=tokens if they are tokens")
    return StoredX(Field("x", "row", (x.shape[1],), Columns(columns)), x, rows if dropped else None, "; ".join(notes))


def _read_pictures(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> StoredX:
    stored, levels, note = to_pixels(array, options.channels)
    if options.size is not None:
        before, (stored, levels) = stored.shape, resize(stored, levels, parse_size(options.size))
        note = "; ".join(filter(None, (note, _size_note(before, stored.shape))))
    stored = in_memory(stored, options.stream) if isinstance(stored, np.memmap) else stored
    height, width, channels = stored.shape[1:]
    return StoredX(Field("x", "picture", (channels, height, width), levels_of(stored, levels)), stored, note=note)


def _size_note(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    if before == after:
        return ""
    return f"from {before[1]}×{before[2]} to {after[1]}×{after[2]}: short side resized, centre cut out"


def _read_grid(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> StoredX:
    grid = to_grid(array, options.channels)
    grid = in_memory(grid, options.stream) if isinstance(grid, np.memmap) else grid
    field = grid_field(grid, split_parts(len(grid), **shares)["train"])
    return StoredX(
        field, grid, note="some numbers are exactly 0, none is negative" if "atom" in field.to_dict() else ""
    )


def _read_tokens(array: np.ndarray, options: ArrayOptions, shares: dict[str, Any]) -> StoredX:
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise BestiaryError(
            f"layout=tokens needs whole numbers (N, T); x has shape {array.shape} and type {array.dtype}. Give "
            "x.reshape(len(x), -1).astype(int)"
        )
    return StoredX(*tokens_field("x", array.astype(np.int64), np.ones(len(array), bool), options.pad))


_READERS: dict[str, Callable[[np.ndarray, ArrayOptions, dict[str, Any]], StoredX]] = {
    "picture": _read_pictures,
    "row": _read_rows,
    "grid": _read_grid,
    "tokens": _read_tokens,
}
