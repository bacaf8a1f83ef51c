"""Both readers of delimited text give the same columns, or the same words of refusal."""

import csv
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bestiary.data.arrow_csv import cell_text, distinct_cells, plain_numbers, text_columns
from bestiary.data.table_files import NOTHING, read_text
from bestiary.errors import BestiaryError

needs_pyarrow = pytest.mark.skipif(not find_spec("pyarrow"), reason="pyarrow is not installed")

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
    "separators that strip takes for blanks": "a,b\nx\x1c,1\ny\x85,2\n",
    "a first line of delimiters alone": ",,\na,b,c\n1,2,3\n",
    "one row and a line of delimiters alone": "1,2\n,\n",
    "not quite nan": "a,b\nnan(x),-nan\n3,4\n",
    "a quote after a blank": 'a,b\n1, "x, y"\n2, z\n',
    "quotes within cells": 'a,b\n1,5" wide\n2,"5"" wide" or so\n',
    "a quote that does not end": 'a,b\n1,"x\n2,y\n',
    "quoted blanks": 'a,b\n" "," "\n1,2\n3,4\n',
    "CRLF in quotes": 'a,b\r\n1,"x\r\ny"\r\n2,z\r\n',
    "quoted words of a missing value": 'a,b\n"NA",x\n"1","?"\n',
    "NUL": "a,b\n1\0,x\0\n2,y\n",
    "a cell longer than csv takes": f"a,b\n{'x' * 140_000},1\ny,2\n",
    "a long cell behind the first lines": "a,b\n" + "1,2\n" * 60 + f"{'x' * 140_000},2\n",
    "a word behind many numbers": "a,b\n" + "1,2\n" * 60 + "x,2\n",
    "a quoted line end behind many lines": "a,b\n" + "1,2\n" * 60 + '"x\ny",2\n',
    "form feeds": "a,b\n1,2\n\x0c3,4\n5\x0c,6\n",
}
# What was once read wrongly without a word: the columns that are right, or the refusal, by the reader by hand and by
# pyarrow. Numbers are numbers, words texts.
CORPUS = {
    "a quoted line end on the last line that shows the delimiter": (
        "a,b\n" + "1,x\n" * 48 + '2,"p\nq"\n3,y\n',
        {"a": [1] * 48 + [2, 3], "b": ["x"] * 48 + ["p\nq", "y"]},
    ),
    "a quoted line end behind the lines that show the delimiter": (
        "a,b\n" + "1,x\n" * 70 + '2,"p\nq"\n3,y\n',
        {"a": [1] * 70 + [2, 3], "b": ["x"] * 70 + ["p\nq", "y"]},
    ),
    "a vertical tab in a cell": ("a,b\nx\x0by,1\nz,2\n", {"a": ["x\x0by", "z"], "b": [1, 2]}),
    "a line separator in a cell": ("a,b\nx\u2028y,1\nz,2\n", {"a": ["x\u2028y", "z"], "b": [1, 2]}),
    "a line separator between blanks": ("a b\nx\u2028y 1\nz 2\n", {"a": ["x\u2028y", "z"], "b": [1, 2]}),
    "a next-line mark in a cell": ("a;b\nx\x85y;1\nz;2\n", {"a": ["x\x85y", "z"], "b": [1, 2]}),
    "a short row": ("a,b\n1,2\n3\n4,5\n", r"line 3: 1 cell where the first line has 2"),
    "a short row behind the first lines": ("a,b\n" + "1,2\n" * 60 + "3\n", r"line 62: 1 cell where"),
    "a long row": ("a;b\n1;2\n3;4;5\n", r"line 3: 3 cells where the first line has 2"),
    "a short row behind a quoted line end": ('a,b\n1,"x\ny"\n3\n4,z\n', r"line 4: 1 cell where"),
    "a title above the table": ("Title\na,b\n1,2\n3,4\n5,6\n", r"line 2: 2 cells where the first line has 1"),
    "the delimiter of Excel": ("sep=;\na;b\n1,5;2\n3;x,y\n", {"a": ["1,5", "3"], "b": ["2", "x,y"]}),
    "the delimiter of Excel, a comma": ('\ufeffsep=,\r\na,b\r\n1,"2"\r\n3,4\r\n', {"a": [1, 3], "b": [2, 4]}),
    "the delimiter of Excel in quotes": ('"sep=;"\na;b\n1;2\n3;4\n', {"a": [1, 3], "b": [2, 4]}),
    "a short row below the delimiter of Excel": ("sep=;\na;b\n1;2\n3\n", r"line 4: 1 cell where"),
    "a quote that does not end": ('a,b\n1,x\n2,"y\n3,z\n4,z\n', r"line 3: a quote that does not end"),
    "a quote that does not end behind one within a cell": ('a,b\n5" wide,x\n2,"y\n3,z\n', r"line 3: a quote that does"),
}
ENCODED = {
    "latin-1": "größe,a\n1,2\n".encode("latin-1"),
    "latin-1 behind the first lines": b"a,b\n" + b"1,2\n" * 60 + "é,2\n".encode("latin-1"),
    "UTF-16": "a,b\n1,2\n3,4\n".encode("utf-16"),
    "half a character at the end": "a,b\n1,2\n3,é".encode()[:-1],
}


