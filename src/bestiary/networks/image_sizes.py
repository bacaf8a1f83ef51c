"""Image sizes in convolutional networks: halved down to about 4×4, small images down to about 2×2.

A convolution with kernel 4, stride 2, padding 1 maps a side n to ⌊n/2⌋; its transpose maps m to 2m, or to 2m + 1 with
output padding 1. So any size can be halved step by step, and doubled back to exactly the same size.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from bestiary.errors import BestiaryError
from bestiary.networks.fast_convolutions import Conv, ConvTranspose

__all__ = ["SMALLEST", "FromGrid", "Size", "ToGrid", "down", "halvings", "up"]

Size = tuple[int, int]  # H, W
SMALLEST, LARGEST = 8, 128


def halvings(size: Sequence[int]) -> list[Size]:
    """The sizes (H, W) from the image's down to the smallest. Raises BestiaryError if the image is too small or large.

    >>> halvings((28, 20)), halvings((8, 8))
    ([(28, 20), (14, 10), (7, 5)], [(8, 8), (4, 4), (2, 2)])
    """
    h, w = size
    if min(h, w) < SMALLEST or max(h, w) > LARGEST:
        raise BestiaryError(
            f"convolutional networks take images from {SMALLEST}×{SMALLEST} to {LARGEST}×{LARGEST} pixels; got {h}×{w}."
            f" Use size={min(LARGEST, max(SMALLEST, min(h, w)))}, or network=mlp"
        )
    least = 4 if min(h, w) >= 16 else 2  # 8×8 halved only once leaves a critic that sees no shapes
    sizes = [(h, w)]
    while min(sizes[-1]) >= 2 * least:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def down(a: int, b: int, bias: bool = True) -> Conv:
    """The convolution that halves the size: (B, a, H, W) → (B, b, ⌊H/2⌋, ⌊W/2⌋)."""
    return Conv(a, b, 4, 2, 1, bias=bias)


def up(a: int, b: int, small: Size, large: Size, bias: bool = True) -> ConvTranspose:
    """The transposed convolution that doubles it: (B, a, *small) → (B, b, *large). Half of `large` must be `small`."""
    odd = (large[0] - 2 * small[0], large[1] - 2 * small[1])
    return ConvTranspose(a, b, 4, 2, 1, output_padding=odd, bias=bias)


class ToGrid(nn.Module):
    """(B, h·w·C) → (B, C, h, w), channels-last, since mixed layouts would cost a copy at every following layer."""

    def __init__(self, channels: int, size: Size) -> None:
        super().__init__()
        self.shape = (*size, channels)

    def forward(self, rows: Tensor) -> Tensor:
        return rows.view(-1, *self.shape).permute(0, 3, 1, 2)


class FromGrid(nn.Module):
    """(B, C, h, w) → (B, h·w·C), without a copy if the grid is channels-last."""

    def forward(self, grid: Tensor) -> Tensor:
        return grid.permute(0, 2, 3, 1).flatten(1)
