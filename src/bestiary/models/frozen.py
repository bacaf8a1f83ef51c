"""A model of an earlier run as a part of a new one: run(PATH).

The new run stays whole by itself: its config holds the earlier model's name and options, with the path and the hash of
the weights that it began from, and its own weights hold the earlier ones, which nobody trains.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from bestiary.models.model import Model

__all__ = ["Earlier", "Frozen", "run_path"]

_RUN = re.compile(r"\s*run\((.+)\)\s*")


@dataclass(frozen=True)
class Earlier:
    """What config.toml says of an earlier run."""

    path: str
    weights: str  # their hash
    model: str  # a name of the zoo
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"run({self.path})"

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "weights": self.weights, "model": self.model, "options": dict(self.options)}


def run_path(words: object) -> str | None:
    """PATH of run(PATH); None of anything else.

    >>> run_path("run(runs/digits-vae)"), run_path("vae(latent=10)")
    ('runs/digits-vae', None)
    """
    found = _RUN.fullmatch(words) if isinstance(words, str) else None
    return found[1].strip() if found else None


class Frozen(nn.Module):
    """A model that stands still: no gradient, and evaluation mode for good."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Frozen:
        return super().train(False)
