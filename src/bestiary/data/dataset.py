"""Dataset: stored arrays, their split, their source, and the true density of toys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bestiary.data.spec import Field, Spec, mask_name
from bestiary.errors import BestiaryError

if TYPE_CHECKING:
    from torch import Tensor

    from bestiary.data.batch import Batch

__all__ = ["PARTS", "Dataset", "Density", "batch_of", "split"]

PARTS = ("train", "validation", "test")


class Density(Protocol):
    """A toy's true density π(x), in the units of the stored data."""

    @property
    def entropy(self) -> float:
        """−E log π(x), in nats: no model's −E log p(x) can be lower."""
        ...

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """(N, F) → (N,), in nats."""
        ...

    def sample(self, n: int, seed: int) -> np.ndarray:
        """(n, F) float32, exact draws."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Stored examples with a deterministic split. The arrays may be memory-mapped; they are never written to."""

    name: str
    spec: Spec
    stored: Mapping[str, np.ndarray]  # by field's name, x among them; masks of optional fields as `mask_name(name)`
    parts: Mapping[str, np.ndarray]  # "train", "validation", "test" → row numbers
    truth: Density | None = None  # toys only
    modes: str = ""  # how a judge counts modes; `digits`: each channel is a digit of MNIST; `glyphs`: each image is one
    source: dict[str, str] = field(default_factory=dict)  # e.g. path, fingerprint, licence, cite, note

    def __post_init__(self) -> None:
        expected = {f.name for f in (self.spec.x, *self.spec.beside)} | set(self.spec.masks)
        if self.stored.keys() != expected:
            raise BestiaryError(f"{self.name} stores {', '.join(self.stored)}, and its spec has {', '.join(expected)}")
        if uneven := [name for name, values in self.stored.items() if len(values) != len(self)]:
            raise BestiaryError(f"{uneven[0]} of {self.name} has {len(self.stored[uneven[0]])} rows, x has {len(self)}")

    def __len__(self) -> int:
        return len(self.stored["x"])

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(rows):,} {name}" for name, rows in self.parts.items())
        return f"Dataset({self.name}: {len(self):,} examples, {parts}; {self.spec!r})"

    @property
    def x(self) -> np.ndarray:
        return self.stored["x"]

    def rows(self, rows: np.ndarray, names: Iterable[str] | None = None) -> Batch:
        """Examples by row number, in model units, with the fields beside them; with `names`, only these fields."""
        names = self.spec.names if names is None else list(names)
        fields = [name for f in self.spec.beside if f.name in names for name in self._stored_names(f)]
        return batch_of(self.spec, {n: np.ascontiguousarray(self.stored[n][rows]) for n in ("x", *fields)})

    def _stored_names(self, f: Field) -> tuple[str, ...]:
        return (f.name, mask_name(f.name)) if f.optional else (f.name,)

    def part(self, name: str) -> np.ndarray:
        """The stored x of one part, as an array (copied if memory-mapped)."""
        return self.x[self.parts[name]]


def batch_of(spec: Spec, stored: Mapping[str, Tensor | np.ndarray]) -> Batch:
    """Stored arrays by the names of their fields, x among them → a batch in model units."""
    import torch

    from bestiary.data.batch import Batch

    tensors = {name: torch.as_tensor(values) for name, values in stored.items()}
    masks = set(spec.masks)
    units = {n: v.bool() if n in masks else spec[n].to_model(v) for n, v in tensors.items()}
    return Batch(units.pop("x"), units)


def split(n: int, seed: int = 0, validation: float = 0.1, test: float = 0.1) -> dict[str, np.ndarray]:
    """Split n rows: the same n, seed and shares always give the same rows. Raises BestiaryError for less than 3 rows.

    >>> {k: len(v) for k, v in split(100).items()}
    {'train': 80, 'validation': 10, 'test': 10}
    """
    if n < 3:
        raise BestiaryError(f"{n} example(s) in all, and at least 3 are needed: one each to train, validate and test")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    n_validation, n_test = max(1, round(n * validation)), max(1, round(n * test))
    held_out = n_validation + n_test
    return {
        "train": np.sort(order[held_out:]),
        "validation": np.sort(order[n_test:held_out]),
        "test": np.sort(order[:n_test]),
    }
