"""The table of signs by name. A new one is a function of a run's history and a line here."""

from collections.abc import Callable

from bestiary.signs.gan_signs import memorisation, mode_collapse, non_finite, oscillation, overpowering, vanishing
from bestiary.signs.sign import RunHistory, Sign
from bestiary.signs.vae_signs import (
    collapse,
    high_latent_loss,
    high_reconstruction_loss,
    noise,
    over_regularised,
    overfit,
)

__all__ = ["SIGNS", "diagnose"]

SIGNS: dict[str, Callable[[RunHistory], Sign | None]] = {
    "noise": noise,
    "collapse": collapse,
    "latent-loss": high_latent_loss,
    "reconstruction-loss": high_reconstruction_loss,
    "over-regularised": over_regularised,
    "overfit": overfit,
    "mode-collapse": mode_collapse,
    "vanishing-gradient": vanishing,
    "overpowering": overpowering,
    "oscillation": oscillation,
    "memorisation": memorisation,
    "non-finite": non_finite,
}


def diagnose(history: RunHistory) -> list[Sign]:
    """The signs that a run shows now."""
    return [sign for read in SIGNS.values() if (sign := read(history)) is not None]
