"""Data sets from a folder or a zip of images, with the metadata in files beside the images (data/metadata.py).

    low_file_name    a key of the metadata with this ending, or one that pictures= names, gives an image beside x,
                     called `low`; the files that it names are no examples of x

Legend: N images.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from bestiary.data.dataset import Dataset
from bestiary.data.field_types import declare
from bestiary.data.formats import file_errors, open_zip
from bestiary.data.images import ImageOptions, from_listing, load_pictures
from bestiary.data.listing import Entry, Listing, list_folder, list_zip
from bestiary.data.metadata import column_of, metadata_of, picture_name
from bestiary.data.missing_values import Values

__all__ = ["from_images"]


def from_images(
    path: Path,
    *,
    size: int | str | None = None,
    colour: str = "auto",
    label: str = "",
    numbers: str = "",
    tokens: str = "",
    factors: str = "",
    caption: str = "",
    pictures: str = "",
    beside: str = "",
    pad: int | None = None,
    stream: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """size: HxW or one number; colour: auto, grey or rgb; label, numbers, tokens, factors, caption, pictures: columns
    of the metadata, a,b,c (label=none: no labels); beside: columns that may be taken undeclared, or none; pad: the
    token behind the end; stream: read from disk as needed."""
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    declared = declare(beside, label=label, numbers=numbers, tokens=tokens, factors=factors, caption=caption,
                       pictures=pictures)  # fmt: skip
    options = ImageOptions(size, colour, stream, declared, pad, shares)
    if path.is_dir():
        return _with_metadata(path.resolve().name, str(path), list_folder(path), options)
    with open_zip(path) as archive:
        with file_errors(path):
            listing = list_zip(archive)
        return _with_metadata(path.stem, str(path), listing, options)


def _with_metadata(name: str, path: str, listing: Listing, options: ImageOptions) -> Dataset:
    """Image files, and the columns that metadata files give for each, → a data set."""
    declared = options.declared
    kinds = {kind for kind, text in declared.names.items() if text != "none"}
    if declared.beside == "none" and not kinds:
        return from_listing(name, path, listing, options, {})
    pictures = [key.strip() for key in declared.names.get("pictures", "").split(",") if key.strip()]
    metadata = metadata_of([entry.name for entry in listing.entries], listing.texts, pictures)
    beside = {file for files in metadata.pictures.values() for file in files if file}
    rows = [i for i, entry in enumerate(listing.entries) if entry.name not in beside]
    entries: dict[str | None, Entry] = {entry.name: entry for entry in listing.entries}
    columns: dict[str, Callable[[], Values]] = {
        key: partial(column_of, key, [column[i] for i in rows]) for key, column in metadata.columns.items()
    }
    for key, files in metadata.pictures.items():
        columns[key] = partial(load_pictures, path, [entries.get(files[i]) for i in rows], options)
    if pictures:
        names = {**declared.names, "pictures": ",".join(picture_name(key) for key in pictures)}
        options = replace(options, declared=replace(declared, names=names))
    images = replace(listing, entries=[listing.entries[i] for i in rows])
    return from_listing(name, path, images, options, columns, metadata.notes)
