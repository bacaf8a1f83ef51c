"""A content loss: what a model makes is near x in the features of a network that stands still.

λ ‖φ(x) − φ(made)‖² / F,   made = G(z, c) in a game, E[x|z] of a decoder      Legend: B batch, K draws, F features.
"""

import torch
from torch import Tensor, nn

from bestiary.models.tricks.trick import Trick
from bestiary.objectives.draw import Draw


class Content(Trick):
    """A trick, which is a part: the generator of a game, and any objective, may take it."""

    needs_real = True

    def __init__(self, inputs: int, features: int = 6, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("lens", torch.randn(inputs, features, generator=generator))

    def of(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(x.flatten(1) @ self.lens)

    def terms(self, draw: Draw) -> dict[str, Tensor]:
        made = self.of(draw.output).unflatten(0, (-1, len(draw.x)))  # (K, B, F)
        return {"total": self.weight * (made - self.of(draw.x)).square().mean((0, 2))}
