"""The options of a function, read from its signature: name, annotation, default, help text, group.

    def vae(spec, *,
        # the network
        latent: int = 20,  # dimensions of z

An option is a parameter that has a default or goes by its name alone. The comment beside it is its help text, the last
comment on a line of its own above it is its group. The signature is the only description of options: the command line,
`bestiary models NAME`, the config of a run and Python all read it here.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, TypeVar, get_type_hints

__all__ = ["Options", "option_comments", "option_groups", "part_options", "signature_options", "with_defaults"]

T = TypeVar("T")
Options = Mapping[str, tuple[Any, Any]]  # name → (annotation, default)

_PARAMETER = re.compile(r"\s*([^\W\d]\w*)\s*:[^#]*#\s*(.*\S)")
_HEADING = re.compile(r"\s*#\s*(.*\S)\s*")


def signature_options(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The options of a function or dataclass: name → (annotation, default).

    >>> def vae(spec, *, latent: int = 20): ...
    >>> signature_options(vae)
    {'latent': (<class 'int'>, 20)}
    """
    parameters = inspect.signature(function).parameters.values()
    while isinstance(function, partial):
        function = function.func
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    except NameError:  # a name that is imported for type checkers only: such options are passed on unread
        hints = {}
    empty, keyword_only = inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY
    return {
        p.name: (hints.get(p.name, p.annotation), p.default)
        for p in parameters
        if p.kind is keyword_only or (p.default is not empty and p.kind is not inspect.Parameter.POSITIONAL_ONLY)
    }


def part_options(builder: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The options of a part: the keyword-only parameters of the function that builds it."""
    options = signature_options(builder)
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    return {p.name: options[p.name] for p in inspect.signature(builder).parameters.values() if p.kind is keyword_only}


def option_comments(function: Callable[..., Any]) -> dict[str, str]:
    """The comment beside each parameter or field, its help text; empty where the source cannot be read."""
    while isinstance(function, partial):
        function = function.func
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # no source at hand
        return {}
    return {match[1]: match[2] for line in source.splitlines() if (match := _PARAMETER.match(line))}


def option_groups(function: Callable[..., Any]) -> dict[str, str]:
    """The group of each commented parameter: the last comment that stands on a line of its own above it.

    >>> from bestiary.models.zoo_adversarial import gan
    >>> option_groups(gan)["tricks"], option_groups(gan)["beta1"]
    ('the game', 'the steps')
    """
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return {}
    group_of, group = dict[str, str](), ""
    for line in source.partition(") ->")[0].splitlines():
        if heading := _HEADING.fullmatch(line):
            group = heading[1]
        elif parameter := _PARAMETER.match(line):
            group_of[parameter[1]] = group
    return group_of


def with_defaults(model: Callable[..., T], summary: str, **defaults: object) -> Callable[..., T]:
    """The same model with other defaults; `summary` is its docstring.

    >>> def vae(spec, *, beta: float = 1.0): return beta
    >>> beta_vae = with_defaults(vae, "The KL weighs more.", beta=4.0)
    >>> beta_vae(None), beta_vae(None, beta=2.0), beta_vae.__doc__
    (4.0, 2.0, 'The KL weighs more.')
    """
    signature = inspect.signature(model)
    parameters = [p.replace(default=defaults.get(p.name, p.default)) for p in signature.parameters.values()]

    @wraps(model)
    def variant(*arguments: object, **options: object) -> T:
        return model(*arguments, **{**defaults, **options})

    variant.__doc__ = summary
    variant.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return variant
