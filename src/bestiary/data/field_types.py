"""Fields beside x: which arrays are taken, and the kind of each, declared by the user or inferred from its type.

    option       kind of array                                  inferred from
    label=       words or whole numbers (N,), one-hot (N, K)    whole numbers, yes/no (N,), words that repeat (N,)
    numbers=     (N,) or (N, n)                                 floats (N,) or (N, n)
    factors=     whole numbers (N, K): K labels                 nothing: declare it
    tokens=      whole numbers (N, T)                           nothing: declare it
    caption=     texts (N,)                                     texts that do not repeat, or whose name says so
    pictures=    (N, H, W), (N, H, W, C) or (N, C, H, W)        bytes of such a shape

Whole numbers (N, T) may be tokens, factors or numbers: without a declaration they are left out, and the note says what
to type. `beside=` names the arrays whose kind may be inferred; beside=none is no array. label=none leaves out labels.

Legend: N examples, K factors, T tokens, n numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from bestiary.data.files import printable
from bestiary.data.labels import MOST_CLASSES
from bestiary.data.missing_values import Values, is_text
from bestiary.data.pixels import channel_position
from bestiary.data.spec import Inferred
from bestiary.errors import BestiaryError, nearest_name

__all__ = [
    "KINDS", "Declarations", "FieldSelection", "Kind", "RawField", "column_names", "declare", "infer_kind",
    "select_fields",
]  # fmt: skip

Kind = Literal["label", "numbers", "factors", "tokens", "caption", "pictures"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CAPTIONS = ("caption", "captions", "text")  # names of texts that are captions, however often they repeat
_MOST_WORDS = 1000  # more distinct texts than this are captions
_REPEATS = 2  # texts that occur less often than this, on average, are captions


@dataclass(frozen=True)
class RawField:
    """A field before the split is known: its name, its kind and the values that the user gave."""

    name: str
    kind: Kind
    values: Values


@dataclass(frozen=True)
class Declarations:
    """The options that declare arrays beside x, as typed: lists of names, joined by commas."""

    names: Mapping[Kind, str] = field(default_factory=dict)  # label="y", numbers="energy,angle", …
    beside: str = ""

    def kinds(self, columns: Sequence[str]) -> dict[str, Kind]:
        """Name → declared kind. Raises BestiaryError for a name that is no column, or that is declared twice."""
        kinds: dict[str, Kind] = {}
        for kind, text in self.names.items():
            for name in [] if kind == "label" and text == "none" else column_names(text, kind, columns):
                if name in kinds:
                    raise BestiaryError(f"{name} is declared twice, by {kinds[name]}= and by {kind}=: keep one")
                kinds[name] = kind
        return kinds

    def undeclared(self, columns: Sequence[str]) -> list[str]:
        """The columns that may be taken without a declaration: those that `beside=` names, or all."""
        if not self.beside:
            return list(columns)
        return [] if self.beside == "none" else column_names(self.beside, "beside", columns)


def column_names(text: str, option: str, columns: Sequence[str]) -> list[str]:
    """`a,b,c` → the columns of these names, of which one may have a comma. Raises BestiaryError for any other name."""
    names = [text] if text in columns else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in columns:
            guess = nearest_name(name, columns)
            hint = f"did you mean `{guess}`? " if guess else ""
            choices = f"There are {', '.join(columns)}" if columns else "Nothing stands beside x"
            raise BestiaryError(f"{option}={text}: there is no `{name}`; {hint}{choices}")
    return list(dict.fromkeys(names))


def declare(beside: str = "", **names: str) -> Declarations:
    """The options label=, numbers=, … and beside= as declarations; those that are empty declare nothing."""
    kinds: dict[Kind, str] = {kind: names[kind] for kind in KINDS if names.get(kind)}
    return Declarations(kinds, beside)


@dataclass
class FieldSelection:
    """The fields that were taken, and a note on these and on those that were left out."""

    fields: list[RawField] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)
    x: str = ""  # the name of the array that is x, where it has one

    def note(self) -> str:
        """`took images as x, y as label; left out z: …`"""
        fields = [*([f"{self.x} as x"] if self.x else []), *(f"{f.name} as {f.kind}" for f in self.fields)]
        left_out = [f"left out {reason}" for reason in self.omitted]
        return "; ".join([*([f"took {', '.join(fields)}"] if fields else []), *left_out])


def select_fields(columns: Mapping[str, Callable[[], Values]], declared: Declarations, n: int) -> FieldSelection:
    """Choose the fields that stand beside n examples, from columns by name, each read only if it may be taken.

    Raises BestiaryError where a declared column is not there, cannot be read, or has another number of rows.
    """
    columns = {printable(name): read for name, read in columns.items()}  # names go to the terminal, and into a config
    kinds, undeclared, result = declared.kinds(list(columns)), declared.undeclared(list(columns)), FieldSelection()
    for name, read in columns.items():
        if name in kinds:
            values = read()
            if values.array.shape[:1] != (n,):
                raise BestiaryError(
                    f"{name} has shape {values.array.shape}, and x has {n:,} rows: give a value for each row"
                )
            result.fields.append(RawField(name, kinds[name], values))
        elif name not in undeclared:
            result.omitted.append(name)
        else:
            _select_undeclared(name, read, declared, n, result)
    return result


def _select_undeclared(
    name: str, read: Callable[[], Values], declared: Declarations, n: int, result: FieldSelection
) -> None:
    try:
        values = read()
    except BestiaryError as error:  # the user did not name it: leave it out
        result.omitted.append(f"{name}: {error}")
        return
    kind, reason = infer_kind(name, values, n)
    if kind and not (kind == "label" and declared.names.get("label") == "none"):
        result.fields.append(RawField(name, kind, values))
    else:
        result.omitted.append(f"{name}: {reason}" if not kind else name)


def infer_kind(name: str, values: Values, n: int) -> Inferred:
    """The only kind that type and shape allow, and the reason; "" where they allow several or none."""
    array = values.array
    if array.ndim == 0 or len(array) != n:
        return Inferred("", f"{len(array):,} rows where x has {n:,}" if array.ndim else "a single value")
    if is_text(array):
        return _infer_text(name, values)
    kind, axes = array.dtype.kind, array.ndim
    if kind == "f" and axes <= 2:
        return Inferred("numbers", "floats")
    if kind in "biu" and axes == 1:
        distinct = len(np.unique(array))
        if distinct <= MOST_CLASSES:
            return Inferred("label", "whole numbers")
        return Inferred("", f"{distinct:,} distinct whole numbers are too many for classes: say numbers={name}")
    if array.dtype == np.uint8 and (axes == 3 or (axes == 4 and channel_position(array.shape))):
        return Inferred("pictures", "bytes")
    if kind in "biu" and axes == 2:
        return Inferred("", f"whole numbers {array.shape} may be tokens, factors or numbers: say tokens={name}, "
                            f"factors={name} or numbers={name}")  # fmt: skip
    if kind in "biuf" and axes == 4 and array.dtype == np.uint8:
        return Inferred("", f"pictures {array.shape} may have their channels first or last: say pictures={name} and "
                            "channels=first or channels=last")  # fmt: skip
    if kind in "biuf" and axes in (3, 4):
        return Inferred("", f"an array {array.shape} of type {array.dtype} may be pictures: say pictures={name}")
    return Inferred("", f"an array {array.shape} of type {array.dtype} fits no kind")


def _infer_text(name: str, values: Values) -> Inferred:
    if values.array.ndim != 1:
        return Inferred("", f"texts of shape {values.array.shape}: one for each example is expected")
    if name.lower() in CAPTIONS:
        return Inferred("caption", f"texts called {name}")
    texts = values.array[values.mask()].tolist()
    is_label = len(set(texts)) <= min(_MOST_WORDS, len(texts) / _REPEATS)
    return Inferred("label", "words that repeat") if is_label else Inferred("caption", "texts that do not repeat")
