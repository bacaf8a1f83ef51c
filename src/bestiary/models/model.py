"""The base class of models, and their abilities as types. Models encode a `Batch` and decode (z, c).

    Model       spec, condition      the data, and the condition c (tensors by name)
                reads()              the names of the fields beside x that it needs
                players()            the players that train it
                begin(data)          once, before the first round of a new run
                observe(batch)       x as the model sees it, such as a binarised image; observe ∘ observe = observe
                vitals(batch, …)     numbers of a few held-out examples, from which signs of failures are read

A model also derives from the types of its abilities:

    Samples     sample(n, c)         n samples in model units; without c it draws a condition for each sample
    Shows       code, show(z, c)     x for a code, without noise, as an export, a page or a server needs it
    Coded       codes(n, c)          z ~ p(z|c);     make(z, c): a draw of x;     sample = make(codes(n, c), c)
    Encodes     encode(batch)        the code of each example
    Drawn       draw(batch, k, clock, exact)     a `Draw`: q(z|x, c), p(z|c), and k codes (objectives/draw.py)
                look(batch, clock, exact)        the same without codes
    Reconstructs  distortion(batch, z)   −log p(x|z, c) of each example
    Bounds      bound(batch, k)      a lower bound on log p(x|c) of each example, in nats
                bounds(batch, ks)    the same for several k

Only `sample` works without a condition; elsewhere a missing condition is an error.

Legend: B batch, K samples, D latent, R values of k.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec
from bestiary.models.condition import Condition
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors
from bestiary.objectives.draw import Draw
from bestiary.training.clock import Clock
from bestiary.training.part import Part, TrainingData, add_terms, parts_overriding
from bestiary.training.player import Player, Terms

__all__ = ["Bounds", "Coded", "Drawn", "Encodes", "Model", "Reconstructs", "Samples", "Shows"]


class Model(nn.Module):
    """Networks and parts, and the players that train them."""

    discrete: bool = False  # whether bounds are on the log of a probability, not of a density
    batch_multiple: int = 1  # the number of examples on each process must be a multiple of it
    examples: Tensor  # number of training examples
    round: Tensor  # of the main player's last turn; schedules read it when the model is used outside of a turn

    def __init__(self, spec: Spec, condition: Condition | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.condition = Condition(spec) if condition is None else condition
        self.register_buffer("examples", torch.zeros((), dtype=torch.int64))
        self.register_buffer("round", torch.zeros(()))

    @property
    def size(self) -> int:
        """The number of trainable weights."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @property
    def device(self) -> torch.device:
        return self.examples.device

    @property
    def clock(self) -> Clock:
        """The clock of the main player's last turn."""
        return Clock(self.round, 1)

    @torch.no_grad()
    def tick(self, clock: Clock) -> None:
        """Store the round of the clock. The main player's loss calls it in each turn."""
        self.round.copy_(clock.round)

    @cached_property
    def parts(self) -> list[tuple[str, Part]]:
        """The parts of this model by name, without those of a model inside it."""
        nested = {id(m) for other in self.modules() if isinstance(other, Model) and other is not self
                  for m in other.modules()}  # fmt: skip
        parts = [(n, m) for n, m in self.named_modules() if isinstance(m, Part) and id(m) not in nested]
        return [(name.rpartition(".")[2], part) for name, part in parts]

    def reads(self) -> frozenset[str]:
        """The names of the fields beside x that the parts need."""
        return frozenset().union(*(part.reads() for _, part in self.parts))

    def begin(self, data: TrainingData) -> None:
        """Let every part see the training data before the first round."""
        self.examples.fill_(data.n)
        for _, part in self.parts:
            part.begin(data)

    @abstractmethod
    def players(self) -> list[Player]:
        """The players that train the model: its own, and those of its parts."""
        raise NotImplementedError

    def part_players(self) -> list[Player]:
        """The players of the parts, which own weights of their part."""
        return [player for _, part in self.parts for player in part.players(self)]

    def own_parameters(self, *modules: nn.Module) -> list[nn.Parameter]:
        """The trainable weights of these modules, or of the model, that no part's player owns."""
        owned_by_parts = {id(p) for player in self.part_players() for p in player.parameters}
        parameters = [p for module in (modules or (self,)) for p in module.parameters()]
        return [p for p in dict.fromkeys(parameters) if id(p) not in owned_by_parts and p.requires_grad]

    @cached_property
    def _hooks(self) -> dict[str, list[tuple[str, Part]]]:
        """For each hook of a turn the parts that override it."""
        return {method: parts_overriding(self.parts, method) for method in ("terms", "critic_terms", "after")}

    def collect_terms(self, draw: Draw, own: Terms = MappingProxyType({}), method: str = "terms") -> Terms:
        """The model's own terms with those of its parts, averaged; `total` is the sum of all totals.

        Terms of the objective are listed as the model's own, terms of another part under the part's name.
        """
        part_terms = [(name, getattr(part, method)(draw)) for name, part in self._hooks[method]]
        objective_terms = {k: v for name, terms in part_terms if name == "objective" for k, v in terms.items()}
        other_terms = [(name, terms) for name, terms in part_terms if name != "objective"]
        return add_terms({**own, **objective_terms}, other_terms)

    def after(self, draw: Draw) -> None:
        """After the main player's step: the hooks of the parts."""
        for _, part in self._hooks["after"]:
            part.after(draw)

    def observe(self, batch: Batch) -> Batch:
        """The batch as the model sees it; here unchanged."""
        return batch

    def vitals(self, batch: Batch, training_batch: Batch | None = None) -> dict[str, Tensor]:
        """0-d numbers that show how well the model works on a held-out batch, compared with a training batch."""
        return {}

    def sharding_obstacle(self) -> str:
        """The reason why this model's weights cannot be sharded over processes; empty if they can."""
        return ""


