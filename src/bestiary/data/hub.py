"""Data sets from the Hugging Face hub: `hf:name`, through the package `datasets` (extra `hub`).

A set with an image column becomes images, decoded and cached like those of a folder, with every other column beside
them. Any other set becomes a table, with the columns beside x that `beside=` and `caption=` name, and texts called
caption or text. A ClassLabel column, or the one that `label=` names, is the label.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from bestiary.data.dataset import Dataset
from bestiary.data.decode import UnusableImage
from bestiary.data.field_types import CAPTIONS, declare
from bestiary.data.files import plain_name
from bestiary.data.images import ImageOptions, from_listing, load_pictures
from bestiary.data.listing import Entry, Listing
from bestiary.data.metadata import column_of
from bestiary.data.missing_values import Values, to_values
from bestiary.data.table_files import typed_values
from bestiary.data.tables import encode
from bestiary.errors import BestiaryError

__all__ = ["from_hub"]

Labels = list[str] | None  # the label of each row, where there is one


def from_hub(
    name: str,
    *,
    config: str = "",
    part: str = "train",
    image: str = "",
    label: str = "",
    numbers: str = "",
    tokens: str = "",
    factors: str = "",
    caption: str = "",
    beside: str = "",
    pad: int | None = None,
    size: int | str | None = None,
    colour: str = "auto",
    stream: bool | None = None,
    categories: str = "",
    drop: str = "",
    missing: str = "",
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """config, part: which of the set; image, label: columns; numbers, tokens, factors, caption, beside: columns that
    stand beside x, a,b,c; the rest as for folders and tables."""
    table = _fetch(name, config, part)
    kinds = {column: type(feature).__name__ for column, feature in table.features.items()}
    shares: dict[str, Any] = {"validation": validation, "test": test, "split_seed": split_seed}
    image = image or next((column for column, kind in kinds.items() if kind == "Image"), "")
    label = label or next((column for column, kind in kinds.items() if kind == "ClassLabel"), "")
    for column in filter(None, (image, label)):
        if column not in kinds:
            raise BestiaryError(f"hf:{name} has no column `{column}`; it has {', '.join(kinds)}")
    words = _label_words(table, label) if label else None
    other_columns = {column: kind for column, kind in kinds.items() if column not in (image, label)}
    if image:
        declared = declare(beside, numbers=numbers, tokens=tokens, factors=factors, caption=caption)
        options = ImageOptions(size, colour, stream, declared, pad, shares)
        dataset = _image_dataset(name, table, image, words, other_columns, options)
    else:
        columns = {"categories": categories, "drop": drop, "beside": beside, "caption": caption, "missing": missing}
        dataset = _table_dataset(name, table, words, list(other_columns), columns | shares)
    dataset.source.update(path=f"hf:{name}", origin=f"Hugging Face, part {part}")
    return dataset


def _image_dataset(
    name: str, table: Any, image: str, words: Labels, other_columns: dict[str, str], options: ImageOptions
) -> Dataset:
    columns = {column: partial(_column, table, column, kind) for column, kind in other_columns.items()}
    for column in (column for column, kind in other_columns.items() if kind == "Image"):
        columns[column] = partial(load_pictures, f"hf:{name}", _entries(table, column), options)
    if words:
        columns["label"] = partial(to_values, words, "label")
        declared = replace(options.declared, names={**options.declared.names, "label": "label"})
        options = replace(options, declared=declared)
    return from_listing(plain_name(name), f"hf:{name}", Listing(_entries(table, image)), options, columns)


def _table_dataset(name: str, table: Any, words: Labels, other_columns: list[str], options: dict[str, Any]) -> Dataset:
    raw = {column: typed_values(list(table[column])) for column in other_columns}
    declared = {part.strip() for key in ("drop", "beside", "categories") for part in options[key].split(",")}
    texts = [column for column in other_columns if column.lower() in CAPTIONS and raw[column].dtype.kind == "U"]
    caption = options["caption"] or ",".join(column for column in texts if column not in declared)
    if words:
        raw["label"] = typed_values(list(words))
    return encode(name, raw, label="label" if words else "", **options | {"caption": caption})


def _column(table: Any, name: str, kind: str) -> Values:
    if kind == "ClassLabel":
        words = table.features[name].names
        return to_values([None if v is None or v < 0 else words[v] for v in table[name]], name)
    return column_of(name, list(table[name]))


def _fetch(name: str, config: str, part: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise BestiaryError("hf: sets need the package datasets: pip install 'bestiary[hub]'") from error
    if not name:
        raise BestiaryError("name the set: hf:owner/name, for example hf:ylecun/mnist")
    try:
        return datasets.load_dataset(name, config or None, split=part)
    except Exception as error:  # the package raises many kinds: no network, no such set, no such part
        raise BestiaryError(f"cannot load hf:{name} (part={part}): {error}") from error


def _label_words(table: Any, label: str) -> list[str] | None:
    """The label of each row in words; None where the set hides all of them (−1), as in some test parts."""
    names, values = getattr(table.features[label], "names", None), list(table[label])
    hidden = sum(value is None or (names is not None and value < 0) for value in values)
    if hidden == len(values):
        return None
    if hidden:
        raise BestiaryError(f"{hidden:,} of {len(values):,} rows have no {label}: say another part=, or another label=")
    return [str(value) if names is None else names[value] for value in values]


def _entries(table: Any, image: str) -> list[Entry]:
    """The images of a column as files, still encoded, called 00000000, 00000001, …"""
    import datasets

    raw = table.cast_column(image, datasets.Image(decode=False))
    return [Entry(f"{i:08d}", partial(_read_bytes, raw, i, image)) for i in range(len(raw))]


def _read_bytes(table: Any, row: int, image: str) -> bytes:
    cell = table[row][image]
    if cell is None:
        raise UnusableImage("no image")
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    with open(cell["path"], "rb") as file:
        return file.read()
