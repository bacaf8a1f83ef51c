"""Options that take several parts, such as `tricks=pack(2),noise(0.1)`, and each part as an option by its own name.

    pack=2 noise=0.1          is the same as    tricks=pack(2),noise(0.1)
    spectral=yes              adds a part that takes no options
    pack=0, spectral=no       leaves a part out

A value fills the first option of the part; the others are given in the list, `tricks=unroll(5,rate=0.1)`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.grammar.calls import parse_call, split_arguments
from bestiary.grammar.signatures import part_options, signature_options
from bestiary.grammar.values import value_text

__all__ = ["list_part_options", "merge_part_options"]

Lists = Mapping[str, Mapping[str, Callable[..., Any]]]  # option that takes several parts → part's name → its builder


def list_part_options(model: Callable[..., Any], lists: Lists) -> dict[str, tuple[Any, Any]]:
    """The parts of such lists as options of a model: name → (annotation, None).

    Each takes what the first option of the part takes, or yes and no where the part has none.
    """
    model_options = signature_options(model)
    options: dict[str, tuple[Any, Any]] = {}
    for option, builders in lists.items():
        for name, builder in builders.items() if option in model_options else ():
            annotation, _ = next(iter(part_options(builder).values()), (bool, False))
            options[name] = (annotation, None)
    return {name: option for name, option in options.items() if name not in model_options}


def merge_part_options(model: Callable[..., Any], options: Mapping[str, Any], lists: Lists) -> dict[str, Any]:
    """Options with each part that was given by its own name, pack=2, moved into the list that takes it, tricks=.

    Raises BestiaryError where the list holds parts from Python, or where a value cannot be read.
    """
    model_options, merged = signature_options(model), dict(options)
    for option, builders in lists.items():
        names = [key for key in options if key in builders and key not in model_options]
        if option not in model_options or not names:
            continue
        list_text = options.get(option, model_options[option][1])
        if not isinstance(list_text, str):
            raise BestiaryError(f"{option}= holds parts from Python: put {', '.join(names)} among them")
        parts = {_name(part): part for part in split_arguments(list_text)}
        for name in names:
            part = _part_text(name, merged.pop(name), builders[name])
            parts = {**parts, name: part} if part else {k: v for k, v in parts.items() if k != name}
        merged[option] = ",".join(parts.values())
    return merged


def _name(part: str) -> str:
    return part.partition("(")[0].strip()


def _part_text(name: str, value: Any, builder: Callable[..., Any]) -> str:
    """pack, 2 → `pack(2)`; empty where the value says to leave the part out."""
    text = value_text(value).strip()
    if text in ("no", "none", "0", "0.0", "()", "", "false", "off"):
        return ""
    if not part_options(builder):
        if text.lower() not in ("yes", "true", "on", "1"):
            raise BestiaryError(f"{name}={text}: say {name}=yes or {name}=no")
        return name
    return f"{name}(({text.strip('()')}))" if "," in text and not _is_call(text) else f"{name}({text})"


def _is_call(text: str) -> bool:
    try:
        return bool(parse_call(text))
    except BestiaryError:
        return False
