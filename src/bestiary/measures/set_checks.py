"""Checks of the sets of examples or features that a measure compares. Each raises BestiaryError."""

from torch import Tensor

from bestiary.errors import BestiaryError

__all__ = ["check_same_features", "check_variation"]

ROWS = 2048  # examples in a block


def check_same_features(*sets: Tensor) -> None:
    """Refuse sets of different widths, with values that are not finite, or with fewer than two examples."""
    widths = {x.flatten(1).shape[1] for x in sets}
    if len(widths) > 1:
        raise BestiaryError(
            f"sets have {' and '.join(map(str, sorted(widths)))} features: they must have the same number"
        )
    if not all(bool(rows.isfinite().all()) for x in sets for rows in x.split(ROWS)):
        raise BestiaryError("features hold values that are not finite (NaN or inf): they have no distance")
    if min(map(len, sets)) < 2:
        raise BestiaryError("a comparison of two sets needs at least two examples of each")


def check_variation(real: Tensor, features: str) -> None:
    """Refuse features that are the same for all real examples."""
    if all(bool((rows == real[0]).all()) for rows in real.split(ROWS)):
        raise BestiaryError(
            f"all {len(real)} real examples have the same features ({features}): they measure nothing."
            " Look at the examples, or choose other features"
        )
