"""Priors made of the posterior: p(z) = 1/K Σ_k q(z|u_k).

The prior that maximises the ELBO for a given q is the aggregated posterior q(z) = 1/N Σ_n q(z|x_n): at it the marginal
KL of ELBO surgery is zero. It costs N terms at every step and is fitted to the training examples.

    aggregated   u_k are K training examples, fixed
    vamp         u_k are K learned pseudo-inputs                  (Tomczak and Welling 2018, arXiv 1705.07120)

Pseudo-inputs live behind a map onto the data's support whose slope is nowhere zero (`Support.onto`) — a sigmoid for
pixels, a softmax for categories — and not behind a clamp, under which those that start at 0 or 1 would never move. The
map is steep: Adam moves a by about its rate a round, and under a flat map pixels would stay near where they began.
They start from training examples or free of them.

The components of a flow posterior are its Gaussian bases, since the density of a flow at a point that it did not draw
costs D passes: p(z) is then a density like any other, but no longer the optimal one.

Legend: K components, D latent.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from bestiary.densities.mixture import FullMixture, GaussianMixture, mixture_of
from bestiary.densities.posterior_and_prior import Place, Prior
from bestiary.errors import BestiaryError
from bestiary.networks.conditioned import NOTHING, Fields
from bestiary.training.part import Look

__all__ = ["Aggregated", "Vamp"]


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
        _told_nothing("vamp", place)
        self.infer, self.support, self.start = place.infer, place.spec.x.support, start
        self.pseudo = nn.Parameter(self.support.into(self.support.free((components, *place.spec.shape))))

    def begin(self, look: Look) -> None:
        if self.start == "data":
            with torch.no_grad():
                self.pseudo.copy_(self.support.into(_examples("vamp", look, len(self.pseudo))))

    def forward(self, c: Fields = NOTHING) -> GaussianMixture | FullMixture:
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
        _told_nothing("aggregated", place)
        self.infer = place.infer
        self.register_buffer("inputs", torch.full((components, *place.spec.shape), 0.5))

    def begin(self, look: Look) -> None:
        self.inputs.copy_(_examples("aggregated", look, len(self.inputs)))

    def forward(self, c: Fields = NOTHING) -> GaussianMixture | FullMixture:
        return mixture_of(self.infer(self.inputs).components)


def _at_least_one(name: str, components: int) -> None:
    if components < 1:
        raise BestiaryError(f"{name}(components={components}): it needs at least one component")


def _told_nothing(name: str, place: Place) -> None:
    if place.condition:
        raise BestiaryError(
            f"prior={name} is made of q(z|u), and its inputs u have no condition: with condition= use prior=standard,"
            " prior=conditional or a flow"
        )


def _examples(name: str, look: Look, n: int) -> Tensor:
    if n > look.n:
        raise BestiaryError(
            f"prior={name}({n}) needs {n} training examples and the data has {look.n}: use prior={name}({look.n})"
        )
    return look.some(n).x
