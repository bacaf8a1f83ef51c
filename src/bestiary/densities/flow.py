"""Normalising flows: invertible maps of a base distribution, z = f(u), log p(z) = log base(u) − log |det ∂f/∂u|.

One direction of an autoregressive map costs one pass of its network, the other D passes. Every training step draws from
the posterior, so its fast direction is u → z (inverse autoregressive flow, Kingma et al. 2016, arXiv 1606.04934). Every
step needs the density of the prior, so its fast direction is z → u (Papamakarios et al. 2017, arXiv 1705.07057). A flow
stores log p of its last draw, so `log_prob` of the same tensor costs nothing.

    iaf        z ← g ⊙ z + (1 − g) ⊙ m,   g = σ(s + 1.5),  (m, s) = MADE(z, h),  order reversed between steps
    maf        affine autoregressive transforms
    coupling   affine transforms of one half of z given the other half: two passes
    nsf        rational-quadratic splines (Durkan et al. 2019, arXiv 1906.04032)

maf, coupling and nsf are zuko's transforms. All of them start near the identity.

Legend: … leading dimensions, B batch, D latent, F features of the encoder.
"""

from collections.abc import Callable, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from bestiary.densities.diagonal_gaussian import DiagonalNormal
from bestiary.densities.posterior_and_prior import Diagonal, Posterior, Prior, PriorSetting, StandardBase, code_field
from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Repeats, Size
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.networks.made import MADE
from bestiary.training.clock import Clock

__all__ = ["IAF", "Flow", "FlowPosterior", "FlowPrior", "coupling", "maf", "maf_posterior", "nsf", "nsf_posterior"]

# An inverse far from all draws is cut off here: an infinite number would be NaN where a mask multiplies it by 0.
FURTHEST = 1e15

Map = Callable[[Tensor], tuple[Tensor, Tensor]]  # (…, D) → the image (…, D) and log |det| (…)


class Flow:
    """The distribution of z = f(u), u ~ base."""

    def __init__(self, base: DiagonalNormal, forward: Map, backward: Map) -> None:
        self.base, self.forward, self.backward = base, forward, backward
        self._last: tuple[Tensor, int, Tensor] | None = None  # a draw, its version, and its log density

    @property
    def mean(self) -> Tensor:
        """f(mean of the base), a point of high density. The true mean of z has no closed form."""
        return self.forward(self.base.mean)[0]

    @property
    def variance(self) -> Tensor:
        raise BestiaryError("the variance of a flow has no closed form: use posterior=diagonal or posterior=full")

    @property
    def components(self) -> DiagonalNormal:
        """The Gaussians that represent this q in a mixture over many x: its bases."""
        return self.base

    def rsample(self, shape: Sequence[int] = ()) -> Tensor:
        u = self.base.rsample(shape)
        z, log_det = self.forward(u)
        self._last = (z, z._version, self.base.log_prob(u) - log_det)
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """(…, B, D) → (…, B)."""
        if self._last is not None and self._last[0] is z and self._last[1] == z._version:  # not changed in place
            return self._last[2]
        u, log_det = self.backward(z)
        return self.base.log_prob(u) + log_det


def _check_latent(name: str, latent: int) -> None:
    if latent < 2:
        raise BestiaryError(
            f"{name} needs latent=2 or more: with one dimension an autoregressive flow has no earlier one to depend on"
        )


class IAF(Posterior):
    """Inverse autoregressive flow from a diagonal Gaussian; every step sees the features of the encoder (B, F)."""

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        steps: Repeats = 4,  # transforms, each in the reverse order of the one before
        width: Size = 128,  # units of a hidden layer
        depth: Repeats = 1,  # hidden layers of each transform
    ) -> None:
        super().__init__()
        _check_latent("posterior=iaf", latent)
        self.code, self.head = code_field(latent), Diagonal(features, latent)
        self.steps = nn.ModuleList(
            MADE(latent, 2, [width] * depth, features, reverse=bool(i % 2)).start_at([0.0, 0.0]) for i in range(steps)
        )

    def forward(self, features: Tensor, clock: Clock | None = None) -> Flow:
        def down(u: Tensor) -> tuple[Tensor, Tensor]:
            log_det = u.new_zeros(u.shape[:-1])
            for step in self.steps:
                m, s = step(u, features).float().unbind(-1)
                gate = torch.sigmoid(s + 1.5)
                u = gate * u + (1 - gate) * m
                log_det = log_det + logsigmoid(s + 1.5).sum(-1)
            return u, log_det

        def up(z: Tensor) -> tuple[Tensor, Tensor]:
            log_det = z.new_zeros(z.shape[:-1])
            for step in list(self.steps)[::-1]:
                u = z
                for _ in range(z.shape[-1]):  # each pass solves for one more dimension
                    m, s = step(u, features).float().unbind(-1)
                    rate = (-(s + 1.5)).clamp(max=log(FURTHEST)).exp()  # 1/g − 1
                    u = (z + (z - m) * rate).clamp(-FURTHEST, FURTHEST)
                z, log_det = u, log_det - logsigmoid(s + 1.5).sum(-1)
            return z, log_det

        return Flow(self.head(features), down, up)


