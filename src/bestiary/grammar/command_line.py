"""The `key=value` words of a command line: parsed, written, and each given to the function that takes it.

    word   ::=  key "=" value        key  ::=  [section "."] name

Keys say what to run and have no dashes; flags say how to run and start with dashes. `parse_words` parses a line and
`format_words` writes one: `parse_words(shlex.split(format_words(d)))` has the keys of the mapping d and its values
as text, which `coerce` reads. An option is a parameter of a function, or a field of a dataclass.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bestiary.errors import BestiaryError, nearest_name
from bestiary.grammar.signatures import Options, signature_options
from bestiary.grammar.values import coerce, value_text

__all__ = ["command", "format_words", "parse_words", "route"]

_KEY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def parse_words(args: Sequence[str], flags: Sequence[str] = ()) -> dict[str, str]:
    """Parse `key=value` words; `flags` are those that the verb has, for did-you-mean.

    Raises BestiaryError, with what to write, for a word of another form and for a key that is given twice.

    >>> parse_words(["latent=20", "prior=vamp"])
    {'latent': '20', 'prior': 'vamp'}
    """
    options: dict[str, str] = {}
    for i, word in enumerate(args):
        previous, following = (args[i - 1] if i else ""), args[i + 1 :]
        if word.startswith("-"):
            raise BestiaryError(_unknown_flag(word, following, flags))
        key, equals, value = word.partition("=")
        if not equals:
            raise BestiaryError(_missing_equals(word, previous, following))
        if not _KEY.fullmatch(key):
            raise BestiaryError(
                f"`{word}` has no key before the `=`: a key is letters, digits and _, for example steps=2000"
            )
        if key in options:
            raise BestiaryError(f"`{key}` is given twice, {key}={options[key]} and {word}: keep one of them")
        options[key] = value
    return options


def _unknown_flag(word: str, following: Sequence[str], flags: Sequence[str]) -> str:
    """The error for `--steps 2000` in the place of `steps=2000`, and for a misspelt flag."""
    name, _, value = word.partition("=")
    key = name.strip("-").replace("-", "_")
    next_value = "".join(w for w in following[:1] if "=" not in w and not w.startswith("-"))
    value = shlex.quote(value or next_value) if value or next_value else "…"
    guess = next(iter(get_close_matches(name, flags, n=1, cutoff=0.7)), None)  # --steps is not meant to be --resume
    hint = f": did you mean {guess}?" if guess else "."
    example = f"{key}={value}" if _KEY.fullmatch(key) else "steps=2000"
    return f"there is no flag `{name}`{hint} A key has no dashes: write {example}"


def _missing_equals(word: str, previous: str, following: Sequence[str]) -> str:
    """The error for a word without `=`: spaces around one, a forgotten value, or forgotten quotes."""
    key, equals, value = previous.partition("=")
    if equals and not value:
        return f"`{previous} {word}` has a space: a key and its value are one word, {previous}{shlex.quote(word)}"
    if following and following[0].startswith("="):
        value = following[0][1:] or "".join(following[1:2]) or "…"
        return f"`{word} =` has a space: a key and its value are one word, {word}={value}"
    is_value = bool(following) and "=" not in following[0] and not following[0].startswith("-")
    example = shlex.quote(following[0]) if is_value else "…"
    quoted = f"If it belongs to the word before it, quote both: {key}={shlex.quote(f'{value} {word}')}. "
    return (
        f"`{word}` is not key=value. If it is a key, give it a value: {word}={example}. {quoted if equals else ''}"
        f"If it is a flag, it starts with two dashes: --{word}"
    )


def format_words(options: Mapping[str, object]) -> str:
    """Options as one line of `key=value` words, quoted for a shell where needed.

    >>> format_words({"latent": 20, "hidden": (400, 400), "learned": True, "note": "two words"})
    "latent=20 hidden=400,400 learned=yes note='two words'"
    """
    return " ".join(f"{key}={shlex.quote(value_text(v)) if v != '' else ''}" for key, v in options.items())


def route(
    options: Mapping[str, object], sections: Mapping[str, Callable[..., Any] | Options]
) -> dict[str, dict[str, Any]]:
    """Give each option to the section that takes it, read by its annotation: section → its options.

    A key that several sections take (`seed`) goes to the last of them; `data.seed=1` names another. Raises
    BestiaryError, with the nearest key, where no section takes a key.

    >>> def load(n: int = 1000, seed: int = 0): ...
    >>> def fit(steps: int = 100, seed: int = 0): ...
    >>> route({"steps": "2k", "seed": "1", "data.seed": "2"}, {"data": load, "training": fit})
    {'data': {'seed': 2}, 'training': {'steps': 2000, 'seed': 1}}
    """
    options_of = {
        section: source if isinstance(source, Mapping) else signature_options(source)
        for section, source in sections.items()
    }
    routed: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for key, value in options.items():
        section, name = _find_section(key, options_of)
        if name in routed[section]:
            raise BestiaryError(f"`{name}` is given twice to {section}, once as `{key}`: keep one of them")
        routed[section][name] = coerce(value, options_of[section][name][0], key)
    return routed


def _find_section(key: str, options_of: Mapping[str, Options]) -> tuple[str, str]:
    """The section that takes a key, and the name of the option there."""
    section, dot, name = key.partition(".")
    if dot and name in options_of.get(section, {}):
        return section, name
    takers = [section for section, options in options_of.items() if key in options]
    if takers:
        return takers[-1], key
    section_of = {name: section for section, options in options_of.items() for name in options}
    guess = nearest_name(name if dot and section in options_of else key, section_of)
    hint = f": did you mean `{guess}` ({section_of[guess]})?" if guess else "."
    lists = "; ".join(f"{s}: {', '.join(sorted(options)) or 'none'}" for s, options in options_of.items())
    raise BestiaryError(f"unknown key `{key}`{hint} Known keys — {lists}.")


def command(verb: str, *paths: Path) -> str:
    """What to type: paths below the current folder are written from there.

    >>> command("judge", Path("runs/digits-vae"))
    'bestiary judge runs/digits-vae'
    """
    here = Path.cwd()
    short = [p.relative_to(here) if p.is_relative_to(here) else p for p in paths]
    return " ".join(["bestiary", verb, *(shlex.quote(str(p)) for p in short)])
