"""Options that have no effect with the value of another option: giving them is an error."""

from collections.abc import Mapping
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.grammar.values import value_text

__all__ = ["INEFFECTIVE", "refuse_ineffective"]

_CONVOLUTIONS = ("conv", "dcgan", "residual")


# option → another option, and the values of that option with which it has no effect
INEFFECTIVE: dict[str, tuple[str, tuple[object, ...]]] = {
    "hidden": ("network", _CONVOLUTIONS),
    "critic_hidden": ("network", _CONVOLUTIONS),
    "activation": ("network", _CONVOLUTIONS),
    "critic_activation": ("network", _CONVOLUTIONS),
    "width": ("network", ("mlp",)),
    "constant": ("network", ("mlp", "residual")),
    "pool": ("network", ("mlp", "residual")),
    "beta1": ("optimiser", ("rmsprop",)),
    "beta2": ("optimiser", ("rmsprop", "sgd")),
}


# networks that a user may give from Python → the options of the networks that they replace
REPLACED_OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("generator",): ("norm", "activation"),
    ("critic",): ("critic_norm", "critic_activation", "critic_hidden", "pool"),
    ("generator", "critic"): ("network", "hidden", "width", "constant"),
}


def replaced_options(user_options: Mapping[str, Any]) -> set[str]:
    """The options of networks that the user's own networks replace."""
    own = {part for parts in REPLACED_OPTIONS for part in parts if user_options.get(part) is not None}
    return {option for parts, options in REPLACED_OPTIONS.items() if own.issuperset(parts) for option in options}


def refuse_ineffective(
    user_options: Mapping[str, Any], options: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Raise BestiaryError for an option of the user that has no effect, unless it has its default value.

    options: all options of the model, with `auto` replaced.
    """
    changed = {key for key in user_options if user_options[key] != defaults[key]}
    replaced = replaced_options(user_options)
    for key in sorted(changed & replaced):
        raise BestiaryError(
            f"{key}={value_text(user_options[key])} belongs to a network that you replace by your own: leave it out"
        )
    for key, (other, values) in INEFFECTIVE.items():
        if other in replaced:  # the user's network may be of any kind
            continue
        if key in changed and options.get(other) in values:
            raise BestiaryError(
                f"{key}={value_text(user_options[key])} does nothing with {other}={value_text(options[other])}:"
                f" leave it out, or give another {other}"
            )
