"""Labels of any plain kind: one of several words for each example.

    whole numbers or words, (N,); one-hot (N, K)    int64 (N,), numbers into a tuple of class names

Whole numbers are sorted as numbers, words as words; the class names are what the user wrote. Anything else is refused,
with the option that takes it: fractions are `numbers=`, several whole numbers each are `tokens=` or `factors=`.
"""

from typing import Any

import numpy as np

from bestiary.errors import BestiaryError

__all__ = ["MOST_CLASSES", "encoded"]

MOST_CLASSES = 10_000  # more distinct values than this are not classes


def _is_one_hot(array: np.ndarray) -> bool:
    two = array.ndim == 2 and array.shape[1] > 1
    return two and bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def _plain(values: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype == object and len({type(value) for value in array.flat}) == 1:
            array = np.asarray(array.tolist())  # words of a data frame
        return array
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(f"{what} are no array: {error}. Of a torch tensor give y.detach().cpu().float()") from error


def encoded(values: Any, n: int, what: str = "labels") -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) labels → numbers 0 … K−1 and the K names.

    >>> encoded([7, 3, 7], 3)
    (array([1, 0, 1]), ('3', '7'))
    """
    array = _plain(values, what)
    if array.ndim == 2 and array.shape[1] == 1 and array.dtype.kind != "f":
        array = array[:, 0]
    elif array.dtype.kind in "biuf" and _is_one_hot(array):
        array = array.argmax(axis=1)
    if array.shape != (n,) or array.dtype.kind not in "biufUS":
        raise BestiaryError(
            f"{what} must be one whole number or word for each of the {n:,} examples; got an array of shape "
            f"{array.shape} and type {array.dtype}. Several numbers each are declared by numbers=, tokens= or factors="
        )
    names, numbers = np.unique(_whole(array, what), return_inverse=True)
    if len(names) > MOST_CLASSES:
        raise BestiaryError(
            f"{what} have {len(names):,} distinct values; classes are at most {MOST_CLASSES:,}. Take them for numbers, "
            "numbers=, or for texts, caption="
        )
    return numbers.reshape(-1).astype(np.int64), _words(names, what)


def _whole(array: np.ndarray, what: str) -> np.ndarray:
    """Floats that are whole numbers as such; anything else as it is."""
    if array.dtype.kind != "f":
        return array
    if not np.isfinite(array).all() or (array != np.round(array)).any():
        raise BestiaryError(
            f"{what} must be whole numbers or words; got fractions or missing values. Fractions beside x are declared "
            "by numbers="
        )
    if (abs(array) >= 2.0**63).any():
        raise BestiaryError(f"{what} must be whole numbers of at most 63 bits, or words")
    return array.astype(np.int64)


def _words(names: np.ndarray, what: str) -> tuple[str, ...]:
    """Distinct values as distinct words that a config can hold."""
    words = names.astype(str) if names.dtype.kind != "S" else np.char.decode(names, "utf-8", "replace")
    told = tuple(map(str, words))
    bad = [word for word in told if any("\ud800" <= letter <= "\udfff" for letter in word)]
    if bad:  # bytes of a file name that are no text cannot be written into a config
        raise BestiaryError(f"the class {bad[0].encode('utf-8', 'replace').decode()} is not text in UTF-8: rename it")
    if len(set(told)) < len(told):
        raise BestiaryError(f"{what} are bytes that are not text in UTF-8, and are not told apart as text: decode them")
    return told
