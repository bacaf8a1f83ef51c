"""The zoo: named models, each a short composition. One line of `LATENT` or `ADVERSARIAL` makes a name known everywhere.

A model here is a function of the data's spec and of its options; the options are its keyword parameters, so that the
command line, `bestiary models NAME` and Python all read them off the same signature.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from bestiary.data.spec import Spec
from bestiary.densities.density_names import LIKELIHOODS, POSTERIORS, PRIORS
from bestiary.errors import unknown
from bestiary.grammar.options import gathered
from bestiary.models.auto_options import infer
from bestiary.models.model import Model
from bestiary.models.tricks.table import TRICKS, refuse_renamed
from bestiary.models.zoo_adversarial import ADVERSARIAL
from bestiary.models.zoo_latent import LATENT
from bestiary.models.zoo_stages import staged
from bestiary.objectives.elbo import OBJECTIVES
from bestiary.objectives.games import GAMES
from bestiary.objectives.penalties import PENALTIES

__all__ = ["LISTS", "MODELS", "PARTS", "build"]

MODELS: dict[str, Callable[..., Model]] = {**LATENT, **ADVERSARIAL}


# options whose value names a part → the parts there are
PARTS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "likelihood": LIKELIHOODS,
    "posterior": POSTERIORS,
    "prior": PRIORS,
    "objective": OBJECTIVES,
    "game": GAMES,
    "penalty": PENALTIES,
    "tricks": TRICKS,
}


# options that take several parts → the parts there are: each may be given by its own name too
LISTS: dict[str, Mapping[str, Callable[..., Any]]] = {"tricks": TRICKS}


def build(name: str, spec: Spec, **options: object) -> Model:
    """The model of that name for data of that spec; options left at `auto` are inferred."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    refuse_renamed(options)
    known = signature(MODELS[name]).parameters.keys() - {"spec"}
    whole, _ = infer(MODELS[name], spec, gathered(MODELS[name], options, LISTS))
    for option in whole.keys() - known:
        raise unknown(f"option of {name}", option, known)
    return MODELS[name](spec, **whole)


MODELS |= staged(MODELS, build)
