"""The autoencoder, plain and denoising: a code of x and the x that is made of it, with no p(z).

    z = code(encoder(x + σ ε)),   ε ~ N(0, I);       minimised: −log p(x|z)

σ = 0: the plain autoencoder (Hinton and Salakhutdinov 2006); σ > 0: noise in, x out (Vincent et al. 2008). It has no
distribution over z, so it can compress and make features, but it cannot sample.

Legend: B batch, D latent.
"""

from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.data.spec import Spec
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.noise import normal
from bestiary.models.latent import Binarise, LatentModel
from bestiary.training.clock import Clock
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["Autoencoder"]


class Autoencoder(LatentModel):
    """A game of one without a prior."""

    abilities = frozenset({"encode", "decode"})

    def __init__(
        self,
        spec: Spec,
        latent: int,
        encoder: nn.Module,
        code: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        noise: float = 0.0,
        binarise: Binarise = "none",
        optimiser: Optimiser = Adam(),
    ) -> None:
        super().__init__(spec, latent, encoder, decoder, likelihood, binarise)
        self.code, self.noise, self.optimiser = code, noise, optimiser

    def players(self) -> list[Player]:
        return [Player("autoencoder", list(self.parameters()), self.loss, optimiser=self.optimiser)]

    def loss(self, batch: Batch, clock: Clock) -> Terms:
        """−log p(x|z) in nats, z the code of x made noisy."""
        x = self.observe(batch.x)
        noisy = x + self.noise * normal(x.shape, x.device) if self.noise else x
        return {"total": -self.log_px(x, self.encode(noisy)[None]).mean()}

    def encode(self, x: Tensor) -> Tensor:
        return self.code(self.encoder(x)).float()  # (B, D)

    def distortion(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """−log p(x|z) of each x (B,), in nats, under its own code or under another."""
        return -self.log_px(x, (self.encode(x) if z is None else z)[None])[0]
