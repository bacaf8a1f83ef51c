"""The recipe: options of training that hold for every model, saved in config.toml.

`steps` counts rounds. Without it the plan infers it from the number of examples (runs/plan.py), and config.toml holds
the inferred value.
"""

from dataclasses import dataclass, fields
from typing import Literal

from bestiary.errors import BestiaryError

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Options of training that hold for every model."""

    steps: int | None = None  # rounds to play; none: inferred from the data
    epochs: float | None = None  # instead of steps: passes over the training part
    batch: int = 128  # examples in a batch, over all processes
    seed: int = 0  # of weights, noise and batches
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # of the networks; likelihoods and sums are always fp32
    average: float = 0.0  # decay of the exponential average of the weights; 0: none
    clip: float = 0.0  # largest norm of a turn's gradient; 0: no clipping
    patience: int = 0  # stop after so many validations without a better bound; 0: never
    log: int = 50  # rounds between lines of the journal
    validate: int = 500  # rounds between validation bounds; 0: never
    save: int = 500  # rounds between checkpoints; 0: only at the end
    keep: int = 2  # checkpoints to keep

    def __post_init__(self) -> None:
        for name in ("steps", "epochs"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BestiaryError(f"{name}={value} must be positive; leave it out to have it inferred")
        if self.steps is not None and self.epochs is not None:
            raise BestiaryError(f"steps={self.steps} and epochs={self.epochs} say the same thing: give one of them")
        for name, least in (
            ("batch", 1),
            ("log", 1),
            ("keep", 1),
            ("patience", 0),
            ("validate", 0),
            ("save", 0),
        ):
            if getattr(self, name) < least:
                raise BestiaryError(f"{name}={getattr(self, name)} must be at least {least}")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise BestiaryError(f"precision={self.precision} must be auto, fp32 or bf16")
        if not 0 <= self.average < 1:
            raise BestiaryError(f"average={self.average} must lie in [0, 1): 0.999 averages about the last 1000 rounds")
        if self.clip < 0:
            raise BestiaryError(f"clip={self.clip} must not be negative (0: no clipping)")
        if not 0 <= self.seed < 2**63:
            raise BestiaryError(f"seed={self.seed} must lie between 0 and 2^63 − 1")
        if self.patience and not self.validate:
            raise BestiaryError(
                f"patience={self.patience} counts validations, and validate=0 makes none: use e.g. validate=500"
            )

    def to_dict(self) -> dict[str, object]:
        """The fields that are not None (TOML has no null)."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
