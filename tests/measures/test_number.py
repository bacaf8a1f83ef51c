"""Numbers go to JSON and come back the same, but for what JSON cannot say."""

import json
from dataclasses import FrozenInstanceError
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestiary.measures.number import Judgement, Number, Reference

finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=8)
references = st.builds(Reference, finite, st.none() | finite, st.none() | finite, words)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | words, lambda s: st.lists(s, max_size=3), max_leaves=4
)
numbers = st.builds(
    Number,
    words,
    words,
    st.none() | finite,
    st.none() | finite,
    st.none() | finite,
    words,
    st.sampled_from(["lower", "higher", ""]),
    st.none() | references,
    st.none() | references,
    st.dictionaries(words, plain, max_size=3),
    words,
)
judgements = st.builds(
    Judgement,
    st.lists(numbers, max_size=3).map(tuple),
    st.dictionaries(words, plain, max_size=3),
    st.lists(words, max_size=3).map(tuple),
    words,
)


@settings(deadline=None, derandomize=True)
@given(judgements)
def test_json_and_back(judgement: Judgement) -> None:
    assert Judgement.from_dict(json.loads(json.dumps(judgement.to_dict(), allow_nan=False))) == judgement


@pytest.mark.parametrize("bad", [nan, inf, -inf, np.float64(nan)])
def test_what_is_not_finite_becomes_null(bad: float) -> None:
    reference = Reference(bad, bad, 1.0)
    number = Number("a", "A", bad, low=bad, high=1.0, floor=reference, protocol={"deep": [{"er": (bad, 2)}]})
    written = json.dumps(Judgement((number,), protocol={"x": bad}).to_dict(), allow_nan=False)
    back = Judgement.from_dict(json.loads(written))
    assert (back["a"].value, back["a"].low, back["a"].high) == (None, None, 1.0)
    assert (back["a"].floor.value, back["a"].floor.high) == (None, 1.0)
    assert back["a"].protocol == {"deep": [{"er": [None, 2]}]}
    assert back.protocol == {"x": None}
    assert Judgement.from_dict(back.to_dict()) == back


def test_numbers_are_found_by_name_and_do_not_change() -> None:
    judgement = Judgement((Number("a", "A", 1.0), Number("b", "B", 2.0)))
    assert judgement["b"].value == 2.0
    with pytest.raises(KeyError):
        judgement["c"]
    with pytest.raises(FrozenInstanceError):
        judgement["a"].value = 3.0
