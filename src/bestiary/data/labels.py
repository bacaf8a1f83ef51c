"""Labels of any plain kind → int64 (N,) numbers into a tuple of class names.

Whole numbers are sorted as numbers, words as words; the class names are what the user wrote.
"""

from typing import Any

import numpy as np

from bestiary.errors import BestiaryError

__all__ = ["encoded"]

_MOST = 10_000  # more distinct values than this are not classes


def encoded(values: Any, n: int, what: str = "labels") -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) labels → numbers 0 … K−1 and the K names.

    >>> encoded([7, 3, 7], 3)
    (array([1, 0, 1]), ('3', '7'))
    """
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (n,) or array.dtype.kind not in "biufUS":
        raise BestiaryError(
            f"{what} must be one whole number or word for each of the {n:,} examples; got an array of shape "
            f"{array.shape} and type {array.dtype}"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.round(array)).any():
            raise BestiaryError(f"{what} must be whole numbers or words; got fractions or missing values")
        array = array.astype(np.int64)
    names, numbers = np.unique(array, return_inverse=True)
    if len(names) > _MOST:
        raise BestiaryError(f"{what} have {len(names):,} distinct values; classes are at most {_MOST:,}")
    words = names.astype(str) if array.dtype.kind != "S" else np.char.decode(names, "utf-8", "replace")
    told = tuple(map(str, words))
    bad = [word for word in told if any("\ud800" <= letter <= "\udfff" for letter in word)]
    if bad:  # bytes of a file name that are no text cannot be written into a config
        raise BestiaryError(f"the class {bad[0].encode('utf-8', 'replace').decode()} is not text in UTF-8: rename it")
    return numbers.reshape(-1).astype(np.int64), told
