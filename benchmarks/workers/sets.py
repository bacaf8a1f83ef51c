"""Two sets of features that both sides of a pair compare: rectified, correlated, with a small shift between them.

A step compares the whole sets. The first call, which is not timed, only warms up: it takes a corner of them, since a
step may last a minute.

Legend: N examples of each set, F features.
"""

from collections.abc import Callable
from itertools import chain, repeat

import torch
from protocol import Case, Prepare
from settings import EXAMPLES, FEATURES
from torch import Tensor

__all__ = ["case", "sets"]

CORNER = 300  # of either to warm up with


def sets() -> tuple[Tensor, Tensor]:
    """Real and fake, (N, F) each."""
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(FEATURES, FEATURES, generator=g) / FEATURES**0.5
    real, fake = (torch.randn(EXAMPLES, FEATURES, generator=g) for _ in range(2))
    return (real @ mix).relu(), ((fake + 0.05) @ mix).relu()


def case(compare: Callable[[Tensor, Tensor], object]) -> Case:
    """A step calls compare(real, fake)."""

    def build() -> Prepare:
        whole = sets()
        corner = tuple(x[:CORNER, :CORNER].contiguous() for x in whole)
        pairs = chain([corner], repeat(whole))

        def prepare(n: int) -> Callable[[], None]:
            real, fake = next(pairs)
            compare(*corner)  # woken after the other side's turn: its code, …
            real.sum(), fake.sum()  # … and what it compares

            def steps() -> None:
                for _ in range(n):
                    compare(real, fake)

            return steps

        return prepare

    return build
