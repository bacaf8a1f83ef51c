"""Supports: the set of values that a number of a field can take.

    Levels(L)      0 … L − 1 on the disk; x = stored / (L − 1) ∈ [0, 1] in the model       pixels
    Reals          a number; x = (stored − mean) / scale in the model                      points, grids of floats
    Words(V)       one of V words, by its number, on the disk and in the model (word_support.py)  labels, tokens, codes
    Category(V)    one of V words as V numbers 0 or 1, of which the largest counts         a column of a table
    Columns        one support for each column of a table, each `Reals` or `Category`; stored in model units, since a
                   category takes several numbers of x

A support converts between stored values and model units (`to_model`, `to_stored`; log |d file / d x| is `log_scale`),
names the likelihoods that fit (`likelihoods`), maps all numbers onto itself with a slope that is nowhere zero
(`from_unbounded`, `to_unbounded`), names the last layer of a generator (`output_layer`), and gives values as a file
holds them (`file_values`).

Torch is imported only inside functions: reports read supports without it.

Legend: N or B examples, F numbers of a row, L levels, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import log
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from bestiary.errors import BestiaryError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Category", "Column", "Columns", "Constant", "Levels", "Reals", "Support"]

EDGE = 0.02  # pixels are clamped to [EDGE, 1 − EDGE], where the slope of the sigmoid is a fiftieth, times STEEP
STEEP = 10.0  # slope of the maps onto pixels and categories: Adam changes a by about its rate in a round


@dataclass(frozen=True)
class Support:
    """The values that a number can take, as they are stored and in model units."""

    config_name: ClassVar[str]  # the support's name in config.toml
    stored: ClassVar[str] = "float32"  # the type on the disk
    values: ClassVar[str] = "numbers"  # in sentences
    discrete: ClassVar[bool] = False  # log p(x) is the logarithm of a probability, and bits per dimension make sense
    is_coarse: ClassVar[bool] = False  # so few values that the 8 significant bits of bf16 hold each
    is_integer: ClassVar[bool] = False  # model units are whole numbers
    output_layer: ClassVar[str] = "none"  # the last layer of a generator: networks/output_layers.py

    def likelihoods(self, channels: int = 1) -> tuple[str, ...]:
        """The names of the likelihoods that fit, the best first."""
        return ()

    @property
    def log_scale(self) -> float:
        """log |d file / d x| of one number, or of a whole row where the columns differ."""
        return 0.0

    def to_model(self, stored: Tensor) -> Tensor:
        """Stored values → model units."""
        return stored.float()

    def to_stored(self, x: Tensor) -> Tensor:
        """Model units → stored values: the inverse of `to_model`, to the nearest value of the support."""
        return x.float()

    def round_categories(self, x: Tensor) -> Tensor:
        """x with each category made one-hot, as samples are given to the user."""
        return x

    def to_signed(self, x: Tensor) -> Tensor:
        """Model units → the range of a generator: pixels in [−1, 1]."""
        return x

    def from_signed(self, x: Tensor) -> Tensor:
        """The inverse of `to_signed`."""
        return x

    def from_unbounded(self, a: Tensor) -> Tensor:
        """Map all numbers onto the support, with a slope that is nowhere zero."""
        return a

    def to_unbounded(self, x: Tensor) -> Tensor:
        """The inverse of `from_unbounded`; values at the edges are first moved just inside."""
        return x

    def random_points(self, shape: Sequence[int]) -> Tensor:
        """Random points of the support, independent of the data."""
        import torch

        return torch.randn(*shape)

    def random_stored(self, shape: Sequence[int], draw: np.random.Generator) -> np.ndarray:
        """Random stored values, for checks."""
        return draw.normal(size=tuple(shape)).astype(np.float32)

    def contains(self, x: Tensor) -> bool:
        """Whether x, in model units, lies on the support."""
        return bool(x.float().isfinite().all())

    def file_values(self, stored: np.ndarray) -> np.ndarray:
        """Stored values as they are written to a file for any program."""
        return stored

    def to_dict(self) -> dict[str, Any]:
        return {"support": self.config_name}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        names = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in d.items() if key in names})


@dataclass(frozen=True)
class Levels(Support):
    """L levels, 0 … L − 1: 2 of binary images, 17 of digits, 256 of photographs."""

    n: int = 256
    is_photograph: bool = False  # greys between black and white are common, so that they are no probabilities of ink

    config_name, stored, values, discrete, is_coarse, output_layer = "levels", "uint8", "levels", True, True, "tanh"

    def __post_init__(self) -> None:
        if not 2 <= self.n <= 256:
            raise BestiaryError(f"pixels have 2 to 256 levels; got {self.n}")

    def likelihoods(self, channels: int = 1) -> tuple[str, ...]:
        is_ink = self.n == 2 or (channels == 1 and not self.is_photograph)
        grey = ("bernoulli", "logistic") if is_ink else ("logistic", "bernoulli")
        return (*grey, "gaussian", "categorical", "pixelcnn")

    def to_model(self, stored: Tensor) -> Tensor:
        x = stored.float()
        return x if self.n == 2 else x.div_(self.n - 1)

    def to_stored(self, x: Tensor) -> Tensor:
        return x.float().clamp(0, 1).mul(self.n - 1).round().byte()

    def to_signed(self, x: Tensor) -> Tensor:
        return 2 * x - 1

    def from_signed(self, x: Tensor) -> Tensor:
        return (x + 1) / 2

    def from_unbounded(self, a: Tensor) -> Tensor:
        return (STEEP * a).sigmoid()

    def to_unbounded(self, x: Tensor) -> Tensor:
        return x.clamp(EDGE, 1 - EDGE).logit() / STEEP

    def random_points(self, shape: Sequence[int]) -> Tensor:
        return super().random_points(shape).sigmoid()

    def random_stored(self, shape: Sequence[int], draw: np.random.Generator) -> np.ndarray:
        return draw.integers(0, self.n, tuple(shape)).astype(np.uint8)

    def contains(self, x: Tensor) -> bool:
        return bool(((x >= 0) & (x <= 1)).all())

    def file_values(self, stored: np.ndarray) -> np.ndarray:
        """Grey values 0 … 255, whatever levels the data have."""
        if self.n == 256:
            return stored
        return np.round(stored.astype(np.float32) * (255 / (self.n - 1))).astype(np.uint8)

    def to_dict(self) -> dict[str, Any]:
        return {"support": self.config_name, "n": self.n} | ({"is_photograph": True} if self.is_photograph else {})


@dataclass(frozen=True)
class Reals(Support):
    """A number. `low`: no number is smaller; `atom`: a value that occurs exactly, such as the zero of a silent cell."""

    mean: float = 0.0  # subtracted
    scale: float = 1.0  # by which the difference is divided
    low: float | None = None
    atom: float | None = None

    config_name = "reals"
    width: ClassVar[int] = 1  # numbers of x that a column takes
    words: ClassVar[tuple[str, ...]] = ()

    def likelihoods(self, channels: int = 1) -> tuple[str, ...]:
        return ("gaussian",)

    @property
    def log_scale(self) -> float:
        return log(self.scale)

    def to_model(self, stored: Tensor) -> Tensor:
        x = stored.float()
        return x if (self.mean, self.scale) == (0.0, 1.0) else (x - self.mean) / self.scale

    def to_stored(self, x: Tensor) -> Tensor:
        """Model units → stored values, none below `low`."""
        raw = x.float() if (self.mean, self.scale) == (0.0, 1.0) else x.float() * self.scale + self.mean
        return raw if self.low is None else raw.clamp_min(self.low)

    def random_stored(self, shape: Sequence[int], draw: np.random.Generator) -> np.ndarray:
        raw = draw.normal(size=tuple(shape)) * self.scale + self.mean
        raw = raw if self.low is None else np.abs(raw) + self.low
        raw = raw if self.atom is None else np.where(draw.random(tuple(shape)) < 0.5, raw, self.atom)
        return raw.astype(np.float32)

    def read_column(self, raw: Any) -> np.ndarray:
        """(N,) numbers of the user's file → (N, 1) in model units."""
        return ((np.asarray(raw, np.float64) - self.mean) / self.scale).astype(np.float32)[:, None]

    def write_column(self, x: np.ndarray) -> np.ndarray:
        """(N, 1) in model units → (N,) in the units of the file, rounded to the digits that float32 resolves."""
        decimals, raw = 6 - int(np.floor(np.log10(self.scale))), x[:, 0].astype(np.float64) * self.scale
        is_constant = np.abs(raw) <= 1e-12 * abs(self.mean)  # a constant has no scale to round by
        return np.where(is_constant, self.mean, np.round(raw + self.mean, decimals))

    def to_dict(self) -> dict[str, Any]:
        edges = {"low": self.low, "atom": self.atom}
        numbers = {"mean": self.mean, "scale": self.scale}
        return {"support": self.config_name, **numbers, **{k: v for k, v in edges.items() if v is not None}}


