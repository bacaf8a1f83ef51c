"""Examples of one part of the data that also stand in another: what is judged on them, the fit has seen.

Two examples are the same if their stored x are equal byte by byte.
"""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from bestiary.data.dataset import Dataset

__all__ = ["shared_rows", "shared_rows_note"]

BLOCK = 4096  # rows read at once
NAMED = 5  # rows in the note


def shared_rows(dataset: Dataset, part: str, other: str = "train") -> np.ndarray:
    """The row numbers of the examples of `part` that equal an example of `other`."""
    known = set(_digests(dataset, other))
    return dataset.parts[part][[digest in known for digest in _digests(dataset, part)]]


def _digests(dataset: Dataset, part: str) -> Iterator[bytes]:
    rows = dataset.parts[part]
    for start in range(0, len(rows), BLOCK):
        for x in np.ascontiguousarray(dataset.x[rows[start : start + BLOCK]]):
            yield blake2b(x.tobytes(), digest_size=16).digest()


def shared_rows_note(dataset: Dataset, part: str) -> str:
    """The note on a part that shares examples with the training part; empty if it shares none."""
    if part == "train" or not len(rows := shared_rows(dataset, part)):
        return ""
    named = ", ".join(map(str, rows[:NAMED])) + (", …" if len(rows) > NAMED else "")
    return (
        f"{len(rows)} of {len(dataset.parts[part])} examples of the {part} part also stand in the training part (row"
        f"{'s' if len(rows) > 1 else ''} {named}, counted from 0): the fit has seen them, and what is judged on them is"
        " too good. Remove the repetitions from the data."
    )
