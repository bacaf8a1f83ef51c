"""log p(x) of independent Bernoulli pixels given their logits l, in few passes over memory.

    log p(x) = Σ_i x_i l_i − log(1 + exp l_i),    ∂ log p/∂l_i = x_i − σ(l_i),    ∂ log p/∂x_i = l_i

On a CPU exp and log are vectorised and log1p is not, so that the library's softplus and cross-entropy take two to three
times as long as the sum as it is written here. What 1 + exp l rounds away is at most 2⁻²⁴ nats a number, less than the
sum of hundreds of them rounds away in fp32. Rows are taken a block at a time, so that what is computed on the way stays
in the cache; for the gradient nothing is kept but l and x.

Legend: B batch, K logits for each x, F numbers of x.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.training.device import on_cpu_alone

__all__ = ["log_bernoulli", "vecdot"]

BLOCK = 1 << 18  # numbers in a block: a megabyte, so that a block and its exponentials stay near the processor


def log_bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) for logits (K, B, F) and x (B, F) → (K, B)."""
    return _LogBernoulli.apply(logits, x)


def vecdot(a: Tensor, b: Tensor) -> Tensor:
    """Σ_i a_i b_i over the last dimension, in the numbers' own precision: autocast would take it to bf16."""
    with torch.autocast(a.device.type, enabled=False):
        return torch.linalg.vecdot(a, b)


def _blocks(logits: Tensor) -> Iterator[slice]:
    """K in pieces of about BLOCK numbers."""
    size = max(1, BLOCK // max(1, logits.shape[1] * logits.shape[2]))
    return (slice(first, first + size) for first in range(0, len(logits), size))


def _value(logits: Tensor, x: Tensor) -> Tensor:
    linear = vecdot(logits, x)
    value = linear - logits.exp().add_(1).log_().sum(-1)
    if bool(value.isfinite().all()):
        return value
    return linear - F.softplus(logits).sum(-1)  # exp overflows beyond 88


class _LogBernoulli(torch.autograd.Function):
    # the context comes first, in the older form: where it is set up apart, each call reads the signature again
    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        with on_cpu_alone():  # on a device the likelihood takes another road
            pieces = [_value(logits[block], x) for block in _blocks(logits)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        logits, x = ctx.saved_tensors
        slope = (g[..., None] * logits).sum(0) if ctx.needs_input_grad[1] else None
        if torch.is_grad_enabled():  # to be differentiated again
            return (x - logits.sigmoid()) * g[..., None], slope
        out = torch.empty_like(logits)
        for block in _blocks(logits):
            torch.sigmoid(logits[block], out=out[block]).sub_(x).mul_(-g[block, :, None])
        return out, slope