@dataclass(frozen=True)
class Category(Support):
    """A column of words, one-hot in x."""

    words: tuple[str, ...]

    config_name, values, is_coarse, output_layer = "category", "words", True, "softmax"

    @property
    def width(self) -> int:
        return len(self.words)

    def round_categories(self, x: Tensor) -> Tensor:
        from torch.nn.functional import one_hot

        return one_hot(x.argmax(1), self.width).to(x.dtype)

    def from_unbounded(self, a: Tensor) -> Tensor:
        return (STEEP * a).softmax(1)

    def to_unbounded(self, x: Tensor) -> Tensor:
        return x.clamp(EDGE, 1).log() / STEEP

    def read_column(self, raw: Any) -> np.ndarray:
        """(N,) words → (N, V) one-hot; a word that is none of the V gives zeros."""
        return (np.asarray(raw, np.str_)[:, None] == np.array(self.words)).astype(np.float32)

    def write_column(self, x: np.ndarray) -> np.ndarray:
        return np.array(self.words)[x.argmax(axis=1)]

    def random_stored(self, shape: Sequence[int], draw: np.random.Generator) -> np.ndarray:
        return np.eye(self.width, dtype=np.float32)[draw.integers(0, self.width, shape[0])]

    def to_dict(self) -> dict[str, Any]:
        return {"support": self.config_name, "words": list(self.words)}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        return cls(tuple(d["words"]))


