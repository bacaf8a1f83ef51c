"""Two-stage models: an autoencoder or a VAE, then a prior that is fitted to its codes, which no longer change.

    stage one    the first model by its own objective;      stage two    min −E log p(z|c),  z ~ q(z|x, c)

(Dai and Wipf 2019, arXiv 1903.05789; for autoencoders Ghosh et al. 2020, arXiv 1903.12436: z the code of x.) It is a
model of x like any other: z ~ p(z|c), x ~ p(x|z, c). With a VAE the bound uses the new p(z|c), but in stage one the
VAE's own prior. The first model may be that of an earlier run, which is frozen.

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
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.objectives.draw import Draw
from bestiary.training.clock import Clock
from bestiary.training.part import TrainingData
from bestiary.training.player import FOREVER, Adam, Optimiser, Player, Terms

__all__ = ["TwoStage", "TwoStageVAE", "inference_mode"]


@contextmanager
def inference_mode(*modules: nn.Module) -> Iterator[None]:
    """Within the block the modules are in evaluation mode and without gradients; after it their mode is restored."""
    modes = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


class _TwoStage(Model, Coded, Encodes):
    """A first model, and a prior of its codes. until: the round in which the second stage begins."""

    second: Tensor  # whether the second stage has begun

    def __init__(
        self, first: VAE | Autoencoder | Frozen, prior: Prior, until: int, optimiser: Optimiser = Adam()
    ) -> None:
        first_model: Any = first.model if isinstance(first, Frozen) else first
        super().__init__(first_model.spec, first_model.condition)
        self.first, self.prior, self.until, self.optimiser = first, prior, until, optimiser
        self.prior.infer = first_model.infer if isinstance(first_model, VAE) else lambda x: None
        self.code, self.discrete = first_model.code, first_model.discrete
        self.register_buffer("second", torch.zeros((), dtype=torch.bool))

    @property
    def first_model(self) -> Any:
        """The first model."""
        return self.first.model if isinstance(self.first, Frozen) else self.first

    def reads(self) -> frozenset[str]:
        return self.first_model.reads() | super().reads()

    def begin(self, data: TrainingData) -> None:
        self.examples.fill_(data.n)
        if not isinstance(self.first, Frozen):
            self.first.begin(data)
        for _, part in self.parts:
            part.begin(data)

    def players(self) -> list[Player]:
        first_players = [] if isinstance(self.first, Frozen) else self.first.players()
        stage = range(self.until, FOREVER.stop)
        weights = self.own_parameters(self.prior)
        prior = Player("prior", weights, self.loss, optimiser=self.optimiser, rounds=stage, main=True)
        return [*(player.within(range(self.until)) for player in first_players), prior, *self.part_players()]

    def loss(self, batch: Batch, clock: Clock) -> tuple[Terms, None]:
        """−log p(z|c) in nats, where z is the code of x by the first model."""
        self.tick(clock)
        with torch.no_grad():
            self.second.fill_(True)
        with inference_mode(self.first_model):
            z, c = self._codes(batch)
        return {"total": -self.prior(c).log_prob(z).mean()}, None

    def _codes(self, batch: Batch) -> tuple[Tensor, ConditionTensors]:
        """The codes of a batch (K, B, D), and its condition."""
        batch = self.observe(batch)
        return self.first_model.encode(batch)[None], self.condition.of(batch)

    def observe(self, batch: Batch) -> Batch:
        return self.first_model.observe(batch)

    def encode(self, batch: Batch) -> Tensor:
        return self.first_model.encode(batch)

    def codes(self, n: int, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return self.prior.codes(n, c)

    def log_pz(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return self.prior(c).log_prob(z)

    @property
    def standard(self) -> bool:
        return False

    @property
    def shows_means(self) -> bool:
        return self.first_model.shows_means

    def show(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return self.first_model.show(z, c)

    def make(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        return self.first_model.make(z, c)

    def vitals(self, batch: Batch, training_batch: Batch | None = None) -> dict[str, Tensor]:
        return self.first_model.vitals(batch, training_batch)

    def sharding_obstacle(self) -> str:
        return "a model of two stages has weights that are not trained while others are"


class TwoStage(_TwoStage, Reconstructs):
    """The first model is an autoencoder: no bound."""

    def distortion(self, batch: Batch, z: Tensor | None = None) -> Tensor:
        return self.first_model.distortion(batch, z)


class TwoStageVAE(_TwoStage, Drawn, Bounds):
    """The first model is a VAE: bounds with the new prior p(z|c)."""

    def _codes(self, batch: Batch) -> tuple[Tensor, ConditionTensors]:
        draw = self.first_model.draw(batch, 1)
        return draw.z, draw.c

    def _with_new_prior(self, draw: Draw) -> Draw:
        if self.second:
            draw.p = self.prior(draw.c)
        return draw

    def look(self, batch: Batch, clock: Clock | None = None, exact: bool = True) -> Draw:
        return self._with_new_prior(self.first_model.look(batch, clock, exact))

    def draw(self, batch: Batch, k: int = 1, clock: Clock | None = None, exact: bool = True) -> Draw:
        return self._with_new_prior(self.first_model.draw(batch, k, clock, exact))

    def bound(self, batch: Batch, k: int = 1) -> Tensor:
        return self.first_model.bound_of(self.look(batch), k)

    def bounds(self, batch: Batch, ks: Sequence[int]) -> Tensor:
        return self.first_model.bounds_of(self.look(batch), ks)