class Samples:
    """A model that samples."""

    @abstractmethod
    def sample(self, n: int, c: ConditionTensors | None = None) -> Tensor:
        """n samples in model units, under conditions c (n rows), or under random conditions of training examples."""
        raise NotImplementedError


class Shows:
    """A model that decodes codes."""

    code: Field
    condition: Condition

    @abstractmethod
    def show(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """x for codes z (n, …), in model units; deterministic, row by row. The mean, if there is a likelihood."""
        raise NotImplementedError


class Coded(Shows, Samples):
    """A model with a distribution p(z|c) over codes."""

    @property
    def shows_means(self) -> bool:
        """Whether `make` returns E[x|z] instead of a draw."""
        return False

    @abstractmethod
    def codes(self, n: int, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """n draws of z ~ p(z|c)."""
        raise NotImplementedError

    def log_pz(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """log p(z|c) in nats, (B,), up to a constant."""
        return -0.5 * z.square().flatten(1).sum(1)

    @property
    def standard(self) -> bool:
        """Whether p(z) is N(0, I)."""
        return True

    def make(self, z: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        """A draw of x for each code, if p(x|z) has noise; else the same as `show`."""
        return self.show(z, c)

    def sample(self, n: int, c: ConditionTensors | None = None) -> Tensor:
        """n samples; see `Samples`."""
        c = self.condition.draw(n) if c is None else c
        return self.make(self.codes(n, c), c)


class Encodes:
    """A model that encodes examples."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """The code of each example, (B, …); the field `code` describes it."""
        raise NotImplementedError


class Reconstructs:
    """A model that reconstructs x from a code."""

    @abstractmethod
    def distortion(self, batch: Batch, z: Tensor | None = None) -> Tensor:
        """−log p(x|z, c) of each example (B,) in nats, for its own code, or for codes z (B, …)."""
        raise NotImplementedError


class Drawn:
    """A model with an approximate posterior q(z|x, c)."""

    @abstractmethod
    def look(self, batch: Batch, clock: Clock | None = None, exact: bool = True) -> Draw:
        """The `Draw` of a batch without codes z. clock: none for that of the last turn. exact: see `draw`."""
        raise NotImplementedError

    @abstractmethod
    def draw(self, batch: Batch, k: int = 1, clock: Clock | None = None, exact: bool = True) -> Draw:
        """The `Draw` of a batch with codes z_1 … z_K ~ q(z|x, c).

        exact: draw z from q itself and use p(z|c), as bounds need it; in training a posterior may draw relaxed codes.
        """
        raise NotImplementedError


class Bounds:
    """A model with a lower bound on log p(x|c)."""

    @abstractmethod
    def bound(self, batch: Batch, k: int = 1) -> Tensor:
        """A lower bound on log p(x|c) of each example, (B,), in nats; it rises with k."""
        raise NotImplementedError

    def bounds(self, batch: Batch, ks: Sequence[int]) -> Tensor:
        """`bound` for several k, (R, B)."""
        return torch.stack([self.bound(batch, k) for k in ks])
