"""Values of options: text ↔ value by annotation, with an error that says what the option takes.

    int        2000, 2_000, 2k, 1e4          bool      yes no true false on off
    float      0.5, 1e-3, 2k                 Literal   one of its words
    X | None   none, or what X takes         tuple     400,400 or (400,400); () is empty

    Path       a path                        Schedule  linear(0,1,2000), a number too where it says so
    any other class: one of its objects, which only Python can give; any other annotation: anything

`coerce` reads, `value_text` writes: `coerce(value_text(v), annotation, key) == v` for every v that can be written (a
`str | None` cannot hold the word "none"). Numbers are finite, and integers have 64 bits. An annotation with a range,
`Annotated[int, Range(…)]`, takes what lies in it (grammar/ranges.py).
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import isfinite
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from bestiary.errors import BestiaryError, nearest_name
from bestiary.grammar.ranges import Range

__all__ = ["coerce", "type_text", "value_text"]

_SUFFIXES = {"k": 1_000, "K": 1_000, "M": 1_000_000}
_EXACT = 2**53  # beyond it a float no longer tells neighbouring integers apart
_YES_NO = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


def value_text(value: object) -> str:
    """A value as `coerce` reads it back."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (tuple, list)):
        return ",".join(map(value_text, value)) if len(value) else "()"
    return str(value)


@dataclass(frozen=True)
class _Kind:
    """The values that an annotation takes: `read` gives the value or raises ValueError."""

    expected: str  # completes "expected …"
    example: str
    read: Callable[[object], object]
    names: tuple[str, ...] = ()  # words that it takes, for did-you-mean
    order: int = 1  # in a union: kinds that take any text are tried last


def _integer(value: object) -> int:
    number = _number(value) if isinstance(value, str) else value
    if isinstance(value, str) and isinstance(number, float) and number.is_integer() and abs(number) <= _EXACT:
        number = int(number)
    if not isinstance(number, Integral) or isinstance(number, bool) or not -(2**63) <= int(number) < 2**63:
        raise ValueError
    return int(number)


def _number(digits: str) -> int | float:
    """A number as people write one, 2_000, 2k, 1e4: an int where the text is one, else a float."""
    digits = digits.strip()
    factor = _SUFFIXES.get(digits[-1:], 1)
    digits = digits[:-1] if factor > 1 else digits
    try:
        return int(digits) * factor
    except ValueError:
        # 1.1 × 1000 is 1100.0000000000002 in binary: to twelve digits it is 1100
        return float(digits) if factor == 1 else float(f"{float(digits) * factor:.12g}")


def _real(value: object) -> float:
    if not isinstance(value, (str, Real)) or isinstance(value, bool):
        raise ValueError
    number = float(_number(value) if isinstance(value, str) else value)
    if not isfinite(number):
        raise ValueError
    return number


def _yes_no(value: object) -> bool:
    if isinstance(value, str):
        if value.strip().lower() not in _YES_NO:
            raise ValueError
        return _YES_NO[value.strip().lower()]
    if type(value).__name__ not in ("bool", "bool_"):  # Python's and numpy's
        raise ValueError
    return bool(value)


def _string(value: object) -> str:
    if isinstance(value, PathLike):
        value = fspath(value)
    if not isinstance(value, str):
        raise ValueError
    return value


def _path(value: object) -> Path:
    return Path(_string(value))


def _schedule(value: object) -> object:
    from bestiary.grammar.schedules import parse_schedule  # the annotation comes from there: torch is loaded already

    if not isinstance(value, str) and not callable(value):
        raise ValueError
    return parse_schedule(value) if isinstance(value, str) else value


def _none(value: object) -> None:
    if value is not None and not (isinstance(value, str) and value.strip().lower() == "none"):
        raise ValueError


_KINDS: dict[Any, _Kind] = {
    int: _Kind("an integer", "2000", _integer),
    float: _Kind("a finite number", "0.5", _real),
    bool: _Kind("yes or no", "yes", _yes_no, tuple(_YES_NO)),
    str: _Kind("a word", "name", _string, order=3),
    Path: _Kind("a path", "folder/file", _path, order=3),
    NoneType: _Kind("none", "none", _none, ("none",), order=0),
}
_FAMILIES = {"bestiary.grammar.schedules": _Kind("a schedule", "linear(0,1,2000)", _schedule)}  # by module
_ANYTHING = _Kind("a value", "", lambda value: value, order=2)


def _literal(options: tuple[Any, ...]) -> _Kind:
    by_text = {value_text(option): option for option in options}

    def read(value: object) -> object:
        if value in options:
            return value
        if not isinstance(value, str) or value not in by_text:
            raise ValueError
        return by_text[value]

    expected = f"one of {', '.join(by_text)}" if len(by_text) > 1 else "".join(by_text)
    return _Kind(expected, next(iter(by_text)), read, tuple(by_text))


