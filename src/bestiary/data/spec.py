"""The spec of a data set: x and the fields beside x, which a model must know before it sees any example.

    Spec(x, beside)      x is modelled; labels, factors, numbers, words and images may come with each example
    Field                a name, a layout, a shape and a support (data/support.py)

    layout      shape        on the disk     what it is
    picture     (C, H, W)    H, W, C         images, with any number of channels
    grid        any          the same        numbers with neighbours: cells of a detector, maps of floats, codes
    row         (F,)         F               a vector, or the columns of a table
    sequence    (T,)         T               tokens, padded to one length
    label       ()           one number      one of several words

A field that some examples lack is `optional`: its mask has the name `mask_name(name)`, and is True where it is present.

Legend: B batch, C channels, H height, W width, F numbers, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from bestiary.data.support import Category, Column, Columns, Levels, Reals, Support
from bestiary.data.vocabulary import Vocabulary
from bestiary.data.word_support import Words
from bestiary.errors import BestiaryError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from bestiary.data.batch import Batch

__all__ = ["Field", "Inferred", "Layout", "Spec", "label", "mask_name", "numbers", "pictures", "rows", "sequence"]

Layout = Literal["picture", "grid", "row", "sequence", "label"]

SUPPORTS: dict[str, type[Support]] = {s.config_name: s for s in (Levels, Reals, Words, Vocabulary, Category, Columns)}
NOUNS = {"picture": "image", "grid": "grid", "row": "vector", "sequence": "sequence", "label": "label"}


class Inferred(NamedTuple):
    """A value that was inferred, and the reason."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Field:
    """x, or one field beside it."""

    name: str
    layout: Layout
    shape: tuple[int, ...]
    support: Support
    optional: bool = False  # some examples lack it

    def __post_init__(self) -> None:
        axes = {"picture": 3, "row": 1, "sequence": 1, "label": 0}.get(self.layout)
        if axes is not None and len(self.shape) != axes:
            raise BestiaryError(f"a {self.layout} has {axes} axes; {self.name} has shape {self.shape}")
        if isinstance(self.support, Columns) and self.shape != (self.support.width,):
            raise BestiaryError(f"the columns of {self.name} have {self.support.width} components, not {self.shape}")

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.shape)) or "one number"
        return f"Field({self.name}: {self.noun} of {shape}, {self.support.values})"

    @property
    def dimensions(self) -> int:
        """The number of numbers in one example, by which bits per dimension divide."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def is_spatial(self) -> bool:
        """Whether its shape is (C, H, W) with neighbours, as a convolution needs."""
        return self.layout in ("picture", "grid") and len(self.shape) == 3 and not self.support.is_integer

    @property
    def is_picture(self) -> bool:
        """Whether examples are images."""
        return self.layout == "picture"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a table or of a rescaled vector; empty for anything else."""
        return self.support.columns if isinstance(self.support, Columns) else ()

    @property
    def component_names(self) -> list[str]:
        """A name for each number of a row."""
        return [name for c in self.columns for name in c.names] or [f"x{i + 1}" for i in range(self.dimensions)]

    @property
    def levels(self) -> int:
        """The number of levels of a pixel; 0 for anything else."""
        return self.support.n if isinstance(self.support, Levels) else 0

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a label or of tokens; empty for anything else."""
        return self.support.words if isinstance(self.support, Words) else ()

    @property
    def log_scale(self) -> float:
        """log |d file / d x| of one example: log p(raw) = log p(x) − log_scale."""
        scale = self.support.log_scale
        return scale if isinstance(self.support, Columns) else scale * self.dimensions

    @property
    def noun(self) -> str:
        """The noun for one example in a sentence: image, vector, table, …"""
        return "table" if self.columns else NOUNS[self.layout]

    @property
    def likelihood(self) -> Inferred:
        """The name of the likelihood that fits the data best, and the reason. Raises BestiaryError where none fits."""
        likelihoods, noun = self.support.likelihoods(self.channels), self.support.values
        if not likelihoods:
            raise BestiaryError(f"{self.name} has {noun}, and no likelihood fits them")
        if self.levels == 2 and likelihoods[0] == "bernoulli":
            return Inferred(likelihoods[0], "pixels are 0 or 1")
        if likelihoods[0] == "bernoulli":
            return Inferred(likelihoods[0], f"one channel of {self.levels} levels, binarised anew in each batch"
                                     " (binarise=dynamic)")  # fmt: skip
        if self.support.is_integer:
            return Inferred(likelihoods[0], f"one of {len(self.words):,} words each")
        tones = "colours" if self.channels > 1 else "greys, not ink,"
        return Inferred(likelihoods[0], f"{tones} of {self.levels} levels" if self.levels else
                        noun if self.support.output_layer == "columns" else "real numbers")  # fmt: skip

    def to_model(self, stored: Tensor) -> Tensor:
        """Stored examples → model units. Pictures are permuted as a view, so that memory stays channels-last."""
        return self.support.to_model(stored.permute(0, 3, 1, 2) if self.is_picture else stored)

    def to_stored(self, x: Tensor) -> Tensor:
        """Model units → stored examples, each number the nearest value of the support."""
        stored = self.support.to_stored(x)
        return stored.permute(0, 2, 3, 1).contiguous() if self.is_picture else stored

    def random_stored(self, n: int, draw: np.random.Generator) -> np.ndarray:
        """n random examples as they are stored, for checks."""
        shape = (*self.shape[1:], self.shape[0]) if self.is_picture else self.shape
        return self.support.random_stored((n, *shape), draw)

    def refuse(self, x: Tensor, prefix: str = "") -> None:
        """Raise BestiaryError, which begins with `prefix`, unless x, in model units, are examples of this field."""
        if tuple(x.shape[1:]) != self.shape:
            raise BestiaryError(f"{prefix}{self.name} has shape {self.shape}; got {tuple(x.shape[1:])}")
        if x.is_floating_point() == self.support.is_integer:
            kind = "whole numbers" if self.support.is_integer else "floats"
            raise BestiaryError(f"{prefix}{self.name} takes {kind}; got {x.dtype}")
        if not self.support.contains(x):
            raise BestiaryError(f"{prefix}{self.name} holds values that are none of its {self.support.values}")

    def to_dict(self) -> dict[str, Any]:
        optional = {"optional": True} if self.optional else {}
        return {"name": self.name, "layout": self.layout, "shape": list(self.shape), **optional,
                **self.support.to_dict()}  # fmt: skip

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Field:
        own_keys = {"name", "layout", "shape", "optional"}
        if d["support"] not in SUPPORTS:
            raise unknown_name("support", d["support"], SUPPORTS)
        support = SUPPORTS[d["support"]].from_dict({k: v for k, v in d.items() if k not in own_keys})
        return cls(d["name"], d["layout"], tuple(d["shape"]), support, bool(d.get("optional", False)))


def mask_name(name: str) -> str:
    """The name of the mask that says which examples have an optional field."""
    return f"{name}?"


@dataclass(frozen=True)
class Spec:
    """x, and the fields beside it."""

    x: Field
    beside: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        names = [f.name for f in (self.x, *self.beside)]
        if len(set(names)) < len(names):
            duplicate = next(name for name in names if names.count(name) > 1)
            raise BestiaryError(f"two fields are called {duplicate}: rename one")

    def __repr__(self) -> str:
        beside = f"; beside it {', '.join(f.name for f in self.beside)}" if self.beside else ""
        return f"Spec({self.x!r}{beside})"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.x.shape

    @property
    def dimensions(self) -> int:
        return self.x.dimensions

    @property
    def log_scale(self) -> float:
        return self.x.log_scale

    @property
    def names(self) -> list[str]:
        """The names of the fields beside x."""
        return [f.name for f in self.beside]

    @property
    def label(self) -> Field | None:
        """The field called label, or the only label; None where there is none, or several."""
        labels = [f for f in self.beside if f.layout == "label"]
        by_name = [f for f in labels if f.name == "label"]
        return (by_name or labels)[0] if by_name or len(labels) == 1 else None

    @property
    def masks(self) -> list[str]:
        """Names of the masks of optional fields."""
        return [mask_name(f.name) for f in self.beside if f.optional]

    def __getitem__(self, name: str) -> Field:
        fields = {f.name: f for f in (self.x, *self.beside)}
        if name not in fields:
            raise unknown_name("field", name, fields)
        return fields[name]

    def random_batch(self, n: int, names: Iterable[str] | None = None, seed: int = 0) -> Batch:
        """A random batch of n examples, for checks; with `names`, only these fields beside x."""
        import torch

        from bestiary.data.batch import Batch

        draw, chosen_names = np.random.default_rng(seed), None if names is None else set(names)
        x = self.x.to_model(torch.as_tensor(self.x.random_stored(n, draw)))
        beside: dict[str, Tensor] = {}
        for f in self.beside:
            values = f.to_model(torch.as_tensor(f.random_stored(n, draw)))
            if chosen_names is None or f.name in chosen_names:
                beside[f.name] = values
                if f.optional:
                    beside[mask_name(f.name)] = torch.as_tensor(draw.random(n) < 0.7)
        return Batch(x, beside)

    def to_dict(self) -> dict[str, Any]:
        """For config.toml; `from_dict` is its inverse."""
        return {"x": self.x.to_dict(), "beside": [f.to_dict() for f in self.beside]}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Spec:
        return cls(Field.from_dict(d["x"]), tuple(Field.from_dict(f) for f in d.get("beside", [])))


def pictures(shape: tuple[int, int, int], levels: int = 256, *beside: Field) -> Spec:
    """The spec of images (C, H, W).

    >>> pictures((1, 8, 8), 17, label(("cat", "dog"))).label.words
    ('cat', 'dog')
    """
    return Spec(Field("x", "picture", tuple(shape), Levels(levels)), beside)


def rows(columns: int | Iterable[Column], *beside: Field) -> Spec:
    """The spec of vectors with this many numbers, or of rows of a table with these columns.

    >>> rows(3).shape, rows([Column("length"), Column("width")]).x.noun
    ((3,), 'table')
    """
    if isinstance(columns, int):
        return Spec(Field("x", "row", (columns,), Reals()), beside)
    return Spec(_row("x", columns), beside)


def _row(name: str, columns: Iterable[Column], optional: bool = False) -> Field:
    support = Columns(tuple(columns))
    return Field(name, "row", (support.width,), support, optional)


def label(words: Iterable[str], name: str = "label", optional: bool = False) -> Field:
    """A field beside x: one of several words."""
    return Field(name, "label", (), Words(tuple(words)), optional)


def numbers(columns: Iterable[Column], name: str = "numbers", optional: bool = False) -> Field:
    """A field beside x: numbers, such as the energy and the angle of a shower."""
    return _row(name, columns, optional)


def sequence(
    words: Iterable[str], length: int, name: str = "caption", pad: int | None = 0, optional: bool = False
) -> Field:
    """A field beside x: `length` tokens; a shorter example ends with the word number `pad`, repeated."""
    return Field(name, "sequence", (length,), Words(tuple(words), pad), optional)
