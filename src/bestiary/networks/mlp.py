"""Fully connected networks: x → W_n a(… a(W_1 x + b_1) …) + b_n, with a = tanh as in the lectures.

Legend: B batch, F features; images are flattened to F = C·H·W at the input and reshaped at the output.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "FlatInput", "Maxout", "ShapedOutput", "mlp"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky": nn.LeakyReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


def mlp(sizes: Sequence[int], activation: str = "tanh", last: bool = False) -> nn.Sequential:
    """Linear layers of these sizes with the activation between them (and after the last one if `last`).

    >>> mlp([4, 8, 2])
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    """
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(a, b))
        if last or i < len(sizes) - 2:
            layers.append(nn.LeakyReLU(0.2) if activation == "leaky" else ACTIVATIONS[activation]())
    return nn.Sequential(*layers)


class FlatInput(nn.Sequential):
    """Layers after a flattening: (B, …) → (B, F) → layers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


class ShapedOutput(nn.Sequential):
    """Layers before a reshaping: layers → (B, F) → (B, *shape)."""

    def __init__(self, layers: nn.Module, shape: Sequence[int]) -> None:
        super().__init__(*layers.children())
        self.shape = tuple(shape)
        self.features = prod(shape)

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z).view(-1, *self.shape)


class Maxout(nn.Module):
    """The maximum of `pieces` linear maps: (B, a) → (B, b) (Goodfellow et al. 2013, arXiv 1302.4389)."""

    def __init__(self, a: int, b: int, pieces: int = 5) -> None:
        super().__init__()
        self.pieces, self.linear = pieces, nn.Linear(a, b * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)
