"""What a model is told: c, some fields beside x, or some columns of x, by name.

    label, numbers, caption, …     c has these fields; the model makes all of x
    columns a, b of a table        c has these columns; the model makes the others, and a critic sees them together

It is a part of any model. It has no weights: what reads c is a module of each network (networks/conditioned.py). Small
fields, labels and numbers, are kept for some training examples, so that a sample that is asked for without a condition
has one as the data have them; words and images are dealt from the data by whoever has the data.

Legend: B batch, F numbers of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec, known
from bestiary.data.support import Column, Columns
from bestiary.errors import BestiaryError, unknown
from bestiary.models.condition_words import read_condition
from bestiary.networks.conditioned import Fields, rows_of, tensor_names
from bestiary.training.part import Look, Part

__all__ = ["KEPT", "Condition", "condition_of", "named"]

KEPT = 1024  # training examples whose conditions are kept to sample with


class Condition(Part):
    """c = of(batch). The one without fields tells nothing."""

    def __init__(self, spec: Spec, beside: Sequence[Field] = (), columns: Sequence[str] = ()) -> None:
        super().__init__()
        self.beside, self.of_x, places = tuple(beside), tuple(columns), _places(spec.x) if columns else {}
        for name in columns:
            if name not in places:
                raise unknown("column", name, places)
        self._taken = {name: places[name][1] for name in columns}
        taken = {i for some in self._taken.values() for i in some}
        rest = [i for i in range(spec.dimensions) if i not in taken]
        if not rest:
            raise BestiaryError("condition= names every column: leave at least one for the model to make")
        told = (_row(name, places[name][0]) for name in columns)
        self.fields: tuple[Field, ...] = (*self.beside, *told)
        self.target = _without(spec.x, columns, len(rest)) if columns else spec.x  # what the model makes
        self._rest = rest
        order = [*(i for n in columns for i in self._taken[n]), *rest]
        self._order = sorted(range(spec.dimensions), key=order.__getitem__)  # its inverse
        self.kept = all(f.layout in ("label", "row") for f in self.fields)
        zeros = {f.name: torch.zeros(KEPT, *f.shape, dtype=torch.int64 if f.support.integer else torch.float32)
                 for f in self.fields}  # fmt: skip
        zeros |= {known(f.name): torch.zeros(KEPT, dtype=torch.bool) for f in self.fields if f.optional}
        self._stored = list(zeros) if self.kept else []
        for i, name in enumerate(self._stored):  # by number: a column's name may be anything
            self.register_buffer(f"kept_{i}", zeros[name])

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.fields]

    @property
    def singles(self) -> bool:
        """Whether c may tell one example from all others: what is made of it then lies beside that example."""
        return any(f.layout != "label" for f in self.fields)

    @property
    def curved(self) -> bool:
        """Whether what is beside x need not say of it something linear."""
        return any(f.layout == "row" for f in self.beside)

    def reads(self) -> frozenset[str]:
        return frozenset(f.name for f in self.beside)

    def of(self, batch: Batch) -> Fields:
        """c of each example."""
        names = [name for f in self.beside for name in tensor_names(f)]
        if missing := [name for name in names if name not in batch.beside]:
            raise BestiaryError(f"this model is told {', '.join(self.names)}, and the batch has no {missing[0]}")
        found = {name: batch.beside[name] for name in names}
        return found | {name: _columns(batch.x, some) for name, some in self._taken.items()}

    def rest(self, x: Tensor) -> Tensor:
        """Of x what the model makes."""
        return _columns(x, self._rest) if self._taken else x

    def whole(self, made: Tensor, c: Fields) -> Tensor:
        """x, of what the model made."""
        if not self._taken:
            return made
        return _columns(torch.cat([*(c[name].to(made.dtype) for name in self.of_x), made], 1), self._order)

    def read(self, words: Any) -> Fields:
        """c as a user says it: names of labels, numbers in the file's units, a prompt; any number of rows."""
        if not self.fields:
            raise BestiaryError("this model takes no condition: leave out condition=, or fit one with condition=label")
        return read_condition(words, self.fields)

    def refuse(self, c: Fields, n: int) -> None:
        """Raise unless c has a row for each of n codes or samples."""
        for f in self.fields:
            if f.name not in c:
                raise BestiaryError(f"this model is told {', '.join(self.names)}: say condition={f.name}:…")
            for name in tensor_names(f):
                if name not in c:
                    raise BestiaryError(
                        f"{f.name} may be missing: give its mask {name} of each row too, True if it is known"
                    )
                if len(c[name]) != n:
                    raise BestiaryError(f"{n} samples need {n} conditions, one for each; got {len(c[name])}")
            f.refuse(c[f.name], "condition: ")

    def begin(self, look: Look) -> None:
        if not (self.fields and self.kept):
            return
        found = self.of(look.some(KEPT))
        order = torch.randperm(len(next(iter(found.values()))))  # data may be sorted by class
        for i, name in enumerate(self._stored):
            values = found[name][order]
            self.get_buffer(f"kept_{i}").copy_(values[torch.arange(KEPT) % len(values)])

    def drawn(self, n: int) -> Fields:
        """n conditions as the training data have them."""
        if not self.fields:
            return {}
        if not self.kept:
            raise BestiaryError(f"this model keeps no {', '.join(self.names)}: say which, condition=…")
        kept = {name: self.get_buffer(f"kept_{i}") for i, name in enumerate(self._stored)}
        return rows_of(kept, torch.randint(KEPT, (n,), device=self.get_buffer("kept_0").device))


