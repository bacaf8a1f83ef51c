"""Layers that compute in fp32 after layers that compute in bf16.

A bf16 number has 8 significant bits. In bf16 tanh rounds to ±1 beyond 3.5, where its slope becomes zero, and a
probability of a softmax rounds to 1 beyond .998.
"""

import torch
from torch import Tensor, nn

__all__ = ["Tanh", "fp32"]


def fp32(x: Tensor) -> Tensor:
    """x in fp32, or unchanged if it is fp64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Tanh(nn.Tanh):
    """tanh in fp32, the last layer of a generator of images."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(fp32(input))
