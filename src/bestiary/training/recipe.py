"""The recipe: options of training that hold for every model, saved in config.toml.

`steps` counts rounds. Without it the plan infers it from the number of examples (runs/plan.py), and config.toml holds
the inferred value.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Count, Natural, NotNegative, Range, Share
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import coerce

__all__ = ["Recipe"]


_Epochs = Annotated[float, Range("20", above=0, most=1e6)]


@dataclass(frozen=True)
class Recipe:
    """Options of training that hold for every model."""

    steps: Count | None = None  # rounds to play; none: inferred from the data
    epochs: _Epochs | None = None  # instead of steps: passes over the training part
    batch: Count = 128  # examples in a batch, over all processes
    seed: Natural = 0  # of weights, noise and batches
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # of the networks; likelihoods and sums are always fp32
    threads: Count | None = None  # of the CPU; none: as many as this machine gives, 1 if a batch is small
    average: Share = 0.0  # decay of the exponential average of the weights; 0: none
    clip: NotNegative = 0.0  # largest norm of a turn's gradient; 0: no clipping
    patience: Natural = 0  # stop after so many validations without a better bound; 0: never
    log: Count = 50  # rounds between lines of the journal
    validate: Natural = 500  # rounds between validation bounds; 0: never
    save: Natural = 500  # rounds between checkpoints; 0: only at the end
    keep: Count = 2  # checkpoints to keep

    def __post_init__(self) -> None:
        for name, (annotation, _) in signature_options(Recipe).items():
            coerce(getattr(self, name), annotation, name)
        if self.steps is not None and self.epochs is not None:
            raise BestiaryError(f"steps={self.steps} and epochs={self.epochs} say the same thing: give one of them")
        if self.patience and not self.validate:
            raise BestiaryError(
                f"patience={self.patience} counts validations, and validate=0 makes none: use e.g. validate=500"
            )

    def to_dict(self) -> dict[str, object]:
        """The fields that are not None (TOML has no null)."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
