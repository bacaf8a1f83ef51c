"""Players and optimisers: a player owns parameters and minimises a loss; a model is a game among players.

In each round every player takes its turns, one player after the other. A turn is

    terms, draw ← loss(batch, clock);   ∇ total with respect to the player's own parameters;   step;   after(draw)

where `draw` is anything of the loss that the hook `after` needs, usually the `Draw` of the step; None if nothing.

A variational autoencoder has one player, a GAN two. A WGAN's critic has five turns in a round and clips its weights
`after` each. The gradient of `total` is taken with respect to the player's own parameters only. So a loss may use
another player's network, or differentiate through the other player's steps (unrolled critics), without changing it.

A player has a range of rounds, its stage, and does not play in other rounds; its clock counts from the first round of
the stage. A second stage is a later range of rounds in the same loop: after pretraining, or for a prior that is fitted
to codes that no longer change.
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
    "FOREVER", "SGD", "Adam", "CpuAdam", "Optimiser", "Player", "RMSprop", "Stage", "Terms",
    "refuse_shared", "single_phase", "stages",
]  # fmt: skip

Terms = Mapping[str, Tensor]  # named 0-d tensors; "total" is minimised


EPS = 1e-8  # Adam's ε, torch's default


class CpuAdam:
    """Adam on the CPU with two calls for a step. It has the part of torch.optim.Optimizer's interface that turns use.

        m ← β₁ m + (1 − β₁) g;   v ← β₂ v + (1 − β₂) g²;   θ ← θ − lr · m̂/(√v̂ + ε),   m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)

    (with weight decay λ, θ ← (1 − lr λ) θ before it). The kernel is that of `torch.optim.Adam(fused=True)`, with the
    same results bit by bit. PyTorch's bookkeeping at every step is left out (sorting tensors by device and type, hooks,
    one call for each counter t): for a small network it costs as much as a layer.
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
        """Update the parameters that have a gradient; the others keep their moments and their t."""
        # state.values() in the order of __init__: t, m, v
        updates = [(p, p.grad, *state.values()) for p, state in self.state.items() if p.grad is not None]
        if not updates:
            return
        parameters, grads, steps, means, squares = map(list, zip(*updates, strict=True))
        torch._foreach_add_(steps, self.one, alpha=1.0)  # with a number instead of a tensor it is one call for each
        self.kernel(
            parameters,
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


Steps = torch.optim.Optimizer | CpuAdam  # the object that takes a player's steps


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), fused."""

    lr: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0  # decoupled from the gradient (AdamW) where it is not zero

    def build(self, parameters: Sequence[nn.Parameter], device: torch.device) -> Steps:
        if (
            device.type == "cpu"
            and len({p.dtype for p in parameters}) == 1
            and all(local_tensor(p) is p for p in parameters)
        ):
            return CpuAdam(parameters, float(_initial_rate(self.lr, device)), self.betas, self.weight_decay)
        kind = torch.optim.AdamW if self.weight_decay else torch.optim.Adam
        return kind(
            parameters,
            lr=_initial_rate(self.lr, device),
            betas=self.betas,
            weight_decay=self.weight_decay,
            fused=device.type in ("cpu", "cuda", "mps"),
            capturable=device.type == "cuda",
        )


@dataclass(frozen=True)
class RMSprop:
    """RMSprop, which the WGAN paper uses with weight clipping."""

    lr: float | Schedule = 5e-5
    alpha: float = 0.99

    def build(self, parameters: Sequence[nn.Parameter], device: torch.device) -> Steps:
        """The optimiser of these parameters on this device."""
        lr = _initial_rate(self.lr, device)
        return torch.optim.RMSprop(parameters, lr=lr, alpha=self.alpha, foreach=True, capturable=device.type == "cuda")


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum, as the first GANs were trained: v ← μ v + g, θ ← θ − lr v."""

    lr: float | Schedule = 0.01
    momentum: float = 0.5

    def build(self, parameters: Sequence[nn.Parameter], device: torch.device) -> Steps:
        """The optimiser of these parameters on this device."""
        lr = _initial_rate(self.lr, device)
        option = "fused" if device.type == "cuda" else "foreach"  # foreach would wait for a rate on the CUDA device
        return torch.optim.SGD(parameters, lr=lr, momentum=self.momentum, **{option: True})


