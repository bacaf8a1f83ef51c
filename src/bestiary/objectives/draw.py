"""The `Draw`: a batch with codes drawn for it and the distributions involved, as objectives, parts and judges use it.

    x as the model observes it, the condition c,   z_1 … z_K ~ q(z|x, c),   p(z|c),   p(x|z, c),   or x_fake = G(z, c)

Densities are computed on first use: an objective with the closed form of KL(q‖p) never computes log p(z) and log
q(z|x). Only the Draw knows how z was drawn.

Legend: B batch, K samples, D latent; all densities (K, B) in nats.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from torch import Tensor

from bestiary.densities.diagonal_gaussian import closed_kl
from bestiary.densities.full_gaussian import JOINT_KL
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.training.clock import Clock

__all__ = ["Draw"]


class Draw:
    """x, c, z, the distributions q(z|x, c), p(z|c), p(x|z, c), and the clock.

    n: number of training examples. fake: samples of a game. target: the part of x that p(x|z, c) models; none: all.
    """

    def __init__(
        self, x: Tensor, z: Tensor | None = None, *, clock: Clock, c: ConditionTensors = NO_CONDITION,
        n: Tensor | int = 1, q: Any = None, p: Any = None, px: Any = None, fake: Tensor | None = None,
        target: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.x, self.c, self.clock, self.n = x, c, clock, n
        self.q, self.p, self.px, self.fake = q, p, px, fake
        self.target = x if target is None else target
        self._z = z

    @property
    def z(self) -> Tensor:
        """The codes, (K, B, …)."""
        assert self._z is not None  # `look` draws no z; its callers do not use it
        return self._z

    @cached_property
    def log_px(self) -> Tensor:
        return self.px.log_prob(repeat_x(self.target, len(self.z), self.px)).view(len(self.z), -1)

    @cached_property
    def log_pz(self) -> Tensor:
        return self.p.log_prob(self.z)

    @cached_property
    def log_qz(self) -> Tensor:
        return self.q.log_prob(self.z)

    @cached_property
    def kl_dims(self) -> Tensor | None:
        """KL(q(z|x)‖p(z)) per latent dimension (B, D), or None without a closed form."""
        return closed_kl(self.q, self.p)

    @cached_property
    def kl(self) -> Tensor:
        """KL(q(z|x)‖p(z)) for each x (B,): in closed form if there is one, else a Monte Carlo estimate."""
        if self.kl_dims is not None:
            return self.kl_dims.sum(-1)
        joint_kl = JOINT_KL.get((type(self.q), type(self.p)))
        if joint_kl is not None:
            return joint_kl(self.q, self.p)
        return (self.log_qz - self.log_pz).mean(0)

    @property
    def output(self) -> Tensor:
        """The model's output for z: samples of a game, else E[x|z], (K·B, …)."""
        return self.px.mean if self.fake is None else self.fake


def repeat_x(x: Tensor, k: int, px: Any) -> Tensor:
    """x (B, …) repeated K times for a p(x|z) of K·B rows; unchanged if p(x|z) repeats it without a copy."""
    return x if k == 1 or px.repeats_x else x.expand(k, *x.shape).flatten(0, 1)
