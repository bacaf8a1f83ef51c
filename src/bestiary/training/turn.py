"""One turn of one player: eager, and its captured twin on CUDA.

    terms, left ← loss(batch, clock);   ∇_θ terms["total"], θ the player's own;   [clip];   step;   after(left)

The result is a vector of numbers that stays on the device: every term, and the norm of the small gradients (biases,
scales), through which a gradient that is not finite shows itself at a cost that large weights would not allow. The
norm of the whole gradient is measured when asked for, or when it is clipped.

On CUDA the whole turn is captured once as a graph after `WARM` eager turns and then replayed. The captured turn reads
its batch, its clock and the seed of its noise from memory that is refilled before every replay, so that it computes
what the eager turn would have computed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import at
from bestiary.training.clock import Clock
from bestiary.training.parallel import full_tensor
from bestiary.training.player import Player, Terms

__all__ = ["WARM", "Captured", "Turn"]

WARM = 3  # eager turns before a capture: lazily made state (optimiser moments, workspaces) must exist


class Turn:
    """A player's turn, eager. Owns the player's optimiser."""

    def __init__(
        self,
        player: Player,
        device: torch.device,
        precision: str = "fp32",
        clip: float = 0.0,
        wrap: Callable[[nn.Module], nn.Module] | None = None,
        sharded: bool = False,
        alone: bool = False,
        settle: Callable[[], None] = lambda: None,  # forget whole weights that stand in for shards
    ) -> None:
        self.player, self.device, self.clip = player, device, clip
        self.parameters = [p for p in player.parameters if p.requires_grad]
        if not self.parameters:
            raise BestiaryError(f"player `{player.name}` has no parameters to train")
        self.small = [p for p in self.parameters if p.ndim <= 1] or self.parameters
        self.flat = not sharded and all(p.ndim == 1 for p in self.small)  # they can be laid end to end
        self.optimiser = player.optimiser.build(self.parameters, device)
        self.loss = player.loss if wrap is None else _wrapped(self.parameters, player.loss, wrap)
        # FSDP2 computes with whole weights that stand in for the shards: their gradients cannot be asked for by name.
        # Alone, with no other's weights that a gradient could reach, it need not ask: a walk over the graph less.
        self.inputs = None if sharded or alone else self.parameters
        self.bf16, self.settle = precision == "bf16", settle
        self.names: list[str] = []

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=True)

    def __call__(self, batch: Batch, clock: Clock, measure: bool = False) -> Tensor:
        """Play; return the numbers that `self.names` names, on the device."""
        for p in self.parameters:
            p.grad = None
        if self.bf16:
            with self._autocast():
                terms, left = self.loss(batch, clock)
        else:
            terms, left = self.loss(batch, clock)
        if "total" not in terms:
            raise BestiaryError(
                f"the loss of player `{self.player.name}` has no term `total`; it has {', '.join(terms)}"
            )
        torch.autograd.backward([terms["total"]], inputs=self.inputs)
        norm = _norm(self.parameters) if measure or self.clip else self._watch()
        if self.clip:
            scale = (self.clip / (norm + 1e-6)).clamp(max=1)
            torch._foreach_mul_([p.grad for p in self.parameters if p.grad is not None], scale)
        self._rate(clock)
        self.optimiser.step()
        self.settle()
        if not self.names:
            self.names = [*terms, "gradient"]
        with torch.no_grad():
            self.player.after(left)
            return torch.stack([*terms.values(), norm]).float()

    def _watch(self) -> Tensor:
        """The norm of the small gradients, as that of one vector: a third of the calls of a norm for each."""
        grads = [p.grad for p in self.small if p.grad is not None]
        if not self.flat or not grads:
            return _norm(self.small)
        return torch.linalg.vector_norm(torch.cat(grads))

    def _rate(self, clock: Clock) -> None:
        if not callable(self.player.optimiser.lr):
            return
        lr = at(self.player.optimiser.lr, clock)
        for group in self.optimiser.param_groups:
            if self.device.type == "cuda":
                group["lr"].copy_(lr)
            else:
                group["lr"] = float(lr)  # on the CPU there is no device to wait for


Loss = Callable[[Batch, Clock], tuple[Terms, Any]]


class _Held(nn.Module):
    """A loss as a module that owns the player's parameters, for PyTorch's DistributedDataParallel to wrap."""

    def __init__(self, parameters: list[nn.Parameter], loss: Loss) -> None:
        super().__init__()
        self.held = nn.ParameterList(parameters)
        self.loss, self.left = loss, None

    def forward(self, batch: Batch, clock: Clock) -> Terms:
        terms, self.left = self.loss(batch, clock)
        return terms


def _wrapped(parameters: list[nn.Parameter], loss: Loss, wrap: Callable[[nn.Module], nn.Module]) -> Loss:
    """The loss through what averages gradients; what it leaves behind goes past it, untouched."""
    held = _Held(parameters, loss)
    shared = wrap(held)

    def play(batch: Batch, clock: Clock) -> tuple[Terms, Any]:
        terms, left = shared(batch, clock), held.left
        held.left = None
        return terms, left

    return play


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return torch.zeros((), device=parameters[0].device)
    return full_tensor(torch.nn.utils.get_total_norm(grads))


class Captured:
    """The same turn as a CUDA graph. A loss and an `after` must be tensor code: their Python runs once."""

    def __init__(self, turn: Turn) -> None:
        self.turn, self.played = turn, 0
        self.graph: torch.cuda.CUDAGraph | None = None

    @property
    def names(self) -> list[str]:
        return self.turn.names

    def __call__(self, batch: Batch, clock: Clock, measure: bool = False) -> Tensor:
        self.played += 1
        if self.played <= WARM:
            return self._warm(batch, clock)
        if self.graph is None:
            self.graph = self._capture(batch, clock)
        for mine, given in zip(
            (*self.batch.tensors(), self.clock.round, self.clock.turn),
            (*batch.tensors(), clock.round, clock.turn),
            strict=True,
        ):
            if isinstance(mine, Tensor) and isinstance(given, Tensor):
                mine.copy_(given)
        self.graph.replay()
        return self.values.clone()

    def _warm(self, batch: Batch, clock: Clock) -> Tensor:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            values = self.turn(batch, clock, True)
        torch.cuda.current_stream().wait_stream(side)
        return values

    def _capture(self, batch: Batch, clock: Clock) -> torch.cuda.CUDAGraph:
        self.batch = batch.map(torch.Tensor.clone)
        self.clock = Clock(clock.round.clone(), clock.rounds, torch.as_tensor(clock.turn).clone(), clock.phase)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.values = self.turn(self.batch, self.clock, True)
        except RuntimeError as error:  # the device's generator is left in the middle of a capture: there is no going on
            why = str(error).splitlines()[0]
            raise BestiaryError(
                f"player `{self.turn.player.name}` could not be captured as a CUDA graph ({why}). A loss that reads"
                " a value on the host (.item(), a branch on a tensor) cannot be: run it with --eager, or graphs=False"
            ) from error
        return graph
