"""What a model's option `auto` means for given data, and why: said before a run starts and written into its config."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from bestiary.data.load import likelihood_that_fits
from bestiary.data.spec import Spec
from bestiary.densities.parts import LIKELIHOODS
from bestiary.models.options import made
from bestiary.networks.sizes import SMALLEST

__all__ = ["INFER", "infer"]


def _likelihood(spec: Spec, options: Mapping[str, Any]) -> tuple[str, str]:
    return likelihood_that_fits(spec)


def _network(spec: Spec, options: Mapping[str, Any]) -> tuple[str, str]:
    if "game" in options:
        return _gan_network(spec)
    if spec.kind != "image":
        return "mlp", f"a {spec.kind} has no neighbouring pixels"
    if min(spec.shape[1:]) < SMALLEST:
        return "mlp", "images too small to be halved"
    if spec.shape[0] == 1 and min(spec.shape[1:]) <= 32:
        return "mlp", "small grey images: the lectures' network"
    return "conv", "colour or large images"


def _gan_network(spec: Spec) -> tuple[str, str]:
    if spec.kind != "image":
        return "mlp", f"a {spec.kind} has no neighbouring pixels"
    if min(spec.shape[1:]) < SMALLEST:
        return "mlp", "images too small to be halved"
    return "dcgan", "images"


def _norm(spec: Spec, options: Mapping[str, Any]) -> tuple[str, str]:
    if options["network"] == "mlp":
        return "none", "a small network without convolutions"
    return "batch", "convolutions, as in the DCGAN recipe"


def _penalty(spec: Spec, options: Mapping[str, Any]) -> tuple[str, str]:
    if spec.kind == "vector" and not spec.columns:
        return "gp(0.1)", "points in their own units, as for the toys of the WGAN-GP paper"
    return "gp(10)", "the WGAN-GP paper's weight"


def _critic_norm(spec: Spec, options: Mapping[str, Any]) -> tuple[str, str]:
    if options["network"] != "dcgan":
        return "none", "only the DCGAN recipe has one"
    if options["penalty"] != "none":
        return "none", "a penalty asks for the slope at each example"
    if options["spectral"]:
        return "none", "moments of a batch would undo the bound of the slope"
    return "batch", "convolutions, as in the DCGAN recipe"


def _binarise(spec: Spec, options: Mapping[str, Any]) -> tuple[str, str]:
    binary = made("likelihood", options["likelihood"], LIKELIHOODS, spec).binary
    if binary and spec.levels > 2:
        return "dynamic", f"the likelihood wants 0 or 1, and these images have {spec.levels} levels"
    return "none", "x is used as it is"


# in the order in which they are inferred: a later one may look at an earlier one
INFER: dict[str, Callable[[Spec, Mapping[str, Any]], tuple[str, str]]] = {
    "likelihood": _likelihood,
    "network": _network,
    "binarise": _binarise,
    "norm": _norm,
    "penalty": _penalty,
    "critic_norm": _critic_norm,
}


def infer(model: Callable[..., Any], spec: Spec, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """All options of a model with `auto` replaced, and the reason for each replacement."""
    defaults = {p.name: p.default for p in inspect.signature(model).parameters.values() if p.kind is p.KEYWORD_ONLY}
    options, reasons = {**defaults, **given}, {}
    for key, rule in INFER.items():
        if options.get(key) == "auto":
            options[key], reasons[key] = rule(spec, options)
    return options, reasons
