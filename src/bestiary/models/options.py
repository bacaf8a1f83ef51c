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
from bestiary.models.values import coerce
from bestiary.models.values import text as value_text

__all__ = ["called", "comments", "like", "made", "part_options", "signature_options", "signed"]

T = TypeVar("T")

_COMMENT = re.compile(r"\s*([^\W\d]\w*)\s*:[^#]*#\s*(.*\S)")
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
    inside = ",".join(f"{key}={value_text(default)}" for key, (_, default) in options.items())
    return f"{name}({inside})" if inside else name


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