def read_by_both(tmp_path, monkeypatch, content, header=None):
    """What each reader gives: columns with their types and exact values, or the error's message."""
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def outcome():
        try:
            raw = read_text(path, header)
        except BestiaryError as error:
            return str(error)
        return {name: (values.dtype.str, [repr(v) for v in values.tolist()]) for name, values in raw.items()}

    fast = outcome()
    with monkeypatch.context() as patched:
        patched.setattr("bestiary.data.table_files.text_columns", lambda *_: None)
        return fast, outcome()


@needs_pyarrow
@pytest.mark.parametrize("header", [None, True, False])
@pytest.mark.parametrize("name", [*ODD, *ENCODED])
def test_odd_files_are_read_alike(tmp_path, monkeypatch, name, header):
    fast, slow = read_by_both(tmp_path, monkeypatch, (ODD | ENCODED)[name], header)
    assert fast == slow
    assert "damaged" not in str(slow)  # which would say that a reader had stumbled


@needs_pyarrow
@pytest.mark.parametrize("name", CORPUS)
def test_what_was_read_wrongly_is_read_rightly_or_refused_by_line(tmp_path, monkeypatch, name):
    content, expected = CORPUS[name]
    fast, slow = read_by_both(tmp_path, monkeypatch, content)
    assert fast == slow
    if isinstance(expected, str):
        assert re.search(expected, slow)
    else:
        columns = read_text(tmp_path / "t.csv", None)
        assert {name: values.tolist() for name, values in columns.items()} == expected


cells = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(
        ["", " ", "NA", "x", "1 2", "+5", "-", ".5", "5.", "1e400", "1e-400", "0x1p3", "é", "inf", "1_0", "'"]
    ),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=4),
)


@needs_pyarrow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=6)))
def test_any_cells_are_read_alike(tmp_path, monkeypatch, rows):
    lines = [",".join(f"c{i}" for i in range(len(rows[0]))), *(",".join(row) for row in rows)]
    fast, slow = read_by_both(tmp_path, monkeypatch, "\n".join(lines) + "\n")
    assert fast == slow


pieces = st.sampled_from(
    ["a", "b", "1", "2.5", "", " ", '"', '""', ",", ",", ",", "\n", "\n", "\r\n", "\r", "\t", "é", "\0"]
)


@needs_pyarrow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces, max_size=40).map("".join), st.sampled_from([None, True, False]))
def test_any_quotes_and_line_ends_are_read_alike(tmp_path, monkeypatch, text, header):
    fast, slow = read_by_both(tmp_path, monkeypatch, text, header)
    assert fast == slow


@needs_pyarrow
@pytest.mark.parametrize("seed", range(3))
def test_written_tables_are_read_alike_and_by_pyarrow(tmp_path, monkeypatch, seed):
    """Numbers of every size, words with quotes and commas, gaps; as the csv module writes them."""
    rng = np.random.default_rng(seed)
    words = np.array(["red", 'say "so"', "a, b", "", "x\ny", "NA", "ünï"])
    rows = [
        [x, int(i), "" if gap else x, w]
        for x, i, gap, w in zip(
            (rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500)).tolist(),
            rng.integers(-(2**62), 2**62, 500), rng.random(500) < 0.1, rng.choice(words, 500), strict=True,
        )
    ]  # fmt: skip
    path = tmp_path / "t.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC if seed else csv.QUOTE_MINIMAL).writerows([[*"abcd"], *rows])
    assert text_columns(path, ",", 4) is not None
    fast, slow = read_by_both(tmp_path, monkeypatch, path.read_bytes())
    assert fast == slow
    assert [float(x) for x in fast["a"][1]] == [row[0] for row in rows]


@needs_pyarrow
def test_plain_files_are_cut_by_pyarrow_and_others_left_to_python(tmp_path):
    """Otherwise the comparisons above would compare a reader with itself."""
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\r\n1," x ""\r\ny"\r\nNA,z\r\n')
    numbers, words = text_columns(path, ",", 2)
    assert np.array_equal(plain_numbers(numbers[1:], NOTHING), [1, np.nan], equal_nan=True)
    assert plain_numbers(words[1:], NOTHING) is None
    assert distinct_cells(words)[0] == ["b", 'x "\ny', "z"]
    assert distinct_cells(words)[1].tolist() == [0, 1, 2]
    assert cell_text(words[1].as_py()) == 'x "\ny'
    for text in (b'1, "x"\n2,3\n', b"1\n2,3\n", b'" "," "\n', b"1,2\n3\n", b"1,\xff\n"):
        path.write_bytes(text)
        assert text_columns(path, ",", 2) is None
    assert text_columns(path, ",", 1) is None


def test_without_pyarrow_tables_are_read_as_well(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,x\n")
    assert text_columns(path, ",", 2) is None
    raw = read_text(path, None)
    assert raw["a"].tolist() == [1, 3]
    assert raw["b"].tolist() == ["2", "x"]


TABLES = sorted(Path(os.environ.get("BESTIARY_DATA", "/nowhere"), "tables").glob("*.*"))


@needs_pyarrow
@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_tables_of_the_machine_are_read_alike(monkeypatch, path):
    fast = read_text(path, None)
    monkeypatch.setattr("bestiary.data.table_files.text_columns", lambda *_: None)
    slow = read_text(path, None)
    assert list(fast) == list(slow)
    for name in fast:
        assert fast[name].dtype == slow[name].dtype
        assert fast[name].tobytes() == slow[name].tobytes()
