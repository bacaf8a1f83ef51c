"""The zoo: all models by name. A line in `LATENT` or `ADVERSARIAL` adds a model everywhere.

A model here is a function of the data's spec and of its options. The options are its keyword parameters: the command
line, `bestiary models NAME` and Python all read them from its signature.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bestiary.data.spec import Spec
from bestiary.densities.density_names import LIKELIHOODS, POSTERIORS, PRIORS
from bestiary.errors import unknown_name
from bestiary.grammar.part_lists import merge_part_options
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import coerce
from bestiary.models.auto_options import infer
from bestiary.models.model import Model
from bestiary.models.size_limit import refuse_too_large
from bestiary.models.tricks.table import TRICKS, refuse_renamed
from bestiary.models.zoo_adversarial import ADVERSARIAL
from bestiary.models.zoo_latent import LATENT
from bestiary.models.zoo_stages import two_stage_models
from bestiary.objectives.elbo import OBJECTIVES
from bestiary.objectives.games import GAMES
from bestiary.objectives.penalties import PENALTIES

__all__ = ["MODELS", "PARTS", "PART_LISTS", "build"]

MODELS: dict[str, Callable[..., Model]] = {**LATENT, **ADVERSARIAL}


# options whose value is a part → its parts by name
PARTS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "likelihood": LIKELIHOODS,
    "posterior": POSTERIORS,
    "prior": PRIORS,
    "objective": OBJECTIVES,
    "game": GAMES,
    "penalty": PENALTIES,
    "tricks": TRICKS,
}


# options that take several parts → their parts by name; each may also be given as an option of its own, pack=2
PART_LISTS: dict[str, Mapping[str, Callable[..., Any]]] = {"tricks": TRICKS}


def build(name: str, spec: Spec, **options: object) -> Model:
    """The model called `name` for data of this spec. Options left at `auto` are inferred.

    Raises BestiaryError for an unknown name or option, for options that do not fit, and for a model that is larger than
    the memory.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    refuse_renamed(options)
    signature = signature_options(MODELS[name])
    all_options, _ = infer(MODELS[name], spec, merge_part_options(MODELS[name], options, PART_LISTS))
    for option in all_options.keys() - signature.keys():
        raise unknown_name(f"option of {name}", option, signature)
    all_options = {key: coerce(value, signature[key][0], key) for key, value in all_options.items()}
    with refuse_too_large(all_options, {key: default for key, (_, default) in signature.items()}, spec):
        return MODELS[name](spec, **all_options)


MODELS |= two_stage_models(MODELS, build)
