"""Parts of a model by name or by call: `prior=vamp`, `prior=vamp(200)`, `objective=capacity(linear(0,25,20000))`.

A part is built by a function that stands in a plain dictionary (PRIORS, POSTERIORS, LIKELIHOODS, OBJECTIVES, …). The
arguments of a call fill its keyword-only parameters, in order or by name, and are read by their annotations: a new
option of a prior is one parameter in one file, and the command line, the help and Python know it.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bestiary.errors import BestiaryError, unknown_name
from bestiary.grammar.calls import Call, parse_call
from bestiary.grammar.signatures import Options, part_options
from bestiary.grammar.values import coerce, value_text

__all__ = ["build_part", "parse_part", "part_signature"]

T = TypeVar("T")


def parse_part(
    option: str, text: str, builders: Mapping[str, Callable[..., T]]
) -> tuple[Callable[..., T], dict[str, Any]]:
    """The builder that `option=text` names, and the options that its parentheses give.

    Raises BestiaryError where the text is no call, the name is not in `builders`, or an argument does not fit.

    >>> def vamp(place, *, components: int = 500): ...
    >>> parse_part("prior", "vamp(200)", {"vamp": vamp})[1]
    {'components': 200}
    """
    try:
        call = parse_call(text)
    except BestiaryError as error:
        example = _example(text, builders)
        raise BestiaryError(f"{option}: {error}. Write a name, or a call such as {option}={example}") from None
    if call.name not in builders:
        raise unknown_name(option, call.name, builders)
    builder = builders[call.name]
    return builder, _read_arguments(option, text, call, part_options(builder))


def _read_arguments(option: str, text: str, call: Call, options: Options) -> dict[str, Any]:
    """The arguments of a call by the name of the option that each fills, read by its annotation."""
    values: dict[str, Any] = {}
    part = f"{option}={text}"
    names, signature = list(options), part_signature(call.name, options)
    for i, (keyword, argument) in enumerate(call.arguments):
        if not options:
            raise BestiaryError(f"{part}: {call.name} takes no options: write {option}={call.name}")
        if keyword is None and any(other for other, _ in call.arguments[:i]):
            raise BestiaryError(f"{part}: `{argument}` follows a named option: name it too, as in {signature}")
        if keyword is None and i >= len(names):
            raise BestiaryError(f"{part}: `{argument}` is one value too many: {call.name} takes {signature}")
        name = keyword or names[i]
        if name not in options:
            raise unknown_name(f"option of {call.name}", name, options)
        if name in values:
            raise BestiaryError(f"{part}: `{name}` is given twice: keep one of them")
        try:
            values[name] = coerce(argument, options[name][0], name)
        except BestiaryError as error:
            raise BestiaryError(f"{part}: {error}") from None
    return values


def part_signature(name: str, options: Options) -> str:
    """A part with its options and their defaults, as one would type it.

    >>> part_signature("vamp", {"components": (int, 500)})
    'vamp(components=500)'
    """
    arguments = ",".join(f"{key}={_argument_text(default)}" for key, (_, default) in options.items())
    return f"{name}({arguments})" if arguments else name


def _argument_text(value: Any) -> str:
    """A value as it stands between the parentheses of a call."""
    return f"({value_text(value)})" if isinstance(value, tuple) else value_text(value)


def build_part(option: str, part: Any, builders: Mapping[str, Callable[..., T]], *arguments: object) -> T:
    """Build the part that a name or call names, on `arguments`; a torch.nn.Module is given back as it is.

    Raises BestiaryError where `part` is neither text nor a module, or where the text cannot be read.
    """
    if isinstance(part, str):
        builder, options = parse_part(option, part, builders)
        return builder(*arguments, **options)
    from torch import nn

    if not isinstance(part, nn.Module):
        raise BestiaryError(f"{option}= takes a name or a torch.nn.Module; got {part!r}")
    return part  # type: ignore[return-value]


def _example(text: str, builders: Mapping[str, Callable[..., Any]]) -> str:
    """A call that works: of the name that the text begins with, else of the first part that has options."""
    name = text.partition("(")[0].strip()
    names = [name] if name in builders else [n for n in builders if part_options(builders[n])] or list(builders)
    return part_signature(names[0], part_options(builders[names[0]]))
