"""Both readers of delimited text give the same columns, or the same words of refusal."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bestiary.data.arrow_csv import arrow_columns
from bestiary.data.table_files import NOTHING, read_text
from bestiary.errors import BestiaryError

pytest.importorskip("pyarrow")

ODD = {
    "numbers": "a,b\n1,2.5\n-3e-4,+7\n",
    "words": "a,b\n1,red\n2,\n3,blue\n",
    "missing in all spellings": "a,b\nNA,1\nnUlL,2\n?,3\n N/A ,4\nnan,5\n,6\n",
    "no header": "1,2\n3,4\n5,6\n",
    "an index without a name": ",a\n0,1\n1,2\n",
    "blank lines and delimiters alone": "a,b\n\n1,2\n,\n , \n3,4\n\n",
    "spaces about cells": "a, b\n 1 , 2\n3 ,  x y \n",
    "tabs about cells": "a;b\n1\t;2\n3;\t4\n",
    "CRLF": "a,b\r\n1,2\r\n3,4\r\n",
    "no newline at the end": "a|b\n1|2\n3|4",
    "quotes": 'a,b\n"1","x,y"\n2,"z ""q"""\n',
    "quoted header alone": '"a","b, c"\n1,2\n3,4\n',
    "newlines in quotes": 'a,b\n1,"x\ny"\n2,z\n',
    "a ragged line": "a,b\n1,2\n3\n4,5\n",
    "a long line": "a,b\n1,2\n3,4,5\n",
    "underscores are no numbers": "a,b\n1_000,2\n3,4\n",
    "hexadecimal and infinite": "a,b\n0x10,inf\n3,-Infinity\n",
    "large whole numbers": "a,b\n123456789012345678901,9007199254740993\n3,4\n",
    "digits of other scripts": "a,b\n١٢,2\n3,4\n",
    "decimal commas": "a;b\n1,5;2\n3,5;4\n",
    "the same name twice": "a,a\n1,2\n3,4\n",
    "one line": "a,b\n",
    "header and nothing": "a,b\n\n\n",
    "blanks": "a b\n1 2\n3 4\n",
    "byte order mark": "\ufeffa,b\n1,2\n3,4\n",
    "true and false": "a,b\ntrue,1\nfalse,2\n",
    "dates": "day,b\n2024-01-01,1\n2024-01-02,2\n",
    "a lone carriage return": "a,b\n1,2\r3,4\n5,6\n",
    "nothing but missing": "a,b\n,1\n,2\n",
    "odd spaces": "a,b\n\u00a01,2\n3,\u20034\n",
}


def both(tmp_path, monkeypatch, text, header=None):
    """What each reader gives: columns as lists, or the error."""
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())

    def outcome():
        try:
            raw = read_text(path, header)
        except BestiaryError as error:
            return str(error)
        return {name: (values.dtype.kind, [repr(v) for v in values.tolist()]) for name, values in raw.items()}

    fast = outcome()
    with monkeypatch.context() as patched:
        patched.setattr("bestiary.data.table_files.arrow_columns", lambda *_: None)
        return fast, outcome()


@pytest.mark.parametrize("header", [None, True, False])
@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_alike(tmp_path, monkeypatch, name, header):
    fast, slow = both(tmp_path, monkeypatch, ODD[name], header)
    assert fast == slow


cells = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(
        ["", " ", "NA", "x", "1 2", "+5", "-", ".5", "5.", "1e400", "1e-400", "0x1p3", "é", "inf", "1_0", "'"]
    ),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=4),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=6)))
def test_any_cells_are_read_alike(tmp_path, monkeypatch, rows):
    lines = [",".join(f"c{i}" for i in range(len(rows[0]))), *(",".join(row) for row in rows)]
    fast, slow = both(tmp_path, monkeypatch, "\n".join(lines) + "\n")
    assert fast == slow


def test_plain_tables_are_read_by_pyarrow_and_others_are_left_alone():
    """Otherwise the comparisons above would compare a reader with itself."""
    columns = arrow_columns(b"1,x\nNA, y \n", ",", 2, NOTHING)
    assert np.array_equal(columns[0], [1, np.nan], equal_nan=True)
    assert columns[1] == ["x", "y"]
    for body in (b'1,"x"\n', b"1\n2,3\n", b"1,\0\n", b"1,2\r3,4\n"):
        assert arrow_columns(body, ",", 2, NOTHING) is None


def test_without_pyarrow_tables_are_read_as_well(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,x\n")
    raw = read_text(tmp_path / "t.csv", None)
    assert raw["a"].tolist() == [1, 3]
    assert raw["b"].tolist() == ["2", "x"]
