"""`coerce` undoes `value_text` for every annotation, and refuses the rest with what was expected and an example."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Count, Natural, Repeats, Share
from bestiary.grammar.schedules import Linear, Rate, Schedule
from bestiary.grammar.values import coerce, type_text, value_text


class Part:
    """What only Python can give."""


class Asked(Protocol):
    """A protocol that `isinstance` cannot be asked about."""

    def sample(self) -> int: ...


integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)

ANNOTATED = {
    int: integers,
    float: floats,
    bool: st.booleans(),
    str: st.text(),
    int | None: st.one_of(st.none(), integers),
    tuple[int, ...]: st.lists(integers).map(tuple),
    tuple[int, float]: st.tuples(integers, floats),
    Literal["auto", "fp32", 3]: st.sampled_from(["auto", "fp32", 3]),
    int | Literal["auto"]: st.one_of(integers, st.just("auto")),
    bool | float: st.one_of(st.booleans(), floats),
}


@pytest.mark.parametrize("annotation", ANNOTATED, ids=str)
def test_what_text_writes_coerce_reads(annotation):
    @given(ANNOTATED[annotation])
    def undoes(value):
        read = coerce(value_text(value), annotation, "key")
        assert read == value
        assert type(read) is type(value)
        assert coerce(value, annotation, "key") == value  # an object from Python passes as it is

    undoes()


@given(st.sampled_from([*ANNOTATED, Any, Callable[[int], int]]), st.text(max_size=30))
def test_reading_is_explained_or_done_once_and_for_all(annotation, written):
    message = ""
    try:
        value = coerce(written, annotation, "key")
    except BestiaryError as error:
        message = str(error)
    assert (("key=" in message) and (type_text(annotation) in message)) or (coerce(value, annotation, "key") == value)


@pytest.mark.parametrize(
    ("written", "annotation", "value"),
    [
        ("2_000", int, 2000),
        ("2k", int, 2000),
        ("1.1k", int, 1100),
        ("3M", int, 3_000_000),
        ("1e4", int, 10_000),
        (" 7 ", int, 7),
        ("1e-3", float, 0.001),
        ("YES", bool, True),
        ("off", bool, False),
        ("none", str | None, None),
        ("20", int | str, 20),
        ("vamp", int | str, "vamp"),
        ("400", tuple[int, ...], (400,)),
        ("(400, 200,)", tuple[int, ...], (400, 200)),
        ("()", tuple[int, ...], ()),
        ("a/b", Path, Path("a/b")),
        ("linear(0,1,9)", float | Schedule, Linear(0, 1, 9)),
        ("0.5", float | Schedule, 0.5),
        ("1", Count, 1),
        ("0", Natural, 0),
        ("0.999", Share, 0.999),
        ("400,300", tuple[Count, ...], (400, 300)),
        ("linear(0,1,9)", Rate, Linear(0, 1, 9)),  # a rate may begin at 0
        ("wgan", Repeats | Literal["wgan"], "wgan"),
        ("whatever", Callable[[int], int], "whatever"),
    ],
)
def test_people_write_values_in_many_ways(written, annotation, value):
    read = coerce(written, annotation, "key")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "annotation", "says"),
    [
        ("two", int, "expected an integer"),
        ("1.5", int, "expected an integer"),
        ("1e400", int, "expected an integer"),
        ("1e17", int, "expected an integer"),  # a float cannot tell it from its neighbours
        ("9" * 5000, int, "9…"),
        ("9223372036854775808", int, "expected an integer"),  # of 64 bits
        ("nan", float, "expected a finite number"),
        ("inf", float, "expected a finite number"),
        ("(", tuple[int, ...], "joined by commas"),
        ("400)", tuple[int, ...], "joined by commas"),
        ("0", Count, "expected an integer, at least 1; for example key=10"),
        (0, Count | None, "an integer, at least 1 or none"),
        ("1001", Repeats, "at least 1 and at most 1000"),
        ("1", Share, "at least 0 and below 1"),
        ("400,0", tuple[Count, ...], "each an integer, at least 1"),
        ("0", Rate, "above 0; for example key=0.001"),
        ("linear(0,-1,9)", Rate, "above 0"),
        ("linear(0,0,9)", Rate, "above 0"),
        ("-1", Rate | None, "above 0"),
        ("tru", bool, "did you mean key=true"),
        ("1", bool, "yes or no"),
        ("fp23", Literal["auto", "fp32"], "did you mean key=fp32"),
        ("1,x", tuple[int, ...], "joined by commas"),
        ("1,2,3", tuple[int, int], "an integer then an integer"),
        ("", int, "no value"),
        (True, int, "True"),
        (1.5, int, "1.5"),
        (True, float, "True"),
        (1, bool, "yes or no"),
        (3, str, "a word"),
        (5, tuple[int, ...], "joined by commas"),
        ("x", int | Literal["auto"], "an integer or auto"),
        ("linear(0,1)", float | Schedule, "key: `linear(0,1)` does not fit a schedule: write linear(start,stop,steps)"),
        ("x", float | Schedule, "neither a number nor a schedule"),
        ("mine", Part | None, "a Part from Python or none"),
        (3, Part, "leave it out"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_was_expected(value, annotation, says):
    with pytest.raises(BestiaryError) as caught:
        coerce(value, annotation, "key")
    assert says in str(caught.value)


def test_objects_from_python_pass_as_python_numbers():
    assert type(coerce(np.int64(3), int, "key")) is int
    assert coerce(np.float32(0.5), float, "key") == 0.5
    assert type(coerce(3, float, "key")) is float
    assert coerce(np.bool_(True), bool, "key") is True
    assert coerce([3, 4], tuple[int, ...], "key") == (3, 4)
    assert coerce(Path("a") / "b", str, "key") == str(Path("a") / "b")
    part = Part()
    assert coerce(part, int | Any, "key") is part
    assert coerce(part, Part | None, "key") is part
    assert coerce(part, Asked, "key") is part
