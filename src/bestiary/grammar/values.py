"""What the value of an option may be, and how it is written: text ↔ value.

    int        2000, 2_000, 2k, 1e4          bool      yes no true false on off
    float      0.5, 1e-3, 2k, inf            Literal   one of its words
    X | None   none, or what X takes         tuple     400,400 or (400,400); () is empty

    Path       a path                        Schedule  linear(0,1,2000), a number too where it says so
    any other class: one of its objects, which only Python can give; any other annotation: anything

`coerce` reads, `text` writes: `coerce(text(v), annotation, key) == v` for every v that can be written (a
`str | None` cannot hold the word "none"). Ranges are checked by those who know them, not here.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from bestiary.errors import BestiaryError, nearest

__all__ = ["coerce", "expects", "text"]

_SUFFIXES = {"k": 1_000, "K": 1_000, "M": 1_000_000}
_EXACT = 2**53  # beyond it a float no longer tells neighbouring integers apart
_TRUTH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


def text(value: object) -> str:
    """A value as `coerce` reads it back."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (tuple, list)):
        return ",".join(map(text, value)) if len(value) else "()"
    return str(value)


@dataclass(frozen=True)
class _Kind:
    """What an annotation accepts: `read` gives the value or raises ValueError."""

    says: str  # completes "expected …"
    example: str
    read: Callable[[object], object]
    names: tuple[str, ...] = ()  # words it knows, for did-you-mean
    turn: int = 1  # when a union asks it: those that take any text come last


def _integer(value: object) -> int:
    if isinstance(value, str):
        number = _number(value)
        if isinstance(number, float) and not (number.is_integer() and abs(number) <= _EXACT):
            raise ValueError
        return int(number)
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError
    return int(value)


def _number(written: str) -> int | float:
    """A number as people write one: an int where the text is one, else a float."""
    written = written.strip()
    factor = _SUFFIXES.get(written[-1:], 1)
    written = written[:-1] if factor > 1 else written
    try:
        return int(written) * factor
    except ValueError:
        # 1.1 × 1000 is 1100.0000000000002 in binary: to twelve digits it is what was written
        return float(written) if factor == 1 else float(f"{float(written) * factor:.12g}")


def _real(value: object) -> float:
    if not isinstance(value, (str, Real)) or isinstance(value, bool):
        raise ValueError
    number = float(_number(value) if isinstance(value, str) else value)
    if number != number:
        raise ValueError("not a number")
    return number


def _truth(value: object) -> bool:
    if isinstance(value, str):
        if value.strip().lower() not in _TRUTH:
            raise ValueError
        return _TRUTH[value.strip().lower()]
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


def _nothing(value: object) -> None:
    if value is not None and not (isinstance(value, str) and value.strip().lower() == "none"):
        raise ValueError


_KINDS: dict[Any, _Kind] = {
    int: _Kind("an integer", "2000", _integer),
    float: _Kind("a number", "0.5", _real),
    bool: _Kind("yes or no", "yes", _truth, tuple(_TRUTH)),
    str: _Kind("a word", "name", _string, turn=3),
    Path: _Kind("a path", "folder/file", _path, turn=3),
    NoneType: _Kind("none", "none", _nothing, ("none",), turn=0),
}
_FAMILIES = {"bestiary.grammar.schedules": _Kind("a schedule", "linear(0,1,2000)", _schedule)}  # by module
_ANYTHING = _Kind("a value", "", lambda value: value, turn=2)


def _literal(options: tuple[Any, ...]) -> _Kind:
    by_text = {text(option): option for option in options}

    def read(value: object) -> object:
        if value in options:
            return value
        if not isinstance(value, str) or value not in by_text:
            raise ValueError
        return by_text[value]

    says = f"one of {', '.join(by_text)}" if len(by_text) > 1 else "".join(by_text)
    return _Kind(says, next(iter(by_text)), read, tuple(by_text))


def _union(members: tuple[Any, ...]) -> _Kind:
    """The first member, in order of turn, that takes the value."""
    kinds = [_kind(m) for m in members]
    asked = sorted(kinds, key=lambda kind: kind.turn)

    def read(value: object) -> object:
        refusal = ValueError()
        for kind in asked:
            try:
                return kind.read(value)
            except (ValueError, OverflowError) as error:
                refusal = error if isinstance(error, BestiaryError) else refusal  # one that says more
        raise refusal

    names = tuple(name for kind in kinds for name in kind.names)
    says = list(dict.fromkeys(kind.says for kind in kinds))
    says[-2:] = [" or ".join(says[-2:])]
    example = next((kind.example for kind in kinds if kind.example), "")
    return _Kind(", ".join(says), example, read, names)


def _tuple(members: tuple[Any, ...]) -> _Kind:
    endless = members[1:] == (Ellipsis,)
    kinds = [_kind(m) for m in (members[:1] if endless else members)]

    def read(value: object) -> object:
        if isinstance(value, str):
            inside = value.strip().removeprefix("(").removesuffix(")").removesuffix(",").strip()
            value = [part.strip() for part in inside.split(",")] if inside else []
        if not isinstance(value, Iterable):
            raise ValueError
        parts = list(value)
        each = kinds * len(parts) if endless else kinds
        # strict: another length is a ValueError too
        return tuple(kind.read(part) for kind, part in zip(each, parts, strict=True))

    examples = [kind.example for kind in kinds] * (2 if endless else 1)
    each = " then ".join(kind.says for kind in kinds)
    says = f"values joined by commas, each {each}" if endless else f"{each}, joined by commas"
    return _Kind(says, ",".join(examples) or "()", read)


_BUILT: dict[Any, Callable[[tuple[Any, ...]], _Kind]] = {
    **dict.fromkeys((Union, UnionType), _union),
    Literal: _literal,
    tuple: _tuple,
}


def _object(kind: type) -> _Kind:
    """An object that only Python can give."""

    def read(value: object) -> object:
        try:
            given = isinstance(value, kind)
        except TypeError:  # a protocol that cannot be asked
            given = True
        if not given:
            raise ValueError
        return value

    return _Kind(f"a {kind.__name__} from Python", "", read)


def _kind(annotation: Any) -> _Kind:
    build = _BUILT.get(get_origin(annotation))
    if build:
        return build(get_args(annotation))
    if not isinstance(annotation, type) or annotation in (Any, object, inspect.Parameter.empty):
        return _ANYTHING
    return _KINDS.get(annotation) or _FAMILIES.get(annotation.__module__) or _object(annotation)


def expects(annotation: Any) -> str:
    """What an annotation takes, in words.

    >>> expects(int | None)
    'an integer or none'
    """
    return _kind(annotation).says


def coerce(value: object, annotation: Any, key: str) -> Any:
    """`value`, text or an object from Python, as `annotation` asks for it; reading twice changes nothing.

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
    shown = value if isinstance(value, str) else repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    example = f"for example {key}={kind.example}" if kind.example else "leave it out on the command line"
    if not shown.strip():
        return f"{key}= has no value: expected {kind.says}; {example}"
    guess = nearest(shown, kind.names)
    hint = f"did you mean {key}={guess}?" if guess else example
    return f"{key}={shown} cannot be used: expected {kind.says}; {hint}"
