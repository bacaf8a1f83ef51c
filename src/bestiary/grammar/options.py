"""Options and parts: a function's signature is the only description of what it takes.

    option   a parameter that goes by its name, with annotation, default, and a comment beside it that is its help
    part     a name, or a call of one:  vamp    vamp(500)    iaf(steps=4,width=320)    capacity(linear(0,25,20000))

A part's builder stands in a plain dictionary (PRIORS, POSTERIORS, LIKELIHOODS, OBJECTIVES, …). What stands in
parentheses fills the builder's keyword options, in order or by name, and is read by their annotations, so that a new
option of a prior is one parameter in one file and known to the command line, to help and to Python at once.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, TypeVar, get_type_hints

from bestiary.errors import BestiaryError, unknown
from bestiary.grammar.values import coerce
from bestiary.grammar.values import text as value_text

__all__ = [
    "called", "comments", "gathered", "groups", "like", "list_options", "made", "part_options", "signature_options",
    "signed", "split",
]  # fmt: skip

T = TypeVar("T")

_COMMENT = re.compile(r"\s*([^\W\d]\w*)\s*:[^#]*#\s*(.*\S)")
_HEADING = re.compile(r"\s*#\s*(.*\S)\s*")
_CALL = re.compile(r"\s*([^\W\d][\w-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)", re.DOTALL)


def signature_options(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The options of a function or dataclass: each parameter that has a default or goes by its name alone.

    >>> def vae(spec, *, latent: int = 20): ...
    >>> signature_options(vae)
    {'latent': (<class 'int'>, 20)}
    """
    parameters = inspect.signature(function).parameters.values()
    while isinstance(function, partial):
        function = function.func
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except NameError:  # a name that is imported for type checkers only: such options are passed as they are
        hints = {}
    empty, named = inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY
    return {
        p.name: (hints.get(p.name, p.annotation), p.default)
        for p in parameters
        if p.kind is named or (p.default is not empty and p.kind is not inspect.Parameter.POSITIONAL_ONLY)
    }


def comments(function: Callable[..., Any]) -> dict[str, str]:
    """What the source says behind each parameter or field: `latent: int = 20,  # dimensions of z`."""
    while isinstance(function, partial):
        function = function.func
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # no source at hand
        return {}
    return {found[1]: found[2] for line in source.splitlines() if (found := _COMMENT.match(line))}


def groups(function: Callable[..., Any]) -> dict[str, str]:
    """What each parameter is for: the last comment that stands on a line of its own above it.

    >>> from bestiary.models.zoo_adversarial import gan
    >>> groups(gan)["tricks"], groups(gan)["beta1"]
    ('the game', 'the steps')
    """
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return {}
    found, group = dict[str, str](), ""
    for line in source.partition(") ->")[0].splitlines():
        if heading := _HEADING.fullmatch(line):
            group = heading[1]
        elif parameter := _COMMENT.match(line):
            found[parameter[1]] = group
    return found


def split(text: str) -> list[str]:
    """The words between commas that stand in no parentheses.

    >>> split("linear(0,1,2000), steps=4")
    ['linear(0,1,2000)', 'steps=4']
    """
    words, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            raise ValueError
        if letter == "," and not depth:
            words.append(text[start:i].strip())
            start = i + 1
    if depth:
        raise ValueError
    return [*words, text[start:].strip()] if text.strip() else []


def called(what: str, text: str, table: Mapping[str, Callable[..., T]]) -> tuple[Callable[..., T], dict[str, Any]]:
    """The builder that a part's text names and the options in its parentheses.

    >>> def vamp(place, *, components: int = 500): ...
    >>> called("prior", "vamp(200)", {"vamp": vamp})[1]
    {'components': 200}
    """
    found = _CALL.fullmatch(text)
    if found is None:
        raise BestiaryError(f"{what}={text} is neither a name nor a call of one such as {_example(table)}")
    name, inside = found[1], found[2] or ""
    if name not in table:
        raise unknown(what, name, table)
    known = part_options(table[name])
    try:
        given = split(inside)
    except ValueError:
        raise BestiaryError(f"{what}={text}: its parentheses do not match") from None
    return table[name], _bound(f"{what}={text}", name, given, known)


