"""The clock of a turn, and the random seed of a turn.

A turn is identified by (seed, round, player, turn). Its noise comes from a generator that is seeded with a hash of
these four, so a resumed run draws the same noise and no generator state has to be saved.

`clock.round` is a 0-d tensor on the device instead of a Python number: a captured CUDA graph reads the tensor's present
value at each replay, while a number would become a constant of the graph.
"""

from dataclasses import dataclass
from hashlib import blake2b

from torch import Tensor

__all__ = ["Clock", "derive_seed"]


@dataclass(frozen=True, slots=True)
class Clock:
    """The position of a turn in its stage; schedules are functions of it."""

    round: Tensor  # 0-d float, on the device; counted from the first round of the player's stage
    rounds: int  # rounds in the stage
    turn: Tensor | int = 0  # index of this player's turn in the round; in a run 0-d, on the device
    phase: int = 1  # the player's phase in this round; a plain number, since each phase has its own CUDA graph


def derive_seed(*name: int | str) -> int:
    """A 63-bit seed: a hash of (seed, round, player, turn) or of any other strings and numbers.

    >>> derive_seed(0, 1, "vae", 0) == derive_seed(0, 1, "vae", 0)
    True
    >>> derive_seed(0, 1, "vae", 0) == derive_seed(0, 1, "vae", 1)
    False
    """
    return int.from_bytes(blake2b(repr(name).encode(), digest_size=8).digest(), "little") >> 1
