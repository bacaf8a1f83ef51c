"""A critic is a body that makes features h of x, and a head that makes a logit of them.

    C(x) = wᵀ[h, o] + b                                          o = minibatch(h): what the rest of the batch is like
    C(x, c) = wᵀ[h, o] + b + (V c)ᵀ h                            projection                (1802.05637)
                                                                 of numbers V(c), a curve: Vc would be linear in them
    C(x, c) = C([x, c])                                          concatenation: c stands beside x, as maps for images

Minibatch discrimination (Salimans et al. 2016, arXiv 1606.03498) lets the critic see that samples are alike:

    o_b(x_i) = Σ_{j≠i} exp(−‖M_ib − M_jb‖₁),   M_i = T h_i, one row for each kernel b

It is taken over one batch of real or of fake examples, never over both. With several processes that is the part which
each of them holds. A penalty asks for the slope of C at x_i by x_i alone: it gives the batch once more as `others`, in
which x_i stands still.

The head computes in fp32, whatever the body does: o counts up to B beside what samples differ by, and the logits of a
clipped critic differ in their last digits.

Legend: B batch, F features of h, b kernels, c condition.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bestiary.networks.full_precision import fp32
from bestiary.networks.mlp import mlp

__all__ = ["Critic", "Minibatch"]

ROW = 3  # numbers compared by each kernel; the paper's experiments take 5 to 16 with far wider layers


class Minibatch(nn.Module):
    """(B, F) → (B, kernels): how near the other examples of the batch are."""

    def __init__(self, features: int, kernels: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.project = nn.Linear(features, kernels * ROW, bias=False)
        nn.init.normal_(self.project.weight, 0.0, features**-0.5)

    def forward(self, h: Tensor, others: Tensor | None = None) -> Tensor:
        m = self._rows(h)
        near = torch.exp(-_Apart.apply(m, m if others is None else self._rows(others)))  # (kernels, B, B)
        itself = torch.eye(len(h), dtype=torch.bool, device=h.device)
        return near.masked_fill(itself, 0).sum(2).T

    def _rows(self, h: Tensor) -> Tensor:
        """M: (B, F) → (kernels, B, ROW)."""
        return self.project(h).view(len(h), self.kernels, ROW).transpose(0, 1)


class _Apart(torch.autograd.Function):
    """‖m_i − n_j‖₁ in each of b sets of rows: (b, B, ROW) twice → (b, B, B).

    The slope by m_ir, Σ_j sign(m_ir − n_jr) g_ij, is linear in what arrives, g, so that it has a slope itself; it is
    taken set by set, which stays in the cache and needs no (B, B, b, ROW).
    """

    @staticmethod
    def forward(ctx: Any, m: Tensor, n: Tensor) -> Tensor:
        ctx.save_for_backward(m, n)
        return torch.cdist(m, n, p=1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        of_m, of_n = [], []
        for m, n, w in zip(*ctx.saved_tensors, g, strict=True):
            pulls = [(a[:, None] - b).sign() * w for a, b in zip(m.T, n.T, strict=True)]  # ROW of (B, B)
            of_m.append(torch.stack([pull.sum(1) for pull in pulls], 1))
            of_n.append(torch.stack([-pull.sum(0) for pull in pulls], 1))
        return torch.stack(of_m), torch.stack(of_n)


class Critic(nn.Module):
    """Body, minibatch layer and head; `features` of them are what feature matching compares."""

    def __init__(self, body: nn.Module, features: int, projected: int = 0, kernels: int = 0) -> None:
        super().__init__()
        self.body = body
        self.minibatch = Minibatch(features, kernels) if kernels else None
        self.head = nn.Linear(features + kernels, 1)
        self.project: nn.Module | None = nn.Linear(projected, features, bias=False) if projected else None

    def curve(self, width: int) -> None:
        """Project a curve of the condition, where any is projected: a logit that is linear in numbers hears little."""
        if isinstance(self.project, nn.Linear):
            self.project = mlp([self.project.in_features, width, self.project.out_features], "silu")

    def features(self, x: Tensor) -> Tensor:
        """h: (B, F)."""
        return self.body(x)

    def logit(self, h: Tensor, c: Tensor | None = None, others: Tensor | None = None) -> Tensor:
        """(B,) of features, and of a condition where it is projected."""
        with torch.autocast(h.device.type, enabled=False):
            h, others = fp32(h), None if others is None else fp32(others)
            whole = h if self.minibatch is None else torch.cat([h, self.minibatch(h, others)], 1)
            out = self.head(whole)[:, 0]
            return out if self.project is None or c is None else out + (self.project(c) * h).sum(1)

    def forward(self, x: Tensor, c: Tensor | None = None, alone: bool = False) -> Tensor:
        """`alone`: with the slope of each example by itself, also where the batch is compared with itself."""
        others = self.features(x.detach()) if alone and self.minibatch is not None else None
        return self.logit(self.features(x), c, others)
