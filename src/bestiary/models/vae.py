"""The variational autoencoder: posterior × prior × likelihood × objective.

    z ~ p(z),   x ~ p(x|z) = likelihood(decoder(z)),   q(z|x) = posterior(encoder(x))

Minimised: the objective of a draw z_1 … z_K ~ q(z|x), averaged over the batch (Kingma and Welling 2014, Rezende,
Mohamed and Wierstra 2014). Judged: the importance-weighted bound (Burda, Grosse and Salakhutdinov 2016),

    log p(x) ≥ L_K = E log 1/K Σ_k w_k,   w_k = p(x|z_k) p(z_k) / q(z_k|x),    L_1 = ELBO,   L_K rises with K.

Greys under a Bernoulli likelihood are probabilities of ink: `binarise="dynamic"` draws new pixels at every look (and a
judge draws them once, by seed), `"threshold"` cuts at ½.

Legend: B batch, K samples, D latent.
"""

from collections.abc import Callable
from math import log
from typing import Literal

import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.data.spec import Spec
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.noise import uniform
from bestiary.errors import BestiaryError
from bestiary.models.model import Model
from bestiary.objectives.draw import Draw
from bestiary.objectives.latent import Objective
from bestiary.training.clock import Clock
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["VAE"]

Binarise = Literal["none", "dynamic", "threshold"]


class VAE(Model):
    """A game of one."""

    abilities = frozenset({"encode", "decode", "bound"})

    def __init__(
        self,
        spec: Spec,
        latent: int,
        encoder: nn.Module,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        objective: Objective,
        samples: int = 1,
        binarise: Binarise = "none",
        optimiser: Optimiser = Adam(),
    ) -> None:
        super().__init__(spec)
        self.latent, self.samples, self.binarise = latent, samples, binarise
        self.encoder, self.posterior, self.prior = encoder, posterior, prior
        self.decoder, self.likelihood = decoder, likelihood
        self.objective, self.optimiser, self.discrete = objective, optimiser, likelihood.discrete

    def players(self) -> list[Player]:
        return [Player("vae", list(self.parameters()), self.loss, optimiser=self.optimiser)]

    def loss(self, batch: Batch, clock: Clock) -> Terms:
        """The objective's terms, averaged over the batch."""
        terms = self.objective(self.draw(self.observe(batch.x), self.samples, clock))
        return {name: term.mean() for name, term in terms.items()}

    def observe(self, x: Tensor) -> Tensor:
        binarisers: dict[str, Callable[[], Tensor]] = {
            "none": lambda: x,
            "dynamic": lambda: (uniform(x.shape, x.device) < x).to(x.dtype),
            "threshold": lambda: (x >= 0.5).to(x.dtype),
        }
        return binarisers[self.binarise]()

    def draw(self, x: Tensor, k: int, clock: Clock) -> Draw:
        """z_1 … z_K ~ q(z|x) and their densities; x as `observe` gave it."""
        q, p = self.posterior(self.encoder(x)), self.prior()
        z = q.rsample((k,))  # (K, B, D)
        return Draw(x, z, self.log_px(x, z), q, p, clock)

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z): x (B, …), z (K, B, D) → (K, B)."""
        k, b = z.shape[:2]
        xs = x if k == 1 else x.expand(k, *x.shape).flatten(0, 1)  # (K·B, …)
        return self.likelihood(self.decoder(z.flatten(0, 1))).log_prob(xs).view(k, b)

    def bound(self, x: Tensor, k: int = 1, chunk: int = 0) -> Tensor:
        """L_K per example (B,), the sum over k in float64, in chunks of samples (of about 8 million numbers)."""
        if k < 1:
            raise BestiaryError(f"the importance-weighted bound needs k ≥ 1 samples; got k={k}")
        size = chunk or max(1, (1 << 23) // (len(x) * self.spec.dimensions))
        q, p = self.posterior(self.encoder(x)), self.prior()
        total = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
        for first in range(0, k, size):
            z = q.rsample((min(size, k - first),))
            log_w = (self.log_px(x, z) + p.log_prob(z) - q.log_prob(z)).double()
            total = torch.logaddexp(total, log_w.logsumexp(0))
        return total - log(k)

    def encode(self, x: Tensor) -> Tensor:
        return self.posterior(self.encoder(x)).mean

    def decode(self, z: Tensor) -> Tensor:
        return self.likelihood(self.decoder(z)).mean

    def sample(self, n: int, condition: Tensor | None = None) -> Tensor:
        """x = E[x|z], z ~ p(z) for images, as is the custom; a draw from p(x|z) for numbers, which need its noise."""
        p = self.prior()
        z = p.rsample((n,)).reshape(n, -1)
        px = self.likelihood(self.decoder(z))
        return px.mean if self.spec.kind == "image" else px.sample()
