"""The generative adversarial network: generator × critic × game.

    z ~ N(0, I),   x_fake = G(z);     critic's turn: min game.critic(C(x_real), C(x_fake))
                                      generator's turn: min game.generator(C(x_real), C(x_fake))

(Goodfellow et al. 2014, arXiv 1406.2661.) C gives logits; D = σ(C). Real and fake pass through the critic in batches of
their own, so that BatchNorm never mixes their moments. Images live in [−1, 1] inside the game and in [0, 1] outside.

Legend: B batch, D latent.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.data.spec import Spec
from bestiary.densities.noise import normal
from bestiary.models.model import Model
from bestiary.objectives.games import Game
from bestiary.training.clock import Clock
from bestiary.training.player import Adam, Optimiser, Player, Terms

__all__ = ["GAN"]


class GAN(Model):
    """A game of two."""

    abilities = frozenset({"sample", "decode"})

    def __init__(
        self,
        spec: Spec,
        latent: int,
        generator: nn.Module,
        critic: nn.Module,
        game: Game,
        critic_turns: int | Callable[[int], int] = 1,
        critic_optimiser: Optimiser = Adam(2e-4, (0.5, 0.999)),
        generator_optimiser: Optimiser = Adam(2e-4, (0.5, 0.999)),
    ) -> None:
        super().__init__(spec)
        self.latent, self.generator, self.critic, self.game = latent, generator, critic, game
        self.critic_turns = critic_turns
        self.optimisers = (critic_optimiser, generator_optimiser)

    def players(self) -> list[Player]:
        ours, theirs = self.optimisers
        return [
            Player("critic", list(self.critic.parameters()), self.critic_loss, self.critic_turns, optimiser=ours),
            Player("generator", list(self.generator.parameters()), self.generator_loss, optimiser=theirs),
        ]

    def critic_loss(self, batch: Batch, clock: Clock) -> Terms:
        with torch.no_grad():
            x_fake = self.generator(self.noise(len(batch.x), batch.x.device))
        real, fake = self.judge(self.inward(batch.x)), self.judge(x_fake)
        total = self.game.critic(real, fake).mean()
        return {"total": total, "real": real.sigmoid().mean(), "fake": fake.sigmoid().mean()}

    def generator_loss(self, batch: Batch, clock: Clock) -> Terms:
        fake = self.judge(self.generator(self.noise(len(batch.x), batch.x.device)))
        real = self.judge(self.inward(batch.x)) if self.game.paired else fake
        return {"total": self.game.generator(real, fake).mean()}

    def judge(self, x: Tensor) -> Tensor:
        """The critic's logits in fp32: (B,)."""
        return self.critic(x).float().view(len(x))

    def noise(self, n: int, device: torch.device) -> Tensor:
        return normal((n, self.latent), device)

    def inward(self, x: Tensor) -> Tensor:
        """[0, 1] → [−1, 1] for images."""
        return 2 * x - 1 if self.spec.kind == "image" else x

    def decode(self, z: Tensor) -> Tensor:
        x = self.generator(z).float()
        return (x + 1) / 2 if self.spec.kind == "image" else x

    def sample(self, n: int, condition: Tensor | None = None) -> Tensor:
        return self.decode(self.noise(n, next(self.parameters()).device))
