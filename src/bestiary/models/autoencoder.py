"""Autoencoder, plain and denoising: encodes x as z and decodes z, without a prior p(z).

    z = code(encoder(x + σ ε, c)),   ε ~ N(0, I);       minimised: −log p(x|z, c)

σ = 0: the plain autoencoder (Hinton and Salakhutdinov 2006); σ > 0: the denoising autoencoder (Vincent et al. 2008). It
has no distribution over z, so it compresses and extracts features, but it cannot sample.

Legend: B batch, D latent.
"""

from __future__ import annotations

from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.posterior_and_prior import code_field
from bestiary.models.condition import Condition
from bestiary.models.latent_model import Binarise, LatentModel
from bestiary.models.model import Reconstructs
from bestiary.networks.conditioned import ConditionTensors
from bestiary.objectives.draw import Draw
from bestiary.training.clock import Clock
from bestiary.training.noise import normal
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["Autoencoder"]


class Autoencoder(LatentModel, Reconstructs):
    """An encoder and a decoder with one player. noise: σ."""

    def __init__(
        self,
        spec: Spec,
        latent: int,
        encoder: nn.Module,
        to_code: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        noise: float = 0.0,
        binarise: Binarise = "none",
        optimiser: Optimiser = Adam(),
        condition: Condition | None = None,
    ) -> None:
        super().__init__(spec, code_field(latent), encoder, decoder, likelihood, binarise, condition)
        self.to_code, self.noise, self.optimiser = to_code, noise, optimiser

    def players(self) -> list[Player]:
        main = Player(
            "autoencoder", self.own_parameters(), self.loss, after=self.after, optimiser=self.optimiser, main=True
        )
        return [main, *self.part_players()]

    def loss(self, batch: Batch, clock: Clock) -> tuple[Terms, Draw]:
        """−log p(x|z, c) in nats, where z is the code of x with noise, and the terms of parts."""
        self.tick(clock)
        batch = self.observe(batch)
        x, c = batch.x, self.condition.of(batch)
        noisy = x + self.noise * normal(x.shape, x.device) if self.noise else x
        z = self._code(noisy, c)[None]
        px, target = self.px(z[0], c), self.condition.target_of(x)
        draw = Draw(x, z, clock=clock, c=c, n=self.examples, px=px, target=target)
        return self.to_file_units(self.collect_terms(draw, {"total": -draw.log_px})), draw

    def _code(self, x: Tensor, c: ConditionTensors) -> Tensor:
        return self.to_code(self.encoder(x, c)).float()  # (B, D)

    def encode(self, batch: Batch) -> Tensor:
        batch = self.observe(batch)
        return self._code(batch.x, self.condition.of(batch))

    def distortion(self, batch: Batch, z: Tensor | None = None) -> Tensor:
        """−log p(x|z, c) of each x (B,) in nats, for the code of x, or for codes z (B, D)."""
        batch = self.observe(batch)
        c = self.condition.of(batch)
        px = self.px(self._code(batch.x, c) if z is None else z, c)
        return -px.log_prob(self.condition.target_of(batch.x))
