"""What keeps fp32's digits where the layers before it compute in bf16.

A bf16 number has 8 significant bits: tanh rounds to ±1 from 3.5 on, where its slope is then none, and a share of a
softmax to 1 from .998 on.
"""

import torch
from torch import Tensor, nn

__all__ = ["Tanh", "fp32"]


def fp32(x: Tensor) -> Tensor:
    """x in fp32, or as it is if it has more digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Tanh(nn.Tanh):
    """The end of a generator of images."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(fp32(input))
