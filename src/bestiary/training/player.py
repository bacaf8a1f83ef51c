"""A model is a game among players: this is a player.

In each round every player takes its turns, one player after the other. A turn is

    terms, left ← loss(batch, clock);   ∇ total with respect to the player's own parameters;   step;   after(left)

`left` is what the loss leaves to what follows the step, such as the draw that the step was made of; None if nothing is.

A variational autoencoder is a game of one; a GAN a game of two; a WGAN's critic has five turns and a projection
`after` each. Gradients of `total` are taken with respect to the player's own parameters alone, so a loss may run
through another player's network, or differentiate through steps of its own (unrolled critics), without touching it.

A player has a range of rounds, its stage, and sits out the others; its clock counts from the stage's first round. A
second stage is a later range of the same loop: pretraining, a prior fitted to codes that stand still.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import Schedule
from bestiary.training.clock import Clock
from bestiary.training.parallel import local_tensor

__all__ = [
    "FOREVER", "SGD", "Adam", "CpuAdam", "Optimiser", "Player", "RMSprop", "Stage", "Terms", "always",
    "refuse_shared", "stages",
]  # fmt: skip

Terms = Mapping[str, Tensor]  # named 0-d tensors; "total" is what is minimised


EPS = 1e-8  # torch's default of Adam's ε


class CpuAdam:
    """Adam's step on the CPU in two calls: the part of torch.optim.Optimizer's interface that a turn uses.

        m ← β₁ m + (1 − β₁) g;   v ← β₂ v + (1 − β₂) g²;   θ ← θ − lr · m̂/(√v̂ + ε),   m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)

    (with weight decay λ, θ ← (1 − lr λ) θ before it). The kernel is that of `torch.optim.Adam(fused=True)`, and so are
    the numbers, bit by bit. Left out is what PyTorch does around it at every step — sorting tensors by device and kind,
    hooks, a call for each counter t — which for a small network costs as much as a layer.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": lr}]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {
            p: {"step": torch.zeros(()), "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
            for p in parameters
        }
        self.kernel = torch._fused_adamw_ if weight_decay else torch._fused_adam_
        self.betas, self.weight_decay = betas, weight_decay
        self.one = torch.ones(())

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters that have a gradient; the others keep their moments and their t."""
        # each state keeps the order in which it was made: t, m, v
        moved = [(p, p.grad, *state.values()) for p, state in self.state.items() if p.grad is not None]
        if not moved:
            return
        own, grads, steps, means, squares = map(list, zip(*moved, strict=True))
        torch._foreach_add_(steps, self.one, alpha=1.0)  # tensor and alpha: else it is a slower call for each
        self.kernel(
            own,
            grads,
            means,
            squares,
            [],
            steps,
            lr=self.param_groups[0]["lr"],
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )


Steps = torch.optim.Optimizer | CpuAdam  # what takes a player's steps


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), fused."""

    lr: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0  # decoupled from the gradient (AdamW) where it is not zero

    def build(self, parameters: Sequence[nn.Parameter], device: torch.device) -> Steps:
        if device.type == "cpu" and len({p.dtype for p in parameters}) == 1 and all(local_tensor(p) is p for p in parameters):
            return CpuAdam(parameters, float(_first(self.lr, device)), self.betas, self.weight_decay)
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

    def build(self, parameters: Sequence[nn.Parameter], device: torch.device) -> Steps:
        lr = _first(self.lr, device)
        return torch.optim.RMSprop(parameters, lr=lr, alpha=self.alpha, foreach=True, capturable=device.type == "cuda")


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum, as the first GANs were trained: v ← μ v + g, θ ← θ − lr v."""

    lr: float | Schedule = 0.01
    momentum: float = 0.5

    def build(self, parameters: Sequence[nn.Parameter], device: torch.device) -> Steps:
        lr = _first(self.lr, device)
        form = "fused" if device.type == "cuda" else "foreach"  # the other one would wait for a rate on the device
        return torch.optim.SGD(parameters, lr=lr, momentum=self.momentum, **{form: True})


Optimiser = Adam | RMSprop | SGD


def _first(lr: float | Schedule, device: torch.device) -> float | Tensor:
    """The rate to begin with: on CUDA a tensor, so that a captured step follows a schedule."""
    number = 0.0 if callable(lr) else lr
    if (min(lr.start, lr.stop) < 0 or max(lr.start, lr.stop) == 0) if callable(lr) else lr <= 0:
        raise BestiaryError(f"a learning rate must be positive; got lr={lr}")
    return torch.tensor(number, device=device) if callable(lr) and device.type == "cuda" else number


FOREVER = range(1 << 62)


def _nothing(left: Any) -> None:
    return None


def always(round: int) -> int:
    """One phase in every round."""
    return 1


@dataclass(frozen=True)
class Player:
    """Who plays: what it owns, what it minimises, how often, in which rounds, and what follows each turn."""

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Batch, Clock], tuple[Terms, Any]]  # terms, and what `after` needs of them
    turns: int | Callable[[int], int] = 1  # how many turns in round r of its stage
    after: Callable[[Any], None] = _nothing  # projection: weight clipping, codebook averages, restart of dead codes
    optimiser: Optimiser = Adam()
    phase: Callable[[int], int] = always  # which form the loss takes in round r, for what is not done in every round
    rounds: range = FOREVER  # its stage
    main: bool = False  # whether it fits what makes x: its terms are those that a person watches

    def turns_at(self, round: int) -> int:
        return self.turns(round) if callable(self.turns) else self.turns

    def plays(self, time: int) -> bool:
        return time in self.rounds

    def started(self, stage: range) -> "Player":
        """The same in a part of `stage`, a range of rounds from which its own is counted."""
        rounds = range(stage.start + self.rounds.start, min(stage.stop, stage.start + self.rounds.stop))
        return replace(self, rounds=rounds)


class Stage(NamedTuple):
    """Rounds in which the same players play."""

    rounds: range
    players: tuple[str, ...]


def stages(players: Sequence[Player], rounds: int) -> list[Stage]:
    """The stages of a run of so many rounds, in their order.

    >>> loss = lambda batch, clock: ({}, None)
    >>> first, second = (Player(n, [], loss, rounds=r) for n, r in (("vae", range(40)), ("prior", range(40, 90))))
    >>> [(list(stage.rounds)[::39], stage.players) for stage in stages([first, second], 60)]
    [([0, 39], ('vae',)), ([40], ('prior',))]
    """
    edges = {0, rounds} | {e for p in players for e in (p.rounds.start, p.rounds.stop) if 0 < e < rounds}
    spans = [range(a, b) for a, b in pairwise(sorted(edges))]
    return [Stage(span, tuple(p.name for p in players if p.plays(span.start))) for span in spans]


def refuse_shared(players: Sequence[Player]) -> None:
    """Refuse a weight that two players own in the same rounds, and two players of one name."""
    names = [p.name for p in players]
    if len(set(names)) < len(names):
        raise BestiaryError(f"two players are called {next(n for n in names if names.count(n) > 1)}: rename one")
    owners: dict[int, list[Player]] = {}
    for player in players:
        for p in player.parameters:
            owners.setdefault(id(p), []).append(player)
    for some in owners.values():
        for a, b in combinations(some, 2):
            if a.rounds.start < b.rounds.stop and b.rounds.start < a.rounds.stop:
                raise BestiaryError(
                    f"players `{a.name}` and `{b.name}` own the same weight in the same rounds: give it to one of them"
                )
