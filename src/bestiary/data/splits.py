"""Which rows are for fitting, for choosing, for judging; held-out rows come in a fixed shuffled order.

`dataset.split` decides the rows. Here the held-out parts are shuffled once more, by a fixed seed: data is
often sorted by class (folders are), and whoever evaluates on the first k rows of a sorted part sees one class
only.
"""

import numpy as np

from bestiary.data.dataset import split
from bestiary.errors import BestiaryError

__all__ = ["official", "parts_of", "shuffled"]

_SHUFFLE_SEED = 20_070_712  # any constant: the order must only be the same for everyone


def shuffled(rows: np.ndarray) -> np.ndarray:
    """The same rows in a fixed random order, so that any prefix is a fair sample of them."""
    return rows[np.random.Generator(np.random.PCG64(_SHUFFLE_SEED)).permutation(len(rows))]


def parts_of(n: int, validation: float = 0.1, test: float = 0.1, split_seed: int = 0) -> dict[str, np.ndarray]:
    """A deterministic split of n rows by shares.

    >>> parts = parts_of(100, validation=0.2)
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
    return {name: part if name == "train" else shuffled(part) for name, part in rows.items()}


def official(train: int, validation: int, test: int) -> dict[str, np.ndarray]:
    """Parts that follow one another in the rows: first those to fit on, then validation, then test."""
    rows = np.arange(train + validation + test)
    ends = (train, train + validation)
    return {
        "train": rows[: ends[0]],
        "validation": shuffled(rows[ends[0] : ends[1]]),
        "test": shuffled(rows[ends[1] :]),
    }
