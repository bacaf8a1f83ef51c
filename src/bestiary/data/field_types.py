"""What an array beside x is: what the user declares, else what its type leaves no doubt about.

    option       what it declares                               without a declaration
    label=       words or whole numbers (N,), one-hot (N, K)    whole numbers, yes/no (N,), words that repeat (N,)
    numbers=     (N,) or (N, n)                                 floats (N,) or (N, n)
    factors=     whole numbers (N, K): K labels                 never
    tokens=      whole numbers (N, T)                           never
    caption=     texts (N,)                                     texts that do not repeat, or that are called so
    pictures=    (N, H, W), (N, H, W, C) or (N, C, H, W)        bytes of such a shape

Whole numbers (N, T) may be tokens, factors or numbers: without a declaration they are left out, and the note says what
to type. `beside=` names the arrays that may be taken undeclared; beside=none is no array. label=none leaves out labels.

Legend: N examples, K factors, T tokens, n numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from bestiary.data.labels import MOST_CLASSES
from bestiary.data.missing_values import Values, is_text
from bestiary.data.pixels import where_channels_are
from bestiary.data.spec import Inferred
from bestiary.errors import BestiaryError, nearest

__all__ = ["KINDS", "Declared", "Kind", "RawField", "Taken", "kind_of", "listed", "taken"]

Kind = Literal["label", "numbers", "factors", "tokens", "caption", "pictures"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CAPTIONS = ("caption", "captions", "text")  # names of texts that are captions, however often they repeat
_MOST_WORDS = 1000  # more distinct texts than this are captions
_REPEATS = 2  # so often is a class word used, on average


@dataclass(frozen=True)
class RawField:
    """A field before the split is known: its name, its kind and the values that the user gave."""

    name: str
    kind: Kind
    values: Values


@dataclass(frozen=True)
class Declared:
    """What a user says of arrays by their names: comma lists, as typed."""

    names: Mapping[Kind, str] = field(default_factory=dict)
    beside: str = ""

    def kind(self, columns: Sequence[str]) -> dict[str, Kind]:
        """Name → declared kind. Raises a name that is no column, or that is declared twice."""
        kinds: dict[str, Kind] = {}
        for kind, text in self.names.items():
            for name in [] if kind == "label" and text == "none" else listed(text, kind, columns):
                if name in kinds:
                    raise BestiaryError(f"{name} is declared twice, by {kinds[name]}= and by {kind}=: keep one")
                kinds[name] = kind
        return kinds

    def allowed(self, columns: Sequence[str]) -> list[str]:
        """The columns that may be taken undeclared."""
        if not self.beside:
            return list(columns)
        return [] if self.beside == "none" else listed(self.beside, "beside", columns)


def listed(text: str, option: str, columns: Sequence[str]) -> list[str]:
    """`a,b,c` as columns that there are; a column may have a comma in its name."""
    names = [text] if text in columns else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in columns:
            guess = nearest(name, columns)
            hint = f"did you mean `{guess}`? " if guess else ""
            all_names = f"There are {', '.join(columns)}" if columns else "Nothing stands beside x"
            raise BestiaryError(f"{option}={text}: there is no `{name}`; {hint}{all_names}")
    return list(dict.fromkeys(names))


@dataclass
class Taken:
    """Fields that were taken, and in words which, and what was left."""

    fields: list[RawField] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    x: str = ""  # the name of the array that is x, where it has one

    def note(self) -> str:
        """`took images as x, y as label; left z: …`"""
        took = [*([f"{self.x} as x"] if self.x else []), *(f"{f.name} as {f.kind}" for f in self.fields)]
        return "; ".join([*([f"took {', '.join(took)}"] if took else []), *(f"left {why}" for why in self.left)])


def taken(columns: Mapping[str, Callable[[], Values]], declared: Declared, n: int) -> Taken:
    """Columns by name, read when they are wanted → what is taken of them beside n examples."""
    kinds, allowed, result = declared.kind(list(columns)), declared.allowed(list(columns)), Taken()
    for name, read in columns.items():
        if name in kinds:
            values = read()
            if values.array.shape[:1] != (n,):
                raise BestiaryError(f"{name} has shape {values.array.shape}, and x has {n:,} rows: give one for each")
            result.fields.append(RawField(name, kinds[name], values))
        elif name not in allowed:
            result.left.append(name)
        else:
            _take_undeclared(name, read, declared, n, result)
    return result


def _take_undeclared(name: str, read: Callable[[], Values], declared: Declared, n: int, result: Taken) -> None:
    try:
        values = read()
    except BestiaryError as error:  # nobody asked for it
        result.left.append(f"{name}: {error}")
        return
    kind, why = kind_of(name, values, n)
    if kind and not (kind == "label" and declared.names.get("label") == "none"):
        result.fields.append(RawField(name, kind, values))
    else:
        result.left.append(f"{name}: {why}" if not kind else name)


def kind_of(name: str, values: Values, n: int) -> Inferred:
    """The kind that type and axes leave no doubt about, and why; an empty one where they leave some."""
    array = values.array
    if array.ndim == 0 or len(array) != n:
        return Inferred("", f"{len(array):,} rows where x has {n:,}" if array.ndim else "a single value")
    if is_text(array):
        return _of_text(name, values)
    kind, axes = array.dtype.kind, array.ndim
    if kind == "f" and axes <= 2:
        return Inferred("numbers", "floats")
    if kind in "biu" and axes == 1:
        distinct = len(np.unique(array))
        if distinct <= MOST_CLASSES:
            return Inferred("label", "whole numbers")
        return Inferred("", f"{distinct:,} distinct whole numbers are no classes: say numbers={name}")
    if array.dtype == np.uint8 and (axes == 3 or (axes == 4 and where_channels_are(array.shape))):
        return Inferred("pictures", "bytes")
    if kind in "biu" and axes == 2:
        return Inferred("", f"whole numbers {array.shape} may be tokens, factors or numbers: say tokens={name}, "
                            f"factors={name} or numbers={name}")  # fmt: skip
    if kind in "biuf" and axes == 4 and array.dtype == np.uint8:
        return Inferred("", f"pictures {array.shape} may have their channels first or last: say pictures={name} and "
                            "channels=first or channels=last")  # fmt: skip
    if kind in "biuf" and axes in (3, 4):
        return Inferred("", f"an array {array.shape} of type {array.dtype} may be pictures: say pictures={name}")
    return Inferred("", f"an array {array.shape} of type {array.dtype} is nothing that can stand beside x")


def _of_text(name: str, values: Values) -> Inferred:
    if values.array.ndim != 1:
        return Inferred("", f"texts of shape {values.array.shape}: one for each example is expected")
    if name.lower() in CAPTIONS:
        return Inferred("caption", f"texts called {name}")
    texts = values.array[values.mask()].tolist()
    few = len(set(texts)) <= min(_MOST_WORDS, len(texts) / _REPEATS)
    return Inferred("label", "words that repeat") if few else Inferred("caption", "texts that do not repeat")
