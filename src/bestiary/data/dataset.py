"""A data set: what is stored, how it splits, where it came from, and its density where that is known."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError

__all__ = ["PARTS", "Dataset", "Density", "split"]

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
    """Stored examples with a deterministic split. `stored` may be memory-mapped; it is never written to."""

    name: str
    spec: Spec
    stored: np.ndarray  # images uint8 (N, H, W, C); vectors and tables float32 (N, F) in model units
    parts: dict[str, np.ndarray]  # "train", "validation", "test" → row numbers
    labels: np.ndarray | None = None  # int64 (N,): numbers into spec.classes; or float32 (N, n): spec.beside
    truth: Density | None = None  # toys only
    source: dict[str, str] = field(default_factory=dict)  # e.g. path, fingerprint, licence, cite, note

    def part(self, name: str) -> np.ndarray:
        """The stored examples of one part, as an array (copied if memory-mapped)."""
        return self.stored[self.parts[name]]

    def part_labels(self, name: str) -> np.ndarray | None:
        return None if self.labels is None else self.labels[self.parts[name]]


def split(n: int, seed: int = 0, validation: float = 0.1, test: float = 0.1) -> dict[str, np.ndarray]:
    """A deterministic split of n rows: the same n, seed and shares give the same rows for ever.

    >>> {k: len(v) for k, v in split(100).items()}
    {'train': 80, 'validation': 10, 'test': 10}
    """
    if n < 3:
        raise BestiaryError(f"{n} example(s) in all, and at least 3 are needed: one each to train, validate and test")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    n_validation, n_test = max(1, round(n * validation)), max(1, round(n * test))
    held = n_validation + n_test
    return {"train": np.sort(order[held:]), "validation": np.sort(order[n_test:held]), "test": np.sort(order[:n_test])}
