"""What all models with an encoder and a decoder share: what they observe, and p(x|z).

    p(x|z) = likelihood(decoder(z))

Greys under a likelihood of 0 and 1 are probabilities of ink: `binarise="dynamic"` draws new pixels at every look (and a
judge draws them once, by seed), `"threshold"` cuts at ½.

Legend: B batch, K samples, D latent.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.noise import uniform
from bestiary.models.model import Model

__all__ = ["Binarise", "LatentModel"]

Binarise = Literal["none", "dynamic", "threshold"]


class LatentModel(Model):
    """An encoder, a decoder and the likelihood of what it decodes."""

    def __init__(
        self,
        spec: Spec,
        latent: int,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        binarise: Binarise = "none",
    ) -> None:
        super().__init__(spec)
        self.latent, self.binarise, self.discrete = latent, binarise, likelihood.discrete
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood

    def begin(self, examples: Callable[..., Tensor], labels: Tensor | None = None) -> None:
        """Before the first round: refuse data that p(x|z) gives no probability to."""
        self.likelihood.check(examples())

    def observe(self, x: Tensor) -> Tensor:
        binarisers: dict[str, Callable[[], Tensor]] = {
            "none": lambda: x,
            "dynamic": lambda: (uniform(x.shape, x.device) < x).to(x.dtype),
            "threshold": lambda: (x >= 0.5).to(x.dtype),
        }
        return binarisers[self.binarise]()

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z): x (B, …), z (K, B, D) → (K, B)."""
        k, b = z.shape[:2]
        xs = x if k == 1 or self.likelihood.repeats else x.expand(k, *x.shape).flatten(0, 1)  # (K·B, …)
        return self.likelihood(self.decoder(z.flatten(0, 1))).log_prob(xs).view(k, b)

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z]; where the likelihood has no closed form for it, a draw of x."""
        px = self.likelihood(self.decoder(z))
        return px.sample() if self.likelihood.autoregressive else px.mean

    @property
    def shows_means(self) -> bool:
        """Whether a sample is E[x|z] in place of a draw from p(x|z)."""
        return self.spec.kind == "image" and not self.likelihood.autoregressive

    def show(self, z: Tensor) -> Tensor:
        """x for z: E[x|z] for images, as is the custom; a draw from p(x|z) for numbers, which need its noise."""
        px = self.likelihood(self.decoder(z))
        return px.mean if self.shows_means else px.sample()
