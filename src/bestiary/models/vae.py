"""Variational autoencoder: posterior × prior × likelihood × objective, with or without a condition c.

    z ~ p(z|c),   x ~ p(x|z, c) = likelihood(decoder(z, c)),   q(z|x, c) = posterior(encoder(x, c))

Minimised: the objective of a draw z_1 … z_K ~ q(z|x, c), averaged over the batch (Kingma and Welling 2014, Rezende,
Mohamed and Wierstra 2014; with c: Sohn, Lee and Yan 2015), plus terms of other parts. Reported: the importance-weighted
bound (Burda, Grosse and Salakhutdinov 2016),

    log p(x|c) ≥ L_K = E log 1/K Σ_k w_k,   w_k = p(x|z_k, c) p(z_k|c) / q(z_k|x, c),    L_1 = ELBO,   L_K rises with K.

Legend: B batch, K samples, D latent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec
from bestiary.densities.diagonal_gaussian import StandardNormal, widest_float
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.posterior_and_prior import Posterior, as_prior
from bestiary.errors import BestiaryError
from bestiary.models.condition import Condition
from bestiary.models.latent_model import Binarise, LatentModel
from bestiary.models.model import Bounds, Coded, Drawn
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, repeat_rows
from bestiary.objectives.draw import Draw, repeat_x
from bestiary.objectives.elbo import Objective, ObjectiveFunction
from bestiary.training.clock import Clock
from bestiary.training.part import Part
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["VAE"]

ACTIVE_NATS = 0.5  # of KL: a dimension of less says little, and is as wide as the prior


class VAE(LatentModel, Coded, Drawn, Bounds):
    """An encoder, a decoder and four parts, with one player and those of the parts. samples: K in training."""

    def __init__(
        self,
        spec: Spec,
        encoder: nn.Module,
        posterior: Posterior,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        objective: Part | ObjectiveFunction,
        samples: int = 1,
        binarise: Binarise = "none",
        optimiser: Optimiser = Adam(),
        condition: Condition | None = None,
    ) -> None:
        super().__init__(spec, posterior.code, encoder, decoder, likelihood, binarise, condition)
        self.posterior, self.prior = posterior, as_prior(prior)
        self.prior.infer = self.infer  # a bound method, so that a deep copy's prior uses the copy's encoder
        self.objective = objective if isinstance(objective, Part) else Objective(objective)
        self.samples, self.optimiser = samples, optimiser

    def players(self) -> list[Player]:
        main = Player("vae", self.own_parameters(), self.loss, after=self.after, optimiser=self.optimiser, main=True)
        return [main, *self.part_players()]

    def sharding_obstacle(self) -> str:
        """FSDP2 gathers gradients at the input and output tensors of a network, and a prior has no input."""
        return (
            "FSDP2 cannot gather the gradient of a trained prior, which has no input tensor"
            if any(p.requires_grad for p in self.prior.parameters())
            else ""
        )

    def loss(self, batch: Batch, clock: Clock) -> tuple[Terms, Draw]:
        """The terms of the objective and of other parts, averaged over the batch."""
        self.tick(clock)
        draw = self.draw(batch, self.samples, clock, exact=False)
        return self.to_file_units(self.collect_terms(draw)), draw

    def infer(self, x: Tensor, c: ConditionTensors = NO_CONDITION, clock: Clock | None = None) -> Any:
        """q(z|x, c) for observed x (see `observe`)."""
        return self.posterior(self.encoder(x, c), self.clock if clock is None else clock)

    def look(self, batch: Batch, clock: Clock | None = None, exact: bool = True) -> Draw:
        return self._look(batch, clock, exact)[0]

    def _look(self, batch: Batch, clock: Clock | None, exact: bool, k: int = 0) -> tuple[Draw, Any]:
        """The Draw of a batch with k codes, none for k = 0; and the decoder's inputs for them."""
        batch = self.observe(batch)
        c, clock = self.condition.of(batch), self.clock if clock is None else clock
        q, p = self.infer(batch.x, c, clock), self.prior(c) if exact else self.prior.training_target(c)
        z, h = self.posterior.draw(q, k, exact) if k else (None, None)
        px = None if h is None else self.px(h.flatten(0, 1), repeat_rows(c, k))
        target = self.condition.target_of(batch.x)
        return Draw(batch.x, z, clock=clock, c=c, n=self.examples, q=q, p=p, px=px, target=target), h

    def draw(self, batch: Batch, k: int = 1, clock: Clock | None = None, exact: bool = True) -> Draw:
        return self._look(batch, clock, exact, k)[0]

    def log_weights(self, look: Draw, k: int, chunk: int = 0) -> Iterator[Tensor]:
        """log w_1 … log w_K in pieces (≤ chunk, B), in float64 if the device has it. look: a Draw from `look`."""
        x = look.target
        limit = 1 << 19 if x.device.type == "cpu" else 1 << 23  # numbers of x in a piece; on a CPU it fits the cache
        size = chunk or max(1, limit // (len(x) * self.spec.dimensions * self.likelihood.cost))
        for first in range(0, k, size):
            m = min(size, k - first)
            z, h = self.posterior.draw(look.q, m, exact=True)
            px = self.px(h.flatten(0, 1), repeat_rows(look.c, m))
            log_px = px.log_prob(repeat_x(x, m, px)).view(m, -1)
            yield (log_px + look.p.log_prob(z) - look.q.log_prob(z)).to(widest_float(x.device))

    def bound(self, batch: Batch, k: int = 1, chunk: int = 0) -> Tensor:
        """L_K of each example (B,), computed in pieces of `chunk` codes; 0: a size that fits the memory."""
        if k < 1:
            raise BestiaryError(f"the importance-weighted bound needs k ≥ 1 samples; got k={k}")
        return self.bound_of(self.look(batch), k, chunk)

    def bound_of(self, look: Draw, k: int, chunk: int = 0) -> Tensor:
        """L_K of each example (B,) for a Draw from `look`."""
        total = torch.full((len(look.x),), -torch.inf, dtype=widest_float(look.x.device), device=look.x.device)
        for log_w in self.log_weights(look, k, chunk):
            total = torch.logaddexp(total, log_w.logsumexp(0))
        return total - log(k)

    def bounds(self, batch: Batch, ks: Sequence[int]) -> Tensor:
        """L_k for each k in ks, (R, B), all from the same codes: the mean over disjoint groups of k codes."""
        return self.bounds_of(self.look(batch), ks)

    def bounds_of(self, look: Draw, ks: Sequence[int]) -> Tensor:
        """The same as `bounds` for a Draw from `look`."""
        log_w = torch.cat(list(self.log_weights(look, max(ks))))  # (K, B)
        groups = [log_w[: len(log_w) // k * k].unflatten(0, (-1, k)) for k in ks]  # (K/k, k, B)
        return torch.stack([group.logsumexp(1).mean(0) - log(group.shape[1]) for group in groups])

    def vitals(self, batch: Batch, training_batch: Batch | None = None) -> dict[str, Tensor]:
        """Rate, share of active dimensions, distortion, distortion with the z of another example, and `widened`."""
        draw, h = self._look(batch, None, True, 1)
        px_of_other = self.px(h.roll(1, 1).flatten(0, 1), draw.c)
        log_px_of_other = px_of_other.log_prob(draw.target)
        if self.code.support.is_integer:  # how often each word of the code is used
            activity = torch.bincount(draw.z.flatten(), minlength=len(self.code.words)).float()
        elif draw.kl_dims is not None:
            activity = draw.kl_dims.mean(0)
        else:  # without the KL of each dimension: the variance of the means, relative to that of z
            activity = draw.q.mean.var(0) / draw.z[0].var(0)
        numbers = {
            "kl": draw.kl.mean(),
            "active": (activity > 0.01).float().mean(),
            "distortion": self.spec.log_scale - draw.log_px.mean(),
            "swapped": self.spec.log_scale - log_px_of_other.mean(),
        }
        return numbers if self.code.support.is_integer else numbers | {"widened": self._gain_if_wider(draw, activity)}

    def _gain_if_wider(self, draw: Draw, activity: Tensor) -> Tensor:
        """The gain in the ELBO if q is twice as wide around its mean in the dimensions of z that are active.

        q′(z′) = q(z) / Π_d s_d for z′ = m + s (z − m). It is negative if −ELBO was minimised, and positive if the KL
        had so little weight that z is more precise than its nats are worth.
        """
        scale = 1.0 + (activity > ACTIVE_NATS).float()
        mean = self.posterior.best_code(draw.q)
        z = mean + scale * (draw.z - mean)  # (1, B, D)
        px = self.px(self.embed(z).flatten(0, 1), draw.c)
        gain = px.log_prob(draw.target) - draw.log_px + draw.p.log_prob(z) - draw.log_pz
        return gain.mean() + scale.log().sum()

    def encode(self, batch: Batch) -> Tensor:
        return self.posterior.best_code(self.look(batch).q)

    def embed(self, z: Tensor) -> Tensor:
        return self.posterior.embed(z)

    def codes(self, n: int, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return self.prior.codes(n, c)

    def log_pz(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return self.prior(c).log_prob(z)

    @property
    def standard(self) -> bool:
        return isinstance(self.prior(NO_CONDITION), StandardNormal) if not self.condition.fields else False
