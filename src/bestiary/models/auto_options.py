"""Rules that infer options left at `auto` from the data, each with its reason, which is printed and saved with the run.

A builder of the zoo declares its rules by `@rules(network=vae_network_rule, …)`, and rules for options of training by
`@rules_of_training(…)`. Rules apply in their order, so a later one may use the value of an earlier option.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bestiary.data.spec import Inferred, Spec
from bestiary.densities.density_names import LIKELIHOODS
from bestiary.grammar.part_calls import build_part
from bestiary.models.condition import parse_condition
from bestiary.models.size_limit import refuse_too_large
from bestiary.models.tricks.table import trick_options
from bestiary.networks.image_sizes import SMALLEST
from bestiary.training.recipe import Recipe

__all__ = [
    "binarise_rule", "critic_norm_rule", "gan_network_rule", "infer", "likelihood_rule", "norm_rule", "penalty_rule",
    "rules", "rules_of_training", "training_rules", "vae_network_rule", "validate_rule",
]  # fmt: skip

GAME_VALIDATIONS, FEWEST_ROUNDS = 12, 50  # validations of a game at least, but not within fewer rounds than these

Rule = Callable[[Spec, Mapping[str, Any]], Inferred]  # data, options → the value and its reason
TrainingRule = Callable[[Recipe], Inferred | None]  # recipe → the value and its reason, or None for the default
F = TypeVar("F", bound=Callable[..., Any])


def rules(**by_option: Rule) -> Callable[[F], F]:
    """Decorator of a builder: the rules that replace `auto` in its options."""

    def attach_rules(builder: F) -> F:
        builder.rules = by_option  # type: ignore[attr-defined]
        return builder

    return attach_rules


def rules_of_training(**by_option: TrainingRule) -> Callable[[F], F]:
    """Decorator of a builder: rules for options of training that the user has not given."""

    def attach_rules(builder: F) -> F:
        builder.training_rules = by_option  # type: ignore[attr-defined]
        return builder

    return attach_rules


def training_rules(model: Callable[..., Any]) -> Mapping[str, TrainingRule]:
    """The rules of training of a builder, by option."""
    return vars(model).get("training_rules", {})


def validate_rule(recipe: Recipe) -> Inferred | None:
    """At least 12 validations in a run, since fewer cannot show that a game oscillates."""
    assert recipe.steps is not None  # the plan has inferred it
    validate = min(recipe.validate, max(FEWEST_ROUNDS, recipe.steps // GAME_VALIDATIONS))
    return Inferred(validate, "the signs of games need a dozen validations") if validate < recipe.validate else None


def likelihood_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """The likelihood for the support of the data that the model generates, or for ink if `binarise=` asks for it."""
    target, binarise = parse_condition(options.get("condition", "none"), spec).target, options.get("binarise", "auto")
    if target.levels and binarise not in ("auto", "none"):
        return Inferred("bernoulli", f"binarise={binarise} makes x ink: 0 or 1")
    return target.likelihood


def _mlp_if_needed(spec: Spec) -> Inferred | None:
    """network=mlp with the reason if convolutions do not fit the data, else None."""
    if not spec.x.is_spatial:
        return Inferred("mlp", f"a {spec.x.noun} has no neighbouring pixels")
    if min(spec.shape[1:]) < SMALLEST:
        return Inferred("mlp", "images too small to be halved")
    return None


def vae_network_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """The lectures' network for small grey images, convolutions for other images."""
    if mlp := _mlp_if_needed(spec):
        return mlp
    if spec.shape[0] == 1 and min(spec.shape[1:]) <= 32:
        return Inferred("mlp", "small grey images: the lectures' network")
    return Inferred("conv", "colour or large images")


def gan_network_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """The DCGAN recipe for images that can be halved."""
    return _mlp_if_needed(spec) or Inferred("dcgan", "images")


def norm_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """BatchNorm between convolutions."""
    if options["network"] == "mlp":
        return Inferred("none", "a small network without convolutions")
    return Inferred("batch", "convolutions, as in the DCGAN recipe")


def penalty_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """A gradient penalty with the weight for this kind of data."""
    if spec.x.layout == "row" and not spec.x.columns:
        return Inferred("gp(0.1)", "points in their own units, as for the toys of the WGAN-GP paper")
    return Inferred("gp(10)", "the WGAN-GP paper's weight")


def critic_norm_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """BatchNorm for the DCGAN recipe, unless a penalty or spectral norm excludes it."""
    if options["network"] != "dcgan":
        return Inferred("none", "only the DCGAN recipe has one")
    if options["penalty"] != "none":
        return Inferred("none", "a penalty needs the slope at each example")
    if "spectral" in trick_options(options["tricks"]):
        return Inferred("none", "BatchNorm would undo the bound of the slope")
    return Inferred("batch", "convolutions, as in the DCGAN recipe")


def binarise_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """Dynamic binarisation if the likelihood needs it."""
    target = parse_condition(options.get("condition", "none"), spec).target
    binary = build_part("likelihood", options["likelihood"], LIKELIHOODS, target).binary
    if binary and target.levels > 2:
        return Inferred("dynamic", f"the likelihood needs 0 or 1, and these images have {target.levels} levels")
    return Inferred("none", "x is used as it is")


def infer(
    model: Callable[..., Any], spec: Spec, user_options: Mapping[str, Any], steps: int | None = None
) -> tuple[dict[str, Any], dict[str, Inferred]]:
    """All options of a model with `auto` replaced, and the inferred values with their reasons, by option.

    model: a builder of the zoo. user_options: those that the user gave. steps: rounds of the run, for rules.
    """
    defaults = {p.name: p.default for p in inspect.signature(model).parameters.values() if p.kind is p.KEYWORD_ONLY}
    options, inferred = {**defaults, **user_options}, dict[str, Inferred]()
    by_option: Mapping[str, Rule] = vars(model).get("rules", {})
    for key, rule in by_option.items():
        if options.get(key) == "auto":
            with refuse_too_large(user_options, defaults, spec):  # a rule may build a part
                inferred[key] = rule(spec, {**options, "steps": steps})
            options[key] = inferred[key].value
    return options, inferred
