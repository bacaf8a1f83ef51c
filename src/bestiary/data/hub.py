"""Sets of the Hugging Face hub: `hf:name`, through the package `datasets` (extra `hub`).

A set with an image column becomes images (decoded here, with the same care and cache as a folder); any other
becomes a table. A ClassLabel column, or the one that `label=` names, gives the labels.
"""

from functools import partial
from typing import Any

from bestiary.data.dataset import Dataset
from bestiary.data.files import plain_name
from bestiary.data.images import from_listing
from bestiary.data.listing import Entry, Listing
from bestiary.data.tables import encode, typed_values
from bestiary.errors import BestiaryError

__all__ = ["from_hub"]


def from_hub(
    name: str,
    *,
    config: str = "",
    part: str = "train",
    image: str = "",
    label: str = "",
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
    """config, part: which of the set; image, label: columns; the rest as for folders and tables."""
    table = _fetched(name, config, part)
    kinds = {column: type(feature).__name__ for column, feature in table.features.items()}
    shares: dict[str, Any] = {"validation": validation, "test": test, "split_seed": split_seed}
    image = image or next((column for column, kind in kinds.items() if kind == "Image"), "")
    label = label or next((column for column, kind in kinds.items() if kind == "ClassLabel"), "")
    for column in filter(None, (image, label)):
        if column not in kinds:
            raise BestiaryError(f"hf:{name} has no column `{column}`; it has {', '.join(kinds)}")
    if image:
        words = _words(table, label) if label else None
        listing = _listing(table, image)
        dataset = from_listing(plain_name(name), f"hf:{name}", listing, size, colour, stream, shares, words)
    else:
        raw = {column: typed_values(list(table[column])) for column in kinds if column != label}
        words = _words(table, label) if label else None
        label = label if words else ""
        if words:
            raw[label] = typed_values(list(words))
        dataset = encode(name, raw, label=label, categories=categories, drop=drop, missing=missing, **shares)
    dataset.source.update(path=f"hf:{name}", origin=f"Hugging Face, part {part}")
    return dataset


def _fetched(name: str, config: str, part: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise BestiaryError("sets of the hub need the package datasets: pip install 'bestiary[hub]'") from error
    if not name:
        raise BestiaryError("name the set: hf:owner/name, for example hf:ylecun/mnist")
    try:
        return datasets.load_dataset(name, config or None, split=part)
    except Exception as error:  # the package raises many kinds: no network, no such set, no such part
        raise BestiaryError(f"cannot load hf:{name} (part={part}): {error}") from error


def _words(table: Any, label: str) -> list[str] | None:
    """Labels as words, by the names that the set gives them; none where all are hidden (−1), as of some test parts."""
    names, values = getattr(table.features[label], "names", None), list(table[label])
    hidden = sum(value is None or (names is not None and value < 0) for value in values)
    if hidden == len(values):
        return None
    if hidden:
        raise BestiaryError(f"{hidden:,} of {len(values):,} rows have no {label}: take another part, or another label=")
    return [str(value) if names is None else names[value] for value in values]


def _listing(table: Any, image: str) -> Listing:
    """Rows of undecoded image bytes as files called 00000000, 00000001, …"""
    import datasets

    raw = table.cast_column(image, datasets.Image(decode=False))
    return Listing([Entry(f"{i:08d}", partial(_bytes, raw, i, image)) for i in range(len(raw))])


def _bytes(table: Any, row: int, image: str) -> bytes:
    cell = table[row][image]
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    with open(cell["path"], "rb") as file:
        return file.read()