class FlowPosterior(Posterior):
    """Features of the encoder (B, F) → zuko transforms of a diagonal Gaussian. Drawing is the fast direction."""

    def __init__(self, flow: nn.Module, features: int, latent: int, context: int) -> None:
        super().__init__()
        self.code = code_field(latent)
        self.head, self.context, self.flow = Diagonal(features, latent), nn.Linear(features, context), flow

    def forward(self, features: Tensor, clock: Clock | None = None) -> Flow:
        h = torch.tanh(self.context(features)).float()
        return Flow(self.head(features), *_maps(self.flow, h))


class FlowPrior(Prior):
    """A zuko flow from N(0, I) over (1, D). The density is the fast direction."""

    def __init__(self, flow: nn.Module, latent: int) -> None:
        super().__init__()
        self.flow, self.base = flow, StandardBase(latent)

    def forward(self, c: ConditionTensors = NO_CONDITION) -> Flow:
        to_base, from_base = _maps(self.flow, None)
        return Flow(self.base(), from_base, to_base)


def _maps(flow: Any, context: Tensor | None) -> tuple[Map, Map]:
    """The fast and the slow direction of a zuko flow, in fp32 also under autocast."""

    def fast(u: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(u.device.type, enabled=False):
            return flow.transform(_broadcast(context, u)).call_and_ladj(u)

    def slow(z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(z.device.type, enabled=False):
            return flow.transform(_broadcast(context, z)).inv.call_and_ladj(z)

    return fast, slow


def _broadcast(context: Tensor | None, z: Tensor) -> Tensor | None:
    return None if context is None else context.expand(*z.shape[:-1], context.shape[-1])


def _zuko(
    name: str, kind: str, latent: int, context: int, steps: int, width: int, depth: int, **options: Any
) -> nn.Module:
    """zuko.flows.<kind> with these sizes, initialised near the identity. `name` is for errors."""
    import zuko

    _check_latent(name, latent)
    hidden = (width,) * depth
    flow: nn.Module = getattr(zuko.flows, kind)(latent, context, transforms=steps, hidden_features=hidden, **options)
    with torch.no_grad():
        for transform in flow.transform.transforms:  # type: ignore[union-attr]
            last = transform.hyper[-1]
            last.weight.mul_(0.01)
            last.bias.zero_()
    return flow


def maf_posterior(
    features: int,
    latent: int,
    *,
    steps: Repeats = 4,  # transforms, each in the reverse order of the one before
    width: Size = 128,  # units of a hidden layer
    depth: Repeats = 1,  # hidden layers of each transform
    context: Size = 64,  # numbers made of the encoder's features, which every transform sees
) -> FlowPosterior:
    """Affine autoregressive transforms of a diagonal Gaussian, by zuko."""
    flow = _zuko("posterior=maf", "MAF", latent, context, steps, width, depth)
    return FlowPosterior(flow, features, latent, context)


def nsf_posterior(
    features: int,
    latent: int,
    *,
    steps: Repeats = 2,  # transforms, each in the reverse order of the one before
    width: Size = 128,  # units of a hidden layer
    depth: Repeats = 1,  # hidden layers of each transform
    bins: Size = 8,  # pieces of each spline
    context: Size = 64,  # numbers made of the encoder's features, which every transform sees
) -> FlowPosterior:
    """Neural splines of a diagonal Gaussian, by zuko."""
    flow = _zuko("posterior=nsf", "NSF", latent, context, steps, width, depth, bins=bins)
    return FlowPosterior(flow, features, latent, context)


def maf(
    setting: PriorSetting,
    *,
    steps: Repeats = 4,  # transforms, each in the reverse order of the one before
    width: Size = 128,  # units of a hidden layer
    depth: Repeats = 1,  # hidden layers of each transform
) -> FlowPrior:
    """An autoregressive flow: the density in one pass, a draw in D."""
    return FlowPrior(_zuko("prior=maf", "MAF", setting.latent, 0, steps, width, depth), setting.latent)


def coupling(
    setting: PriorSetting,
    *,
    steps: Repeats = 6,  # transforms; each moves one half of z given the other
    width: Size = 128,  # units of a hidden layer
    depth: Repeats = 1,  # hidden layers of each transform
) -> FlowPrior:
    """Affine coupling layers (RealNVP, Dinh et al. 2017): fast in both directions."""
    flow = _zuko("prior=coupling", "MAF", setting.latent, 0, steps, width, depth, passes=2)
    return FlowPrior(flow, setting.latent)


def nsf(
    setting: PriorSetting,
    *,
    steps: Repeats = 3,  # transforms, each in the reverse order of the one before
    width: Size = 128,  # units of a hidden layer
    depth: Repeats = 1,  # hidden layers of each transform
    bins: Size = 8,  # pieces of each spline
    coupled: bool = False,  # move one half of z given the other, instead of dimension by dimension
) -> FlowPrior:
    """Neural splines, autoregressive or coupled."""
    options = {"bins": bins, "passes": 2 if coupled else None}
    return FlowPrior(_zuko("prior=nsf", "NSF", setting.latent, 0, steps, width, depth, **options), setting.latent)
