"""Columns of a delimited text by pyarrow, where it reads the text exactly as Python's csv module does.

It cuts the cells and converts plain numbers in C++, a million rows in seconds. Each function returns None where pyarrow
might differ from Python, and table_files.py then asks Python:

    the whole file    a quote after a blank or without an end, lines of unequal numbers of cells, a cell longer than
                      csv takes
    a column          a cell that is a number to one of the two only, such as nan(x) or ١٢

Legend: N rows.
"""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["END", "cell_text", "distinct_cells", "plain_numbers", "text_columns"]

_BLANK_AND_QUOTE = rb'(?:\A(?:\xef\xbb\xbf)?|[%s\r\n]) +"'  # at the start of a cell
END = "end"  # written behind a text: where it is no row of its own, a quote before it does not end
_BLOCK = 1 << 22  # bytes cut at a time; a line must be shorter


def text_columns(path: Path, delimiter: str, width: int) -> list[Any] | None:
    """Cut a file into `width` columns of cells (N,), header included, without the lines whose cells are all empty.

    None where pyarrow is not installed, or might cut otherwise than `csv.reader(…, skipinitialspace=True)`.
    """
    try:
        import pyarrow.compute as compute
    except ImportError:
        return None
    text = path.read_bytes()
    if width < 2 or (b' "' in text and re.search(_BLANK_AND_QUOTE % delimiter.encode(), text)):
        return None
    columns = _cut(text, delimiter, width)
    if columns is None or any(column[-1].as_py() != END for column in columns):
        return None
    columns = [column[:-1] for column in columns]
    if any(_longest(column) > csv.field_size_limit() for column in columns):
        return None
    empty = compute.equal(compute.utf8_ltrim(columns[0], " "), "")
    for column in columns[1:]:
        if not compute.any(empty).as_py():  # also of no lines at all
            return columns
        empty = compute.and_(empty, compute.equal(compute.utf8_ltrim(column, " "), ""))
    if compute.any(empty).as_py() and b'"' in text:  # a quoted blank is a cell, and cannot be told from others any more
        return None
    return [column.filter(compute.invert(empty)) for column in columns]


def _cut(text: bytes, delimiter: str, width: int) -> list[Any] | None:
    """All cells as they stand; None where pyarrow finds another number of them in some line."""
    import pyarrow
    from pyarrow import csv as arrow

    names = [str(i) for i in range(width)]
    try:
        table = arrow.read_csv(
            pyarrow.py_buffer(text + b"\n" + delimiter.join([END] * width).encode()),
            arrow.ReadOptions(column_names=names, block_size=_BLOCK),
            arrow.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in text),
            arrow.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False),
        )
    except pyarrow.ArrowInvalid:
        return None
    return list(table.columns)


def _longest(cells: Any) -> int:
    """Bytes of the longest cell."""
    import pyarrow.compute as compute

    return compute.max(compute.binary_length(cells)).as_py() or 0


def plain_numbers(cells: Any, missing: frozenset[str]) -> np.ndarray | None:
    """Cells (N,) as float64, NaN where they are one of the words `missing`; None where one is no plain number."""
    import pyarrow
    import pyarrow.compute as compute

    trimmed = compute.ascii_trim_whitespace(cells)
    absent = compute.is_in(compute.ascii_lower(trimmed), value_set=pyarrow.array(sorted(missing)))
    try:
        numbers = compute.if_else(absent, None, trimmed).cast(pyarrow.float64())
    except pyarrow.ArrowInvalid:
        return None
    values = numbers.to_numpy()
    return values if np.isnan(values).sum() == numbers.null_count else None  # pyarrow takes nan(x) for a number


def distinct_cells(cells: Any) -> tuple[list[str], np.ndarray]:
    """The distinct cells, and the place among them of each cell (N,)."""
    encoded = cells.dictionary_encode().combine_chunks()
    return [cell_text(cell) for cell in encoded.dictionary.to_pylist()], encoded.indices.to_numpy()


def cell_text(cell: str) -> str:
    """A cell as Python reads it: any end of a line is \\n, and blanks at its ends do not count."""
    return cell.replace("\r\n", "\n").replace("\r", "\n").strip()
