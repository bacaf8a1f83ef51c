"""Models that do not fit into memory are refused: the error names the option that is largest beside its default."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError
from bestiary.grammar.values import value_text
from bestiary.training.memory import allocation_limit, machine_memory

__all__ = ["refuse_too_large", "too_large"]

_COPIES = 8  # of the weights, while a model is fitted: gradients, moments, averages, the best ones, and a checkpoint
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e\+?\d+)?")


@contextmanager
def refuse_too_large(options: Mapping[str, Any], defaults: Mapping[str, Any], spec: Spec) -> Iterator[None]:
    """Within the block weights that cannot be fitted in the memory of this machine raise `too_large`."""
    try:
        with allocation_limit(machine_memory() // _COPIES):
            yield
    except MemoryError as error:
        raise too_large(options, defaults, spec) from error


def too_large(options: Mapping[str, Any], defaults: Mapping[str, Any], spec: Spec) -> BestiaryError:
    """The error for a model or a batch that takes more than the memory of this machine.

    options: those of the model and the training, by name. defaults: their values if they are not given.
    """
    memory = f"this machine has {machine_memory() / 2**30:,.0f} GiB of memory"
    ratio = {key: _largest(value) / _largest(defaults.get(key)) for key, value in options.items()}
    key = max(ratio, key=lambda key: ratio[key], default="")
    if not key or ratio[key] <= 1:
        return BestiaryError(f"{memory}, too little for examples of {spec.dimensions:,} numbers: give smaller ones")
    working = f"{key}={value_text(defaults[key])}" if defaults.get(key) not in (None, "", ()) else f"no {key}="
    return BestiaryError(f"{key}={value_text(options[key])} makes it too large: {memory}. Use {working}")


def _largest(value: Any) -> float:
    """The largest number in an option, such as 500 in `vamp(500)`; at least 1."""
    return max([1.0, *(float(number) for number in _NUMBER.findall(value_text(value)))])