Optimiser = Adam | RMSprop | SGD


def _initial_rate(lr: float | Schedule, device: torch.device) -> float | Tensor:
    """The rate that the optimiser starts with; for a schedule on CUDA a tensor, so that a captured step follows it."""
    number = 0.0 if callable(lr) else lr
    if (min(lr.start, lr.stop) < 0 or max(lr.start, lr.stop) == 0) if callable(lr) else lr <= 0:
        raise BestiaryError(f"a learning rate must be positive, e.g. lr=0.001; got lr={lr}")
    return torch.tensor(number, device=device) if callable(lr) and device.type == "cuda" else number


FOREVER = range(1 << 62)


def _do_nothing(draw: Any) -> None:
    return None


def single_phase(round: int) -> int:
    """The same phase in every round."""
    return 1


@dataclass(frozen=True)
class Player:
    """A player: its parameters and loss, how often and in which rounds it plays, and the hook after each turn."""

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Batch, Clock], tuple[Terms, Any]]  # → terms, and the argument of `after`
    turns: int | Callable[[int], int] = 1  # turns in a round, or a function of the round of its stage
    after: Callable[[Any], None] = _do_nothing  # weight clipping, averages of a codebook, restarts of unused words
    optimiser: Optimiser = Adam()
    phase: Callable[[int], int] = single_phase  # round → the form of the loss, for terms that are lazily computed
    rounds: range = FOREVER  # its stage
    main: bool = False  # whether it trains the networks that generate x; people watch the terms of this player

    def turns_at(self, round: int) -> int:
        """The number of turns in a round of its stage."""
        return self.turns(round) if callable(self.turns) else self.turns

    def plays(self, time: int) -> bool:
        """Whether it plays in the round that stages count as `time`."""
        return time in self.rounds

    def within(self, stage: range) -> "Player":
        """The same player, with its rounds counted from the start of `stage` and cut off at its end."""
        rounds = range(stage.start + self.rounds.start, min(stage.stop, stage.start + self.rounds.stop))
        return replace(self, rounds=rounds)


class Stage(NamedTuple):
    """Rounds in which the same players play."""

    rounds: range
    players: tuple[str, ...]


def stages(players: Sequence[Player], rounds: int) -> list[Stage]:
    """The stages of a run with this number of rounds, in order.

    >>> loss = lambda batch, clock: ({}, None)
    >>> first, second = (Player(n, [], loss, rounds=r) for n, r in (("vae", range(40)), ("prior", range(40, 90))))
    >>> [(list(stage.rounds)[::39], stage.players) for stage in stages([first, second], 60)]
    [([0, 39], ('vae',)), ([40], ('prior',))]
    """
    boundaries = {0, rounds} | {b for p in players for b in (p.rounds.start, p.rounds.stop) if 0 < b < rounds}
    spans = [range(a, b) for a, b in pairwise(sorted(boundaries))]
    return [Stage(span, tuple(p.name for p in players if p.plays(span.start))) for span in spans]


def refuse_shared(players: Sequence[Player]) -> None:
    """Raise BestiaryError if two players own the same weight in the same rounds, or have the same name."""
    names = [p.name for p in players]
    if len(set(names)) < len(names):
        raise BestiaryError(f"two players are called {next(n for n in names if names.count(n) > 1)}: rename one")
    owners: dict[int, list[Player]] = {}
    for player in players:
        for p in player.parameters:
            owners.setdefault(id(p), []).append(player)
    for owners_of_weight in owners.values():
        for a, b in combinations(owners_of_weight, 2):
            if a.rounds.start < b.rounds.stop and b.rounds.start < a.rounds.stop:
                raise BestiaryError(
                    f"players `{a.name}` and `{b.name}` own the same weight in the same rounds: give it to one of them"
                )
