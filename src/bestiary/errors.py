"""What a user can do wrong, said so that it can be put right.

Every mistake that a person can make with data, options or files raises `BestiaryError`: what was wrong, what was
expected, how to fix it. The command line prints such a message without a traceback; anything else is our bug.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["BestiaryError", "nearest", "unknown"]


class BestiaryError(ValueError):
    """A mistake that the message explains and the user can mend."""


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that `word` was most likely meant to be, if any is close.

    >>> nearest("dcgna", ["vae", "gan", "dcgan"])
    'dcgan'
    """
    names = list(names)
    close = get_close_matches(word.lower(), [name.lower() for name in names], n=1, cutoff=0.5)
    return next((name for name in names if close and name.lower() == close[0]), None)


def unknown(what: str, word: str, names: Iterable[str]) -> BestiaryError:
    """The error for a name nobody knows: with the nearest one and the whole list.

    >>> print(unknown("model", "dcgna", ["vae", "gan", "dcgan"]))
    unknown model `dcgna`: did you mean `dcgan`? Known: dcgan, gan, vae.
    """
    names = sorted(names)
    guess = nearest(word, names)
    hint = f": did you mean `{guess}`?" if guess else "."
    return BestiaryError(f"unknown {what} `{word}`{hint} Known: {', '.join(names)}.")