def _bound(said: str, name: str, given: list[str], known: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Words such as `500` or `steps=4` as options of the part, read by their annotations."""
    options: dict[str, Any] = {}
    takes = f"{name} takes {signed(name, known)}" if known else f"{name} takes no options"
    for place, word in enumerate(given):
        named = _NAMED.fullmatch(word)
        if named is None and (place >= len(known) or any(_NAMED.fullmatch(w) for w in given[:place])):
            raise BestiaryError(f"{said}: there is no place for `{word}`; {takes}")
        key, value = (named[1], named[2].strip()) if named else (list(known)[place], word)
        if key not in known:
            raise unknown(f"option of {name}", key, known)
        if key in options:
            raise BestiaryError(f"{said}: `{key}` is given twice")
        options[key] = coerce(value, known[key][0], f"{name}: {key}")
    return options


def part_options(builder: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The options of a part: its keyword-only parameters."""
    hints = signature_options(builder)
    named = inspect.Parameter.KEYWORD_ONLY
    return {p.name: hints[p.name] for p in inspect.signature(builder).parameters.values() if p.kind is named}


def signed(name: str, options: Mapping[str, tuple[Any, Any]]) -> str:
    """A part with its options and their defaults, as one would type it.

    >>> signed("vamp", {"components": (int, 500)})
    'vamp(components=500)'
    """
    inside = ",".join(f"{key}={_within(default)}" for key, (_, default) in options.items())
    return f"{name}({inside})" if inside else name


def _within(value: Any) -> str:
    """A value as it stands between the parentheses of a call."""
    return f"({value_text(value)})" if isinstance(value, tuple) else value_text(value)


def made(what: str, part: Any, table: Mapping[str, Callable[..., T]], *arguments: object) -> T:
    """A part by its name or call, built on its fixed arguments; or the module that stands in its place."""
    if isinstance(part, str):
        builder, options = called(what, part, table)
        return builder(*arguments, **options)
    from torch import nn

    if not isinstance(part, nn.Module):
        raise BestiaryError(f"{what}= takes a name or a torch.nn.Module; got {part!r}")
    return part  # type: ignore[return-value]


def _example(table: Mapping[str, Callable[..., Any]]) -> str:
    name = next((n for n in table if part_options(table[n])), next(iter(table)))
    return signed(name, part_options(table[name]))


def like(model: Callable[..., T], says: str, **parts: object) -> Callable[..., T]:
    """The same model with other defaults, under a name of its own.

    >>> def vae(spec, *, beta: float = 1.0): return beta
    >>> beta_vae = like(vae, "The KL weighs more.", beta=4.0)
    >>> beta_vae(None), beta_vae(None, beta=2.0), beta_vae.__doc__
    (4.0, 2.0, 'The KL weighs more.')
    """
    whole = inspect.signature(model)
    changed = [p.replace(default=parts.get(p.name, p.default)) for p in whole.parameters.values()]

    @wraps(model)
    def named(*arguments: object, **options: object) -> T:
        return model(*arguments, **{**parts, **options})

    named.__doc__ = says
    named.__signature__ = whole.replace(parameters=changed)  # type: ignore[attr-defined]
    return named


# ------------------------------------------------------------------ options that take several parts


def gathered(
    model: Callable[..., Any], options: Mapping[str, Any], lists: Mapping[str, Mapping[str, Callable[..., Any]]]
) -> dict[str, Any]:
    """Options in which a part that was given by its own name, pack=2, stands in the list that takes it, tricks=."""
    taken, found = signature_options(model), dict(options)
    for option, table in lists.items():
        mine = [key for key in options if key in table and key not in taken]
        if option not in taken or not mine:
            continue
        words = options.get(option, taken[option][1])
        if not isinstance(words, str):
            raise BestiaryError(f"{option}= holds parts from Python: put {', '.join(mine)} among them")
        parts = {word.partition("(")[0].strip(): word for word in split(words)}
        for key in mine:
            word = _part_word(key, found.pop(key), table[key])
            parts = {**parts, key: word} if word else {k: v for k, v in parts.items() if k != key}
        found[option] = ",".join(parts.values())
    return found


def list_options(
    model: Callable[..., Any], lists: Mapping[str, Mapping[str, Callable[..., Any]]]
) -> dict[str, tuple[Any, Any]]:
    """The parts of such lists as options of a model: each takes what the part's first option takes, else yes or no."""
    taken = signature_options(model)
    found: dict[str, tuple[Any, Any]] = {}
    for option, table in lists.items():
        for name, builder in table.items() if option in taken else ():
            first = next(iter(part_options(builder).values()), (bool, False))
            found[name] = (first[0], None)
    return {name: kind for name, kind in found.items() if name not in taken}


def _part_word(name: str, value: Any, builder: Callable[..., Any]) -> str:
    """pack, 2 → `pack(2)`; empty where the value says to leave it out."""
    known = part_options(builder)
    written = value_text(value).strip()
    if written in ("no", "none", "0", "0.0", "()", "", "false", "off"):
        return ""
    if not known:
        if written.lower() not in ("yes", "true", "on", "1"):
            raise BestiaryError(f"{name}={written}: say {name}=yes or {name}=no")
        return name
    several = "," in written and not _CALL.fullmatch(written)
    return f"{name}(({written.strip('()')}))" if several else f"{name}({written})"
