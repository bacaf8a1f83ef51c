"""Files of tables as columns of numbers or words: CSV and the like, and Parquet.

    delimiter   the one of `,` `;` tab `|` that cuts the first lines into equally many cells, else blanks
    header      present if the first line has no number in it, unless `header=` says
    missing     an empty cell, NA, N/A, NaN, null, None or ?

Legend: N rows.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.formats import reading
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import io_error

__all__ = ["NOTHING", "PARQUET", "SUFFIXES", "Raw", "pyarrow_or_error", "read_parquet", "read_text", "typed_values"]

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
NOTHING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
Raw = dict[str, np.ndarray]  # column → (N,) float64 with NaN, or words with "" where missing


def read_text(path: Path, header: bool | None) -> Raw:
    """A text table as columns of numbers or words."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BestiaryError(f"{path} is not text in UTF-8 ({error}): save it again as CSV in UTF-8") from error
    except OSError as error:
        raise io_error(f"read {path}", error) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise BestiaryError(f"{path} has {len(lines)} line(s): a table needs a row for each example")
    with reading(path):
        rows = _cells(text, _delimiter(lines[:50]))
    return _columns(path, rows, header)


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


def _columns(path: Path, rows: list[tuple[int, list[str]]], header: bool | None) -> Raw:
    if len(rows) < 2:
        raise BestiaryError(f"{path} has {len(rows)} line(s) that are not empty: a table needs a row for each example")
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise BestiaryError(f"{path}, line {line}: {len(cells)} cells where the first line has {width}")
    first = rows[0][1]
    if header is None:
        told = [_number(cell) for cell in first]  # an empty cell may name a column, as pandas writes its index
        header = None in told and all(number is None or np.isnan(number) for number in told)
    names = [cell or f"x{i + 1}" for i, cell in enumerate(first)] if header else [f"x{i + 1}" for i in range(width)]
    if len(set(names)) != width:
        twice = next(name for name in names if names.count(name) > 1)
        raise BestiaryError(f"{path}: two columns are called {twice}: rename one, or say header=no if there is none")
    body = [cells for _, cells in rows[1 if header else 0 :]]
    raw = {name: _typed([cells[i] for cells in body]) for i, name in enumerate(names)}
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
        raise BestiaryError("Parquet needs pyarrow: pip install 'bestiary[hub]'") from error
    return pyarrow, parquet
