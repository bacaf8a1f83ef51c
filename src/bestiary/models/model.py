"""What every model offers to everyone above it. What comes from data is a `Batch`; what goes to data is (z, c).

    Model       spec, condition      data, and what the model is told of it (c: tensors by name)
                reads()              the fields beside x that it needs
                players()            who plays, and what each minimises
                begin(look)          once, before the first round of a new run
                observe(batch)       what it takes x to be, such as a binarised image; observe ∘ observe = observe
                vitals(batch, …)     numbers of a few held-out examples, by which signs of illness are told

What a model is able to do besides are types that it derives from:

    Samples     sample(n, c)         n examples in model units; c is drawn first, once, where it is not given
    Shows       code, show(z, c)     x of a code, without noise: what an export, a page or a server needs
    Coded       codes(n, c)          z ~ p(z|c);     make(z, c): a draw of x;     sample = make(codes(n, c), c)
    Encodes     encode(batch)        the code of each example
    Drawn       look(batch), draw(batch, k, clock, exact)     one look at a batch, and z of it (objectives/draw.py)
    Reconstructs  distortion(batch, z)   −log p(x|z, c) of each example
    Bounds      bound(batch, k)      a lower bound on log p(x|c) of each example, in nats; bounds(look, ks): of one look

Everywhere but in `sample` a condition that is missing is an error.

Legend: B batch, K samples, D latent, R values of k.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec
from bestiary.models.condition import Condition
from bestiary.networks.conditioned import NOTHING, Fields
from bestiary.objectives.draw import Draw
from bestiary.training.clock import Clock
from bestiary.training.part import Look, Part, add_terms, parts_overriding
from bestiary.training.player import Player, Terms

__all__ = ["Bounds", "Coded", "Drawn", "Encodes", "Model", "Reconstructs", "Samples", "Shows"]


class Model(nn.Module):
    """Networks and parts, and the players that train them."""

    discrete: bool = False  # whether a bound is on the log of a probability rather than of a density
    group: int = 1  # examples that a process must have a multiple of
    examples: Tensor  # how many it is fitted to
    round: Tensor  # of its main player's clock: what schedules read for whoever looks from outside of a turn

    def __init__(self, spec: Spec, condition: Condition | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.condition = Condition(spec) if condition is None else condition
        self.register_buffer("examples", torch.zeros((), dtype=torch.int64))
        self.register_buffer("round", torch.zeros(()))

    @property
    def size(self) -> int:
        """Weights that are fitted."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @property
    def device(self) -> torch.device:
        return self.examples.device

    @property
    def clock(self) -> Clock:
        """As it stood at the last turn."""
        return Clock(self.round, 1)

    @torch.no_grad()
    def tick(self, clock: Clock) -> None:
        """To be called in each turn of the main player."""
        self.round.copy_(clock.round)

    @cached_property
    def parts(self) -> list[tuple[str, Part]]:
        """Its parts by name; those of a model inside it are that one's affair."""
        inside = {id(m) for other in self.modules() if isinstance(other, Model) and other is not self
                  for m in other.modules()}  # fmt: skip
        named = [(n, m) for n, m in self.named_modules() if isinstance(m, Part) and id(m) not in inside]
        return [(name.rpartition(".")[2], part) for name, part in named]

    def reads(self) -> frozenset[str]:
        return frozenset().union(*(part.reads() for _, part in self.parts))

    def begin(self, look: Look) -> None:
        """Look at the data before training."""
        self.examples.fill_(look.n)
        for _, part in self.parts:
            part.begin(look)

    @abstractmethod
    def players(self) -> list[Player]:
        raise NotImplementedError

    def guests(self) -> list[Player]:
        """Who plays besides, and owns weights of a part."""
        return [player for _, part in self.parts for player in part.players(self)]

    def own(self, *modules: nn.Module) -> list[nn.Parameter]:
        """The weights of these modules, or of all, that are no guest's: the main player's."""
        taken = {id(p) for guest in self.guests() for p in guest.parameters}
        found = [p for module in (modules or (self,)) for p in module.parameters()]
        return [p for p in dict.fromkeys(found) if id(p) not in taken and p.requires_grad]

    @cached_property
    def _speaking(self) -> dict[str, list[tuple[str, Part]]]:
        """The parts that say something, by what they say."""
        return {method: parts_overriding(self.parts, method) for method in ("terms", "critic_terms", "after")}

    def summed(self, draw: Draw, own: Terms = NOTHING, method: str = "terms") -> Terms:
        """The model's own terms and its parts': totals add up, the others of a part have its name in front. The
        objective's are the model's own."""
        others = [(name, getattr(part, method)(draw)) for name, part in self._speaking[method]]
        plain = {k: v for name, found in others if name == "objective" for k, v in found.items()}
        return add_terms({**own, **plain}, [(name, found) for name, found in others if name != "objective"])

    def after(self, draw: Draw) -> None:
        for _, part in self._speaking["after"]:
            part.after(draw)

    def observe(self, batch: Batch) -> Batch:
        return batch

    def vitals(self, batch: Batch, fitted: Batch | None = None) -> dict[str, Tensor]:
        """0-d numbers that tell how the model fares on a batch, beside one that it was fitted to."""
        return {}

    def whole_only(self) -> str:
        """Why the weights of this model cannot be sharded over processes; empty where they can."""
        return ""


