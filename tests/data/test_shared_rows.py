"""Examples that stand in two parts of the data are found and named."""

from dataclasses import replace

import numpy as np
import pytest

from bestiary.data.load import load
from bestiary.data.shared_rows import shared_rows, shared_rows_note


@pytest.mark.parametrize("shape", [(4,), (6, 6, 1)])
def test_repeated_examples_are_named(shape: tuple[int, ...]) -> None:
    dataset = load(np.random.default_rng(0).integers(256, size=(100, *shape)).astype(np.uint8))
    assert not len(shared_rows(dataset, "test"))
    assert shared_rows_note(dataset, "test") == ""
    x, test, train = dataset.x.copy(), dataset.parts["test"], dataset.parts["train"]
    x[test[3]], x[test[7]] = x[train[0]], x[train[5]]
    repeated = replace(dataset, stored={**dataset.stored, "x": x})
    assert shared_rows(repeated, "test").tolist() == [test[3], test[7]]
    note = shared_rows_note(repeated, "test")
    assert f"2 of {len(test)} examples of the test part" in note
    assert f"rows {test[3]}, {test[7]}, counted" in note
    assert shared_rows_note(repeated, "train") == ""
