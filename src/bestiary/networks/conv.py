"""Convolutional encoder and decoder of a VAE, for images from 8 to 128 pixels.

    encoder    [conv 4×4 / 2 → SiLU] per halving, widths w, 2w, 4w, … (at most 8w)  → flatten
    decoder    linear → the mirror image, transposed

Legend: B batch, C channels, w width, D latent.
"""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from bestiary.networks.image_sizes import FromGrid, ToGrid, down, halvings, up
from bestiary.networks.mlp import FlatInput

__all__ = ["ConvDecoder", "conv_encoder"]


def _channels(width: int, stages: int) -> list[int]:
    return [width * min(8, 2**i) for i in range(stages)]


def conv_encoder(shape: tuple[int, ...], width: int = 32) -> tuple[nn.Module, int]:
    """The encoder, (B, C, H, W) → (B, features), and the number of features."""
    sizes = halvings(shape[1:])
    widths = [shape[0], *_channels(width, len(sizes) - 1)]
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [down(a, b), nn.SiLU()]
    return nn.Sequential(*layers, FromGrid()), widths[-1] * prod(sizes[-1])


class ConvDecoder(nn.Module):
    """(B, D) → (B, channels, H, W)."""

    def __init__(self, latent: int, shape: tuple[int, ...], channels: int, width: int = 32) -> None:
        super().__init__()
        sizes = halvings(shape[1:])[::-1]
        widths = [*_channels(width, len(sizes) - 1)[::-1], channels]
        features = widths[0] * prod(sizes[0])
        self.first = FlatInput(nn.Linear(latent, features), nn.SiLU(), ToGrid(widths[0], sizes[0]))
        layers: list[nn.Module] = []
        for i in range(len(sizes) - 1):
            layers += [up(widths[i], widths[i + 1], sizes[i], sizes[i + 1]), nn.SiLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.first(z))
