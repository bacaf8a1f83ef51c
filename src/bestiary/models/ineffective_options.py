"""Options that do nothing beside some value of another: given there they are refused, not passed over in silence."""

from collections.abc import Mapping
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.grammar.values import text

__all__ = ["IDLE", "refuse_idle"]

_CONVOLUTIONS = ("conv", "dcgan", "residual")


# option → another one, and the values of that under which it does nothing
IDLE: dict[str, tuple[str, tuple[object, ...]]] = {
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


# parts of one's own → options that shape what stands in their place else
OWN: dict[tuple[str, ...], tuple[str, ...]] = {
    ("generator",): ("norm", "activation"),
    ("critic",): ("critic_norm", "critic_activation", "critic_hidden", "pool"),
    ("generator", "critic"): ("network", "hidden", "width", "constant"),
}


def replaced(given: Mapping[str, Any]) -> set[str]:
    """The options that shape nothing, for the parts that they shape are one's own."""
    own = {part for parts in OWN for part in parts if given.get(part) is not None}
    return {key for parts, keys in OWN.items() if own.issuperset(parts) for key in keys}


def refuse_idle(given: Mapping[str, Any], options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse what was given, is not the default, and would do nothing among the model's resolved options."""
    asked = {key for key in given if given[key] != defaults[key]}
    vain = replaced(given)
    for key in sorted(asked & vain):
        raise BestiaryError(f"{key}={text(given[key])} shapes a network that is your own: leave it out")
    for key, (other, values) in IDLE.items():
        if other in vain:  # of one's own part nobody knows what it is
            continue
        if key in asked and options.get(other) in values:
            raise BestiaryError(
                f"{key}={text(given[key])} does nothing with {other}={text(options[other])}:"
                f" leave it out, or give another {other}"
            )
