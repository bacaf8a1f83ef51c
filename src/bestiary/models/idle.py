"""Options that do nothing beside some value of another: given there they are refused, not passed over in silence."""

from collections.abc import Mapping
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.models.values import text

__all__ = ["IDLE", "refuse_idle"]

_CONVOLUTIONS = ("conv", "dcgan", "residual")


class _AllBut(tuple[object, ...]):
    """All values but these."""

    def __contains__(self, value: object) -> bool:
        return not super().__contains__(value)


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
    "unroll_rate": ("unroll", (0,)),
    "conditioning": ("condition", _AllBut(("label",))),  # columns are seen beside the others
    "joint": ("critic_norm", ("none", "layer")),  # without moments of a batch there is nothing to mix
}


# parts of one's own → options that shape what stands in their place else
OWN: dict[tuple[str, ...], tuple[str, ...]] = {
    ("generator",): ("activation",),
    ("critic",): ("critic_activation", "critic_hidden", "pool"),
    ("generator", "critic"): ("hidden", "width", "constant"),
}


def refuse_idle(given: Mapping[str, Any], options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse what was given, is not the default, and would do nothing among the model's resolved options."""
    own = {part for parts in OWN for part in parts if given.get(part) is not None}
    for parts, keys in OWN.items():
        for key in keys:
            if own.issuperset(parts) and key in given and given[key] != defaults[key]:
                raise BestiaryError(
                    f"{key}={text(given[key])} shapes what {' and '.join(parts)}= replace: leave it out"
                )
    for key, (other, values) in IDLE.items():
        asked = key in given and given[key] != defaults[key]
        if other == "critic_norm" and "critic" in own:  # which nobody has looked into
            continue
        if asked and options.get(other) in values:
            raise BestiaryError(
                f"{key}={text(given[key])} does nothing with {other}={text(options[other])}:"
                f" leave it out, or give another {other}"
            )
