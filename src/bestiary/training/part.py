"""Parts: the base class of posterior, prior, likelihood, objective, condition and trick, with the hooks of training.

    begin(data)         once, before the first round of a new run; a codebook starts from outputs of the encoder
    terms(draw)         terms of the main player's loss: `total` is added to its loss, the others go to the journal
    critic_terms(draw)  the same for the critic's loss in a game
    after(draw)         after the main player's step, with the draw of that step; a codebook moves its words
    after_critic(draw)  the same after the critic's step
    players(model)      further players, which own weights of this part; a critic of total correlation
    reads()             the names of the fields beside x that the part needs

Each of them does nothing by default, so a codebook, a temperature or a second critic is a part in one file, not a new
model class. Terms are per example (B,) or 0-d; the model averages them. All hooks of a turn must be tensor code, since
a turn may be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.training.player import Player

__all__ = ["Part", "TrainingData", "add_terms", "parts_overriding"]

PartTerms = Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingData:
    """The training data, for the hook `begin` before the first round."""

    n: int  # number of training examples
    examples: Callable[[int], Batch]  # k → k training examples as the model observes them, the same at every call
    draw: Callable[[Batch], Any]  # batch → the model's Draw (objectives/draw.py)


class Part(nn.Module):
    """A part of a model. The hooks do nothing here; see the top of this file."""

    def begin(self, data: TrainingData) -> None:
        return None

    def terms(self, draw: Any) -> PartTerms:
        return {}

    def critic_terms(self, draw: Any) -> PartTerms:
        return {}

    def after(self, draw: Any) -> None:
        return None

    def after_critic(self, draw: Any) -> None:
        return None

    def players(self, model: Any) -> list[Player]:
        return []

    def reads(self) -> frozenset[str]:
        return frozenset()


def parts_overriding(parts: Iterable[tuple[str, Part]], method: str) -> list[tuple[str, Part]]:
    """Those of the named parts whose class overrides the method."""
    return [(name, part) for name, part in parts if getattr(type(part), method) is not getattr(Part, method)]


def add_terms(model_terms: PartTerms, terms_of_parts: Iterable[tuple[str, PartTerms]]) -> dict[str, Tensor]:
    """Batch means of a model's own terms and of the terms of its parts by name, with the sum of all totals as `total`.

    A part's total is listed under the part's name too; its other terms are listed as `part.term`.
    """
    terms = {key: value.mean() for key, value in model_terms.items()}
    for name, part_terms in terms_of_parts:
        for key, value in part_terms.items():
            if key == "total":
                terms[name] = value.mean()
                terms["total"] = terms["total"] + terms[name] if "total" in terms else terms[name]
            else:
                terms[f"{name}.{key}"] = value.mean()
    return terms
