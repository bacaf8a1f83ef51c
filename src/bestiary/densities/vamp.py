"""VampPrior and aggregated posterior: priors that are a mixture of posteriors, p(z) = 1/K Σ_k q(z|u_k).

The prior that maximises the ELBO for a given q is the aggregated posterior q(z) = 1/N Σ_n q(z|x_n), where the marginal
KL of ELBO surgery is zero. It costs N terms at every step, and it overfits to the training examples.

    aggregated   u_k are K training examples, fixed
    vamp         u_k are K learned pseudo-inputs                  (Tomczak and Welling 2018, arXiv 1705.07120)

A pseudo-input is u = from_unbounded(a), a learned, where `Support.from_unbounded` maps all numbers to the data's
support: a sigmoid for pixels, a softmax for categories. Its slope is zero nowhere; behind a clamp, pixels that start
at 0 or 1 would never move. The map is steep, since Adam moves `a` by about its rate in a round, and behind a flat map
pixels would hardly change. Pseudo-inputs start as training examples or as noise.

For a flow posterior the components are its Gaussian bases, since the density of a flow at a point that it did not draw
costs D passes. The prior is then a valid density, but no longer the optimal one.

Legend: K components, D latent.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from bestiary.densities.mixture import FullMixture, GaussianMixture, mixture_of
from bestiary.densities.posterior_and_prior import Prior, PriorSetting
from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Size
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.training.part import TrainingData

__all__ = ["Aggregated", "Vamp"]


class Vamp(Prior):
    """The mean of q(z|u) over learned pseudo-inputs u."""

    def __init__(
        self,
        setting: PriorSetting,
        *,
        components: Size = 500,  # K
        start: Literal["data", "free"] = "data",  # pseudo-inputs start as training examples, or as noise
    ) -> None:
        super().__init__()
        _check_unconditional("vamp", setting)
        self.infer, self.support, self.start = setting.infer, setting.spec.x.support, start
        self.pseudo = nn.Parameter(
            self.support.to_unbounded(self.support.random_points((components, *setting.spec.shape)))
        )

    def begin(self, data: TrainingData) -> None:
        if self.start == "data":
            with torch.no_grad():
                self.pseudo.copy_(self.support.to_unbounded(_examples("vamp", data, len(self.pseudo))))

    def forward(self, c: ConditionTensors = NO_CONDITION) -> GaussianMixture | FullMixture:
        return mixture_of(self.infer(self.support.from_unbounded(self.pseudo)).components)


class Aggregated(Prior):
    """The mean of q(z|x) over K training examples: the optimal prior, but expensive."""

    inputs: Tensor

    def __init__(
        self,
        setting: PriorSetting,
        *,
        components: Size = 1000,  # K training examples, all encoded at every step
    ) -> None:
        super().__init__()
        _check_unconditional("aggregated", setting)
        self.infer = setting.infer
        self.register_buffer("inputs", torch.full((components, *setting.spec.shape), 0.5))

    def begin(self, data: TrainingData) -> None:
        self.inputs.copy_(_examples("aggregated", data, len(self.inputs)))

    def forward(self, c: ConditionTensors = NO_CONDITION) -> GaussianMixture | FullMixture:
        return mixture_of(self.infer(self.inputs).components)


def _check_unconditional(name: str, setting: PriorSetting) -> None:
    if setting.condition:
        raise BestiaryError(
            f"prior={name} is a mixture of q(z|u) without a condition: with condition= use prior=standard,"
            " prior=conditional or a flow"
        )


def _examples(name: str, data: TrainingData, n: int) -> Tensor:
    """n training examples x. Raises BestiaryError if there are fewer."""
    if n > data.n:
        raise BestiaryError(
            f"prior={name}({n}) needs {n} training examples and the data has {data.n}: use prior={name}({data.n})"
        )
    return data.examples(n).x
