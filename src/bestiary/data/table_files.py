"""Files of tables as columns of numbers or words: CSV and the like, and Parquet.

    delimiter   the one of `,` `;` tab `|` that cuts the first lines into equally many cells, else blanks
    header      present if the first line has no number in it, unless `header=` says
    missing     an empty cell, NA, N/A, NaN, null, None or ?

Where pyarrow is installed it cuts the text (arrow_csv.py), and gives what the reader here gives; what is cut by blanks,
has lines of unequal length or odd quotes is read here.

Legend: N rows.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bestiary.data.arrow_csv import cell_text, distinct_cells, plain_numbers, text_columns
from bestiary.data.formats import file_errors
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import io_error

__all__ = [
    "NOTHING",
    "PARQUET",
    "SUFFIXES",
    "Raw",
    "even_rows",
    "pyarrow_or_error",
    "read_parquet",
    "read_text",
    "typed_values",
]

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
NOTHING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
_FIRST = 50  # lines that show the delimiter
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
Raw = dict[str, np.ndarray]  # column → (N,) float64 with NaN, or words with "" where missing


class Table(NamedTuple):
    """A text cut into columns."""

    header: list[str] | None  # the cells that name the columns, where there are some
    columns: list[np.ndarray]


def read_text(path: Path, header: bool | None) -> Raw:
    """Read a text table as columns of numbers or words; `header`: whether the first line names them, None to look.

    Raises BestiaryError with the path, and the line where one is at fault.
    """
    lines = _first_lines(path)
    if len(lines) < 2:
        raise BestiaryError(f"{path} has {len(lines)} line(s): a table needs a row for each example")
    with file_errors(path):
        mark = _delimiter(lines)
        table = _table_by_arrow(path, lines, mark, header) or _table(path, even_rows(path, _text(path), mark), header)
        return _named(path, table)


def _first_lines(path: Path) -> list[str]:
    """The first lines that are not blank: they show the delimiter."""
    with _errors_in_words(path), open(path, encoding="utf-8-sig") as file:
        lines = (line for text in file for line in text.splitlines() if line.strip())
        return list(islice(lines, _FIRST))


def _text(path: Path) -> str:
    with _errors_in_words(path):
        return path.read_text(encoding="utf-8-sig")


@contextmanager
def _errors_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise BestiaryError(f"{path} is not text in UTF-8 ({error}): save it again as CSV in UTF-8") from error
    except OSError as error:
        raise io_error(f"read {path}", error) from error


def _table_by_arrow(path: Path, lines: list[str], mark: str, header: bool | None) -> Table | None:
    """The table that `_table` would give; None where pyarrow is not installed or may read the text otherwise."""
    widths = _widths(lines, mark) if mark else []
    columns = text_columns(path, mark, widths[0]) if widths else None
    if columns is None or len(columns[0]) < 2:
        return None
    first = [cell_text(column[0].as_py()) for column in columns]
    named = _has_header(first) if header is None else header
    return Table(first if named else None, [_typed_cells(column[1 if named else 0 :]) for column in columns])


def _typed_cells(cells: Any) -> np.ndarray:
    """`_typed` of a column of pyarrow's, asking Python of each distinct cell only."""
    numbers = plain_numbers(cells, NOTHING)
    if numbers is not None:
        return numbers
    distinct, places = distinct_cells(cells)
    return _typed(distinct)[places]


def _delimiter(lines: list[str]) -> str:
    """The character that cuts each of these lines into the same number of cells; '' is blanks."""
    for mark in (";", "\t", "|", ","):  # a comma last: it may stand in numbers
        widths = set(_widths(lines, mark))
        if len(widths) == 1 and widths != {1}:
            return mark
    most = max((",", ";", "\t", "|"), key=lambda mark: sum(line.count(mark) for line in lines))
    return most if all(most in line for line in lines) else ""


def _widths(lines: list[str], mark: str) -> list[int]:
    """How many cells each line has; nothing where the csv module refuses one of them, which `_rows` explains."""
    try:
        return [len(row) for row in csv.reader(lines, delimiter=mark, skipinitialspace=True)]
    except csv.Error:
        return []