def _columns(x: Tensor, places: Sequence[int]) -> Tensor:
    """Not by a list as index, which is copied to the device at each turn: a captured one cannot do that."""
    return torch.stack([x[:, i] for i in places], 1)


def _places(x: Field) -> dict[str, tuple[Column, list[int]]]:
    """Each column of x with its components."""
    if len(x.shape) != 1:
        raise BestiaryError(f"columns are of a vector or a table, and these are {x.noun}s")
    found, at = dict[str, tuple[Column, list[int]]](), 0
    for column in x.columns or [Column(name) for name in x.component_names]:
        found[column.name] = (column, list(range(at, at + column.width)))
        at += column.width
    return found


def _row(name: str, column: Column) -> Field:
    return Field(name, "row", (column.width,), Columns((column,)))


def _without(x: Field, names: Sequence[str], width: int) -> Field:
    """x without some columns."""
    rest = tuple(c for c in x.columns if c.name not in names)
    return replace(x, shape=(width,), support=Columns(rest) if rest else x.support)


def condition_of(text: str, spec: Spec) -> Condition:
    """`none`, or names of fields beside x and of columns of x, joined by commas; `label` is the only label there is and
    `vector` are the only numbers, whatever they are called.

    >>> from bestiary.data.spec import label, pictures
    >>> condition_of("label", pictures((1, 8, 8), 17, label(("cat", "dog")))).names
    ['label']
    """
    columns = [c.name for c in spec.x.columns] or (spec.x.component_names if len(spec.shape) == 1 else [])
    if text == "none":
        return Condition(spec)
    names = named(text, [*spec.names, *columns])
    if names == ["vector"] and "vector" not in (*spec.names, *columns):
        names = [f.name for f in spec.beside if f.layout == "row"] or names
    if names == ["label"] and "label" not in (*spec.names, *columns) and spec.label is not None:
        names = [spec.label.name]
    if len(set(names)) < len(names):
        raise BestiaryError(f"condition={text} names a field twice: name each once")
    for name in names:
        if name not in (*spec.names, *columns):
            raise _missing(name, spec, columns)
    beside = [spec[name] for name in names if name in spec.names]
    return Condition(spec, beside, [name for name in names if name not in spec.names])


def _missing(name: str, spec: Spec, columns: Sequence[str]) -> BestiaryError:
    if name == "label":
        have = f"come with {', '.join(spec.names)}: give condition={spec.names[0]}" if spec.names else "have none"
        return BestiaryError(f"condition=label needs examples with labels, and these {have}")
    names = [*spec.names, *columns]
    if not names:
        return BestiaryError(f"condition={name}: these data have nothing beside x, neither labels nor numbers")
    return unknown("condition", name, ["none", *names])


def named(text: str, names: Sequence[str] = ()) -> list[str]:
    """Names between commas, perhaps in brackets; one that is known as it stands is one name.

    >>> named("(a, b)"), named("length (cm)"), named("a, b", ["a, b"])
    (['a', 'b'], ['length (cm)'], ['a, b'])
    """
    whole = text.strip()
    if whole in names:
        return [whole]
    inside = whole[1:-1] if whole.startswith("(") and whole.endswith(")") else whole
    return [name.strip() for name in inside.split(",")]
