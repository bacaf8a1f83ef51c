"""Frozen models: the model of an earlier run as a part of a new model, run(PATH).

The new run does not depend on the earlier run's folder: its config has the earlier model's name and options, with the
path and the hash of its weights, and its own weights contain the earlier ones, which are not trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from bestiary.models.model import Model

__all__ = ["EarlierRun", "Frozen", "run_path"]

_RUN = re.compile(r"\s*run\((.+)\)\s*")


@dataclass(frozen=True)
class EarlierRun:
    """An earlier run, as config.toml describes it."""

    path: str
    weights: str  # the hash of its weights
    model: str  # a name of the zoo
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"run({self.path})"

    def to_dict(self) -> dict[str, Any]:
        """For config.toml."""
        return {"path": self.path, "weights": self.weights, "model": self.model, "options": dict(self.options)}


def run_path(words: object) -> str | None:
    """PATH of a text run(PATH); None for anything else.

    >>> run_path("run(runs/digits-vae)"), run_path("vae(latent=10)")
    ('runs/digits-vae', None)
    """
    match = _RUN.fullmatch(words) if isinstance(words, str) else None
    return match[1].strip() if match else None


class Frozen(nn.Module):
    """A model without gradients, always in evaluation mode."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Frozen:
        return super().train(False)