@dataclass(frozen=True)
class Column:
    """One column of a table or one component of a vector."""

    name: str
    support: Reals | Category = Reals()

    @property
    def width(self) -> int:
        """The number of components of x that the column takes."""
        return self.support.width

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a category; empty for a number."""
        return self.support.words

    @property
    def names(self) -> list[str]:
        """A name for each component of x that the column takes."""
        return [f"{self.name}={word}" for word in self.words] or [self.name]


class Constant(NamedTuple):
    """A column of one value, which is no part of x: its density would be without bound and says nothing."""

    place: int  # among the user's columns
    name: str
    value: float | str


@dataclass(frozen=True)
class Columns(Support):
    """A row of columns, and the constants that stand between them in the user's file."""

    columns: tuple[Column, ...]
    constants: tuple[Constant, ...] = ()  # in the order of their places

    config_name = "columns"

    @property
    def width(self) -> int:
        return sum(column.width for column in self.columns)

    @property
    def has_categories(self) -> bool:
        """Whether some column is a category."""
        return any(column.words for column in self.columns)

    @property
    def values(self) -> str:  # type: ignore[override]
        return "numbers and categories" if self.has_categories else "numbers"

    @property
    def output_layer(self) -> str:  # type: ignore[override]
        return "columns" if self.has_categories else "none"

    def likelihoods(self, channels: int = 1) -> tuple[str, ...]:
        return ("mixed",) if self.has_categories else ("gaussian", "mixed")

    @property
    def log_scale(self) -> float:
        """Σ log scale: log p(raw) = log p(x) − log_scale."""
        return sum(column.support.log_scale for column in self.columns)

    def _map_columns(self, x: Tensor, function: Callable[[Column, Tensor], Tensor]) -> Tensor:
        """Apply a function to the components of each column, and join the results."""
        import torch

        blocks = zip(self.columns, x.split([column.width for column in self.columns], 1), strict=True)
        return torch.cat([function(column, block) for column, block in blocks], 1)

    def to_stored(self, x: Tensor) -> Tensor:
        return self.round_categories(x.float())

    def round_categories(self, x: Tensor) -> Tensor:
        if not self.has_categories:
            return x
        return self._map_columns(x, lambda column, block: column.support.round_categories(block))

    def from_unbounded(self, a: Tensor) -> Tensor:
        if not self.has_categories:
            return a
        return self._map_columns(a, lambda column, block: column.support.from_unbounded(block))

    def to_unbounded(self, x: Tensor) -> Tensor:
        if not self.has_categories:
            return x
        return self._map_columns(x, lambda column, block: column.support.to_unbounded(block))

    def random_points(self, shape: Sequence[int]) -> Tensor:
        weak = lambda column, block: block.softmax(1) if column.words else block  # noqa: E731 — weak preferences
        return self._map_columns(super().random_points(shape), weak)

    def random_stored(self, shape: Sequence[int], draw: np.random.Generator) -> np.ndarray:
        raw = [Reals().random_stored((shape[0], 1), draw) if not c.words else c.support.random_stored((shape[0],), draw)
               for c in self.columns]  # fmt: skip
        return np.concatenate(raw, 1)

    def to_columns(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """x (N, F) in model units → the user's columns by name, each (N,) numbers or words."""
        if x.ndim != 2 or x.shape[1] != self.width:
            raise BestiaryError(f"x has rows of {self.width} components; got an array of shape {x.shape}")
        edges = np.cumsum([column.width for column in self.columns])[:-1]
        blocks = zip(self.columns, np.split(x, edges, 1), strict=True)
        result = [(column.name, column.support.write_column(block)) for column, block in blocks]
        for constant in self.constants:
            result.insert(constant.place, (constant.name, np.full(len(x), constant.value)))
        return dict(result)

    def to_dict(self) -> dict[str, Any]:
        columns = [{"name": c.name, **c.support.to_dict()} for c in self.columns]
        constants = {"constants": [constant._asdict() for constant in self.constants]} if self.constants else {}
        return {"support": self.config_name, "columns": columns, **constants}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        columns = tuple(Column(c["name"], _OF_COLUMNS[c["support"]](c)) for c in d["columns"])
        return cls(columns, tuple(Constant(**c) for c in d.get("constants", ())))


_OF_COLUMNS: dict[str, Callable[[Mapping[str, Any]], Reals | Category]] = {
    "reals": Reals.from_dict,
    "category": Category.from_dict,
}
