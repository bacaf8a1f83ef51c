"""Bernoulli log-likelihood: log p(x) of independent binary pixels from their logits l, fast on a CPU.

    log p(x) = Σ_i x_i l_i − log(1 + exp l_i),    ∂ log p/∂l_i = x_i − σ(l_i),    ∂ log p/∂x_i = l_i

On a CPU exp and log are vectorised and log1p is not, so PyTorch's softplus and cross-entropy take two to three times as
long as the formula above. Rounding of 1 + exp l costs at most 2⁻²⁴ nats a number, less than the rounding of a sum of
hundreds of numbers in fp32. The computation goes block by block, so that intermediate values stay in the cache; for the
gradient only l and x are kept.

Legend: B batch, K logits for each x, F numbers of x.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.training.device import cpu_only_code

__all__ = ["log_bernoulli", "vecdot"]

BLOCK = 1 << 18  # numbers in a block: one megabyte, so that a block and its exponentials fit the cache


def log_bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) in nats, summed over F: logits (K, B, F) and x (B, F) → (K, B)."""
    return _LogBernoulli.apply(logits, x)


def vecdot(a: Tensor, b: Tensor) -> Tensor:
    """Σ_i a_i b_i over the last dimension, in the precision of a and b: autocast would compute it in bf16."""
    with torch.autocast(a.device.type, enabled=False):
        return torch.linalg.vecdot(a, b)


def _blocks(logits: Tensor) -> Iterator[slice]:
    """Slices of the first dimension with about BLOCK numbers each."""
    size = max(1, BLOCK // max(1, logits.shape[1] * logits.shape[2]))
    return (slice(first, first + size) for first in range(0, len(logits), size))


def _log_prob(logits: Tensor, x: Tensor) -> Tensor:
    linear = vecdot(logits, x)
    log_px = linear - logits.exp().add_(1).log_().sum(-1)
    if bool(log_px.isfinite().all()):
        return log_px
    return linear - F.softplus(logits).sum(-1)  # exp overflows beyond 88


class _LogBernoulli(torch.autograd.Function):
    # forward takes ctx, the older form: with a separate setup_context every call inspects the signature again
    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        with cpu_only_code():  # on other devices the likelihood uses softplus
            blocks = [_log_prob(logits[block], x) for block in _blocks(logits)]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        logits, x = ctx.saved_tensors
        slope = (g[..., None] * logits).sum(0) if ctx.needs_input_grad[1] else None
        if torch.is_grad_enabled():  # a second derivative is wanted
            return (x - logits.sigmoid()) * g[..., None], slope
        out = torch.empty_like(logits)
        for block in _blocks(logits):
            torch.sigmoid(logits[block], out=out[block]).sub_(x).mul_(-g[block, :, None])
        return out, slope
