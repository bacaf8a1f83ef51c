"""What a model's option `auto` means for given data, and why: said before a run starts and written into its config.

A builder declares the rules that its options follow, `@rules(network=vae_network, …)`, in the order in which they are
asked: a later one may look at an earlier one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bestiary.data.spec import Inferred, Spec
from bestiary.densities.density_names import LIKELIHOODS
from bestiary.grammar.options import made
from bestiary.models.condition import condition_of
from bestiary.models.tricks.table import trick_options
from bestiary.networks.image_sizes import SMALLEST
from bestiary.training.recipe import Recipe

__all__ = [
    "binarise", "critic_norm", "gan_network", "infer", "likelihood", "norm", "often", "penalty", "rules", "trained",
    "training_rules", "vae_network",
]  # fmt: skip

LOOKS, NEAREST = 12, 50  # validations of a game, and the rounds between them at least

Rule = Callable[[Spec, Mapping[str, Any]], Inferred]
F = TypeVar("F", bound=Callable[..., Any])


def rules(**by_option: Rule) -> Callable[[F], F]:
    """Declare by which rules `auto` of a builder's options is replaced."""

    def declared(builder: F) -> F:
        builder.rules = by_option  # type: ignore[attr-defined]
        return builder

    return declared


def trained(**by_option: Callable[[Recipe], Inferred | None]) -> Callable[[F], F]:
    """The same of options of training, where they are left alone."""

    def declared(builder: F) -> F:
        builder.training_rules = by_option  # type: ignore[attr-defined]
        return builder

    return declared


def training_rules(model: Callable[..., Any]) -> Mapping[str, Callable[[Recipe], Inferred | None]]:
    """Those that `trained` declared, by option."""
    return vars(model).get("training_rules", {})


def often(recipe: Recipe) -> Inferred | None:
    """A validation at every twelfth of the run at least: a few say nothing of going round in circles."""
    assert recipe.steps is not None  # the plan has inferred them
    validate = min(recipe.validate, max(NEAREST, recipe.steps // LOOKS))
    return Inferred(validate, "signs of games ask for a dozen looks") if validate < recipe.validate else None


def likelihood(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """The one whose support is that of what the model makes."""
    return condition_of(options.get("condition", "none"), spec).target.likelihood


def _no_maps(spec: Spec) -> Inferred | None:
    """Why convolutions do not fit, where they do not."""
    if not spec.x.maps:
        return Inferred("mlp", f"a {spec.x.noun} has no neighbouring pixels")
    if min(spec.shape[1:]) < SMALLEST:
        return Inferred("mlp", "images too small to be halved")
    return None


def vae_network(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """The lectures' network for small grey images, convolutions for other images."""
    if no := _no_maps(spec):
        return no
    if spec.shape[0] == 1 and min(spec.shape[1:]) <= 32:
        return Inferred("mlp", "small grey images: the lectures' network")
    return Inferred("conv", "colour or large images")


def gan_network(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """The DCGAN recipe for images that can be halved."""
    return _no_maps(spec) or Inferred("dcgan", "images")


def norm(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """BatchNorm beside convolutions."""
    if options["network"] == "mlp":
        return Inferred("none", "a small network without convolutions")
    return Inferred("batch", "convolutions, as in the DCGAN recipe")


def penalty(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """Slopes one, of the weight that the data ask for."""
    if spec.x.layout == "row" and not spec.x.columns:
        return Inferred("gp(0.1)", "points in their own units, as for the toys of the WGAN-GP paper")
    return Inferred("gp(10)", "the WGAN-GP paper's weight")


def critic_norm(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """BatchNorm where nothing speaks against it."""
    if options["network"] != "dcgan":
        return Inferred("none", "only the DCGAN recipe has one")
    if options["penalty"] != "none":
        return Inferred("none", "a penalty asks for the slope at each example")
    if "spectral" in trick_options(options["tricks"]):
        return Inferred("none", "moments of a batch would undo the bound of the slope")
    return Inferred("batch", "convolutions, as in the DCGAN recipe")


def binarise(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    """Whether greys become 0 and 1: only where the likelihood wants them so."""
    target = condition_of(options.get("condition", "none"), spec).target
    binary = made("likelihood", options["likelihood"], LIKELIHOODS, target).binary
    if binary and target.levels > 2:
        return Inferred("dynamic", f"the likelihood wants 0 or 1, and these images have {target.levels} levels")
    return Inferred("none", "x is used as it is")


def infer(
    model: Callable[..., Any], spec: Spec, given: Mapping[str, Any], steps: int | None = None
) -> tuple[dict[str, Any], dict[str, Inferred]]:
    """All options of a model with `auto` replaced, and each replacement with its reason; a rule sees the steps too."""
    defaults = {p.name: p.default for p in inspect.signature(model).parameters.values() if p.kind is p.KEYWORD_ONLY}
    options, inferred = {**defaults, **given}, dict[str, Inferred]()
    by_option: Mapping[str, Rule] = vars(model).get("rules", {})
    for key, rule in by_option.items():
        if options.get(key) == "auto":
            inferred[key] = rule(spec, {**options, "steps": steps})
            options[key] = inferred[key].value
    return options, inferred
