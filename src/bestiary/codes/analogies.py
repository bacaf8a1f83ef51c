"""Arithmetic with codes: x + mean(plus) − mean(minus), such as man with glasses − man + woman.

(Radford et al. 2016, arXiv 1511.06434.) Legend: B examples, D latent.
"""

from typing import NamedTuple

from torch import Tensor

from bestiary.errors import BestiaryError

__all__ = ["Analogy", "analogy"]


class Analogy(NamedTuple):
    """The result of the arithmetic with codes, and of the same arithmetic with the examples themselves."""

    z: Tensor  # (B, D): the new codes
    latent: Tensor  # (B, …): what the decoder makes of them
    pixels: Tensor  # (B, …): the arithmetic with the examples


def analogy(a: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """a + mean(plus) − mean(minus), for each row of a (B, …). The groups may have any number of rows, at least one."""
    for name, group in (("minus", minus), ("plus", plus)):
        if not len(group) or group.shape[1:] != a.shape[1:]:
            shapes = f"{tuple(group.shape)} beside {tuple(a.shape)}"
            raise BestiaryError(f"{name}= needs at least one example of the same shape as the others; got {shapes}")
    return a - minus.mean(0) + plus.mean(0)
