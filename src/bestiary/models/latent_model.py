"""What all models with an encoder and a decoder share: what they observe, and p(x|z, c).

    p(x|z, c) = likelihood(decoder(h, c)),   h what the decoder takes of z

Greys under a likelihood of 0 and 1 are probabilities of ink: `binarise="dynamic"` draws new pixels at every look (and a
judge draws them once, by seed), `"threshold"` cuts at ½.

Legend: B batch, K samples, D latent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec
from bestiary.densities.likelihoods import DataDistribution, Likelihood
from bestiary.models.condition import Condition
from bestiary.models.model import Encodes, Model, Shows
from bestiary.networks.conditioned import NOTHING, Conditioned, Fields
from bestiary.training.noise import uniform
from bestiary.training.part import Look

__all__ = ["Binarise", "LatentModel"]

Binarise = Literal["none", "dynamic", "threshold"]


class LatentModel(Model, Shows, Encodes):
    """An encoder, a decoder and the likelihood of what it decodes."""

    def __init__(
        self,
        spec: Spec,
        code: Field,
        encoder: nn.Module,  # (x, c) → features
        decoder: nn.Module,  # (h, c) → what the likelihood wants
        likelihood: Likelihood,
        binarise: Binarise = "none",
        condition: Condition | None = None,
    ) -> None:
        super().__init__(spec, condition)
        self.code, self.binarise, self.discrete = code, binarise, likelihood.discrete
        self.encoder, self.decoder = told(encoder), told(decoder)
        self.likelihood = likelihood

    def begin(self, look: Look) -> None:
        """Before the first round: refuse data that p(x|z) gives no probability to."""
        self.likelihood.check(self.condition.rest(look.some(1024).x))
        super().begin(look)

    def observe(self, batch: Batch) -> Batch:
        if batch.observed:
            return batch
        x = batch.x
        binarisers: dict[str, Callable[[], Tensor]] = {
            "none": lambda: x,
            "dynamic": lambda: (uniform(x.shape, x.device) < x).to(x.dtype),
            "threshold": lambda: (x >= 0.5).to(x.dtype),
        }
        return replace(batch, x=binarisers[self.binarise](), observed=True)

    def embed(self, z: Tensor) -> Tensor:
        """What the decoder takes of codes."""
        return z

    def px(self, h: Tensor, c: Fields = NOTHING) -> DataDistribution:
        """p(x|z, c) for h (R, …)."""
        return self.likelihood(self.decoder(h, c))

    @property
    def shows_means(self) -> bool:
        """Whether a sample is E[x|z], as is the custom for pictures, in place of a draw from p(x|z)."""
        return self.spec.x.pictured and not self.likelihood.autoregressive

    def show(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        """E[x|z, c]; where the likelihood has no closed form for it, a draw of x."""
        self.condition.refuse(c, len(z))
        px = self.px(self.embed(z), c)
        return self.condition.whole(px.sample() if self.likelihood.autoregressive else px.mean, c)

    def make(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        """The mean of pictures, as is the custom; a draw from p(x|z, c) of numbers, which need its noise."""
        if self.shows_means:
            return self.show(z, c)
        self.condition.refuse(c, len(z))
        return self.condition.whole(self.px(self.embed(z), c).sample(), c)


def told(network: nn.Module) -> Conditioned:
    """A network of (a, c); one that a user brings is of a alone."""
    return network if isinstance(network, Conditioned) else Conditioned(network)
