"""Tables of numbers and categories: CSV and the like, and Parquet.

Each column becomes one standardised component (numbers) or one-hot components (a category: any column with a
cell that is no number, or one that `categories=` names). The column that `label=` names is not part of x.

    delimiter   the one of `,` `;` tab `|` that cuts the first lines into equally many cells, else blanks
    header      present if the first line has no number in it, unless `header=` says
    missing     an empty cell, NA, N/A, NaN, null, None or ?

Legend: N rows, F components of x.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.columns import kept_rows, one_hot, standardised, to_columns
from bestiary.data.dataset import Dataset
from bestiary.data.files import atomic, fingerprint, io_error, plain_name
from bestiary.data.formats import reading
from bestiary.data.labels import encoded
from bestiary.data.parts import parts_of
from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError, nearest

__all__ = ["SUFFIXES", "encode", "from_file", "to_rows", "typed_values", "write_table"]

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".pq")
_PARQUET = (".parquet", ".pq")
_NOTHING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_MOST_CATEGORIES = 50  # more distinct words than this are names or free text, not a category

Raw = dict[str, np.ndarray]  # column → (N,) float64 with NaN, or words with "" where missing


def from_file(
    path: Path,
    *,
    label: str = "",
    categories: str = "",
    drop: str = "",
    missing: str = "",
    header: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """label: a column that is not fitted; categories, drop: columns, a,b,c; missing: drop or mean."""
    parquet = path.suffix.lower() in _PARQUET
    raw = read_parquet(path) if parquet else read_text(path, header)
    dataset = encode(
        path.stem, raw, label=label, categories=categories, drop=drop, missing=missing,
        validation=validation, test=test, split_seed=split_seed,
    )  # fmt: skip
    dataset.source.update(path=str(path))
    return dataset


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
    if cell.lower() in _NOTHING:
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
        return np.array(["" if cell.lower() in _NOTHING else cell for cell in cells])
    return np.array(numbers, np.float64)


def read_parquet(path: Path) -> Raw:
    _, parquet = _pyarrow()
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


def encode(
    name: str,
    raw: Raw,
    *,
    label: str = "",
    categories: str = "",
    drop: str = "",
    missing: str = "",
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """Columns → a data set of kind `table`."""
    raw = dict(raw)
    for column in _listed(drop, "drop", raw):
        del raw[column]
    for column in _listed(categories, "categories", raw):
        raw[column] = _as_words(raw[column])
    (target,) = _listed(label, "label", raw) if label else ("",)
    if not set(raw) - {target} or not len(next(iter(raw.values()))):
        raise BestiaryError("the table has no column, or no row, left to fit")
    n = len(next(iter(raw.values())))
    known = parts_of(n, validation, test, split_seed)["train"] if missing == "mean" else np.arange(n)
    raw, rows = _complete(raw, missing, target, known)
    numbers, classes = encoded(raw.pop(target), len(rows), f"the column {label}") if target else (None, ())
    parts = parts_of(len(rows), validation, test, split_seed)
    x, columns = _assembled(raw, parts["train"])
    spec = Spec("table", (x.shape[1],), 0, columns, classes)
    note = f"{n - len(rows):,} of {n:,} rows dropped" if n > len(rows) else ""
    source = {"origin": "table", "fingerprint": fingerprint(x), "note": note}
    return Dataset(plain_name(name), spec, x, parts, numbers, source=source)


def _listed(names: str, option: str, raw: Raw) -> list[str]:
    """`a,b,c` as columns that exist."""
    wanted = [name.strip() for name in names.split(",") if name.strip()] if names not in raw else [names]
    for name in wanted:
        if name not in raw:
            guess = nearest(name, raw)
            hint = f"did you mean `{guess}`? " if guess else ""
            raise BestiaryError(f"{option}={names}: no column `{name}`; {hint}Columns: {', '.join(raw)}")
    if option == "label" and len(wanted) != 1:
        raise BestiaryError(f"label={names}: name one column")
    return list(dict.fromkeys(wanted))


def _as_words(values: np.ndarray) -> np.ndarray:
    """Numbers as words, 3.0 as `3`."""
    if values.dtype.kind == "U":
        return values
    return np.array(["" if np.isnan(v) else str(int(v)) if float(v).is_integer() else repr(float(v)) for v in values])


def _complete(raw: Raw, missing: str, target: str, known: np.ndarray) -> tuple[Raw, np.ndarray]:
    """Columns without gaps, and the numbers of the rows that stayed; what fills a gap is learned from rows `known`."""
    gaps = {name: values == "" if values.dtype.kind == "U" else ~np.isfinite(values) for name, values in raw.items()}
    if missing == "mean" and target and gaps[target].any():
        raise BestiaryError(f"the label {target} is missing in {gaps[target].sum():,} rows: use missing=drop")
    rows = kept_rows(np.stack(list(gaps.values()), axis=1), list(raw), missing)
    filled = {
        name: _without_gaps(values, gaps[name], known) if missing == "mean" else values for name, values in raw.items()
    }
    return {name: values[rows] for name, values in filled.items()}, rows


def _without_gaps(values: np.ndarray, gaps: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Gaps filled by the mean, or the commonest word, of the rows `known`; of all, where these have none."""
    there = known[~gaps[known]]
    found = values[there] if len(there) else values[~gaps]
    if values.dtype.kind == "f":
        return np.where(gaps, found.mean(), values)
    words, counts = np.unique(found, return_counts=True)
    return np.where(gaps, words[counts.argmax()], values)


def _assembled(raw: Raw, train: np.ndarray) -> tuple[np.ndarray, tuple[Column, ...]]:
    """Columns in their order → x (N, F) float32 and what each component means."""
    numbers = [name for name, values in raw.items() if values.dtype.kind == "f"]
    blocks: dict[str, tuple[np.ndarray, Column]] = {}
    if numbers:
        x, columns = standardised(np.stack([raw[name] for name in numbers], axis=1), numbers, train)
        blocks = {column.name: (x[:, i : i + 1], column) for i, column in enumerate(columns)}
    for name in raw.keys() - blocks.keys():
        hot, words = one_hot(raw[name])
        if len(words) > _MOST_CATEGORIES:
            raise BestiaryError(
                f"column {name} has {len(words):,} distinct words (for example {words[0]!r}): more than "
                f"{_MOST_CATEGORIES} are not a category. Leave it out with drop={name}"
            )
        blocks[name] = (hot, Column(name, categories=words))
    ordered = [blocks[name] for name in raw]
    return np.concatenate([x for x, _ in ordered], axis=1), tuple(column for _, column in ordered)


def to_rows(spec: Spec, x: np.ndarray) -> list[dict[str, Any]]:
    """x (N, F) in model units → one dictionary a row, in the units and words of the user's file."""
    columns = {name: values.tolist() for name, values in to_columns(spec, np.asarray(x)).items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def write_table(path: str | Path, spec: Spec, x: np.ndarray) -> Path:
    """x (N, F) in model units → a CSV (or, by its suffix, Parquet) file like the user's."""
    columns = to_columns(spec, np.asarray(x))
    with atomic(path) as file:
        if Path(path).suffix.lower() in _PARQUET:
            pyarrow, parquet = _pyarrow()
            parquet.write_table(pyarrow.table(columns), file)
        else:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            writer = csv.writer(text)
            writer.writerow(columns)
            writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
            text.detach()  # flushes, and leaves the file to `atomic`
    return Path(path)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise BestiaryError("Parquet needs pyarrow: pip install 'bestiary[hub]'") from error
    return pyarrow, parquet
