"""A model is a game among players: this is a player.

In each round every player takes its turns, one player after the other. A turn is

    terms ← loss(batch, clock);   ∇ total with respect to the player's own parameters;   optimiser step;   after(clock)

A variational autoencoder is a game of one; a GAN a game of two; a WGAN's critic has five turns and a projection
`after` each. Gradients of `total` are taken with respect to the player's own parameters alone, so a loss may run
through another player's network, or differentiate through steps of its own (unrolled critics), without touching it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.errors import BestiaryError
from bestiary.training.clock import Clock, Schedule

__all__ = ["Adam", "Optimiser", "Player", "RMSprop", "Terms"]

Terms = Mapping[str, Tensor]  # named 0-d tensors; "total" is what is minimised


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), fused."""

    lr: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0  # decoupled from the gradient (AdamW) where it is not zero

    def build(self, parameters: Iterable[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self.weight_decay else torch.optim.Adam
        graphs = device.type == "cuda"
        return kind(
            parameters,
            lr=_first(self.lr, device),
            betas=self.betas,
            weight_decay=self.weight_decay,
            fused=device.type in ("cpu", "cuda", "mps"),
            capturable=graphs,
        )


@dataclass(frozen=True)
class RMSprop:
    """RMSprop, as WGAN with clipping asks for."""

    lr: float | Schedule = 5e-5
    alpha: float = 0.99

    def build(self, parameters: Iterable[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
        lr = _first(self.lr, device)
        return torch.optim.RMSprop(parameters, lr=lr, alpha=self.alpha, foreach=True, capturable=device.type == "cuda")


Optimiser = Adam | RMSprop


def _first(lr: float | Schedule, device: torch.device) -> float | Tensor:
    """The rate to begin with: on CUDA a tensor, so that a captured step follows a schedule."""
    number = 0.0 if callable(lr) else lr
    if (min(lr.start, lr.stop) < 0 or max(lr.start, lr.stop) == 0) if callable(lr) else lr <= 0:
        raise BestiaryError(f"a learning rate must be positive; got lr={lr}")
    return torch.tensor(number, device=device) if callable(lr) and device.type == "cuda" else number


def _nothing(clock: Clock) -> None:
    return None


@dataclass(frozen=True)
class Player:
    """Who plays: what it owns, what it minimises, how often, and what follows each turn."""

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Batch, Clock], Terms]
    turns: int | Callable[[int], int] = 1  # how many turns in round r
    after: Callable[[Clock], None] = _nothing  # projection: weight clipping, codebook averages, restart of dead codes
    optimiser: Optimiser = Adam()

    def turns_at(self, round: int) -> int:
        return self.turns(round) if callable(self.turns) else self.turns
