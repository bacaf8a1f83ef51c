"""Small games for the tests of the loop: quadratic players whose every step is known in closed form."""

import numpy as np
import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.data.dataset import Dataset, split
from bestiary.data.spec import rows
from bestiary.models.model import Model
from bestiary.training.clock import Clock
from bestiary.training.noise import normal
from bestiary.training.player import Player
from bestiary.training.recipe import Recipe
from bestiary.training.trainer import Trainer


def points(n: int = 200, seed: int = 0) -> Dataset:
    """Gaussian points in the plane."""
    x = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
    return Dataset("points", rows(2), {"x": x}, split(n))


class Duel(nn.Module):
    """Two weights, each minimising a quadratic that holds the other, with noise and data in it."""

    def __init__(self, **critic: object) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([1.0, -1.0]))
        self.b = nn.Parameter(torch.tensor([0.5, 2.0]))
        self.c = nn.Parameter(torch.tensor([0.0, 1.0]))
        self.critic = critic
        self.seen: list[tuple[str, int, int, float, Tensor]] = []

    def players(self) -> list[Player]:
        return [
            Player("critic", [self.a], self._loss("critic", self.a), **self.critic),
            Player("generator", [self.b], self._loss("generator", self.b)),
            Player("arbiter", [self.c], self._loss("arbiter", self.c)),  # not in the order of the alphabet
        ]

    def _loss(self, name: str, own: nn.Parameter):
        def loss(batch: Batch, clock: Clock) -> tuple[dict[str, Tensor], int]:
            noise = normal((len(batch.x), 2))
            self.seen.append((name, int(clock.round), int(clock.turn), float(noise[0, 0]), batch.x[0].clone()))
            total = (own - batch.x.mean(0) + 0.1 * noise.mean(0)).square().sum() + (self.a * self.b).sum()
            return {"total": total, "norm": own.square().sum()}, int(clock.round)

        return loss


def trainer(model: nn.Module, dataset: Dataset | None = None, precision: str = "fp32", **recipe: object) -> Trainer:
    made = Recipe(**{"steps": 20, "batch": 16, "log": 5, "save": 5, **recipe})
    reads = model.reads() if isinstance(model, Model) else ()
    data = Batches(dataset or points(), made.batch, made.seed, reads=reads)
    return Trainer(model, model.players(), data, made, precision)
