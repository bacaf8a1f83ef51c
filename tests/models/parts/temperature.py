"""A posterior whose codes are relaxed at a temperature that follows the clock: the concrete distribution.

    z ~ softmax((log π + g)/τ),  g Gumbel noise,  τ = τ(round);   exact: τ → 0

Legend: B batch, K draws, V words.
"""

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.data.word_support import Words
from bestiary.densities.posterior_and_prior import Posterior
from bestiary.grammar.schedules import Schedule, value_at
from bestiary.objectives.draw import Draw
from bestiary.training.clock import Clock
from bestiary.training.noise import uniform


class Chances:
    """A categorical at each place: logits (B, T, V), and the temperature of its draws."""

    def __init__(self, logits: Tensor, tau: float | Tensor) -> None:
        self.log_p, self.tau = logits.log_softmax(2), tau

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_p.expand(len(z), *self.log_p.shape).gather(3, z[..., None]).flatten(2).sum(2)


class Relaxed(Posterior):
    def __init__(self, places: int, words: int = 5, width: int = 2, tau: float | Schedule = 1.0) -> None:
        super().__init__()
        self.code, self.tau = Field("z", "sequence", (places,), Words(tuple(map(str, range(words))))), tau
        self.book = nn.Parameter(torch.randn(words, width))

    def forward(self, features: Tensor, clock: Clock) -> Chances:
        return Chances(features.unflatten(1, (*self.code.shape, -1)), value_at(self.tau, clock))

    def draw(self, q: Chances, k: int, exact: bool = False) -> tuple[Tensor, Tensor]:
        u = uniform((k, *q.log_p.shape), q.log_p.device, 1).clamp(1e-20, 1 - 1e-7)
        noisy = q.log_p - (-u.log()).log()  # (K, B, T, V)
        z = noisy.argmax(3)
        soft = (noisy / q.tau).softmax(3) @ self.book
        return z, (self.book[z] if exact else soft).flatten(2)

    def best_code(self, q: Chances) -> Tensor:
        return q.log_p.argmax(2)

    def embed(self, z: Tensor) -> Tensor:
        return nn.functional.embedding(z, self.book).flatten(1)

    def terms(self, draw: Draw) -> dict[str, Tensor]:
        return {"tau": torch.as_tensor(draw.q.tau)}
