"""Priors made of the posterior: p(z) = 1/K Σ_k q(z|u_k).

The prior that maximises the ELBO for a given q is the aggregated posterior q(z) = 1/N Σ_n q(z|x_n): at it the marginal
KL of ELBO surgery is zero. It costs N terms at every step and is fitted to the training examples.

    aggregated   u_k are K training examples, fixed
    vamp         u_k are K learned pseudo-inputs                  (Tomczak and Welling 2018, arXiv 1705.07120)

Pseudo-inputs live behind a map onto the data's support whose slope is nowhere zero — a sigmoid for pixels, a softmax
for categories — and not behind a clamp, under which those that start at 0 or 1 would never move. The map is steep,
x = σ(STEEP a): Adam moves a by about its rate a round, and under a flat map pixels would stay near where they began.
They start from training examples or free of them.

The components of a flow posterior are its Gaussian bases, since the density of a flow at a point that it did not draw
costs D passes: p(z) is then a density like any other, but no longer the optimal one.

Legend: K components, D latent.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.densities.latent import Place, Prior
from bestiary.densities.mixture import FullMixture, GaussianMixture, mixture_of
from bestiary.errors import BestiaryError

__all__ = ["Aggregated", "Vamp"]

EDGE = 0.02  # pixels of examples are taken to [EDGE, 1 − EDGE], where the sigmoid's slope is a fiftieth, times STEEP
STEEP = 10.0  # slope of the maps for pixels and categories


class _Support:
    """A map from all numbers onto the support of x, and back."""

    def __init__(self, spec: Spec) -> None:
        self.image = spec.kind == "image"
        columns = spec.columns or ()
        self.widths = [c.width for c in columns]
        self.category = [bool(c.categories) for c in columns]

    def onto(self, a: Tensor) -> Tensor:
        if self.image:
            return (STEEP * a).sigmoid()
        if not any(self.category):
            return a
        pieces = zip(a.split(self.widths, 1), self.category, strict=True)
        return torch.cat([(STEEP * p).softmax(1) if c else p for p, c in pieces], 1)

    def drawn(self, n: int, shape: tuple[int, ...]) -> Tensor:
        """Points of the support that know nothing of the data: greys, weak preferences, N(0, 1)."""
        a = torch.randn(n, *shape)
        if self.image:
            return a.sigmoid()
        pieces = zip(a.split(self.widths, 1), self.category, strict=True) if self.widths else [(a, False)]
        return torch.cat([p.softmax(1) if c else p for p, c in pieces], 1)

    def back(self, x: Tensor) -> Tensor:
        if self.image:
            return x.clamp(EDGE, 1 - EDGE).logit() / STEEP
        if not any(self.category):
            return x
        pieces = zip(x.split(self.widths, 1), self.category, strict=True)
        return torch.cat([p.clamp(EDGE, 1).log() / STEEP if c else p for p, c in pieces], 1)


class Vamp(Prior):
    """The mean of q(z|u) over learned pseudo-inputs u."""

    def __init__(
        self,
        place: Place,
        *,
        components: int = 500,  # K
        start: Literal["data", "free"] = "data",  # pseudo-inputs begin as training examples, or as noise
    ) -> None:
        super().__init__()
        _at_least_one("vamp", components)
        self.infer, self.support, self.start = place.infer, _Support(place.spec), start
        self.pseudo = nn.Parameter(self.support.back(self.support.drawn(components, place.spec.shape)))

    def begin(self, examples: Callable[..., Tensor]) -> None:
        if self.start == "data":
            with torch.no_grad():
                self.pseudo.copy_(self.support.back(examples(len(self.pseudo))))

    def forward(self) -> GaussianMixture | FullMixture:
        return mixture_of(self.infer(self.support.onto(self.pseudo)).components)


class Aggregated(Prior):
    """The mean of q(z|x) over K training examples: the optimal prior, at its cost."""

    inputs: Tensor

    def __init__(
        self,
        place: Place,
        *,
        components: int = 1000,  # K training examples, of which each is encoded at every step
    ) -> None:
        super().__init__()
        _at_least_one("aggregated", components)
        self.infer = place.infer
        self.register_buffer("inputs", torch.full((components, *place.spec.shape), 0.5))

    def begin(self, examples: Callable[..., Tensor]) -> None:
        self.inputs.copy_(examples(len(self.inputs)))

    def forward(self) -> GaussianMixture | FullMixture:
        return mixture_of(self.infer(self.inputs).components)


def _at_least_one(name: str, components: int) -> None:
    if components < 1:
        raise BestiaryError(f"{name}(components={components}): it needs at least one component")
