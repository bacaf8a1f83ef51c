"""The clock that every turn sees, and the seed that is a function of it.

A turn is named by (seed, round, player, turn). Its noise comes from a generator seeded by a hash of that name, so that
a resumed run draws what it would have drawn and there is no generator state to save.

`clock.round` is a 0-d tensor on the device rather than a Python number: a captured CUDA graph reads its present value
at each replay, where a number would be frozen into the graph.
"""

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

__all__ = ["Clock", "mix"]


@dataclass(frozen=True, slots=True)
class Clock:
    """Where in its stage a turn stands: schedules are the stage's own."""

    round: Tensor  # 0-d float, on the device; counted from the first round of the player's stage
    rounds: int  # how many rounds the stage will have
    turn: Tensor | int = 0  # which turn of this player in this round; in a run 0-d, on the device
    phase: int = 1  # the player's phase in this round, a plain number: each has a captured graph of its own

    @classmethod
    def still(cls, round: float = 0.0, rounds: int = 1, device: torch.device | str = "cpu") -> "Clock":
        """A clock that stands, for whoever looks at a model outside of a turn."""
        return cls(torch.tensor(float(round), device=device), rounds)


def mix(*name: int | str) -> int:
    """A 63-bit seed from (seed, round, player, turn) or any other name.

    >>> mix(0, 1, "vae", 0) == mix(0, 1, "vae", 0), mix(0, 1, "vae", 0) == mix(0, 1, "vae", 1)
    (True, False)
    """
    return int.from_bytes(blake2b(repr(name).encode(), digest_size=8).digest(), "little") >> 1
