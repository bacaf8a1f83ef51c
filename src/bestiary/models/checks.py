"""Checks of options that several models of the zoo share."""

from typing import Literal

from bestiary.data.spec import Field
from bestiary.densities.likelihoods import Likelihood
from bestiary.errors import BestiaryError

__all__ = ["check_binarise"]


def check_binarise(binarise: str, field: Field, family: Likelihood) -> Literal["none", "dynamic", "threshold"]:
    """The option `binarise`, if it fits the likelihood; raises BestiaryError if it does not."""
    if binarise == "none" and family.binary and field.levels > 2:
        raise BestiaryError(
            f"this likelihood needs x in {{0, 1}}, and these images have {field.levels} levels:"
            " use binarise=dynamic, binarise=threshold or likelihood=logistic"
        )
    if binarise != "none" and not family.binary:
        raise BestiaryError(f"binarise={binarise} needs likelihood=bernoulli: leave it out")
    return binarise  # type: ignore[return-value]
