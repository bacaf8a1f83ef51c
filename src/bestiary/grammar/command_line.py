"""The grammar of a command line: `DATA MODEL key=value …`.

    word   ::=  key "=" value        key  ::=  [section "."] name

Keys say what to run and are written bare; flags say how to run and start with dashes. `words` takes a line
apart and `to_words` puts one together: for any mapping d, `words(shlex.split(to_words(d)))` has the keys of d
and its values as text, and `coerce` reads that text back. An option is a parameter of a function (or a field
of a dataclass): its annotation is the only description of what it takes, its default the only default.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from bestiary.errors import BestiaryError, nearest
from bestiary.grammar.options import signature_options
from bestiary.grammar.values import coerce, text

__all__ = ["route", "to_words", "words"]

Options = Mapping[str, tuple[Any, Any]]  # name → (annotation, default)

_KEY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def words(args: Sequence[str], flags: Sequence[str] = ()) -> dict[str, str]:
    """The `key=value` words of a line; `flags` are those that may stand in it, for did-you-mean.

    >>> words(["latent=20", "prior=vamp"])
    {'latent': '20', 'prior': 'vamp'}
    """
    found: dict[str, str] = {}
    for place, word in enumerate(args):
        before, rest = (args[place - 1] if place else ""), args[place + 1 :]
        if word.startswith("-"):
            raise BestiaryError(_not_a_flag(word, rest, flags))
        key, equals, value = word.partition("=")
        if not equals:
            raise BestiaryError(_not_a_word(word, before, rest))
        if not _KEY.fullmatch(key):
            raise BestiaryError(
                f"`{word}` has no key before the `=`: a key is letters, digits and _, for example steps=2000"
            )
        if key in found:
            raise BestiaryError(f"`{key}` is given twice, {key}={found[key]} and {word}: keep one of them")
        found[key] = value
    return found


def _not_a_flag(word: str, rest: Sequence[str], flags: Sequence[str]) -> str:
    """`--steps 2000` where `steps=2000` was meant, or a flag that is misspelt."""
    name, _, value = word.partition("=")
    key = name.strip("-").replace("-", "_")
    follows = "".join(w for w in rest[:1] if "=" not in w and not w.startswith("-"))
    value = shlex.quote(value or follows) if value or follows else "…"
    guess = next(iter(get_close_matches(name, flags, n=1, cutoff=0.7)), None)  # --steps is not meant to be --resume
    hint = f"did you mean {guess}? " if guess else ""
    right = f"{key}={value}" if _KEY.fullmatch(key) else "steps=2000"
    return f"there is no flag `{name}`: {hint}Keys, which say what to run, have no dashes: write {right}"


def _not_a_word(word: str, before: str, rest: Sequence[str]) -> str:
    """A word without `=`: spaces around one, a forgotten value, or forgotten quotes."""
    key, equals, value = before.partition("=")
    if equals and not value:
        return f"`{before} {word}` has a space: a key and its value are one word, {before}{shlex.quote(word)}"
    if rest and rest[0].startswith("="):
        meant = rest[0][1:] or "".join(rest[1:2]) or "…"
        return f"`{word} =` has a space: a key and its value are one word, {word}={meant}"
    follows = shlex.quote(rest[0]) if rest and "=" not in rest[0] and not rest[0].startswith("-") else "…"
    quoted = f"If it belongs to what precedes it, quote them: {key}={shlex.quote(f'{value} {word}')}. "
    return (
        f"`{word}` is not key=value. If it is a key, give it a value: {word}={follows}. {quoted if equals else ''}"
        f"If it is a flag, it starts with two dashes: --{word}"
    )


def to_words(options: Mapping[str, object]) -> str:
    """One line that says these options, quoted for a shell where needed.

    >>> to_words({"latent": 20, "hidden": (400, 400), "learned": True, "note": "two words"})
    "latent=20 hidden=400,400 learned=yes note='two words'"
    """
    return " ".join(f"{key}={shlex.quote(text(v)) if v != '' else ''}" for key, v in options.items())


def route(
    options: Mapping[str, object], sections: Mapping[str, Callable[..., Any] | Options]
) -> dict[str, dict[str, Any]]:
    """Each option, read by its annotation, under the section that knows its key.

    A key that several sections know (`seed`) goes to the last of them; `data.seed=1` names another.

    >>> def load(n: int = 1000, seed: int = 0): ...
    >>> def fit(steps: int = 100, seed: int = 0): ...
    >>> route({"steps": "2k", "seed": "1", "data.seed": "2"}, {"data": load, "training": fit})
    {'data': {'seed': 2}, 'training': {'steps': 2000, 'seed': 1}}
    """
    known = {s: what if isinstance(what, Mapping) else signature_options(what) for s, what in sections.items()}
    routed: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for key, value in options.items():
        section, name = _home(key, known)
        if name in routed[section]:
            raise BestiaryError(f"`{name}` is given twice to {section}, once as `{key}`: keep one of them")
        routed[section][name] = coerce(value, known[section][name][0], key)
    return routed


def _home(key: str, known: Mapping[str, Options]) -> tuple[str, str]:
    """(section, name) of a key."""
    section, dot, name = key.partition(".")
    if dot and name in known.get(section, {}):
        return section, name
    homes = [s for s, options in known.items() if key in options]
    if homes:
        return homes[-1], key
    owner = {name: s for s, options in known.items() for name in options}
    guess = nearest(name if dot and section in known else key, owner)
    hint = f"did you mean `{guess}` ({owner[guess]})? " if guess else ""
    lists = "; ".join(f"{s}: {', '.join(sorted(options)) or 'none'}" for s, options in known.items())
    raise BestiaryError(f"unknown key `{key}`: {hint}Known keys — {lists}.")
