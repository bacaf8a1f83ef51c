"""The variational autoencoder: posterior × prior × likelihood × objective.

    z ~ p(z),   x ~ p(x|z) = likelihood(decoder(z)),   q(z|x) = posterior(encoder(x))

Minimised: the objective of a draw z_1 … z_K ~ q(z|x), averaged over the batch (Kingma and Welling 2014, Rezende,
Mohamed and Wierstra 2014). Judged: the importance-weighted bound (Burda, Grosse and Salakhutdinov 2016),

    log p(x) ≥ L_K = E log 1/K Σ_k w_k,   w_k = p(x|z_k) p(z_k) / q(z_k|x),    L_1 = ELBO,   L_K rises with K.

Legend: B batch, K samples, D latent.
"""

from collections.abc import Callable, Iterator, Sequence
from math import log

import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.data.spec import Spec
from bestiary.densities.latent import Prior
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.normal import Distribution, widest
from bestiary.errors import BestiaryError
from bestiary.models.latent import Binarise, LatentModel
from bestiary.objectives.draw import Draw
from bestiary.objectives.latent import Objective
from bestiary.training.clock import Clock
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["VAE"]


class VAE(LatentModel):
    """A game of one."""

    abilities = frozenset({"encode", "decode", "bound", "sample", "posterior"})

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
        super().__init__(spec, latent, encoder, decoder, likelihood, binarise)
        self.posterior, self.prior = posterior, prior
        if isinstance(prior, Prior):
            prior.infer = self.infer  # a method: a copy's prior asks the copy's encoder
        self.samples, self.objective, self.optimiser = samples, objective, optimiser

    def players(self) -> list[Player]:
        return [Player("vae", list(self.parameters()), self.loss, optimiser=self.optimiser)]

    def begin(self, examples: Callable[..., Tensor], labels: Tensor | None = None) -> None:
        super().begin(examples, labels)
        if isinstance(self.prior, Prior):
            self.prior.begin(examples)

    def whole_only(self) -> str:
        """FSDP2 gathers gradients where tensors enter and leave a network, and none enters or leaves a prior."""
        return (
            "a prior that is trained has no tensor at which its gradient could be gathered"
            if any(p.requires_grad for p in self.prior.parameters())
            else ""
        )

    def loss(self, batch: Batch, clock: Clock) -> Terms:
        """The objective's terms, averaged over the batch."""
        terms = self.objective(self.draw(self.observe(batch.x), self.samples, clock))
        return {name: term.mean() for name, term in terms.items()}

    def infer(self, x: Tensor) -> Distribution:
        """q(z|x); x as `observe` gave it."""
        return self.posterior(self.encoder(x))

    def draw(self, x: Tensor, k: int, clock: Clock) -> Draw:
        """z_1 … z_K ~ q(z|x) and their densities; x as `observe` gave it."""
        q, p = self.infer(x), self.prior()
        z = q.rsample((k,))  # (K, B, D)
        return Draw(x, z, self.log_px(x, z), q, p, clock)

    def log_weights(self, x: Tensor, k: int, chunk: int = 0) -> Iterator[Tensor]:
        """log w_1 … log w_K in float64 where there is any, in pieces (≤ chunk, B)."""
        most = 1 << 19 if x.device.type == "cpu" else 1 << 23  # numbers of x at once: on a CPU they stay in the cache
        size = chunk or max(1, most // (len(x) * self.spec.dimensions * self.likelihood.cost))
        q, p = self.infer(x), self.prior()
        for first in range(0, k, size):
            z = q.rsample((min(size, k - first),))
            yield (self.log_px(x, z) + p.log_prob(z) - q.log_prob(z)).to(widest(x.device))

    def bound(self, x: Tensor, k: int = 1, chunk: int = 0) -> Tensor:
        """L_K per example (B,), the sum over k in float64, in chunks of samples."""
        if k < 1:
            raise BestiaryError(f"the importance-weighted bound needs k ≥ 1 samples; got k={k}")
        total = torch.full((len(x),), -torch.inf, dtype=widest(x.device), device=x.device)
        for log_w in self.log_weights(x, k, chunk):
            total = torch.logaddexp(total, log_w.logsumexp(0))
        return total - log(k)

    def bounds(self, x: Tensor, ks: Sequence[int]) -> Tensor:
        """L_k for each k, all from the same draws: the mean over disjoint runs of k of them, (R, B)."""
        log_w = torch.cat(list(self.log_weights(x, max(ks))))  # (K, B)
        runs = [log_w[: len(log_w) // k * k].unflatten(0, (-1, k)) for k in ks]
        return torch.stack([run.logsumexp(1).mean(0) - log(run.shape[1]) for run in runs])

    def vitals(self, x: Tensor, y: Tensor | None = None, fitted: Batch | None = None) -> dict[str, Tensor]:
        """Rate, share of active dimensions, distortion, and distortion with the z of another example."""
        q, p = self.infer(x), self.prior()
        z = q.rsample((1,))
        drawn = Draw(x, z, self.log_px(x, z), q, p, Clock(torch.zeros(()), 1))
        known = drawn.kl_dims  # where it is not, there is no scale of z but its own
        swapped = self.log_px(x, z.roll(1, 1))
        return {
            "kl": drawn.kl.mean(),
            "active": ((q.mean.var(0) / z[0].var(0) if known is None else known.mean(0)) > 0.01).float().mean(),
            "distortion": -drawn.log_px.mean(),
            "swapped": -swapped.mean(),
        }

    def encode(self, x: Tensor) -> Tensor:
        return self.infer(x).mean

    def sample(self, n: int, condition: Tensor | None = None) -> Tensor:
        return self.show(self.prior().rsample((n,)).reshape(n, -1))
