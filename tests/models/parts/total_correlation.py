"""An objective with a critic of total correlation, which plays as a second player.

    −ELBO + γ E log D(z)/(1 − D(z));    the critic tells codes from codes in which each dimension is another example's

(Kim and Mnih 2018, arXiv 1802.05983.) Its loss does not reach the encoder. Legend: B batch, D latent.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.objectives.draw import Draw
from bestiary.objectives.elbo import elbo
from bestiary.training.parallel import global_rows, local_rows
from bestiary.training.part import Part
from bestiary.training.player import Adam, Player


class TotalCorrelation(Part):
    def __init__(self, latent: int, gamma: float = 5.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.critic = nn.Sequential(nn.Linear(latent, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def terms(self, draw: Draw) -> dict[str, Tensor]:
        tc, parts = self.critic(draw.z[0]).squeeze(1), elbo(draw)
        return {**parts, "total": parts["total"] + self.gamma * tc, "tc": tc}

    def players(self, model) -> list[Player]:
        def loss(batch, clock):
            with torch.no_grad():
                whole = global_rows(model.draw(batch, 1, clock, exact=False).z[0])
                dealt = whole.gather(0, torch.rand(whole.shape).argsort(0))  # the same noise on every process
            own, other = local_rows(whole), local_rows(dealt)
            return {"total": F.softplus(-self.critic(own)).mean() + F.softplus(self.critic(other)).mean()}, None

        return [Player("tc", [*self.critic.parameters()], loss, optimiser=Adam(1e-3))]
