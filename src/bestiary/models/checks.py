"""Checks that the builders of the zoo share."""

from typing import Literal

from bestiary.data.spec import Field
from bestiary.densities.likelihoods import Likelihood
from bestiary.errors import BestiaryError

__all__ = ["binariser", "positive"]


def positive(**numbers: int) -> None:
    """Each of the named numbers must be at least 1."""
    for name, number in numbers.items():
        if number < 1:
            raise BestiaryError(f"{name}={number} must be at least 1")


def binariser(asked: str, field: Field, family: Likelihood) -> Literal["none", "dynamic", "threshold"]:
    """How greys become 0 and 1, if the likelihood wants that."""
    if asked == "none" and family.binary and field.levels > 2:
        raise BestiaryError(
            f"this likelihood needs x in {{0, 1}}, and these images have {field.levels} levels:"
            " use binarise=dynamic, binarise=threshold or likelihood=logistic"
        )
    if asked != "none" and not family.binary:
        raise BestiaryError(f"binarise={asked} belongs to likelihood=bernoulli; leave it out")
    return asked  # type: ignore[return-value]
