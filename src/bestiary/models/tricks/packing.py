"""Trick `pack`: the critic sees m examples side by side, and so whether they are alike.

(Lin et al. 2018, arXiv 1712.04086.)
"""

from bestiary.grammar.ranges import Size
from bestiary.models.tricks.trick import Trick

__all__ = ["Packing"]


class Packing(Trick):
    """The critic sees several examples side by side."""

    def __init__(
        self,
        *,
        m: Size = 2,  # examples in a pack
    ) -> None:
        super().__init__()
        self.m = m
