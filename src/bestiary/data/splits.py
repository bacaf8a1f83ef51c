"""Splits into train, validation and test rows; the held-out rows come in a fixed shuffled order.

`dataset.split` chooses the rows. Here the held-out parts are shuffled once more, by a fixed seed: data is often sorted
by class, as folders are, and the first k rows of a sorted part would be of one class.
"""

import numpy as np

from bestiary.data.dataset import split
from bestiary.errors import BestiaryError

__all__ = ["consecutive_parts", "shuffle", "split_parts"]

_SHUFFLE_SEED = 20_070_712  # any constant: the order must only be the same for everyone


def shuffle(rows: np.ndarray) -> np.ndarray:
    """The rows in a fixed random order, so that the first k are a fair sample of them."""
    return rows[np.random.Generator(np.random.PCG64(_SHUFFLE_SEED)).permutation(len(rows))]


def split_parts(n: int, validation: float = 0.1, test: float = 0.1, split_seed: int = 0) -> dict[str, np.ndarray]:
    """Split n rows by shares: the same n, shares and seed give the same rows. Raises BestiaryError for bad shares.

    >>> parts = split_parts(100, validation=0.2)
    >>> [len(parts[name]) for name in ("train", "validation", "test")]
    [70, 20, 10]
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise BestiaryError(f"{name}={share} must be a share between 0 and 1, for example {name}=0.1")
    if validation + test > 0.9:
        raise BestiaryError(f"validation={validation} and test={test} leave less than a tenth of the data to fit on")
    if split_seed < 0:
        raise BestiaryError(f"split_seed={split_seed} must not be negative")
    rows = split(n, split_seed, validation, test)
    if not len(rows["train"]):
        raise BestiaryError(f"{n} examples with validation={validation} and test={test} leave none to fit on")
    return {name: part if name == "train" else shuffle(part) for name, part in rows.items()}


def consecutive_parts(train: int, validation: int, test: int) -> dict[str, np.ndarray]:
    """Parts that follow one another: the first rows are for training, then come validation and test."""
    rows = np.arange(train + validation + test)
    ends = (train, train + validation)
    return {
        "train": rows[: ends[0]],
        "validation": shuffle(rows[ends[0] : ends[1]]),
        "test": shuffle(rows[ends[1] :]),
    }