def even_rows(name: Path | str, text: str, mark: str) -> list[tuple[int, list[str]]]:
    """Cut a text at `mark`, or at blanks if it is empty, into (line number, cells) of each line that has some.

    Raises BestiaryError, with `name` and the line, where a line has another number of cells than the first.
    """
    rows = _rows(name, text, mark) if mark else [(i, line.split()) for i, line in enumerate(text.splitlines(), 1)]
    rows = [(line, cells) for line, cells in rows if cells]
    for line, cells in rows:
        if len(cells) != len(rows[0][1]):
            width = len(rows[0][1])
            raise BestiaryError(f"{name}, line {line}: {len(cells)} cells where the first line has {width}")
    return rows


def _rows(name: Path | str, text: str, mark: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) by the csv module; lines whose cells are empty hold no row."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise BestiaryError(f"{name}, line {reader.line_num} is no CSV: {error}") from error


def _number(cell: str) -> float | None:
    """A number, NaN if the cell says that there is none, None if it is a word."""
    if cell.lower() in NOTHING:
        return np.nan
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _table(path: Path, rows: list[tuple[int, list[str]]], header: bool | None) -> Table:
    """Cells of each line → columns."""
    if len(rows) < 2:
        raise BestiaryError(f"{path} has {len(rows)} line(s) that are not empty: a table needs a row for each example")
    first = rows[0][1]
    named = _has_header(first) if header is None else header
    body = [cells for _, cells in rows[1 if named else 0 :]]
    return Table(first if named else None, [_typed([cells[i] for cells in body]) for i in range(len(first))])


def _has_header(first: list[str]) -> bool:
    """Whether the first line names the columns: it has a word, and no number but empty cells."""
    numbers = [_number(cell) for cell in first]  # an empty cell may name a column, as pandas writes its index
    return None in numbers and all(number is None or np.isnan(number) for number in numbers)


def _named(path: Path, table: Table) -> Raw:
    """Columns by name: x1, x2, … where the file gives none."""
    names = [cell or f"x{i + 1}" for i, cell in enumerate(table.header or [""] * len(table.columns))]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BestiaryError(f"{path}: two columns are called {repeated}: rename one, or say header=no if there is none")
    raw = dict(zip(names, table.columns, strict=True))
    for name, values in raw.items():
        words = values[values != ""] if values.dtype.kind == "U" else values[:0]
        if len(words) and all(_DECIMAL_COMMA.fullmatch(word) for word in words):
            raise BestiaryError(f"{path}: {name} has a decimal comma, as in {words[0]}: write a point")
    return raw


def _typed(cells: list[str]) -> np.ndarray:
    """Numbers if every cell is one or says that it is missing; else words."""
    numbers = [_number(cell) for cell in cells]
    if any(number is None for number in numbers):
        return np.array(["" if cell.lower() in NOTHING else cell for cell in cells])
    return np.array(numbers, np.float64)


def read_parquet(path: Path) -> Raw:
    """Each column as numbers or words, by name."""
    _, parquet = pyarrow_or_error()
    with file_errors(path):
        table = parquet.read_table(path)
        if len(set(table.column_names)) != table.num_columns:
            raise ValueError("two columns have the same name")
        return {name: typed_values(table.column(name).to_pylist()) for name in table.column_names}


def typed_values(values: list[Any]) -> np.ndarray:
    """Python values, None where missing, as numbers if they all are, else as words."""
    try:
        numbers = np.array([np.nan if v is None else v for v in values], np.float64)
        if numbers.ndim == 1 and not any(isinstance(v, (str, bytes)) for v in values):
            return numbers
    except (TypeError, ValueError):
        pass
    return np.array(["" if v is None else str(v) for v in values], np.str_)


def pyarrow_or_error() -> tuple[Any, Any]:
    """pyarrow and its Parquet; where it is missing, what to type."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise BestiaryError("Parquet needs pyarrow: pip install 'bestiary[table]'") from error
    return pyarrow, parquet
