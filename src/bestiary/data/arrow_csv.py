"""Columns of a large delimited text by pyarrow, where that reads it exactly as the csv module of Python would.

It cuts the cells and converts numbers in C++, a million rows in seconds. What it might read otherwise is left to
the reader of table_files.py, and `None` says so: quotes, lines of another number of cells, NUL, a lone carriage return.
A column in which some cell is a word is given as words, stripped, and typed by the same function as theirs: `float`
decides what a number is, and a number that pyarrow accepts is one that `float` accepts, with the same value.

Legend: N rows.
"""

from functools import reduce
from typing import Any

__all__ = ["arrow_columns"]


def arrow_columns(body: bytes, delimiter: str, width: int, missing: frozenset[str]) -> list[Any] | None:
    """The lines of `body` as `width` columns, each float64 (N,) or a list of words; None where pyarrow is not installed
    or might not read them as Python does. `missing`: words in lower case that say that there is no number."""
    try:
        import pyarrow
        import pyarrow.compute as compute
    except ImportError:
        return None
    if b'"' in body or b"\0" in body or body.count(b"\r") != body.count(b"\r\n"):
        return None
    table = _cells(body, delimiter, width)
    if table is None:
        return None
    columns = [compute.utf8_ltrim(column, " ") for column in table.columns]
    some = reduce(compute.or_, (compute.not_equal(column, "") for column in columns))
    if not compute.all(some).as_py():  # lines of delimiters alone hold no example
        columns = [column.filter(some) for column in columns]
    words = pyarrow.array(sorted(missing))
    return [_typed(compute.utf8_trim_whitespace(column), words) for column in columns]


def _cells(body: bytes, delimiter: str, width: int) -> Any:
    """All cells as text, in a table of `width` columns; None where some line has another number of cells."""
    import pyarrow
    from pyarrow import csv

    names = [str(i) for i in range(width)]
    try:
        return csv.read_csv(
            pyarrow.py_buffer(body),
            csv.ReadOptions(column_names=names),
            csv.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=True),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False),
        )
    except pyarrow.ArrowInvalid:
        return None


def _typed(column: Any, missing: Any) -> Any:
    """Numbers if every cell is one or says that it is missing; else the words."""
    import pyarrow
    import pyarrow.compute as compute

    absent = compute.is_in(compute.utf8_lower(column), value_set=missing)
    try:
        numbers = compute.if_else(absent, None, column).cast(pyarrow.float64())
    except pyarrow.ArrowInvalid:
        return column.to_pylist()
    return numbers.to_numpy()  # a missing one is NaN