def _union(members: tuple[Any, ...]) -> _Kind:
    """The first member, by `order`, that takes the value."""
    kinds = [_kind(m) for m in members]
    in_order = sorted(kinds, key=lambda kind: kind.order)

    def read(value: object) -> object:
        reason = ValueError()
        for kind in in_order:
            try:
                return kind.read(value)
            except (ValueError, OverflowError) as error:
                reason = error if isinstance(error, BestiaryError) else reason  # one that says more
        raise reason

    names = tuple(name for kind in kinds for name in kind.names)
    expected = list(dict.fromkeys(kind.expected for kind in kinds))
    expected[-2:] = [" or ".join(expected[-2:])]
    example = next((kind.example for kind in kinds if kind.example), "")
    return _Kind(", ".join(expected), example, read, names)


def _items(text: str) -> list[str]:
    """`400,400`, `(400, 400)` or `(400,)` as texts of its items. Raises ValueError for half a pair of parentheses."""
    if text.startswith("(") != text.endswith(")"):
        raise ValueError
    inside = (text[1:-1] if text.startswith("(") else text).strip().removesuffix(",").strip()
    return [item.strip() for item in inside.split(",")] if inside else []


def _tuple(members: tuple[Any, ...]) -> _Kind:
    any_length = members[1:] == (Ellipsis,)
    kinds = [_kind(m) for m in (members[:1] if any_length else members)]

    def read(value: object) -> object:
        if isinstance(value, str):
            value = _items(value.strip())
        if not isinstance(value, Iterable):
            raise ValueError
        parts = list(value)
        readers = kinds * len(parts) if any_length else kinds
        # strict: another length is a ValueError too
        return tuple(kind.read(part) for kind, part in zip(readers, parts, strict=True))

    examples = [kind.example for kind in kinds] * (2 if any_length else 1)
    item = " then ".join(kind.expected for kind in kinds)
    expected = f"values joined by commas, each {item}" if any_length else f"{item}, joined by commas"
    return _Kind(expected, ",".join(examples) or "()", read)


def _annotated(members: tuple[Any, ...]) -> _Kind:
    """The values of a kind that lie in a range."""
    kind, range = _kind(members[0]), members[1]
    assert isinstance(range, Range)

    def read(value: object) -> object:
        result = kind.read(value)
        if not range.holds(result):
            raise ValueError
        return result

    return replace(kind, expected=f"{kind.expected}, {range}", example=range.example, read=read)


_COMPOUND: dict[Any, Callable[[tuple[Any, ...]], _Kind]] = {
    Annotated: _annotated,
    **dict.fromkeys((Union, UnionType), _union),
    Literal: _literal,
    tuple: _tuple,
}


def _object(kind: type) -> _Kind:
    """An object that only Python can give."""

    def read(value: object) -> object:
        try:
            is_kind = isinstance(value, kind)
        except TypeError:  # a protocol that isinstance does not take
            is_kind = True
        if not is_kind:
            raise ValueError
        return value

    return _Kind(f"a {kind.__name__} from Python", "", read)


def _kind(annotation: Any) -> _Kind:
    build = _COMPOUND.get(get_origin(annotation))
    if build:
        return build(get_args(annotation))
    if not isinstance(annotation, type) or annotation in (Any, object, inspect.Parameter.empty):
        return _ANYTHING
    return _KINDS.get(annotation) or _FAMILIES.get(annotation.__module__) or _object(annotation)


def type_text(annotation: Any) -> str:
    """The values that an annotation takes, in words.

    >>> type_text(int | None)
    'an integer or none'
    """
    return _kind(annotation).expected


def coerce(value: object, annotation: Any, key: str) -> Any:
    """Read `value`, text or an object from Python, as `annotation` says; reading twice changes nothing.

    Raises BestiaryError, with `key` and a value that works, where the annotation does not take it.

    >>> coerce("2k", int, "steps"), coerce("none", int | None, "patience")
    (2000, None)
    >>> coerce("400,400", tuple[int, ...], "hidden")
    (400, 400)
    """
    kind = _kind(annotation)
    try:
        return kind.read(value)
    except BestiaryError as error:
        raise BestiaryError(f"{key}: {error}") from None
    except (ValueError, OverflowError):
        raise BestiaryError(_unreadable(value, kind, key)) from None


def _unreadable(value: object, kind: _Kind, key: str) -> str:
    excerpt = value if isinstance(value, str) else repr(value)
    excerpt = excerpt if len(excerpt) <= 60 else excerpt[:57] + "…"
    example = f"for example {key}={kind.example}" if kind.example else "leave it out on the command line"
    if not excerpt.strip():
        return f"{key}= has no value: expected {kind.expected}; {example}"
    guess = nearest_name(excerpt, kind.names)
    hint = f"did you mean {key}={guess}?" if guess else example
    return f"{key}={excerpt} cannot be used: expected {kind.expected}; {hint}"
