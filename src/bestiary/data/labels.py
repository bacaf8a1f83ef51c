"""What comes with each example: a label of any plain kind, or some numbers.

    labels    whole numbers or words, (N,); one-hot (N, K) int64 (N,), numbers into a tuple of class names
    numbers   several columns, floats (N, 1), fractions    float64 (N, n): an energy, an angle, attributes

Whole numbers are sorted as numbers, words as words; the class names are what the user wrote.
"""

from typing import Any

import numpy as np

from bestiary.errors import BestiaryError

__all__ = ["encoded", "numbers_of"]

_MOST = 10_000  # more distinct values than this are not classes


def numbers_of(values: Any, n: int) -> np.ndarray | None:
    """(N, n) float64 where these are numbers and no labels; None where they may be labels.

    >>> numbers_of([0.5, 2.0], 2).shape, numbers_of([[1, 2], [0, 1]], 2).shape, numbers_of([1, 2], 2)
    ((2, 1), (2, 2), None)
    """
    array = _plain(values)
    if array.ndim == 0 or len(array) != n or array.ndim > 2 or array.dtype.kind not in "biuf" or not array.size:
        return None
    whole = array.dtype.kind != "f" or (array[np.isfinite(array)] == np.round(array[np.isfinite(array)])).all()
    column = array.ndim == 2 and array.shape[1] == 1 and array.dtype.kind == "f"
    if (whole and not column and (array.ndim == 1 or array.shape[1] == 1)) or _is_one_hot(array):
        return None
    numbers = array.reshape(n, -1).astype(np.float64)
    if not np.isfinite(numbers).all():
        first = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise BestiaryError(
            f"labels hold values that are missing or not finite; the first is that of example {first}. Leave such"
            " examples out, or the labels: label=none"
        )
    return numbers


def _is_one_hot(array: np.ndarray) -> bool:
    two = array.ndim == 2 and array.shape[1] > 1
    return two and bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def _plain(values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype == object and len({type(value) for value in array.flat}) == 1:
            array = np.asarray(array.tolist())  # words of a data frame
        return array
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(f"labels are no array: {error}. Of a torch tensor give y.detach().cpu().float()") from error


def encoded(values: Any, n: int, what: str = "labels") -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) labels → numbers 0 … K−1 and the K names.

    >>> encoded([7, 3, 7], 3)
    (array([1, 0, 1]), ('3', '7'))
    """
    array = _plain(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    elif array.dtype.kind in "biuf" and _is_one_hot(array):
        array = array.argmax(axis=1)
    if array.shape != (n,) or array.dtype.kind not in "biufUS":
        raise BestiaryError(
            f"{what} must be one whole number or word for each of the {n:,} examples, or some numbers, ({n}, n); got "
            f"an array of shape {array.shape} and type {array.dtype}"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.round(array)).any():
            raise BestiaryError(f"{what} must be whole numbers or words; got fractions or missing values")
        if (abs(array) >= 2.0**63).any():
            raise BestiaryError(f"{what} must be whole numbers of at most 63 bits, or words")
        array = array.astype(np.int64)
    names, numbers = np.unique(array, return_inverse=True)
    if len(names) > _MOST:
        raise BestiaryError(f"{what} have {len(names):,} distinct values; classes are at most {_MOST:,}")
    words = names.astype(str) if array.dtype.kind != "S" else np.char.decode(names, "utf-8", "replace")
    told = tuple(map(str, words))
    bad = [word for word in told if any("\ud800" <= letter <= "\udfff" for letter in word)]
    if bad:  # bytes of a file name that are no text cannot be written into a config
        raise BestiaryError(f"the class {bad[0].encode('utf-8', 'replace').decode()} is not text in UTF-8: rename it")
    if len(set(told)) < len(told):
        raise BestiaryError(f"{what} are bytes that are not text in UTF-8, and are not told apart as text: decode them")
    return numbers.reshape(-1).astype(np.int64), told
