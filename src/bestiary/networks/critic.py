"""The critic: a body turns x into features h, a head turns the features into a logit.

    C(x) = wᵀ[h, o] + b                                          o = minibatch(h): how similar the rest of the batch is
    C(x, c) = wᵀ[h, o] + b + (V c)ᵀ h                            projection of the condition (1802.05637); for numbers
                                                                 a small network V(c), since V c is linear in them
    C(x, c) = C([x, c])                                          concatenation: c is appended to x, as maps for images

Minibatch discrimination (Salimans et al. 2016, arXiv 1606.03498) lets the critic see that samples are alike:

    o_b(x_i) = Σ_{j≠i} exp(−‖M_ib − M_jb‖₁),   M_i = T h_i, one row for each kernel b

The sum runs over one batch of real or of fake examples, never over both; with several processes it runs over the part
of the batch on this process. A penalty needs the slope of C at x_i with respect to x_i alone: it passes a detached copy
of the batch as `others`, to which x_i is compared.

The head computes in fp32 whatever the body does: o is as large as B while samples differ by little, and the logits of a
critic with clipped weights differ only in their last digits.

Legend: B batch, F features of h, b kernels, c condition.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bestiary.networks.full_precision import fp32
from bestiary.networks.mlp import mlp

__all__ = ["Critic", "MinibatchLayer"]

ROW_LENGTH = 3  # length of M_ib; the paper's experiments take 5 to 16 with far wider layers


class MinibatchLayer(nn.Module):
    """Minibatch discrimination: (B, F) → (B, kernels), the similarity to the other examples of the batch."""

    def __init__(self, features: int, kernels: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.project = nn.Linear(features, kernels * ROW_LENGTH, bias=False)
        nn.init.normal_(self.project.weight, 0.0, features**-0.5)

    def forward(self, h: Tensor, others: Tensor | None = None) -> Tensor:
        m = self._rows(h)
        similarity = torch.exp(-_Distances.apply(m, m if others is None else self._rows(others)))  # (kernels, B, B)
        diagonal = torch.eye(len(h), dtype=torch.bool, device=h.device)
        return similarity.masked_fill(diagonal, 0).sum(2).T

    def _rows(self, h: Tensor) -> Tensor:
        """M: (B, F) → (kernels, B, ROW_LENGTH)."""
        return self.project(h).view(len(h), self.kernels, ROW_LENGTH).transpose(0, 1)


class _Distances(torch.autograd.Function):
    """‖m_i − n_j‖₁ for each kernel: (b, B, ROW_LENGTH) and (b, B, ROW_LENGTH) → (b, B, B).

    The gradient with respect to m_ir, Σ_j sign(m_ir − n_jr) g_ij, is linear in the incoming gradient g, so autograd can
    differentiate it again. It is computed kernel by kernel, which fits the cache and needs no (B, B, b, ROW_LENGTH)
    tensor.
    """

    @staticmethod
    def forward(ctx: Any, m: Tensor, n: Tensor) -> Tensor:
        ctx.save_for_backward(m, n)
        return torch.cdist(m, n, p=1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        grads_m, grads_n = [], []
        for m, n, w in zip(*ctx.saved_tensors, g, strict=True):
            slopes = [(a[:, None] - b).sign() * w for a, b in zip(m.T, n.T, strict=True)]  # ROW_LENGTH of (B, B)
            grads_m.append(torch.stack([slope.sum(1) for slope in slopes], 1))
            grads_n.append(torch.stack([-slope.sum(0) for slope in slopes], 1))
        return torch.stack(grads_m), torch.stack(grads_n)


class Critic(nn.Module):
    """Body, minibatch layer and head.

    body: x → h (B, features). condition_width: how many numbers of a condition are projected, 0 for none. kernels: of
    minibatch discrimination, 0 for none.
    """

    def __init__(self, body: nn.Module, features: int, condition_width: int = 0, kernels: int = 0) -> None:
        super().__init__()
        self.body = body
        self.minibatch = MinibatchLayer(features, kernels) if kernels else None
        self.head = nn.Linear(features + kernels, 1)
        self.project: nn.Module | None = nn.Linear(condition_width, features, bias=False) if condition_width else None

    def project_by_network(self, width: int) -> None:
        """Replace the linear projection of the condition, if there is one, by a network with a hidden layer.

        For numbers: a logit that is linear in them learns little from them.
        """
        if isinstance(self.project, nn.Linear):
            self.project = mlp([self.project.in_features, width, self.project.out_features], "silu")

    def features(self, x: Tensor) -> Tensor:
        """h (B, F), which feature matching compares."""
        return self.body(x)

    def logit(self, h: Tensor, c: Tensor | None = None, others: Tensor | None = None) -> Tensor:
        """The logit (B,) of features h (B, F), with the projection of a condition c (B, w) if the critic has one."""
        with torch.autocast(h.device.type, enabled=False):
            h, others = fp32(h), None if others is None else fp32(others)
            inputs = h if self.minibatch is None else torch.cat([h, self.minibatch(h, others)], 1)
            out = self.head(inputs)[:, 0]
            return out if self.project is None or c is None else out + (self.project(c) * h).sum(1)

    def forward(self, x: Tensor, c: Tensor | None = None, per_example: bool = False) -> Tensor:
        """Logits (B,). `per_example`: the gradient of logit i reaches x_i only, also with minibatch discrimination."""
        others = self.features(x.detach()) if per_example and self.minibatch is not None else None
        return self.logit(self.features(x), c, others)
