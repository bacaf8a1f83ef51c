"""Encode labels: one class for each example.

    whole numbers or words (N,), or one-hot (N, K)    →    int64 (N,), which count into a tuple of class names

Whole numbers are sorted as numbers, words as words; class names are the user's own. Anything else is refused, with the
option that takes it: fractions are `numbers=`, several whole numbers each are `tokens=` or `factors=`.
"""

from typing import Any

import numpy as np

from bestiary.errors import BestiaryError

__all__ = ["MOST_CLASSES", "encode_labels"]

MOST_CLASSES = 10_000  # more distinct values than this are not classes


def _is_one_hot(array: np.ndarray) -> bool:
    is_matrix = array.ndim == 2 and array.shape[1] > 1
    return is_matrix and bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def _to_array(values: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype == object and len({type(value) for value in array.flat}) == 1:
            array = np.asarray(array.tolist())  # words of a data frame
        return array
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(f"{name} are no array: {error}. Of a torch tensor give y.detach().cpu().float()") from error


def encode_labels(values: Any, n: int, name: str = "labels") -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) labels → numbers 0 … K−1 and the K class names. `name` is what an error calls them.

    Raises BestiaryError where they are not one whole number or word for each of n examples, or too many.

    >>> encode_labels([7, 3, 7], 3)
    (array([1, 0, 1]), ('3', '7'))
    """
    array = _to_array(values, name)
    if array.ndim == 2 and array.shape[1] == 1 and array.dtype.kind != "f":
        array = array[:, 0]
    elif array.dtype.kind in "biuf" and _is_one_hot(array):
        array = array.argmax(axis=1)
    if array.shape != (n,) or array.dtype.kind not in "biufUS":
        raise BestiaryError(
            f"{name} must be one whole number or word for each of the {n:,} examples; got an array of shape "
            f"{array.shape} and type {array.dtype}. Several numbers each are declared by numbers=, tokens= or factors="
        )
    distinct, numbers = np.unique(_as_whole_numbers(array, name), return_inverse=True)
    if len(distinct) > MOST_CLASSES:
        raise BestiaryError(
            f"{name} have {len(distinct):,} distinct values, and at most {MOST_CLASSES:,} can be classes: declare them "
            "as numbers= or caption="
        )
    return numbers.reshape(-1).astype(np.int64), _class_names(distinct, name)


def _as_whole_numbers(array: np.ndarray, name: str) -> np.ndarray:
    """Floats → whole numbers; anything else as it is. Raises BestiaryError for fractions."""
    if array.dtype.kind != "f":
        return array
    if not np.isfinite(array).all() or (array != np.round(array)).any():
        raise BestiaryError(
            f"{name} must be whole numbers or words; got fractions or missing values. Fractions beside x are declared "
            "by numbers="
        )
    if (abs(array) >= 2.0**63).any():
        raise BestiaryError(f"{name} must be whole numbers of at most 63 bits, or words")
    return array.astype(np.int64)


def _class_names(distinct: np.ndarray, name: str) -> tuple[str, ...]:
    """Distinct values → distinct words that a config can hold."""
    texts = distinct.astype(str) if distinct.dtype.kind != "S" else np.char.decode(distinct, "utf-8", "replace")
    words = tuple(map(str, texts))
    invalid = [word for word in words if any("\ud800" <= letter <= "\udfff" for letter in word)]
    if invalid:  # bytes of a file name that are no text cannot be written into a config
        raise BestiaryError(
            f"the class {invalid[0].encode('utf-8', 'replace').decode()} is not text in UTF-8: rename it"
        )
    if len(set(words)) < len(words):
        raise BestiaryError(f"{name} are bytes that are not text in UTF-8, and some are the same as text: decode them")
    return words
