"""The parser of calls: a name, or a name with arguments in parentheses, as one types them for a part or a schedule.

    vamp        vamp(500)        iaf(steps=4,width=320)        linear(0,1,2000)        capacity(linear(0,25,20000))

A call is text here: what its name means and how its arguments are read is decided by those who call the parser,
`grammar/part_calls.py` for parts and `grammar/schedules.py` for schedules.
"""

import re
from typing import NamedTuple

from bestiary.errors import BestiaryError

__all__ = ["Call", "parse_call", "split_arguments"]

_CALL = re.compile(r"\s*([^\W\d][\w-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_KEYWORD = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)", re.DOTALL)


class Call(NamedTuple):
    """The name and the arguments of a call, each argument with its key, or None where it has none."""

    name: str
    arguments: list[tuple[str | None, str]]


def parse_call(text: str) -> Call:
    """Parse a name, or a call of one. Raises BestiaryError where the text is neither.

    >>> parse_call("iaf(4, width=320)")
    Call(name='iaf', arguments=[(None, '4'), ('width', '320')])
    >>> parse_call("iaf")
    Call(name='iaf', arguments=[])
    """
    call = _CALL.fullmatch(text)
    if len(split_arguments(text)) != 1 or call is None:
        raise BestiaryError(f"`{text}` is neither a name nor a call of one")
    return Call(call[1], [_parse_argument(argument) for argument in split_arguments(call[2] or "")])


def _parse_argument(text: str) -> tuple[str | None, str]:
    keyword = _KEYWORD.fullmatch(text)
    return (keyword[1], keyword[2].strip()) if keyword else (None, text)


def split_arguments(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses. Raises BestiaryError where these do not match.

    >>> split_arguments("linear(0,1,2000), steps=4")
    ['linear(0,1,2000)', 'steps=4']
    """
    unbalanced = BestiaryError(f"`{text}` has parentheses that do not match")
    arguments, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            raise unbalanced
        if letter == "," and not depth:
            arguments.append(text[start:i].strip())
            start = i + 1
    if depth:
        raise unbalanced
    return [*arguments, text[start:].strip()] if text.strip() else []
