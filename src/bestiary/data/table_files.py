"""Files of tables as columns of numbers or words: CSV and the like, and Parquet.

    delimiter   what a first line `sep=;` says, as Excel writes it; else the one of `,` `;` tab `|` that cuts the first
                lines into equally many cells, or most of them; else blanks. A row that differs is refused by its line
    header      present if the first line has no number in it, unless `header=` says
    missing     an empty cell, NA, N/A, NaN, null, None or ?
    names       without control characters; x1, x2, … where there is none

Where pyarrow is installed it cuts the text (arrow_csv.py), and gives what the reader here gives; what is cut by blanks,
says `sep=`, has lines of unequal length or odd quotes is read here.

Legend: N rows.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bestiary.data.arrow_csv import END, cell_text, distinct_cells, plain_numbers, text_columns
from bestiary.data.files import MEMORY_LIMIT, printable
from bestiary.data.formats import file_errors
from bestiary.errors import BestiaryError

__all__ = [
    "DECIMAL_COMMA",
    "NOTHING",
    "PARQUET",
    "SUFFIXES",
    "Raw",
    "even_rows",
    "line_of_row",
    "pyarrow_or_error",
    "read_parquet",
    "read_text",
    "stray_word",
    "typed_values",
]

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
NOTHING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
_FIRST = 50  # lines that show the delimiter
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_SEPARATOR = re.compile(r'\A"?sep=([^\w"\n])"?[ ;,\t]*(?:\n|\Z)', re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]+")
Raw = dict[str, np.ndarray]  # column → (N,) float64 with NaN, or words with "" where missing


class Table(NamedTuple):
    """A text cut into columns."""

    header: list[str] | None  # the cells that name the columns, where there are some
    columns: list[np.ndarray]


class Cut(NamedTuple):
    """How a text is cut into cells."""

    mark: str  # the delimiter; "" is blanks
    width: int  # the cells of the first row
    is_declared: bool = False  # by a first line `sep=;`, which is no row


def read_text(path: Path, header: bool | None) -> Raw:
    """Read a text table as columns of numbers or words; `header`: whether the first line names them, None to look.

    Raises BestiaryError with the path, and the line where one is at fault.
    """
    with file_errors(path), _text_errors(path):
        cut = _cut_of(path)
        table = _table_by_arrow(path, cut, header) or _table(path, even_rows(path, _text(path), cut.mark), header)
        names = _names(path, table.header or [""] * len(table.columns))
        return dict(zip(names, table.columns, strict=True))


def line_of_row(path: Path, header: bool | None, row: int) -> int:
    """The number of the line, from 1, on which a row of `read_text`, from 0, begins."""
    rows = even_rows(path, _text(path), _cut_of(path).mark)
    is_named = _has_header(rows[0][1]) if header is None else header
    return rows[row + is_named][0]


def _text(path: Path) -> str:
    with open(path, encoding="utf-8-sig") as file:
        return file.read()


@contextmanager
def _text_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise BestiaryError(f"{path} is not text in UTF-8 ({error}): save it again as CSV in UTF-8") from error


def _cut_of(path: Path) -> Cut:
    """The delimiter: that of a first line `sep=;`, as Excel writes it, else the one that cuts the first rows alike."""
    with open(path, encoding="utf-8-sig") as file:
        lines = list(islice((line for line in file if line.strip()), _FIRST))
    if lines and (declared := _SEPARATOR.fullmatch(lines[0])):
        return Cut(declared[1], 0, is_declared=True)
    if len(lines) < 2:
        raise BestiaryError(f"{path} has {len(lines)} line(s): a table needs a row for each example")
    mark = _delimiter(lines)
    return Cut(mark, (_widths(lines, mark) or [0])[0])


def _table_by_arrow(path: Path, cut: Cut, header: bool | None) -> Table | None:
    """The table that `_table` would give; None where pyarrow is not installed or may read the text otherwise."""
    columns = text_columns(path, cut.mark, cut.width) if cut.mark and not cut.is_declared else None
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
    return _typed(distinct, len(places))[places]


def _delimiter(lines: list[str]) -> str:
    """The character that cuts all of these lines into as many cells, else most of them; '' is blanks.

    Where a character cuts only most lines alike, `even_rows` names the first that differs.
    """
    widths = {mark: Counter(_widths(lines, mark)) for mark in (";", "\t", "|", ",")}  # a comma last: it may be decimal
    for mark, counts in widths.items():
        if len(counts) == 1 and 1 not in counts:
            return mark
    blanks = {len(_blank_cells(line)) for line in lines}
    if len(blanks) == 1 and blanks != {1} and not any(mark in lines[0] for mark in widths):
        return ""
    rows_cut = {mark: sum(counts.values()) - counts[1] for mark, counts in widths.items()}
    best = max(rows_cut, key=lambda mark: rows_cut[mark])
    return best if 2 * rows_cut[best] > sum(widths[best].values()) else ""


def _widths(lines: list[str], mark: str) -> list[int]:
    """How many cells each row has; nothing where the csv module refuses one of them, which `_rows` explains."""
    if not mark:
        return []
    try:
        return [len(row) for row in csv.reader(lines, delimiter=mark, skipinitialspace=True)]
    except csv.Error:
        return []


def _blank_cells(line: str) -> list[str]:
    return [cell.strip() for cell in _BLANKS.split(line) if cell.strip()]


def even_rows(name: Path | str, text: str, mark: str) -> list[tuple[int, list[str]]]:
    """Cut a text at `mark`, or at blanks if it is empty, into (line number, cells) of each row that has some.

    A row that ends within quotes has the number of its first line, and a first line `sep=` is no row. Raises
    BestiaryError, with `name` and the line, where a row has another number of cells than the first, or a quote no end.
    """
    text = _SEPARATOR.sub("\n", text, count=1)
    rows = _rows(name, text, mark) if mark else [(i, _blank_cells(line)) for i, line in enumerate(_lines(text), 1)]
    rows = [(line, cells) for line, cells in rows if cells]
    for line, cells in rows:
        if len(cells) != len(rows[0][1]):
            count = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
            raise BestiaryError(f"{name}, line {line}: {count} where the first line has {len(rows[0][1])}")
    return rows


def _lines(text: str) -> io.StringIO:
    """The lines of a text. str.splitlines would also cut at a vertical tab or U+2028, which may stand in a cell."""
    return io.StringIO(text, newline=None)


def _rows(name: Path | str, text: str, mark: str) -> list[tuple[int, list[str]]]:
    """(number of the first line, cells) by the csv module; lines whose cells are empty hold no row."""
    reader = csv.reader(io.StringIO(f"{text}\n{END}", newline=""), delimiter=mark, skipinitialspace=True)
    rows, first, row = list[tuple[int, list[str]]](), 1, list[str]()
    try:
        for row in reader:
            if any(row):
                rows.append((first, [cell.strip() for cell in row]))
            last, first = first, reader.line_num + 1
    except csv.Error as error:
        raise BestiaryError(f"{name}, line {reader.line_num} is no CSV: {error}") from error
    if row != [END]:
        raise BestiaryError(f"{name}, line {last}: a quote that does not end: write the second quote")
    return rows[:-1]


def _number(cell: str) -> float | None:
    """A number, NaN if the cell says that there is none, None if it is a word."""
    if cell.lower() in NOTHING:
        return np.nan
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def stray_word(values: np.ndarray) -> int | None:
    """The place of the first word in a column (N,) of words of which more than half are numbers; None where none is.

    A number with a decimal comma counts as a number, and is given as a word.
    """
    if values.dtype.kind != "U":
        return None
    distinct, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    is_number = np.array([_number(word) is not None for word in distinct])
    is_decimal = np.array([DECIMAL_COMMA.fullmatch(word) is not None for word in distinct])
    is_word = ~is_number & (distinct != "")
    numbers = counts[(is_number | is_decimal) & (distinct != "")].sum()
    if not is_word.any() or 2 * numbers <= counts[distinct != ""].sum():
        return None
    return int(is_word[places.reshape(-1)].argmax())


def _table(path: Path, rows: list[tuple[int, list[str]]], header: bool | None) -> Table:
    """Cells of each line → columns."""
    if len(rows) < 2:
        raise BestiaryError(f"{path} has {len(rows)} line(s) that are not empty: a table needs a row for each example")
    first = rows[0][1]
    named = _has_header(first) if header is None else header
    body = [cells for _, cells in rows[1 if named else 0 :]]
    return Table(first if named else None, [_typed([cells[i] for cells in body], len(body)) for i in range(len(first))])


def _has_header(first: list[str]) -> bool:
    """Whether the first line names the columns: it has a word, and no number but empty cells."""
    numbers = [_number(cell) for cell in first]  # an empty cell may name a column, as pandas writes its index
    return None in numbers and all(number is None or np.isnan(number) for number in numbers)


def _names(path: Path, given: list[str]) -> list[str]:
    """Names of columns without control characters; x1, x2, … where the file gives none. No name may come twice."""
    names = [printable(name) or f"x{i + 1}" for i, name in enumerate(given)]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BestiaryError(f"{path}: two columns are called {repeated}: rename one, or say header=no if there is none")
    return names


def _typed(cells: list[str], rows: int) -> np.ndarray:
    """Numbers if every cell is one or says that it is missing; else words, which will fill so many rows."""
    numbers = [_number(cell) for cell in cells]
    if any(number is None for number in numbers):
        return _words(["" if cell.lower() in NOTHING else cell for cell in cells], rows)
    return np.array(numbers, np.float64)


def _words(cells: list[str], rows: int) -> np.ndarray:
    """Cells as an array in which each takes as much as the longest. Raises BestiaryError where that is too much."""
    longest = max(cells, key=len)
    if 4 * len(longest) * rows > MEMORY_LIMIT:  # numpy keeps 4 bytes for each letter
        raise BestiaryError(
            f"a cell of {len(longest):,} letters, which begins `{printable(longest[:20])}`, in a column of {rows:,} "
            f"rows would take {4 * len(longest) * rows / 1e9:,.1f} GB: shorten it, or take the column out of the file"
        )
    return np.array(cells, np.str_)


def read_parquet(path: Path) -> Raw:
    """Each column as numbers or words, by name."""
    _, parquet = pyarrow_or_error()
    with file_errors(path):
        table = parquet.read_table(path)
        names = _names(path, table.column_names)
        return {name: typed_values(column.to_pylist()) for name, column in zip(names, table.columns, strict=True)}


def typed_values(values: list[Any]) -> np.ndarray:
    """Python values, None where missing, as numbers if they all are, else as words."""
    try:
        numbers = np.array([np.nan if v is None else v for v in values], np.float64)
        if numbers.ndim == 1 and not any(isinstance(v, (str, bytes)) for v in values):
            return numbers
    except (TypeError, ValueError):
        pass
    return _words(["" if v is None else str(v) for v in values], len(values))


def pyarrow_or_error() -> tuple[Any, Any]:
    """pyarrow and its Parquet; where it is missing, what to type."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise BestiaryError("Parquet needs pyarrow: pip install 'bestiary[table]'") from error
    return pyarrow, parquet
