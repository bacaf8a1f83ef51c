"""The condition c of a model: fields beside x, or some columns of x, as tensors by name.

    label, numbers, caption, …     c has these fields; the model generates all of x
    columns a, b of a table        c has these columns; the model generates the others, and a critic sees all of them

A condition is a part of any model. It has no weights: each network reads c by a module of its own
(networks/conditioned.py). Labels and numbers of some training examples are stored, so that a model can sample without a
given condition, with conditions as in the data. Words and images are not stored: the run takes them from the data.

Legend: B batch, F numbers of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec, mask_name
from bestiary.data.support import Column, Columns
from bestiary.errors import BestiaryError, unknown_name
from bestiary.models.condition_words import read_condition
from bestiary.networks.conditioned import ConditionTensors, select_rows, tensor_names
from bestiary.training.part import Part, TrainingData

__all__ = ["STORED_ROWS", "Condition", "parse_condition", "split_names"]

STORED_ROWS = 1024  # training examples whose conditions are stored


class Condition(Part):
    """The fields beside x (`beside`) and the columns of x (`columns`) that c has; with none the model is unconditional.

    Raises BestiaryError for an unknown column, or if no column is left for the model to generate.
    """

    def __init__(self, spec: Spec, beside: Sequence[Field] = (), columns: Sequence[str] = ()) -> None:
        super().__init__()
        self.beside, self.columns = tuple(beside), tuple(columns)
        all_columns = _column_indices(spec.x) if columns else {}
        for name in columns:
            if name not in all_columns:
                raise unknown_name("column", name, all_columns)
        self._indices = {name: all_columns[name][1] for name in columns}
        condition_indices = [i for name in columns for i in self._indices[name]]
        self._target_indices = [i for i in range(spec.dimensions) if i not in condition_indices]
        if not self._target_indices:
            raise BestiaryError("condition= names every column: leave at least one for the model to generate")
        column_fields = (_column_field(name, all_columns[name][0]) for name in columns)
        self.fields: tuple[Field, ...] = (*self.beside, *column_fields)
        # the field that the model generates
        self.target = _drop_columns(spec.x, columns, len(self._target_indices)) if columns else spec.x
        order = [*condition_indices, *self._target_indices]
        self._inverse_order = sorted(range(spec.dimensions), key=order.__getitem__)
        self.stores_examples = all(f.layout in ("label", "row") for f in self.fields)  # whether conditions are stored
        zeros = {f.name: torch.zeros(STORED_ROWS, *f.shape,
                                     dtype=torch.int64 if f.support.is_integer else torch.float32)
                 for f in self.fields}  # fmt: skip
        zeros |= {mask_name(f.name): torch.zeros(STORED_ROWS, dtype=torch.bool) for f in self.fields if f.optional}
        self._stored_names = list(zeros) if self.stores_examples else []
        for i, name in enumerate(self._stored_names):  # numbered, since a column may have any name
            self.register_buffer(f"kept_{i}", zeros[name])

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.fields]

    @property
    def identifies_examples(self) -> bool:
        """Whether c may identify a single example; a sample under it is then close to that example."""
        return any(f.layout != "label" for f in self.fields)

    @property
    def has_numbers(self) -> bool:
        """Whether fields beside x are rows of numbers, on which a logit may depend nonlinearly."""
        return any(f.layout == "row" for f in self.beside)

    def reads(self) -> frozenset[str]:
        return frozenset(f.name for f in self.beside)

    def of(self, batch: Batch) -> ConditionTensors:
        """The condition c of each example of a batch. Raises BestiaryError if the batch lacks a field."""
        names = [name for f in self.beside for name in tensor_names(f)]
        if missing := [name for name in names if name not in batch.beside]:
            raise BestiaryError(
                f"this model takes the condition {', '.join(self.names)}, and the batch has no {missing[0]}: use data"
                f" that have {missing[0]}"
            )
        fields = {name: batch.beside[name] for name in names}
        return fields | {name: _select_columns(batch.x, indices) for name, indices in self._indices.items()}

    def target_of(self, x: Tensor) -> Tensor:
        """The columns of x that the model generates; all of x without conditions on columns."""
        return _select_columns(x, self._target_indices) if self._indices else x

    def assemble(self, output: Tensor, c: ConditionTensors) -> Tensor:
        """x from the generated columns and those of c, in the order of the data."""
        if not self._indices:
            return output
        columns = torch.cat([*(c[name].to(output.dtype) for name in self.columns), output], 1)
        return _select_columns(columns, self._inverse_order)

    def read(self, words: Any) -> ConditionTensors:
        """Parse a user's condition: names of labels, numbers in the file's units, a caption; any number of rows.

        Raises BestiaryError if it is not one of this model's conditions. See condition_words.py.
        """
        if not self.fields:
            raise BestiaryError("this model takes no condition: leave out condition=, or fit one with condition=label")
        return read_condition(words, self.fields)

    def refuse(self, c: ConditionTensors, n: int) -> None:
        """Raise BestiaryError unless c has a row for each of n codes or samples."""
        for f in self.fields:
            if f.name not in c:
                raise BestiaryError(
                    f"this model takes the condition {', '.join(self.names)}: give condition={f.name}:… too"
                )
            for name in tensor_names(f):
                if name not in c:
                    raise BestiaryError(
                        f"{f.name} may be missing: give its mask {name} of each row too, True where it is known"
                    )
                if len(c[name]) != n:
                    raise BestiaryError(f"{n} samples need {n} conditions, one for each; got {len(c[name])}")
            f.refuse(c[f.name], "condition: ")

    def begin(self, data: TrainingData) -> None:
        """Store the conditions of random training examples."""
        if not (self.fields and self.stores_examples):
            return
        c = self.of(data.examples(STORED_ROWS))
        order = torch.randperm(len(next(iter(c.values()))))  # data may be sorted by class
        for i, name in enumerate(self._stored_names):
            values = c[name][order]
            self.get_buffer(f"kept_{i}").copy_(values[torch.arange(STORED_ROWS) % len(values)])

    def draw(self, n: int) -> ConditionTensors:
        """n random conditions of training examples. Raises BestiaryError if the model stores none."""
        if not self.fields:
            return {}
        if not self.stores_examples:
            raise BestiaryError(f"this model stores no {', '.join(self.names)} to sample with: give condition=…")
        stored = {name: self.get_buffer(f"kept_{i}") for i, name in enumerate(self._stored_names)}
        return select_rows(stored, torch.randint(STORED_ROWS, (n,), device=self.get_buffer("kept_0").device))


def _select_columns(x: Tensor, indices: Sequence[int]) -> Tensor:
    """x[:, indices], without a list as index: it would be copied to the device, which a CUDA graph does not allow."""
    return torch.stack([x[:, i] for i in indices], 1)


def _column_indices(x: Field) -> dict[str, tuple[Column, list[int]]]:
    """Each column of x by name, with the indices of its numbers in a row of x."""
    if len(x.shape) != 1:
        raise BestiaryError(f"only vectors and tables have columns, and these are {x.noun}s")
    columns, start = dict[str, tuple[Column, list[int]]](), 0
    for column in x.columns or [Column(name) for name in x.component_names]:
        columns[column.name] = (column, list(range(start, start + column.width)))
        start += column.width
    return columns


def _column_field(name: str, column: Column) -> Field:
    return Field(name, "row", (column.width,), Columns((column,)))


def _drop_columns(x: Field, names: Sequence[str], width: int) -> Field:
    """The field x without these columns; `width`: the numbers that are left in a row."""
    columns = tuple(c for c in x.columns if c.name not in names)
    return replace(x, shape=(width,), support=Columns(columns) if columns else x.support)


def parse_condition(text: str, spec: Spec) -> Condition:
    """The condition for the option `condition=`: `none`, or names of fields beside x and of columns, joined by commas.

    `label` and `vector` also stand for the only label and the only numbers of the data, whatever their names. Raises
    BestiaryError for an unknown or repeated name.

    >>> from bestiary.data.spec import label, pictures
    >>> parse_condition("label", pictures((1, 8, 8), 17, label(("cat", "dog")))).names
    ['label']
    """
    columns = [c.name for c in spec.x.columns] or (spec.x.component_names if len(spec.shape) == 1 else [])
    if text == "none":
        return Condition(spec)
    names = split_names(text, [*spec.names, *columns])
    if names == ["vector"] and "vector" not in (*spec.names, *columns):
        names = [f.name for f in spec.beside if f.layout == "row"] or names
    if names == ["label"] and "label" not in (*spec.names, *columns) and spec.label is not None:
        names = [spec.label.name]
    if len(set(names)) < len(names):
        raise BestiaryError(f"condition={text} names a field twice: name each once")
    for name in names:
        if name not in (*spec.names, *columns):
            raise _unknown_name(name, spec, columns)
    beside = [spec[name] for name in names if name in spec.names]
    return Condition(spec, beside, [name for name in names if name not in spec.names])


def _unknown_name(name: str, spec: Spec, columns: Sequence[str]) -> BestiaryError:
    if name == "label":
        have = f"come with {', '.join(spec.names)}: use condition={spec.names[0]}" if spec.names else "have none"
        return BestiaryError(f"condition=label needs examples with labels, and these {have}")
    names = [*spec.names, *columns]
    if not names:
        return BestiaryError(f"condition={name}: these data have nothing beside x, neither labels nor numbers")
    return unknown_name("condition", name, ["none", *names])


def split_names(text: str, names: Sequence[str] = ()) -> list[str]:
    """Split names at commas; brackets around them are dropped. A text that is one of `names` is one name.

    >>> split_names("(a, b)"), split_names("length (cm)"), split_names("a, b", ["a, b"])
    (['a', 'b'], ['length (cm)'], ['a, b'])
    """
    text = text.strip()
    if text in names:
        return [text]
    inside = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    return [name.strip() for name in inside.split(",")]
