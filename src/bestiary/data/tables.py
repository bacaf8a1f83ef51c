"""Tables of numbers and categories: CSV and the like, and Parquet.

Each column becomes one standardised component (numbers) or one-hot components (a category: a column of words, or one
that `categories=` names). A column of one value is no part of x, and is written into samples as it was. A word in a
column of which more than half of the cells are numbers is refused by its line. Columns that `label=`, `beside=` or
`caption=` name stand beside x: the label under the name `label`, the others under their own, numbers as numbers, words
as labels, texts as captions. What is missing there is masked; `missing=` is about x and the label.

Legend: N rows, F components of x.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.beside import EncodingOptions, encode_fields
from bestiary.data.column_hints import column_hints
from bestiary.data.columns import one_hot, select_rows, standardise, to_columns
from bestiary.data.dataset import Dataset
from bestiary.data.field_types import FieldSelection, Kind, RawField, infer_kind
from bestiary.data.files import fingerprint, plain_name, printable
from bestiary.data.missing_values import Values
from bestiary.data.spec import Field, Spec
from bestiary.data.splits import split_parts
from bestiary.data.support import Category, Column, Columns, Constant
from bestiary.data.table_files import (
    DECIMAL_COMMA,
    PARQUET,
    Raw,
    line_of_row,
    pyarrow_or_error,
    read_parquet,
    read_text,
    stray_word,
)
from bestiary.errors import BestiaryError, nearest_name
from bestiary.storage.atomic import atomic

__all__ = ["encode", "from_file", "to_rows", "write_table"]


def from_file(
    path: Path,
    *,
    label: str = "",
    categories: str = "",
    drop: str = "",
    beside: str = "",
    caption: str = "",
    missing: str = "",
    header: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """label: a column that is not fitted; categories, drop: columns, a,b,c; beside: columns that stand beside x, a,b,c;
    caption: columns of free text beside x; missing: drop or mean; header: whether the first line names columns."""
    parquet = path.suffix.lower() in PARQUET
    raw = read_parquet(path) if parquet else read_text(path, header)
    may_have_words = {name for names in (label, categories, drop, caption) for name in _split(names, raw)}
    for column in [column for column in raw if column not in may_have_words]:
        if (row := stray_word(raw[column])) is not None:
            place = f"row {row + 1}" if parquet else f"line {line_of_row(path, header, row)}"
            raise BestiaryError(f"{path}, {place}: {_stray_text(column, raw[column][row])}")
    dataset = encode(
        path.stem, raw, label=label, categories=categories, drop=drop, beside=beside, caption=caption, missing=missing,
        validation=validation, test=test, split_seed=split_seed,
    )  # fmt: skip
    dataset.source.update(path=str(path))
    return dataset


def encode(
    name: str,
    raw: Raw,
    *,
    label: str = "",
    categories: str = "",
    drop: str = "",
    beside: str = "",
    caption: str = "",
    missing: str = "",
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """Columns → rows of a table, and what stands beside each."""
    raw = dict(raw)
    for column in _listed(drop, "drop", raw):
        del raw[column]
    for column in _listed(categories, "categories", raw):
        raw[column] = _as_words(raw[column])
    (target,) = _listed(label, "label", raw) if label else ("",)
    fields = _apart(raw, target, _listed(beside, "beside", raw), _listed(caption, "caption", raw))
    if not set(raw) - {target} or not len(next(iter(raw.values()))):
        raise BestiaryError("the table has no column, or no row, left to fit")
    n = len(next(iter(raw.values())))
    known = split_parts(n, validation, test, split_seed)["train"] if missing == "mean" else np.arange(n)
    raw, rows = _complete(raw, missing, target, known)
    parts = split_parts(len(rows), validation, test, split_seed)
    others = encode_fields(fields, EncodingOptions(parts["train"]), rows)
    if target:
        others = (
            encode_fields([RawField("label", "label", Values(raw.pop(target)))], EncodingOptions(parts["train"]))
            + others
        )
    constants = _constants(raw)
    x, columns = _assembled({k: v for k, v in raw.items() if k not in {c.name for c in constants}}, parts["train"])
    notes = [f"{n - len(rows):,} of {n:,} rows dropped"] if n > len(rows) else []
    if constants:
        names = ", ".join(f"{c.name} = {c.value}" for c in constants)
        notes.append(f"constant, so no part of x but written into samples: {names}")
    hints = column_hints({column.name: raw[column.name] for column in columns})
    note = "; ".join([*notes, *filter(None, [FieldSelection(fields).note()]), *others.notes, *hints])
    source = {"origin": "table", "fingerprint": others.fingerprint(fingerprint(x)), "note": note}
    support = Columns(columns, constants)
    spec = Spec(Field("x", "row", (support.width,), support), tuple(others.fields))
    return Dataset(plain_name(name), spec, {"x": x, **others.stored}, parts, source=source)


def _apart(raw: Raw, target: str, beside: list[str], captions: list[str]) -> list[RawField]:
    """Take the columns that stand beside x out of `raw`."""
    fields = []
    for name in [*beside, *captions]:
        if name == target or name not in raw:
            raise BestiaryError(f"{name} is named twice, by label=, beside= or caption=: keep one")
        column = raw.pop(name)
        values = Values(column, ~np.isnan(column) if column.dtype.kind == "f" else column != "")
        kind: Kind = "caption" if name in captions else infer_kind(name, values, len(column)).value
        if kind == "caption" and name not in captions:
            raise BestiaryError(f"beside={name}: it is free text, such as {column[0]!r}: say caption={name}")
        fields.append(RawField(name, kind, values))
    return fields


def _stray_text(column: str, word: str) -> str:
    fault = f"here the word `{printable(word)}` stands: correct it"
    if DECIMAL_COMMA.fullmatch(word):
        fault = f"here `{word}` stands, which has a decimal comma, as in {word}: write a point"
    return (
        f"{column} holds numbers, and {fault}; or say categories={column} (each value is a word then) or drop={column}"
    )


def _split(names: str, raw: Raw) -> list[str]:
    """`a,b,c` → names, or one name that has a comma."""
    return [names] if names and names in raw else [name.strip() for name in names.split(",") if name.strip()]


def _listed(names: str, option: str, raw: Raw) -> list[str]:
    """`a,b,c` as columns that exist."""
    wanted = _split(names, raw)
    for name in wanted:
        if name not in raw:
            guess = nearest_name(name, raw)
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
    rows = select_rows(np.stack(list(gaps.values()), axis=1), list(raw), missing)
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


def _constants(raw: Raw) -> tuple[Constant, ...]:
    """The columns of one value; none where every column is one, since nothing would be left to fit."""
    constants = [
        Constant(i, name, values[0].item())
        for i, (name, values) in enumerate(raw.items())
        if (values == values[0]).all()
    ]
    return tuple(constants) if len(constants) < len(raw) else ()


def _assembled(raw: Raw, train: np.ndarray) -> tuple[np.ndarray, tuple[Column, ...]]:
    """Columns in their order → x (N, F) float32 and what each component means."""
    numbers = [name for name, values in raw.items() if values.dtype.kind == "f"]
    blocks: dict[str, tuple[np.ndarray, Column]] = {}
    if numbers:
        x, columns = standardise(np.stack([raw[name] for name in numbers], axis=1), numbers, train)
        blocks = {column.name: (x[:, i : i + 1], column) for i, column in enumerate(columns)}
    for name in raw.keys() - blocks.keys():
        hot, words = one_hot(raw[name], name)
        blocks[name] = (hot, Column(name, Category(words)))
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
        if Path(path).suffix.lower() in PARQUET:
            pyarrow, parquet = pyarrow_or_error()
            parquet.write_table(pyarrow.table(columns), file)
        else:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            # .tolist(): a float32 as the shortest text of a Python float
            writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
            text.detach()  # flushes, and leaves the file to `atomic`
    return Path(path)