class Samples:
    """It gives samples."""

    @abstractmethod
    def sample(self, n: int, c: Fields | None = None) -> Tensor:
        """n examples in model units, under c or under conditions as the training data have them."""
        raise NotImplementedError


class Shows:
    """It makes x of a code."""

    code: Field
    condition: Condition

    @abstractmethod
    def show(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        """x of codes, in model units: a function of its arguments, row by row. Means, where there is a likelihood."""
        raise NotImplementedError


class Coded(Shows, Samples):
    """It has a distribution over codes."""

    @property
    def shows_means(self) -> bool:
        """Whether `make` gives E[x|z] in place of a draw."""
        return False

    @abstractmethod
    def codes(self, n: int, c: Fields = NOTHING) -> Tensor:
        """n draws of z ~ p(z|c)."""
        raise NotImplementedError

    def log_pz(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        """log p(z|c) in nats, (B,), up to a constant."""
        return -0.5 * z.square().flatten(1).sum(1)

    @property
    def standard(self) -> bool:
        """Whether p(z) is N(0, I)."""
        return True

    def make(self, z: Tensor, c: Fields = NOTHING) -> Tensor:
        """A draw of x for each code, where x has noise of its own."""
        return self.show(z, c)

    def sample(self, n: int, c: Fields | None = None) -> Tensor:
        c = self.condition.drawn(n) if c is None else c
        return self.make(self.codes(n, c), c)


class Encodes:
    """It has a code for every example."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """(B, …) codes, as `code` describes them."""
        raise NotImplementedError


class Reconstructs:
    """It says what a code loses of x."""

    @abstractmethod
    def distortion(self, batch: Batch, z: Tensor | None = None) -> Tensor:
        """−log p(x|z, c) of each example (B,), in nats, under its own code or under another."""
        raise NotImplementedError


class Drawn:
    """It has q(z|x, c), and all that an objective asks for."""

    @abstractmethod
    def look(self, batch: Batch, clock: Clock | None = None, exact: bool = True) -> Draw:
        """One look at a batch, before z is drawn."""
        raise NotImplementedError

    @abstractmethod
    def draw(self, batch: Batch, k: int = 1, clock: Clock | None = None, exact: bool = True) -> Draw:
        """z_1 … z_K ~ q(z|x, c); `exact`: as bounds need them, where a relaxed code has no density."""
        raise NotImplementedError


class Bounds:
    """It bounds log p(x|c) from below."""

    @abstractmethod
    def bound(self, batch: Batch, k: int = 1) -> Tensor:
        """A lower bound on log p(x|c) of each example, (B,), in nats; it rises with k."""
        raise NotImplementedError

    def bounds(self, batch: Batch, ks: Sequence[int]) -> Tensor:
        """`bound` for several k, (R, B)."""
        return torch.stack([self.bound(batch, k) for k in ks])
