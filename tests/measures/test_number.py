"""Numbers go to JSON and come back the same, but for what JSON cannot say."""

import json
import sys
from dataclasses import FrozenInstanceError
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestiary.errors import BestiaryError
from bestiary.measures.number import ALARM, Judgement, Number, Reference, doubt_better_than_real

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


def test_numbers_and_judgements_are_printed_in_one_line_and_listed_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    number = Number("bound", "a bound", 23.1234, 22.5, 23.75, "nats", floor=Reference(1.5), protocol={"k": 100})
    assert repr(number) == "Number(bound = 23.12 [22.5, 23.75] nats)"
    assert repr(Number("a", "A", None)) == "Number(a = undefined)"
    judgement = Judgement((number, *(Number(f"n{i}", "t", i / 3, says="long " * 99) for i in range(30))), {"seed": 0})
    assert repr(judgement).startswith("Judgement(bound = 23.12, n0 = 0, n1 = 0.3333")
    assert "and 26 more" in repr(judgement)
    assert len(repr(judgement)) < 200
    rows = judgement.to_rows()
    assert len(rows) == 31
    assert (rows[0]["name"], rows[0]["floor"], rows[0]["ceiling"]) == ("bound", 1.5, None)
    assert rows[0]["protocol"] == "seed=0, k=100"
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BestiaryError, match="to_rows"):
        judgement.to_frame()


def test_a_judgement_is_a_frame_where_pandas_is_installed() -> None:
    pandas = pytest.importorskip("pandas")
    frame = Judgement((Number("a", "A", 1.0, floor=Reference(0.5)), Number("b", "B", None))).to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc["a", ["value", "floor"]].tolist() == [1.0, 0.5]


def test_a_distance_below_that_of_real_examples_is_an_alarm_and_no_praise() -> None:
    """Said once; numbers that blurred samples lower honestly, or whose intervals meet, are left as they are."""
    floor = Reference(0.5, 0.45, 0.55)
    common = {"better": "lower", "floor": floor, "plain": "Superb.", "weight": 50, "says": "As it is."}
    suspicious = Number("c2st", "t", 0.1, 0.05, 0.15, equals_at_best=True, **common)
    also = Number("fid", "t", 0.2, 0.15, 0.25, equals_at_best=True, **common)
    blurred = Number("fidelity", "t", 0.1, 0.05, 0.15, **common)
    honest = Number("kid", "t", 0.44, 0.4, 0.48, equals_at_best=True, **common)
    bare = Number("mmd", "t", 0.1, equals_at_best=True)
    first, second, *others = doubt_better_than_real([suspicious, also, blurred, honest, bare])
    assert others == [blurred, honest, bare]
    assert first.plain.startswith("Suspicious: by 2 of the numbers")
    assert (first.weight, second.plain, second.weight) == (ALARM, "", 0)
    assert all("Suspicious" in number.says for number in (first, second))
    assert doubt_better_than_real(others) == others
