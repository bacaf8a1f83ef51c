"""Batch: some examples x in model units, and the fields beside each example by name.

Legend: B examples, C channels, H height, W width, F numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """Examples in model units, and the fields beside each, by name."""

    x: Tensor  # (B, C, H, W) float32 in [0, 1], or (B, F), …
    beside: Mapping[str, Tensor] = field(default_factory=dict)  # (B, …); `mask_name(name)`: bool (B,)
    is_observed: bool = False  # whether x is what a model observed of it (binarised, say): it is not observed again

    def __len__(self) -> int:
        return len(self.x)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to x and to every field beside it."""
        return Batch(function(self.x), {k: function(v) for k, v in self.beside.items()}, self.is_observed)

    def __getitem__(self, rows: slice | Tensor) -> Batch:
        return self.map(lambda values: values[rows])

    def to(self, device: torch.device | str) -> Batch:
        return self.map(lambda values: values.to(device))

    def split(self, size: int) -> list[Batch]:
        """The batch in pieces of at most `size` examples."""
        return [self[first : first + size] for first in range(0, len(self), size)]

    def tensors(self) -> list[Tensor]:
        """All tensors in a fixed order, in which a captured graph refills them."""
        return [self.x, *(self.beside[name] for name in sorted(self.beside))]

    @staticmethod
    def cat(batches: Iterable[Batch]) -> Batch:
        """Join batches that have the same fields."""
        pieces = list(batches)
        beside = {name: torch.cat([b.beside[name] for b in pieces]) for name in pieces[0].beside}
        return Batch(torch.cat([b.x for b in pieces]), beside, pieces[0].is_observed)
