"""The error for every mistake that a user can correct, and the nearest name for a misspelt one.

Any mistake with data, options or files raises `BestiaryError`. Its message says what is wrong, what is expected and
what to write. The command line prints it without a traceback; any other exception is a bug of ours.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["BestiaryError", "nearest_name", "unknown_name"]


class BestiaryError(ValueError):
    """A mistake that the user can correct: the message says what to write."""


def nearest_name(word: str, names: Iterable[str]) -> str | None:
    """The name that is spelt most like `word`, whatever its case; None where none is close.

    >>> nearest_name("dcgna", ["vae", "gan", "dcgan"])
    'dcgan'
    """
    names = list(names)
    matches = get_close_matches(word.lower(), [name.lower() for name in names], n=1, cutoff=0.5)
    return next((name for name in names if matches and name.lower() == matches[0]), None)


def unknown_name(kind: str, word: str, names: Iterable[str]) -> BestiaryError:
    """The error for a word that is none of `names`, with the nearest of them and the whole list.

    >>> print(unknown_name("model", "dcgna", ["vae", "gan", "dcgan"]))
    unknown model `dcgna`: did you mean `dcgan`? Known: dcgan, gan, vae.
    """
    names = sorted(names)
    guess = nearest_name(word, names)
    hint = f": did you mean `{guess}`?" if guess else "."
    return BestiaryError(f"unknown {kind} `{word}`{hint} Known: {', '.join(names)}.")
