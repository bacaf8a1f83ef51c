"""Anything a model is made of that plays along: posterior, prior, likelihood, objective, condition, trick.

    begin(look)         once, before the first round of a new run: a codebook starts from encoder outputs
    terms(draw)         what it adds to the loss of the player that draws: `total` is minimised, the rest is journal
    critic_terms(draw)  the same for the critic's turn of a game
    after(draw)         after that player's step, with the draw that the step was made of: a codebook moves
    after_critic(draw)  the same after the critic's step
    players(model)      who else plays, and owns this part's weights: a critic of total correlation
    reads()             the fields beside x that it needs

Each does nothing unless a part says otherwise, so that a codebook, a temperature or a second critic is one file and
never a model class. Terms are per example (B,) or 0-d; the model averages once. In tensor code: a turn may be captured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.training.player import Player

__all__ = ["Look", "Part", "overriding", "summed"]

PartTerms = Mapping[str, Tensor]


@dataclass(frozen=True)
class Look:
    """What a part may know before the first round."""

    n: int  # training examples
    some: Callable[[int], Batch]  # so many of them as the model observes them, the same ones at every call
    draw: Callable[[Batch], Any]  # what the model draws of a batch (objectives/draw.py)


class Part(nn.Module):
    """Plays along; each method does nothing here."""

    def begin(self, look: Look) -> None:
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


def overriding(parts: Iterable[tuple[str, Part]], method: str) -> list[tuple[str, Part]]:
    """Those of the named parts that do something there."""
    return [(name, part) for name, part in parts if getattr(type(part), method) is not getattr(Part, method)]


def summed(own: PartTerms, others: Iterable[tuple[str, PartTerms]]) -> dict[str, Tensor]:
    """Batch means, the totals added up; what a part adds has its name, its other terms that name in front."""
    terms = {key: value.mean() for key, value in own.items()}
    for name, found in others:
        for key, value in found.items():
            if key == "total":  # by the part's own name beside the sum
                terms[name] = value.mean()
                terms["total"] = terms["total"] + terms[name] if "total" in terms else terms[name]
            else:
                terms[f"{name}.{key}"] = value.mean()
    return terms
