"""What a model must know about data before it has seen any: the spec.

Stored data is compact and exact; a model sees `x`, floats in model units:

    images          stored uint8 (N, H, W, C) with L levels     x = stored / (L − 1) ∈ [0, 1], (N, C, H, W)
    vectors, tables stored float32 (N, F), already in model units

A vector's or table's columns keep the shift and scale by which they were standardised, `x = (raw − mean) / scale`, so
that log p(raw) = log p(x) − Σ log scale and samples can be given back in the units of the user's file. A category
occupies one column (one-hot, 0 or 1) for each of its values.

Numbers that come with each example and are no part of x, such as the energy of a shower, are columns `beside` it.

Legend: N examples, C channels, H height, W width, F features (columns of x), L levels.
"""

from dataclasses import dataclass, field
from math import log, prod
from typing import Any, Literal

from bestiary.errors import BestiaryError

__all__ = ["Column", "Spec"]


@dataclass(frozen=True)
class Column:
    """One column of a table or one component of a vector."""

    name: str
    mean: float = 0.0  # subtracted from a number
    scale: float = 1.0  # then divided by this
    categories: tuple[str, ...] = ()  # not empty: a category, one-hot over these values

    @property
    def width(self) -> int:
        """How many components of x this column takes."""
        return len(self.categories) or 1


@dataclass(frozen=True)
class Spec:
    """The kind, shape and support of a data set."""

    kind: Literal["image", "vector", "table"]
    shape: tuple[int, ...]  # (C, H, W) or (F,)
    levels: int = 0  # images: 2 binary, 17 digits, 256 photographs; 0: continuous
    columns: tuple[Column, ...] = ()  # vectors and tables; empty: F numbers that were not rescaled
    classes: tuple[str, ...] = field(default=())  # names of the labels, if there are labels
    beside: tuple[Column, ...] = field(default=())  # numbers that come with each example in the place of a label

    def __post_init__(self) -> None:
        if self.kind == "image" and (len(self.shape) != 3 or self.levels < 2):
            raise BestiaryError(f"an image spec needs shape (C, H, W) and levels ≥ 2; got {self.shape}, {self.levels}")
        if self.kind != "image" and (len(self.shape) != 1 or self.levels):
            raise BestiaryError(f"a {self.kind} spec needs shape (F,) and no levels; got {self.shape}, {self.levels}")
        if self.columns and sum(c.width for c in self.columns) != self.shape[0]:
            raise BestiaryError(f"columns take {sum(c.width for c in self.columns)} components, x has {self.shape[0]}")

    @property
    def dimensions(self) -> int:
        """How many numbers one example has: the divisor of bits per dimension."""
        return prod(self.shape)

    @property
    def log_scale(self) -> float:
        """Σ log scale: log p(raw) = log p(x) − log_scale."""
        return sum(log(c.scale) for c in self.columns if not c.categories)

    def to_dict(self) -> dict[str, Any]:
        """For config.toml; `from_dict` is its inverse."""
        columns, beside = (
            [{"name": c.name, "mean": c.mean, "scale": c.scale, "categories": list(c.categories)} for c in some]
            for some in (self.columns, self.beside)
        )
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "levels": self.levels,
            "classes": list(self.classes),
            "columns": columns,
            "beside": beside,
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> "Spec":
        columns, beside = (
            tuple(Column(c["name"], c["mean"], c["scale"], tuple(c["categories"])) for c in d.get(key, []))
            for key in ("columns", "beside")
        )
        return cls(d["kind"], tuple(d["shape"]), d["levels"], columns, tuple(d.get("classes", [])), beside)
