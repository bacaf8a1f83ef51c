"""Files of tables as columns of numbers or words: CSV and the like, and Parquet.

    delimiter   the one of `,` `;` tab `|` that cuts the first lines into equally many cells, else blanks
    header      present if the first line has no number in it, unless `header=` says
    missing     an empty cell, NA, N/A, NaN, null, None or ?

Where pyarrow is installed it reads large texts (arrow_csv.py), and gives what the reader here gives.

Legend: N rows.
"""

import csv
import io
import re
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bestiary.data.arrow_csv import arrow_columns
from bestiary.data.formats import reading
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import io_error

__all__ = ["NOTHING", "PARQUET", "SUFFIXES", "Raw", "pyarrow_or_error", "read_parquet", "read_text", "typed_values"]

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
NOTHING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
LOOKED_AT = 50  # lines that tell the delimiter
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
Raw = dict[str, np.ndarray]  # column → (N,) float64 with NaN, or words with "" where missing


class Table(NamedTuple):
    """What a text holds."""

    names: list[str] | None  # the cells of the header, where there is one
    columns: list[np.ndarray]


def read_text(path: Path, header: bool | None) -> Raw:
    """A text table as columns of numbers or words; `header`: whether the first line names them, None to look."""
    text = _text(path)
    lines = list(islice((line for line in io.StringIO(text, newline=None) if line.strip()), LOOKED_AT))
    if len(lines) < 2:
        raise BestiaryError(f"{path} has {len(lines)} line(s): a table needs a row for each example")
    mark = _delimiter(lines)
    with reading(path):
        table = _fast_table(text, lines[0], mark, header) or _table(path, _cells(text, mark), header)
    return _named(path, *table)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BestiaryError(f"{path} is not text in UTF-8 ({error}): save it again as CSV in UTF-8") from error
    except OSError as error:
        raise io_error(f"read {path}", error) from error


def _fast_table(text: str, line: str, mark: str, header: bool | None) -> Table | None:
    """The table by pyarrow, where it reads it as `_table` would."""
    if not mark or text.partition(line)[0].strip() or line.count('"') % 2:
        return None
    first = _cells(line, mark)[0][1]
    named = _has_header(first) if header is None else header
    body = text.partition(line)[2] if named else text
    columns = arrow_columns(body.encode(), mark, len(first), NOTHING)
    if columns is None or not len(columns[0]):
        return None
    return Table(first if named else None, [_typed(c) if isinstance(c, list) else c for c in columns])


def _delimiter(lines: list[str]) -> str:
    """The character that cuts each of these lines into the same number of cells; '' is blanks."""
    for mark in (";", "\t", "|", ","):  # a comma last: it may stand in numbers
        counts = {len(row) for row in csv.reader(lines, delimiter=mark)}
        if len(counts) == 1 and counts != {1}:
            return mark
    most = max((",", ";", "\t", "|"), key=lambda mark: sum(line.count(mark) for line in lines))
    return most if all(most in line for line in lines) else ""


def _cells(text: str, mark: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of each line that is not blank."""
    if not mark:
        return [(i, line.split()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]


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
    for line, cells in rows:
        if len(cells) != len(first):
            raise BestiaryError(f"{path}, line {line}: {len(cells)} cells where the first line has {len(first)}")
    named = _has_header(first) if header is None else header
    body = [cells for _, cells in rows[1 if named else 0 :]]
    return Table(first if named else None, [_typed([cells[i] for cells in body]) for i in range(len(first))])


def _has_header(first: list[str]) -> bool:
    """Whether the first line names the columns: it has a word, and no number but empty cells."""
    numbers = [_number(cell) for cell in first]  # an empty cell may name a column, as pandas writes its index
    return None in numbers and all(number is None or np.isnan(number) for number in numbers)


def _named(path: Path, header: list[str] | None, columns: list[np.ndarray]) -> Raw:
    """Columns by name: x1, x2, … where the file gives none."""
    names = [cell or f"x{i + 1}" for i, cell in enumerate(header or [""] * len(columns))]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BestiaryError(f"{path}: two columns are called {repeated}: rename one, or say header=no if there is none")
    raw = dict(zip(names, columns, strict=True))
    for name, values in raw.items():
        words = [word for word in values if word] if values.dtype.kind == "U" else []
        if words and all(_DECIMAL_COMMA.fullmatch(word) for word in words):
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
    with reading(path):
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
