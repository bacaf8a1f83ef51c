"""Two stages: an autoencoder or a VAE, then a prior that is fitted to its codes while these stand still.

    stage one    the first model by its own objective;      stage two    min −E log p(z|c),  z ~ q(z|x, c)

(Dai and Wipf 2019, arXiv 1903.05789; for autoencoders Ghosh et al. 2020, arXiv 1903.12436: z the code of x.) It is a
model of x like any other: z ~ p(z|c), x ~ p(x|z, c). Of a VAE the bound is that of the new p(z|c); in stage one, while
there is none, that of its own. The first model may be one of an earlier run, which stands still from the beginning.

Legend: B batch, K samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.densities.posterior_and_prior import Prior
from bestiary.models.autoencoder import Autoencoder
from bestiary.models.frozen import Frozen
from bestiary.models.model import Bounds, Coded, Drawn, Encodes, Model, Reconstructs
from bestiary.models.vae import VAE
from bestiary.networks.conditioned import NOTHING, Fields
from bestiary.objectives.draw import Draw
from bestiary.training.clock import Clock
from bestiary.training.part import Look
from bestiary.training.player import FOREVER, Adam, Optimiser, Player, Terms

__all__ = ["TwoStage", "TwoStageVAE", "standing_still"]


@contextmanager
def standing_still(*modules: nn.Module) -> Iterator[None]:
    """Within: no gradient of them, and no moments that move."""
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, was in zip(modules, before, strict=True):
            module.train(was)


class _TwoStage(Model, Coded, Encodes):
    """A first model and the prior of its codes."""

    second: Tensor  # whether the second stage has begun

    def __init__(
        self, first: VAE | Autoencoder | Frozen, prior: Prior, until: int, optimiser: Optimiser = Adam()
    ) -> None:
        ground: Any = first.model if isinstance(first, Frozen) else first
        super().__init__(ground.spec, ground.condition)
        self.first, self.prior, self.until, self.optimiser = first, prior, until, optimiser
        self.prior.infer = ground.infer if isinstance(ground, VAE) else lambda x: None
        self.code, self.discrete = ground.code, ground.discrete
        self.register_buffer("second", torch.zeros((), dtype=torch.bool))

    @property
    def ground(self) -> Any:
        """The first model."""
        return self.first.model if isinstance(self.first, Frozen) else self.first

    def reads(self) -> frozenset[str]:
        return self.ground.reads() | super().reads()

    def begin(self, look: Look) -> None:
        self.examples.fill_(look.n)
        if not isinstance(self.first, Frozen):
            self.first.begin(look)
        for _, part in self.parts:
            part.begin(look)

    def players(self) -> list[Player]:
        below = [] if isinstance(self.first, Frozen) else self.first.players()
        stage = range(self.until, FOREVER.stop)
        prior = Player("prior", self.own(self.prior), self.loss, optimiser=self.optimiser, rounds=stage, main=True)
        return [*(player.within(range(self.until)) for player in below), prior, *self.guests()]

    def loss(self, batch: Batch, clock: Clock) -> tuple[Terms, None]:
        """−log p(z|c) in nats, z the code of x, which stands still."""
        self.tick(clock)
        with torch.no_grad():
            self.second.fill_(True)
        with standing_still(self.ground):
            z, c = self._codes(batch)
        return {"total": -self.prior(c).log_prob(z).mean()}, None

    def _codes(self, batch: Batch) -> tuple[Tensor, Fields]:
        """(K, B, D), and what they are told."""
        batch = self.observe(batch)
        return self.ground.encode(batch)[None], self.condition.of(batch)

    def observe(self, batch: Batch) -> Batch:
        return self.ground.observe(batch)

    def encode(self, batch: Batch) -> Tensor:
        return self.ground.encode(batch)

    def codes(self, n: int, c: Fields = NOTHING) -> Tensor:
        return self.prior.codes(n, c)

    def log_pz(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        return self.prior(c).log_prob(z)

    @property
    def standard(self) -> bool:
        return False

    @property
    def shows_means(self) -> bool:
        return self.ground.shows_means

    def show(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        return self.ground.show(z, c)

    def make(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        return self.ground.make(z, c)

    def vitals(self, batch: Batch, fitted: Batch | None = None) -> dict[str, Tensor]:
        return self.ground.vitals(batch, fitted)

    def whole_only(self) -> str:
        return "a model of two stages has weights that stand still while others are trained"


class TwoStage(_TwoStage, Reconstructs):
    """The first model is an autoencoder, of which there is no bound."""

    def distortion(self, batch: Batch, z: Tensor | None = None) -> Tensor:
        return self.ground.distortion(batch, z)


class TwoStageVAE(_TwoStage, Drawn, Bounds):
    """The first model is a VAE: bounds are those of p(x|z, c) under the new p(z|c)."""

    def _codes(self, batch: Batch) -> tuple[Tensor, Fields]:
        draw = self.ground.draw(batch, 1)
        return draw.z, draw.c

    def _under(self, draw: Draw) -> Draw:
        if self.second:
            draw.p = self.prior(draw.c)
        return draw

    def look(self, batch: Batch, clock: Clock | None = None, exact: bool = True) -> Draw:
        return self._under(self.ground.look(batch, clock, exact))

    def draw(self, batch: Batch, k: int = 1, clock: Clock | None = None, exact: bool = True) -> Draw:
        return self._under(self.ground.draw(batch, k, clock, exact))

    def bound(self, batch: Batch, k: int = 1) -> Tensor:
        return self.ground.bound_of(self.look(batch), k)

    def bounds(self, batch: Batch, ks: Sequence[int]) -> Tensor:
        return self.ground.bounds_of(self.look(batch), ks)
