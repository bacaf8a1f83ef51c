"""What a model is given at once: some examples, and what stands beside each.

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
    """Examples in model units, and what stands beside each, by name."""

    x: Tensor  # (B, C, H, W) float32 in [0, 1], or (B, F), …
    beside: Mapping[str, Tensor] = field(default_factory=dict)  # (B, …); `known(name)`: bool (B,)
    observed: bool = False  # whether x is as a model took it to be: what it looks at again stays as it is

    def __len__(self) -> int:
        return len(self.x)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The same function of x and of everything beside it."""
        return Batch(function(self.x), {k: function(v) for k, v in self.beside.items()}, self.observed)

    def __getitem__(self, rows: slice | Tensor) -> Batch:
        return self.map(lambda values: values[rows])

    def to(self, device: torch.device | str) -> Batch:
        return self.map(lambda values: values.to(device))

    def split(self, size: int) -> list[Batch]:
        """Pieces of at most so many examples."""
        return [self[first : first + size] for first in range(0, len(self), size)]

    def tensors(self) -> list[Tensor]:
        """Everything in a fixed order: what a captured graph refills."""
        return [self.x, *(self.beside[name] for name in sorted(self.beside))]

    @staticmethod
    def cat(batches: Iterable[Batch]) -> Batch:
        """One after the other; all have the same fields."""
        some = list(batches)
        beside = {name: torch.cat([b.beside[name] for b in some]) for name in some[0].beside}
        return Batch(torch.cat([b.x for b in some]), beside, some[0].observed)
