"""DCGAN generator and critic (Radford, Metz and Chintala 2016, arXiv 1511.06434), for images from 8 to 128 pixels.

    generator   z → project to (2^{s−1} w, small) → BatchNorm → ReLU → [transposed conv 4×4 / 2 → BatchNorm → ReLU]
                → transposed conv → tanh                                            no BatchNorm at the output
    critic      conv 4×4 / 2 → LeakyReLU .2 → [conv 4×4 / 2 → BatchNorm → LeakyReLU .2] → linear      none at the input

Weights start from N(0, .02²), BatchNorm's gains from N(1, .02²). Images are in [−1, 1]. We differ from the paper in the
sizes that we accept: the projection goes to the image's size after s halvings (4×4 for 64×64, 7×7 for 28×28).

The critic can halve the image by a 3×3 convolution and average pooling instead of a stride, as in the lectures. Without
BatchNorm and with a constant number of channels these are the networks of figure 6 of the WGAN paper (arXiv
1701.07875), with which a standard GAN fails.

Legend: B batch, D latent, C channels, H W image, w width, s halvings.
"""

from collections.abc import Callable
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from bestiary.networks.batch_norm import BatchNorm
from bestiary.networks.critic import Critic
from bestiary.networks.full_precision import Tanh
from bestiary.networks.image_sizes import FromGrid, ToGrid, down, halvings, up
from bestiary.networks.mlp import FlatInput

__all__ = ["NORMS", "POOLS", "Generator", "critic"]

# normalisation by name: number of channels → layer
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": BatchNorm,
    "none": lambda channels: nn.Identity(),
    "layer": lambda channels: nn.GroupNorm(1, channels),
}


def _channels(width: int, stages: int, constant: bool) -> list[int]:
    return [width if constant else width * 2**i for i in range(stages)]


class Generator(nn.Module):
    """(B, D) → (B, C, H, W) in [−1, 1]."""

    def __init__(
        self, latent: int, shape: tuple[int, ...], width: int = 64, norm: str = "batch", constant: bool = False
    ) -> None:
        super().__init__()
        sizes = halvings(shape[1:])[::-1]
        stages, norm_layer, bias = len(sizes) - 1, NORMS[norm], norm == "none"
        widths = [*_channels(width, stages, constant)[::-1], shape[0]]
        first = nn.Linear(latent, widths[0] * prod(sizes[0]), bias=bias)
        self.project = FlatInput(first, ToGrid(widths[0], sizes[0]))
        layers: list[nn.Module] = [norm_layer(widths[0]), nn.ReLU(inplace=True)]
        for i in range(stages - 1):
            layers += [up(widths[i], widths[i + 1], sizes[i], sizes[i + 1], bias=bias)]
            layers += [norm_layer(widths[i + 1]), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, up(widths[-2], shape[0], sizes[-2], sizes[-1]), Tanh())
        self.apply(_init_weights)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.project(z))


def critic(
    shape: tuple[int, ...],
    width: int = 64,
    norm: str = "batch",
    pool: str = "stride",
    constant: bool = False,
    condition_width: int = 0,
    kernels: int = 0,
) -> Critic:
    """The critic, (B, C, H, W) in [−1, 1] → (B,) logits. `condition_width` and `kernels`: see networks/critic.py."""
    sizes = halvings(shape[1:])
    widths = _channels(width, len(sizes) - 1, constant)
    halve, bias = POOLS[pool], norm == "none"
    layers: list[nn.Module] = [*halve(shape[0], widths[0], True), nn.LeakyReLU(0.2, inplace=True)]
    for a, b in pairwise(widths):
        layers += [*halve(a, b, bias), NORMS[norm](b), nn.LeakyReLU(0.2, inplace=True)]
    net = Critic(nn.Sequential(*layers, FromGrid()), widths[-1] * prod(sizes[-1]), condition_width, kernels)
    net.body.apply(_init_weights)
    for layer in (net.head, net.project):
        if layer is not None:
            _init_weights(layer)
    return net


def _stride(a: int, b: int, bias: bool) -> list[nn.Module]:
    return [down(a, b, bias)]


def _average(a: int, b: int, bias: bool) -> list[nn.Module]:
    return [nn.Conv2d(a, b, 3, padding=1, bias=bias), nn.AvgPool2d(2)]


# how the critic halves an image: channels in, channels out, bias → layers
POOLS: dict[str, Callable[[int, int, bool], list[nn.Module]]] = {"stride": _stride, "average": _average}


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, BatchNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
