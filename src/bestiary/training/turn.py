"""One turn of one player: an optimiser step, either eager or as a captured CUDA graph.

    terms, draw ← loss(batch, clock);   ∇_θ terms["total"], θ the player's own;   [clip];   step;   after(draw)

The result is a vector of numbers that stays on the device: every term, and the norm of the gradients of the small
parameters (biases, scales). It shows a gradient that is not finite, and is far cheaper than the norm of the whole
gradient, which is computed only on request or if gradients are clipped.

On CUDA the whole turn is captured as a graph after `WARM_TURNS` eager turns, and then replayed. The captured turn reads
its batch, its clock and the seed of its noise from memory that is refilled before every replay, so it computes the same
as the eager turn.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import value_at
from bestiary.training.clock import Clock
from bestiary.training.parallel import full_tensor
from bestiary.training.player import Player, Terms

__all__ = ["WARM_TURNS", "CapturedTurn", "Turn"]

WARM_TURNS = 3  # eager turns before the capture, which create optimiser moments and workspaces


class Turn:
    """The eager turn of a player; owns the player's optimiser.

    clip: the largest norm of the gradient, 0 for no clipping. wrap: averages gradients over processes. sharded: whether
    FSDP2 shards the weights. owns_all: whether the player owns all trainable weights of the model. reshard: frees the
    full weights that FSDP2 keeps.
    """

    def __init__(
        self,
        player: Player,
        device: torch.device,
        precision: str = "fp32",
        clip: float = 0.0,
        wrap: Callable[[nn.Module], nn.Module] | None = None,
        sharded: bool = False,
        owns_all: bool = False,
        reshard: Callable[[], None] = lambda: None,
    ) -> None:
        self.player, self.device, self.clip = player, device, clip
        self.parameters = [p for p in player.parameters if p.requires_grad]
        if not self.parameters:
            raise BestiaryError(f"player `{player.name}` has no parameters to train")
        self.small = [p for p in self.parameters if p.ndim <= 1] or self.parameters
        self.small_are_vectors = not sharded and all(p.ndim == 1 for p in self.small)
        self.optimiser = player.optimiser.build(self.parameters, device)
        self.loss = player.loss if wrap is None else _wrap_loss(self.parameters, player.loss, wrap)
        # `inputs` limits the gradient to the player's parameters. FSDP2 cannot do it, since it computes with temporary
        # full weights instead of the shards; and without it backward saves a pass over the graph.
        self.inputs = None if sharded or owns_all else self.parameters
        self.bf16, self.reshard = precision == "bf16", reshard
        self.names: list[str] = []

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=True)

    def __call__(self, batch: Batch, clock: Clock, measure: bool = False) -> Tensor:
        """Take the turn; returns its terms and the norm of the gradient, a vector on the device, named by `names`.

        measure: whether the norm is that of the whole gradient.
        """
        for p in self.parameters:
            p.grad = None
        if self.bf16:
            with self._autocast():
                terms, draw = self.loss(batch, clock)
        else:
            terms, draw = self.loss(batch, clock)
        if "total" not in terms:
            raise BestiaryError(
                f"the loss of player `{self.player.name}` has no term `total`; it has {', '.join(terms)}"
            )
        torch.autograd.backward([terms["total"]], inputs=self.inputs)
        norm = _norm(self.parameters) if measure or self.clip else self._small_norm()
        if self.clip:
            scale = (self.clip / (norm + 1e-6)).clamp(max=1)
            torch._foreach_mul_([p.grad for p in self.parameters if p.grad is not None], scale)
        self._set_rate(clock)
        self.optimiser.step()
        self.reshard()
        if not self.names:
            self.names = [*terms, "gradient"]
        with torch.no_grad():
            self.player.after(draw)
            return torch.stack([*terms.values(), norm]).float()

    def _small_norm(self) -> Tensor:
        """The norm of the small gradients, concatenated: a third of the calls that separate norms need."""
        grads = [p.grad for p in self.small if p.grad is not None]
        if not self.small_are_vectors or not grads:
            return _norm(self.small)
        return torch.linalg.vector_norm(torch.cat(grads))

    def _set_rate(self, clock: Clock) -> None:
        """Set the learning rate of this round, if it is a schedule."""
        if not callable(self.player.optimiser.lr):
            return
        lr = value_at(self.player.optimiser.lr, clock)
        for group in self.optimiser.param_groups:
            if self.device.type == "cuda":
                group["lr"].copy_(lr)
            else:
                group["lr"] = float(lr)  # a CPU does not wait for a device


Loss = Callable[[Batch, Clock], tuple[Terms, Any]]


class _LossModule(nn.Module):
    """A loss as a module with the player's parameters, for PyTorch's DistributedDataParallel to wrap."""

    def __init__(self, parameters: list[nn.Parameter], loss: Loss) -> None:
        super().__init__()
        self.weights = nn.ParameterList(parameters)
        self.loss, self.draw = loss, None

    def forward(self, batch: Batch, clock: Clock) -> Terms:
        terms, self.draw = self.loss(batch, clock)
        return terms


def _wrap_loss(parameters: list[nn.Parameter], loss: Loss, wrap: Callable[[nn.Module], nn.Module]) -> Loss:
    """The loss with gradients that `wrap` averages over processes. The draw bypasses the wrapper unchanged."""
    module = _LossModule(parameters, loss)
    wrapped_module = wrap(module)

    def wrapped_loss(batch: Batch, clock: Clock) -> tuple[Terms, Any]:
        terms, draw = wrapped_module(batch, clock), module.draw
        module.draw = None
        return terms, draw

    return wrapped_loss


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return torch.zeros((), device=parameters[0].device)
    return full_tensor(torch.nn.utils.get_total_norm(grads))


class CapturedTurn:
    """A turn as a CUDA graph. The Python code of its loss and `after` runs only once, so it must be tensor code."""

    def __init__(self, turn: Turn) -> None:
        self.turn, self.calls = turn, 0
        self.graph: torch.cuda.CUDAGraph | None = None

    @property
    def names(self) -> list[str]:
        return self.turn.names

    def __call__(self, batch: Batch, clock: Clock, measure: bool = False) -> Tensor:
        self.calls += 1
        if self.calls <= WARM_TURNS:
            return self._play_eagerly(batch, clock)
        if self.graph is None:
            self.graph = self._capture(batch, clock)
        for target, source in zip(
            (*self.batch.tensors(), self.clock.round, self.clock.turn),
            (*batch.tensors(), clock.round, clock.turn),
            strict=True,
        ):
            if isinstance(target, Tensor) and isinstance(source, Tensor):
                target.copy_(source)
        self.graph.replay()
        return self.values.clone()

    def _play_eagerly(self, batch: Batch, clock: Clock) -> Tensor:
        """An eager turn on a side stream, as PyTorch requires before a capture."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            values = self.turn(batch, clock, True)
        torch.cuda.current_stream().wait_stream(stream)
        return values

    def _capture(self, batch: Batch, clock: Clock) -> torch.cuda.CUDAGraph:
        self.batch = batch.map(torch.Tensor.clone)
        self.clock = Clock(clock.round.clone(), clock.rounds, torch.as_tensor(clock.turn).clone(), clock.phase)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.values = self.turn(self.batch, self.clock, True)
        except RuntimeError as error:  # no eager fallback: the device's generator is left in the middle of a capture
            reason = str(error).splitlines()[0]
            raise BestiaryError(
                f"player `{self.turn.player.name}` could not be captured as a CUDA graph ({reason}). A loss that reads"
                " a value on the host (.item(), a branch on a tensor) cannot be captured: use --eager, or graphs=False"
            ) from error
        return graph
