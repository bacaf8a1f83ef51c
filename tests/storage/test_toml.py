"""What `dumps` writes, the standard library reads back: any strings, any numbers, any keys."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.storage.toml import dumps

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)  # TOML is UTF-8: no halves of surrogate pairs
integers = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(words, st.booleans(), integers, st.floats(allow_nan=False))
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3))
)


@given(st.dictionaries(words, scalars, max_size=4), st.dictionaries(words, st.dictionaries(words, values, max_size=4)))
def test_what_is_written_is_read(plain, tables):
    whole = {**plain, **tables}
    found = tomllib.loads(dumps(whole))
    assert found == whole
    assert all(type(found[k]) is type(v) for k, v in whole.items())


def test_a_number_that_is_none_stays_one():
    assert str(tomllib.loads(dumps({"x": float("nan")}))["x"]) == "nan"


@pytest.mark.parametrize(
    ("given", "read"), [((3, 4), [3, 4]), ([], []), ({"a": None, "b": 1}, {"b": 1}), (2j, "2j"), ("", "")]
)
def test_what_toml_lacks_becomes_what_it_has(given, read):
    assert tomllib.loads(dumps({"table": {"key": given, "nothing": None}})) == {"table": {"key": read}}
