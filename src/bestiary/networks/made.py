"""MADE, an autoregressive network: output d sees only the inputs before d (Germain et al. 2015, arXiv 1502.03509).

    out_d = f_d(u_1 … u_{d−1}, h),    h a context that every output sees

Inputs have degrees 1 … D (D … 1 if reversed); hidden units have degrees 1 … D − 1, repeated. A hidden unit sees the
inputs whose degree is at most its own, an output sees the hidden units whose degree is less than its own; all other
weights are masked. The context enters every layer.

Legend: D inputs, P outputs for each, F context features.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MADE"]


class _MaskedLinear(nn.Linear):
    """A linear layer whose weights are zero where the mask is zero."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, u: Tensor) -> Tensor:
        return F.linear(u, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """(…, D) and a context (…, F) → (…, D, P)."""

    layers: Any  # a ModuleList of _MaskedLinear
    context: Any  # a ModuleList of Linear, one for each layer, or None

    def __init__(self, size: int, outputs: int, hidden: Sequence[int], context: int = 0, reverse: bool = False) -> None:
        super().__init__()
        self.size, self.outputs = size, outputs
        order = torch.arange(1, size + 1)
        degrees = [order.flip(0) if reverse else order]
        degrees += [torch.arange(width) % max(1, size - 1) + 1 for width in hidden]
        masks = [after[:, None] >= before for before, after in pairwise(degrees)]
        last = (degrees[0][:, None] > degrees[-1]).repeat_interleave(outputs, 0)
        self.layers = nn.ModuleList(_MaskedLinear(mask) for mask in (*masks, last))
        widths = (*hidden, size * outputs)
        self.context = nn.ModuleList(nn.Linear(context, width, bias=False) for width in widths) if context else None

    def start_at(self, values: Sequence[float], scale: float = 0.01) -> "MADE":
        """Initialise the last layer so that the outputs are close to these P values for any input; returns self."""
        last = self.layers[-1]
        with torch.no_grad():
            last.weight.mul_(scale)
            last.bias.copy_(torch.tensor(values).repeat(self.size))
            if self.context is not None:
                self.context[-1].weight.mul_(scale)
        return self

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        for i, layer in enumerate(self.layers):
            u = layer(u)
            if self.context is not None and context is not None:
                u = u + self.context[i](context)
            if i < len(self.layers) - 1:
                u = F.elu(u)
        return u.unflatten(-1, (self.size, self.outputs))
