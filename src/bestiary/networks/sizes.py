"""How convolutional networks follow an image's size: halve while both sides stay at least `least`.

A convolution with kernel 4, stride 2, padding 1 maps a side n to ⌊n/2⌋; its transpose maps m to 2m, or to 2m + 1 with
output padding 1. So any size can be walked down and exactly back up.
"""

from collections.abc import Sequence

from bestiary.errors import BestiaryError
from bestiary.networks.strided import Conv, ConvTranspose

__all__ = ["Size", "down", "halvings", "up"]

Size = tuple[int, int]  # H, W


def halvings(size: Sequence[int], least: int = 4, most: int = 128) -> list[Size]:
    """The sizes from the image's down to the smallest.

    >>> halvings((28, 20))
    [(28, 20), (14, 10), (7, 5)]
    """
    h, w = size
    if min(h, w) < 2 * least or max(h, w) > most:
        raise BestiaryError(
            f"convolutional networks take images from {2 * least}×{2 * least} to {most}×{most} pixels; got {h}×{w}."
            f" Give size={min(most, max(2 * least, min(h, w)))}, or network=mlp"
        )
    sizes = [(h, w)]
    while min(sizes[-1]) >= 2 * least:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def down(a: int, b: int, bias: bool = True) -> Conv:
    """Half the size: (B, a, H, W) → (B, b, ⌊H/2⌋, ⌊W/2⌋)."""
    return Conv(a, b, 4, 2, 1, bias=bias)


def up(a: int, b: int, small: Size, large: Size, bias: bool = True) -> ConvTranspose:
    """Back up: (B, a, *small) → (B, b, *large), where halving `large` gives `small`."""
    odd = (large[0] - 2 * small[0], large[1] - 2 * small[1])
    return ConvTranspose(a, b, 4, 2, 1, output_padding=odd, bias=bias)
