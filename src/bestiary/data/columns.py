"""Columns of numbers and categories ↔ the components of x: standardising, one-hot encoding, gaps.

    number    x = (raw − mean) / scale: mean and deviation of the training rows; a constant column has scale 1
    category  one-hot: one component, 0 or 1, for each of its values

`to_columns` is the inverse: numbers in the units of the user's file, the category of the largest component.

Legend: N rows, F components of x.
"""

from collections.abc import Sequence

import numpy as np

from bestiary.data.spec import Spec
from bestiary.data.support import Column, Columns, Reals
from bestiary.errors import BestiaryError

__all__ = ["finite_rows", "one_hot", "select_rows", "standardise", "to_columns"]

MOST_CATEGORIES = 50  # more distinct words than this are names or free text, not a category
MISSING = ("", "drop", "mean")  # leave rows with gaps out, fill gaps; "" refuses them


def select_rows(gaps: np.ndarray, names: Sequence[str], missing: str) -> np.ndarray:
    """gaps (N, F), True where a value is missing → the numbers of the rows to keep.

    Raises BestiaryError where there are gaps and `missing` does not say what to do, or leaves no row or no value.
    """
    if missing not in MISSING:
        raise BestiaryError(f"missing={missing}: say missing=drop (leave those rows out) or missing=mean (fill them)")
    rows = np.arange(len(gaps))
    if not gaps.any():
        return rows
    if missing == "":
        raise BestiaryError(_gaps_text(gaps, names))
    if missing == "drop":
        rows = rows[~gaps.any(axis=1)]
        if not len(rows):
            raise BestiaryError("missing=drop leaves no row: every row lacks a value. Use missing=mean")
    elif gaps.all(axis=0).any():
        raise BestiaryError(f"column {names[int(gaps.all(axis=0).argmax())]} has no value at all: leave it out")
    return rows


def _gaps_text(gaps: np.ndarray, names: Sequence[str]) -> str:
    columns = np.flatnonzero(gaps.any(axis=0))
    counts = [f"{names[i]} ({gaps[:, i].sum():,} rows, first row {np.argmax(gaps[:, i])})" for i in columns[:5]]
    more = f" and {len(columns) - 5} more columns" if len(columns) > 5 else ""
    return (
        f"values are missing, NaN or infinite in {', '.join(counts)}{more}, of {len(gaps):,} rows counted from 0. "
        f"Say missing=drop (leave those rows out) or missing=mean (fill in the mean, or the commonest word)"
    )


def finite_rows(
    raw: np.ndarray, names: Sequence[str], missing: str, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N, F) numbers with NaN or infinities → (rows, F) without, and the numbers of the rows that were kept.

    Where `missing` is mean, gaps get the mean of the rows `reference`, or of all rows where these have no value.
    """
    gaps = ~np.isfinite(raw)
    rows = select_rows(gaps, names, missing)
    if not gaps[rows].any():
        return raw[rows] if len(rows) < len(raw) else raw, rows
    present, values = ~gaps, np.where(gaps, 0.0, raw)
    counts = present[reference].sum(axis=0)
    mean_of_all = values.sum(axis=0) / present.sum(axis=0)
    mean = np.where(counts > 0, values[reference].sum(axis=0) / np.maximum(counts, 1), mean_of_all)
    return np.where(gaps, mean, raw), rows


def standardise(raw: np.ndarray, names: Sequence[str], train: np.ndarray) -> tuple[np.ndarray, tuple[Column, ...]]:
    """(N, F) float64 → x (N, F) float32 of mean 0 and deviation 1 over the training rows, and its columns."""
    with np.errstate(over="ignore", invalid="ignore"):  # numbers that are too large raise below
        mean, scale = raw[train].mean(axis=0), raw[train].std(axis=0)
        is_constant = scale <= 1e-12 * np.maximum(np.abs(mean), 1e-300)  # rounding leaves a deviation of 1e-16 |mean|
        scale = np.where(is_constant, 1.0, scale)
        x = ((raw - mean) / scale).astype(np.float32)
    if not (np.isfinite(scale).all() and np.isfinite(x).all()):
        raise BestiaryError("some numbers are too large to standardise: rescale or clip the data first")
    columns = (Column(name, Reals(float(m), float(s))) for name, m, s in zip(names, mean, scale, strict=True))
    return x, tuple(columns)


def one_hot(values: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) words of the column `name` → (N, K) float32 of 0 and 1, and the K words in order.

    Raises BestiaryError, before an array is made of them, where there are more than `MOST_CATEGORIES` words.
    """
    words, index = np.unique(values, return_inverse=True)
    if len(words) > MOST_CATEGORIES:
        raise BestiaryError(
            f"column {name} has {len(words):,} distinct words (for example {str(words[0])!r}): more than "
            f"{MOST_CATEGORIES} are not a category. Leave it out with drop={name}, or let it stand beside x with "
            f"caption={name}"
        )
    return np.eye(len(words), dtype=np.float32)[index.reshape(-1)], tuple(map(str, words))


def to_columns(spec: Spec, x: np.ndarray) -> dict[str, np.ndarray]:
    """x (N, F) in model units → the user's columns by name, each (N,) numbers or words."""
    if x.ndim != 2 or x.shape[1:] != spec.shape:
        raise BestiaryError(f"x has rows of {spec.shape[0]} components; got an array of shape {x.shape}")
    support = spec.x.support
    if isinstance(support, Columns):
        return support.to_columns(x)
    return {name: x[:, i] for i, name in enumerate(spec.x.component_names)}
