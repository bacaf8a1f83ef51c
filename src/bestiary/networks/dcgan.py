"""The DCGAN pair (Radford, Metz and Chintala 2016, arXiv 1511.06434), following the image's size from 8 to 128 pixels.

    generator   z → project to (2^{s−1} w, small) → BatchNorm → ReLU → [transposed conv 4×4 / 2 → BatchNorm → ReLU]
                → transposed conv → tanh                                            no BatchNorm at the output
    critic      conv 4×4 / 2 → LeakyReLU .2 → [conv 4×4 / 2 → BatchNorm → LeakyReLU .2] → linear      none at the input

Weights from N(0, .02²), BatchNorm's gains from N(1, .02²). Images live in [−1, 1] here. We differ from the paper in
following any size: the projection goes to the image's own size after s halvings (4×4 for 64×64, 7×7 for 28×28).

Legend: B batch, D latent, C channels, w width, s halvings.
"""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from bestiary.networks.mlp import Flat
from bestiary.networks.norm import BatchNorm
from bestiary.networks.sizes import FromGrid, ToGrid, down, halvings, up

__all__ = ["Generator", "critic"]


class Generator(nn.Module):
    """(B, D) → (B, C, H, W) in [−1, 1]."""

    def __init__(self, latent: int, shape: tuple[int, ...], width: int = 64) -> None:
        super().__init__()
        sizes = halvings(shape[1:])[::-1]
        stages = len(sizes) - 1
        widths = [width * 2 ** (stages - 1 - i) for i in range(stages)] + [shape[0]]
        self.project = Flat(nn.Linear(latent, widths[0] * prod(sizes[0]), bias=False), ToGrid(widths[0], sizes[0]))
        layers: list[nn.Module] = [BatchNorm(widths[0]), nn.ReLU(inplace=True)]
        for i in range(stages - 1):
            layers += [up(widths[i], widths[i + 1], sizes[i], sizes[i + 1], bias=False)]
            layers += [BatchNorm(widths[i + 1]), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, up(widths[-2], shape[0], sizes[-2], sizes[-1]), nn.Tanh())
        self.apply(_dcgan_weights)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.project(z))


def critic(shape: tuple[int, ...], width: int = 64) -> nn.Module:
    """(B, C, H, W) in [−1, 1] → (B, 1) logits."""
    sizes = halvings(shape[1:])
    widths = [width * 2**i for i in range(len(sizes) - 1)]
    layers: list[nn.Module] = [down(shape[0], widths[0]), nn.LeakyReLU(0.2, inplace=True)]
    for a, b in pairwise(widths):
        layers += [down(a, b, bias=False), BatchNorm(b), nn.LeakyReLU(0.2, inplace=True)]
    net = nn.Sequential(*layers, FromGrid(), nn.Linear(widths[-1] * prod(sizes[-1]), 1))
    return net.apply(_dcgan_weights)


def _dcgan_weights(module: nn.Module) -> None:
    if isinstance(module, BatchNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
