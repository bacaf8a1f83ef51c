"""A codebook as a posterior: nearest codes, moved by averages after each turn, with a commitment term.

    q(z|x) = 1 at z_t = argmin_v ‖e_t − b_v‖,  h = e + sg[b_z − e],  after: b_v ← λ b_v + (1 − λ) mean of the e_t at v

Legend: B batch, K draws, T places, d width, V words.
"""

from math import log

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.data.word_support import Words
from bestiary.densities.posterior_and_prior import Posterior, Prior
from bestiary.objectives.draw import Draw
from bestiary.training.clock import Clock
from bestiary.training.parallel import global_sum
from bestiary.training.part import TrainingData


class Nearest:
    """q of a quantiser: the nearest code, surely."""

    def __init__(self, e: Tensor, index: Tensor) -> None:
        self.e, self.index = e, index  # (B, T, d), (B, T)

    def log_prob(self, z: Tensor) -> Tensor:
        return torch.zeros(z.shape[:2])


class Even:
    """The uniform distribution over indices."""

    def __init__(self, code: Field) -> None:
        self.code = code

    def log_prob(self, z: Tensor) -> Tensor:
        return torch.full(z.shape[:2], -log(len(self.code.words)) * self.code.dimensions)


class Uniform(Prior):
    def __init__(self, code: Field) -> None:
        super().__init__()
        self.code = code

    def forward(self, c=()) -> Even:
        return Even(self.code)

    def codes(self, n: int, c=()) -> Tensor:
        return torch.randint(len(self.code.words), (n, *self.code.shape))


class Codebook(Posterior):
    def __init__(self, places: int, words: int = 5, width: int = 2, decay: float = 0.9, commitment: float = 0.25):
        super().__init__()
        self.code = Field("z", "sequence", (places,), Words(tuple(map(str, range(words)))))
        self.decay, self.commitment = decay, commitment
        self.register_buffer("book", torch.randn(words, width))
        self.register_buffer("count", torch.ones(words))

    def begin(self, data: TrainingData) -> None:
        e = data.draw(data.examples(64)).q.e.flatten(0, 1)
        self.book.copy_(e[torch.randperm(len(e))[: len(self.book)]])

    def forward(self, features: Tensor, clock: Clock) -> Nearest:
        e = features.unflatten(1, (*self.code.shape, -1))  # (B, T, d)
        far = (e[:, :, None] - self.book).square().sum(3)  # (B, T, V)
        return Nearest(e, far.argmin(2))

    def draw(self, q: Nearest, k: int, exact: bool = False) -> tuple[Tensor, Tensor]:
        h = q.e + (self.book[q.index] - q.e).detach()
        return q.index.expand(k, *q.index.shape), h.flatten(1).expand(k, -1, -1)

    def best_code(self, q: Nearest) -> Tensor:
        return q.index

    def embed(self, z: Tensor) -> Tensor:
        return nn.functional.embedding(z, self.book).flatten(1)

    def terms(self, draw: Draw) -> dict[str, Tensor]:
        lost = (draw.q.e - self.book[draw.q.index]).square().sum((1, 2))
        return {"total": self.commitment * lost, "commitment": lost}

    def after(self, draw: Draw) -> None:
        index, e = draw.q.index.flatten(), draw.q.e.detach().flatten(0, 1)
        n = global_sum(torch.zeros_like(self.count).index_add_(0, index, torch.ones(len(index))))
        total = global_sum(torch.zeros_like(self.book).index_add_(0, index, e))
        sums = self.decay * self.book * self.count[:, None] + (1 - self.decay) * total
        self.count.mul_(self.decay).add_(n, alpha=1 - self.decay).clamp_min_(1e-3)
        self.book.copy_(torch.where(n[:, None] > 0, sums / self.count[:, None], self.book))
