"""Trick `pack`: the critic sees m examples side by side, and so whether they are alike.

(Lin et al. 2018, arXiv 1712.04086.)
"""

from bestiary.errors import BestiaryError
from bestiary.models.tricks.trick import Trick

__all__ = ["Packing"]


class Packing(Trick):
    """The critic sees several examples side by side."""

    def __init__(
        self,
        *,
        m: int = 2,  # examples in a pack
    ) -> None:
        super().__init__()
        if m < 1:
            raise BestiaryError(f"pack={m} must be at least 1")
        self.m = m
