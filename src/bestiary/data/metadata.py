"""What files beside images say of them: metadata.jsonl or metadata.csv, and one .txt for an image.

    metadata.jsonl   {"file_name": "a.png", "text": "a red ball", "energy": 3.5, "kind": null}     one line an image
    metadata.csv     file_name,text,energy,kind                                                    the same as a table
    a.txt            the caption of a.png, of its folder

`file_name` (or `file`) is a path from the folder that the metadata lie in, as in image folders of Hugging Face. A key
that ends in `_file_name` names an image that stands beside the other. Every other key is a column. null, a key that is
not there, and an empty cell are missing. A text file is no caption where no image has its stem. Nothing is dropped
silently: images without an entry and entries without an image are in the notes.

Legend: N images.
"""

import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bestiary.data.decode import UnusableImage
from bestiary.data.listing import METADATA, Entry
from bestiary.data.missing_values import Values, to_values
from bestiary.data.table_files import NOTHING, even_rows
from bestiary.errors import BestiaryError

__all__ = ["Metadata", "column_of", "metadata_of", "picture_name"]

_FILE = ("file_name", "file")  # keys that name the image
_ANOTHER = "_file_name"  # the end of keys that name an image beside it
_NAMED = 3  # so many file names are shown in a note


@dataclass
class Metadata:
    """Columns by key, one value for each image and None where it is missing; and what is to be said."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    pictures: dict[str, list[str | None]] = field(default_factory=dict)  # names of image files beside each image
    notes: list[str] = field(default_factory=list)


def picture_name(key: str) -> str:
    """The name of a field from the key that names its files."""
    return key.removesuffix(_ANOTHER)


def metadata_of(images: list[str], texts: list[Entry], pictures: Sequence[str] = ()) -> Metadata:
    """Names of image files, and the texts that stand beside them → columns; `pictures`: keys that name image files."""
    result, number = Metadata(), {name: i for i, name in enumerate(images)}
    tables = [text for text in texts if PurePosixPath(text.name).name in METADATA]
    _read_tables(tables, number, pictures, result)
    _read_captions([text for text in texts if text not in tables], number, result)
    return result


def _read_tables(tables: list[Entry], number: dict[str, int], pictures: Sequence[str], result: Metadata) -> None:
    seen, absent = dict[int, str](), list[str]()
    for table in tables:
        folder = posixpath.dirname(table.name)
        for line, row in _rows(table):
            name = posixpath.normpath(posixpath.join(folder, _file_name(table, line, row)))
            if name not in number:
                absent.append(name)
                continue
            i = number[name]
            if i in seen:
                raise BestiaryError(f"{table.name}, line {line}: {name} is named twice ({seen[i]}): keep one")
            seen[i] = f"{table.name}, line {line}"
            for key, value in row.items():
                if key.endswith(_ANOTHER) or key in pictures:
                    other = posixpath.normpath(posixpath.join(folder, value)) if isinstance(value, str) else None
                    result.pictures.setdefault(picture_name(key), [None] * len(number))[i] = other
                elif key not in _FILE:
                    result.columns.setdefault(key, [None] * len(number))[i] = value
    _say_what_does_not_meet(bool(tables), number, set(seen), absent, result)


def _say_what_does_not_meet(
    tables: bool, number: dict[str, int], seen: set[int], absent: list[str], result: Metadata
) -> None:
    beside = {name for names in result.pictures.values() for name in names if name}
    absent = absent + sorted(beside - number.keys())
    if absent:
        result.notes.append(f"the metadata name {_count(absent, 'image')} not there: {_named(absent)}")
    without = [name for name, i in number.items() if i not in seen and name not in beside]
    if tables and without:
        result.notes.append(f"the metadata lack {_count(without, 'image')}: {_named(without)}")


def _count(names: list[str], noun: str) -> str:
    return f"{len(names):,} {noun}{'' if len(names) == 1 else 's'}"


def _named(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _text(entry: Entry) -> str:
    try:
        return entry.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BestiaryError(f"{entry.name} is not text in UTF-8 ({error}): save it again in UTF-8") from error
    except (UnusableImage, OSError) as error:
        raise BestiaryError(f"cannot read {entry.name}: {error}") from error


def _file_name(table: Entry, line: int, row: dict[str, Any]) -> str:
    key = next((key for key in _FILE if row.get(key)), "")
    if not key or not isinstance(row[key], str):
        raise BestiaryError(
            f"{table.name}, line {line}: no file is named. Each line needs the key file_name, the path of the image "
            "from this folder. If the file is about something else, say beside=none"
        )
    return str(row[key]).replace("\\", "/")


def _rows(table: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a table of either form."""
    return (_json_rows if table.name.endswith(".jsonl") else _csv_rows)(table)


def _json_rows(table: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(_text(table).split("\n"), 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BestiaryError(f"{table.name}, line {line} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise BestiaryError(f'{table.name}, line {line}: expected one object, {{"file_name": "…", …}}')
        yield line, row


def _csv_rows(table: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a CSV; a column of which every cell is a number is numbers."""
    rows = even_rows(table.name, _text(table), ",")
    head = rows[0][1] if rows else []
    if len(set(head)) < len(head):
        raise BestiaryError(f"{table.name}: two columns have the same name: rename one")
    columns = [_read_numbers([None if cell.lower() in NOTHING else cell for cell in column])
               for column in zip(*(cells for _, cells in rows[1:]), strict=True)]  # fmt: skip
    for (line, _), values in zip(rows[1:], zip(*columns, strict=True), strict=True):
        yield line, dict(zip(head, values, strict=True))


def _read_captions(texts: list[Entry], number: dict[str, int], result: Metadata) -> None:
    by_stem: dict[str, list[int]] = {}
    for name, i in number.items():
        by_stem.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(i)
    captions: list[Any] = [None] * len(number)
    lost = [text.name for text in texts if str(PurePosixPath(text.name).with_suffix("")) not in by_stem]
    for text in texts:
        for i in by_stem.get(str(PurePosixPath(text.name).with_suffix("")), []):
            captions[i] = _text(text).strip()
    if len(lost) == len(texts):
        return
    if lost:
        result.notes.append(f"{_count(lost, '.txt file')} beside no image: {_named(lost)}")
    if "caption" in result.columns:
        result.notes.append("captions are those of the metadata, and the .txt files are not read")
    else:
        result.columns["caption"] = captions


def column_of(name: str, column: list[Any]) -> Values:
    """A column of metadata as an array; whole numbers, one each, are a label only where they are called so."""
    values = to_values(column, name)
    if values.array.dtype.kind in "iu" and values.array.ndim == 1 and name != "label":
        return Values(values.array.astype(np.float64), values.present)
    return values


def _read_numbers(column: list[Any]) -> list[Any]:
    """Texts as numbers if every one is a number; else as they are."""
    try:
        numbers = [None if text is None else float(text.replace("_", "no")) for text in column]
    except ValueError:
        return column
    if all(number is None or number.is_integer() for number in numbers):
        return [None if number is None else int(number) for number in numbers]
    return numbers
