"""Folders and zips of images, with what files beside the images say of them (data/metadata.py).

    low_file_name    a key of the metadata that ends so, or that pictures= names, is an image beside x, called `low`;
                     files that are named there are no examples of x

Legend: N images.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from bestiary.data.dataset import Dataset
from bestiary.data.field_types import Declared, Kind
from bestiary.data.formats import open_zip, reading
from bestiary.data.images import Request, from_listing, pictures_of
from bestiary.data.listing import Entry, Listing, list_folder, list_zip
from bestiary.data.metadata import column_of, metadata_of, picture_name
from bestiary.data.missing_values import Values

__all__ = ["from_folder", "from_zip"]


def from_folder(
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
    of the metadata, a,b,c (label=none: no labels); beside: those that may be taken undeclared, or none; pad: the token
    behind the end; stream: read from disk as needed."""
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    declared = _declared(beside, label, numbers, tokens, factors, caption, pictures)
    request = Request(size, colour, stream, declared, pad, shares)
    return _with_metadata(path.resolve().name, str(path), list_folder(path), request)


def from_zip(
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
    """The options of a folder."""
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    declared = _declared(beside, label, numbers, tokens, factors, caption, pictures)
    request = Request(size, colour, stream, declared, pad, shares)
    with open_zip(path) as archive:
        with reading(path):
            listing = list_zip(archive)
        return _with_metadata(path.stem, str(path), listing, request)


def _declared(
    beside: str, label: str, numbers: str, tokens: str, factors: str, caption: str, pictures: str
) -> Declared:
    names: dict[Kind, str] = {"label": label, "numbers": numbers, "tokens": tokens, "factors": factors,
                              "caption": caption, "pictures": pictures}  # fmt: skip
    return Declared({kind: text for kind, text in names.items() if text}, beside)


def _with_metadata(name: str, where: str, listing: Listing, request: Request) -> Dataset:
    names = {kind for kind, text in request.declared.names.items() if text != "none"}
    if request.declared.beside == "none" and not names:
        return from_listing(name, where, listing, request, {})
    pictures = [key.strip() for key in request.declared.names.get("pictures", "").split(",") if key.strip()]
    found = metadata_of([entry.name for entry in listing.entries], listing.texts, pictures)
    beside = {file for files in found.pictures.values() for file in files if file}
    rows = [i for i, entry in enumerate(listing.entries) if entry.name not in beside]
    entries: dict[str | None, Entry] = {entry.name: entry for entry in listing.entries}
    columns: dict[str, Callable[[], Values]] = {
        key: partial(column_of, key, [column[i] for i in rows]) for key, column in found.columns.items()
    }
    for key, files in found.pictures.items():
        columns[key] = partial(pictures_of, where, [entries.get(files[i]) for i in rows], request)
    if pictures:
        renamed = {**request.declared.names, "pictures": ",".join(picture_name(key) for key in pictures)}
        request = replace(request, declared=replace(request.declared, names=renamed))
    kept = replace(listing, entries=[listing.entries[i] for i in rows])
    return from_listing(name, where, kept, request, columns, found.notes)
