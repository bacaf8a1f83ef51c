"""Residual generator and critic for images of 8 to 128 pixels, as in WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028).

    generator   z → project → [x ↦ up(conv 1×1 x) + conv(a(n(conv(up(a(n(x)))))))] → n → ReLU → conv 3×3 → tanh
    critic      conv 3×3 → [x ↦ pool(conv 1×1 x) + pool(conv(a(conv(a(x)))))] → ReLU → mean over the positions

up repeats pixels, pool averages 2×2, a is ReLU, n is the generator's norm. The critic has no norm, since a penalty
needs its slope at each example. Widths are w, 2w, … , at most 4w. An odd size n is halved to ⌊n/2⌋, and doubled back to
exactly n by repeating the nearest pixel.

Legend: B batch, D latent, C channels, H height, W width, w width.
"""

from itertools import pairwise
from math import prod

import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.networks.critic import Critic
from bestiary.networks.dcgan import NORMS
from bestiary.networks.full_precision import Tanh
from bestiary.networks.image_sizes import Size, ToGrid, halvings

__all__ = ["Generator", "critic"]


def _conv(a: int, b: int, kernel: int = 3) -> nn.Conv2d:
    layer = nn.Conv2d(a, b, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if kernel > 1 else "linear")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class _Up(nn.Module):
    """Residual block that doubles the size: (B, a, small) → (B, b, large)."""

    def __init__(self, a: int, b: int, size: Size, norm: str) -> None:
        super().__init__()
        self.size = size
        self.norms = nn.ModuleList([NORMS[norm](a), NORMS[norm](b)])
        self.convs = nn.ModuleList([_conv(a, b), _conv(b, b)])
        self.straight = _conv(a, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.interpolate(F.relu(self.norms[0](x)), self.size)
        h = self.convs[1](F.relu(self.norms[1](self.convs[0](h))))
        return h + F.interpolate(self.straight(x), self.size)


class Generator(nn.Module):
    """(B, D) → (B, C, H, W) in [−1, 1]."""

    def __init__(self, latent: int, shape: tuple[int, ...], width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        sizes = halvings(shape[1:])[::-1]
        widths = [width * min(4, 2**i) for i in range(len(sizes))][::-1]
        self.project = nn.Sequential(nn.Linear(latent, widths[0] * prod(sizes[0])), ToGrid(widths[0], sizes[0]))
        blocks = [_Up(a, b, size, norm) for (a, b), size in zip(pairwise(widths), sizes[1:], strict=True)]
        last = nn.Conv2d(widths[-1], shape[0], 3, padding=1)
        self.layers = nn.Sequential(*blocks, NORMS[norm](widths[-1]), nn.ReLU(), last, Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.project(z))


class _Down(nn.Module):
    """Residual block that halves the size: (B, a, large) → (B, b, ⌊large/2⌋)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([_conv(a, b), _conv(b, b)])
        self.straight = _conv(a, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.convs[1](F.relu(self.convs[0](F.relu(x))))
        return F.avg_pool2d(h, 2) + self.straight(F.avg_pool2d(x, 2))


class _Mean(nn.Module):
    """ReLU, then the mean over the positions: (B, C, h, w) → (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).mean((2, 3))


def critic(shape: tuple[int, ...], width: int = 64, condition_width: int = 0, kernels: int = 0) -> Critic:
    """The critic, (B, C, H, W) → (B,) logits. `condition_width` and `kernels`: see networks/critic.py."""
    widths = [width * min(4, 2**i) for i in range(len(halvings(shape[1:])))]
    blocks = [_Down(a, b) for a, b in pairwise(widths)]
    return Critic(nn.Sequential(_conv(shape[0], widths[0]), *blocks, _Mean()), widths[-1], condition_width, kernels)
