"""The base class of models with an encoder and a decoder: binarisation, p(x|z, c), and decoding of codes.

    p(x|z, c) = likelihood(decoder(h, c)),   h the decoder's input for the code z

A binary likelihood takes greys as probabilities that a pixel is 1. `binarise="dynamic"` draws new pixels whenever a
batch is observed (a judge observes each batch once, with a seed), `"threshold"` cuts at ½.

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
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, as_conditioned
from bestiary.training.noise import uniform
from bestiary.training.part import TrainingData
from bestiary.training.player import Terms

__all__ = ["Binarise", "LatentModel"]

Binarise = Literal["none", "dynamic", "threshold"]


class LatentModel(Model, Shows, Encodes):
    """An encoder, a decoder and a likelihood."""

    def __init__(
        self,
        spec: Spec,
        code: Field,  # of z
        encoder: nn.Module,  # (x, c) → features
        decoder: nn.Module,  # (h, c) → parameters of the likelihood
        likelihood: Likelihood,
        binarise: Binarise = "none",
        condition: Condition | None = None,
    ) -> None:
        super().__init__(spec, condition)
        self.code, self.binarise, self.discrete = code, binarise, likelihood.discrete
        self.encoder, self.decoder = as_conditioned(encoder), as_conditioned(decoder)
        self.likelihood = likelihood

    def begin(self, data: TrainingData) -> None:
        """Before the first round. Raises BestiaryError if training examples are outside the likelihood's support."""
        self.likelihood.check(self.condition.target_of(data.examples(1024).x))
        super().begin(data)

    def observe(self, batch: Batch) -> Batch:
        """The batch with binarised x, unless it was observed before or the model does not binarise."""
        if batch.is_observed:
            return batch
        x = batch.x
        binarisers: dict[str, Callable[[], Tensor]] = {
            "none": lambda: x,
            "dynamic": lambda: (uniform(x.shape, x.device) < x).to(x.dtype),
            "threshold": lambda: (x >= 0.5).to(x.dtype),
        }
        return replace(batch, x=binarisers[self.binarise](), is_observed=True)

    def to_file_units(self, terms: Terms) -> Terms:
        """Terms with −log p(x|z) as a density of the numbers in the file, as bounds are; a constant has no gradient."""
        if not self.spec.log_scale:
            return terms
        return {k: v + self.spec.log_scale if k in ("total", "reconstruction") else v for k, v in terms.items()}

    def embed(self, z: Tensor) -> Tensor:
        """The decoder's input for codes z."""
        return z

    def px(self, h: Tensor, c: ConditionTensors = NO_CONDITION) -> DataDistribution:
        """p(x|z, c) for decoder inputs h (R, …) and the conditions of the R rows."""
        return self.likelihood(self.decoder(h, c))

    @property
    def shows_means(self) -> bool:
        """Whether samples are means E[x|z], as is usual for images, instead of draws from p(x|z)."""
        return self.spec.x.is_picture and not self.likelihood.autoregressive

    def show(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """E[x|z, c] for codes (n, …); a draw of x if the likelihood has no closed form of the mean."""
        self.condition.refuse(c, len(z))
        px = self.px(self.embed(z), c)
        return self.condition.assemble(px.sample() if self.likelihood.autoregressive else px.mean, c)

    def make(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """Samples x for codes (n, …): E[x|z, c] for images, a draw from p(x|z, c) for numbers."""
        if self.shows_means:
            return self.show(z, c)
        self.condition.refuse(c, len(z))
        return self.condition.assemble(self.px(self.embed(z), c).sample(), c)
