"""Splits are deterministic, disjoint and complete; names and digests are stable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.data.dataset import split
from bestiary.data.splits import consecutive_parts, shuffle, split_parts
from bestiary.errors import BestiaryError


@given(n=st.integers(20, 3000), seed=st.integers(0, 50), share=st.sampled_from([0.01, 0.1, 0.3, 0.45]))
def test_split_is_disjoint_complete_and_repeatable(n: int, seed: int, share: float) -> None:
    parts = split_parts(n, share, share, seed)
    rows = np.concatenate([parts[name] for name in ("train", "validation", "test")])
    assert np.array_equal(np.sort(rows), np.arange(n))
    again = split_parts(n, share, share, seed)
    assert all(np.array_equal(parts[name], again[name]) for name in parts)
    assert all(len(part) for part in parts.values())


def test_split_is_the_one_of_the_contract() -> None:
    ours, theirs = split_parts(500, 0.2, 0.1, 7), split(500, 7, 0.2, 0.1)
    assert all(np.array_equal(np.sort(ours[name]), np.sort(theirs[name])) for name in theirs)


def test_another_seed_is_another_split() -> None:
    assert not np.array_equal(split_parts(100, split_seed=0)["train"], split_parts(100, split_seed=1)["train"])


def test_a_prefix_of_a_held_out_part_is_a_fair_sample() -> None:
    """Rows sorted by class: the first tenth of the test part must not be the first class only."""
    rows = consecutive_parts(1000, 500, 500)["test"]
    assert np.array_equal(np.sort(rows), np.arange(1500, 2000))
    prefix = rows[:50]
    assert prefix.min() < 1600
    assert prefix.max() > 1900
    assert np.array_equal(shuffle(np.arange(9)), shuffle(np.arange(9)))


def test_too_few_examples_are_refused() -> None:
    for n in (0, 2, 4):
        with pytest.raises(BestiaryError, match="example"):
            split_parts(n, 0.45, 0.45)


@pytest.mark.parametrize(
    "options", [{"validation": 0}, {"test": 1.2}, {"validation": 0.5, "test": 0.5}, {"split_seed": -1}]
)
def test_impossible_shares_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(BestiaryError):
        split_parts(100, **options)
