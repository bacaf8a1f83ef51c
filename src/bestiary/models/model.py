"""What every model offers to everyone above it.

    players()       who plays, and what each minimises
    sample(n)       where "sample" is among its abilities: n examples in model units
    encode(x)       where "encode" is: x → z, the posterior mean
    decode(z)       where "decode" is:  z → E[x|z]
    bound(x, k)     where "bound" is:   a lower bound on log p(x), per example, in nats
    infer(x), prior(), log_px(x, z), log_weights(x, k)     where "posterior" is: q(z|x), p(z), log p(x|z), log w
    begin(examples) called once before the first round of a new run, e.g. to start pseudo-inputs from data
    vitals(x, …)    named numbers of a few held-out examples, by which signs of illness are told while it is fitted

Legend: B batch, D latent.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError
from bestiary.training.player import Player

__all__ = ["Model"]


class Model(nn.Module):
    """A beast: networks and the players that train them."""

    abilities: frozenset[str] = frozenset({"sample"})  # of "sample", "encode", "decode", "bound", "posterior"
    discrete: bool = False  # whether `bound` is on the log of a probability rather than of a density
    latent: int  # D
    prior: Any  # () → p(z), where "posterior" is among the abilities

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    @property
    def size(self) -> int:
        """Weights that are fitted."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def players(self) -> list[Player]:
        raise NotImplementedError

    def begin(self, examples: Callable[..., Tensor], labels: Tensor | None = None) -> None:
        """Look at the data before training: `examples(n)` gives n training examples as observed, `examples()` some, and
        `labels` are those of the last."""

    def vitals(self, x: Tensor, y: Tensor | None = None, fitted: Batch | None = None) -> dict[str, Tensor]:
        """0-d numbers that tell how the model fares on examples x with labels y, beside some that it was fitted to."""
        return {}

    def sample(self, n: int, condition: Tensor | None = None) -> Tensor:
        raise self._cannot("sample")

    def whole_only(self) -> str:
        """Why the weights of this model cannot be sharded over processes; empty where they can."""
        return ""

    def observe(self, x: Tensor) -> Tensor:
        """What the model takes x to be, e.g. a binarised image. The identity for most."""
        return x

    def infer(self, x: Tensor) -> Any:
        raise self._cannot("posterior")

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        raise self._cannot("decode")

    def encode(self, x: Tensor) -> Tensor:
        raise self._cannot("encode")

    def decode(self, z: Tensor) -> Tensor:
        raise self._cannot("decode")

    def bound(self, x: Tensor, k: int = 1) -> Tensor:
        raise self._cannot("bound")

    def bounds(self, x: Tensor, ks: Sequence[int]) -> Tensor:
        """`bound` for several k, (R, B)."""
        return torch.stack([self.bound(x, k) for k in ks])

    def _cannot(self, ability: str) -> BestiaryError:
        can = ", ".join(sorted(self.abilities)) or "do nothing of the kind"
        return BestiaryError(f"{type(self).__name__} cannot {ability}: it can {can}")
