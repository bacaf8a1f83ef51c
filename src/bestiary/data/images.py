"""Data sets of image files: decoded once, in parallel, into a memory-mapped cache.

    size     HxW or one number; without it, images of one size up to 128 keep it, and others become 64 (or the largest
             of 32, 16, 8 that half of the images reach): short side resized, centre cut out
    colour   auto: grey if every image is; or grey, or rgb
    labels   the name of the folder below the top, if there are two or more such folders and every image is in one
    beside   columns that data/folders.py or data/hub.py read, one value for each file; their kinds: data/field_types.py
    parts    folders at the top that are called train, val, test (or the like) are the split

Files that are truncated, empty or no images are left out and named. It is an error if these are more than half.

Legend: N images, H height, W width, C channels.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import Any, TypeVar

import numpy as np

from bestiary.data import cache
from bestiary.data.beside import EncodingOptions, encode_fields
from bestiary.data.dataset import Dataset
from bestiary.data.decode import Header, UnusableImage, decode, read_header
from bestiary.data.field_types import Declarations, RawField, select_fields
from bestiary.data.files import in_memory, plain_name
from bestiary.data.listing import Entry, Listing
from bestiary.data.missing_values import Values
from bestiary.data.pixels import levels_of
from bestiary.data.resize import parse_size
from bestiary.data.spec import Field, Spec
from bestiary.data.splits import shuffle, split_parts
from bestiary.errors import BestiaryError

__all__ = ["ImageOptions", "from_listing", "load_pictures"]

_KEEP_UP_TO = 128  # images of one size up to this are not resized
_USUAL_SIZES = (64, 32, 16, 8)
_CHUNK = 256  # images decoded, then written, together
_CHUNK_BYTES = 2**26  # …but not more than this of them
_COLOURS = ("auto", "grey", "rgb")
_PART_FOLDERS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True)
class ImageOptions:
    """The options of image files, from a folder, a zip or the hub."""

    size: int | str | None = None
    colour: str = "auto"
    stream: bool | None = None
    declared: Declarations = field(default_factory=Declarations)
    pad: int | None = None
    shares: Mapping[str, Any] = field(default_factory=dict)


def from_listing(
    name: str,
    path: str,
    listing: Listing,
    options: ImageOptions,
    columns: Mapping[str, Callable[[], Values]],
    notes: Sequence[str] = (),
) -> Dataset:
    """Image files, and columns with one value for each file, → a data set.

    `path` names the source in errors; `notes` are added to the note of the data set's source. Raises BestiaryError
    where there are no images, more than half of them cannot be used, or an option does not fit.
    """
    if not listing.entries:
        raise BestiaryError(_no_images(path, listing))
    key, stored, facts = _load_or_decode(path, listing, options)
    usable = [i for i in range(len(listing.entries)) if str(i) not in facts["skipped"]]
    parts, classes, strays = _folder_parts([listing.entries[i].name for i in usable], dict(options.shares))
    selection = select_fields(columns, options.declared, len(listing.entries))
    rows = np.array(usable) if len(usable) < len(listing.entries) else None
    beside = encode_fields(selection.fields, EncodingOptions(parts["train"], options.pad, stream=options.stream), rows)
    if classes and "label" not in beside.stored and options.declared.names.get("label") != "none":
        beside = (
            encode_fields([RawField("label", "label", Values(np.array(classes)))], EncodingOptions(parts["train"]))
            + beside
        )
    elif classes and "label" in beside.stored:
        beside.notes.append("labels are those of the metadata, not the names of the folders")
    height, width, channels = stored.shape[1:]
    x = Field("x", "picture", (channels, height, width), levels_of(stored, facts["levels"]))
    note = "; ".join(part for part in (facts["note"], strays, selection.note(), *notes, *beside.notes) if part)
    source = {"path": path, "fingerprint": beside.fingerprint(key), "note": note} | _skip_note(
        listing, facts["skipped"]
    )
    arrays = {"x": in_memory(stored, options.stream), **beside.stored}
    return Dataset(plain_name(name), Spec(x, tuple(beside.fields)), arrays, parts, source=source)


def load_pictures(path: str, entries: Sequence[Entry | None], options: ImageOptions) -> Values:
    """Decode images that stand beside x, None where an example has none, in their own size."""
    present = [i for i, entry in enumerate(entries) if entry]
    if not present:
        raise BestiaryError("it names no image")
    listing = Listing([entry for entry in entries if entry])
    _, stored, facts = _load_or_decode(path, listing, replace(options, size=None))
    rows = [row for j, row in enumerate(present) if str(j) not in facts["skipped"]]
    if len(rows) == len(entries):
        return Values(stored)
    full, mask = np.zeros((len(entries), *stored.shape[1:]), np.uint8), np.zeros(len(entries), bool)
    full[rows], mask[rows] = stored, True
    return Values(full, mask)


def _load_or_decode(path: str, listing: Listing, options: ImageOptions) -> tuple[str, np.ndarray, dict[str, Any]]:
    """The cache's key, the images, and their facts: levels, note, the files that were skipped and why."""
    if options.colour not in _COLOURS:
        raise BestiaryError(f"colour={options.colour}: say colour=auto, colour=grey or colour=rgb")
    size = None if options.size is None else parse_size(options.size)
    key = cache.key_of(
        (e.name for e in listing.entries), _digests(listing.entries), {"size": size, "colour": options.colour}
    )
    entry = cache.lookup(key)
    if entry is None:
        _decode_into_cache(key, path, listing, size, options.colour)
        entry = cache.lookup(key)
        if entry is None:
            raise BestiaryError(
                f"the cache entry {key} vanished while it was written: is something clearing the cache?"
            )
    return key, *entry


def _no_images(path: str, listing: Listing) -> str:
    refused = "".join(f"; {name}: {reason}" for name, reason in list(listing.refused.items())[:3])
    others = f" ({listing.other_files:,} other files)" if listing.other_files else ""
    return f"{path} holds no images{others}{refused}. Give a folder or zip with files such as .png or .jpg"


def _parallel(function: Callable[[Entry], T], entries: list[Entry]) -> Iterator[T | str]:
    """function(entry) of each in order, or the reason why it failed. Threads help: Pillow decodes without the GIL."""

    def attempt(entry: Entry) -> T | str:
        try:
            return function(entry)
        except UnusableImage as error:
            return str(error)
        except OSError as error:
            return "truncated" if "truncated" in str(error) else str(error)
        except Exception as error:  # a damaged file can make a decoder raise anything; it is one file of many
            return f"damaged ({type(error).__name__}: {error})"[:200]

    workers = min(8, os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers, "bestiary-decode") as pool:
        warnings.simplefilter("ignore")  # Pillow warns of each odd file; the reasons say what matters
        for chunk in cache.chunked(entries, _CHUNK):
            yield from pool.map(attempt, chunk)


def _digests(entries: list[Entry]) -> Iterator[bytes]:
    def digest(entry: Entry) -> bytes:
        return hashlib.blake2b(entry.read(), digest_size=16).digest()

    for result in _parallel(digest, entries):
        yield result if isinstance(result, bytes) else result.encode()


def _decode_into_cache(key: str, path: str, listing: Listing, size: tuple[int, int] | None, colour: str) -> None:
    """Read every header, choose size and colour, decode, write."""
    results = list(_parallel(lambda entry: read_header(entry.read()), listing.entries))
    skipped = {i: result for i, result in enumerate(results) if isinstance(result, str)}
    _refuse_if_most_unusable(path, listing, skipped)
    headers = [result for result in results if isinstance(result, Header)]
    target, note = (size, "") if size else _natural_size(headers)
    grey = colour == "grey" or (colour == "auto" and all(header.grey for header in headers))
    notes = [note]
    if colour == "auto" and not grey and any(header.grey for header in headers):
        notes.append("grey images beside coloured ones: all were converted to rgb")
    usable = [i for i in range(len(results)) if i not in skipped]
    animated = [listing.entries[i].name for i, header in zip(usable, headers, strict=True) if header.is_animated]
    if animated:
        notes.append(f"{len(animated):,} file(s) hold several frames, of which the first was taken: {animated[0]}, …")
    facts: dict[str, Any] = {"note": "; ".join(filter(None, notes)), "skipped": skipped}

    def chunks() -> Iterator[np.ndarray]:
        white = max(header.white for header in headers)
        convert = partial(_decode, size=target, grey=grey, white=white)
        count = max(1, min(_CHUNK, _CHUNK_BYTES // (target[0] * target[1] * (1 if grey else 3))))
        for rows in cache.chunked(usable, count):
            images = list(_parallel(convert, [listing.entries[i] for i in rows]))
            skipped.update({i: image for i, image in zip(rows, images, strict=True) if isinstance(image, str)})
            arrays = [image for image in images if not isinstance(image, str)]
            if arrays:
                yield np.stack(arrays)
        _refuse_if_most_unusable(path, listing, skipped)

    cache.store(key, chunks(), facts)


def _decode(entry: Entry, size: tuple[int, int], grey: bool, white: float) -> np.ndarray:
    return decode(entry.read(), size, grey, white)


def _natural_size(headers: list[Header]) -> tuple[tuple[int, int], str]:
    """The size that the images get where none is given, and a note if that changes them."""
    sizes = {(header.height, header.width) for header in headers}
    first = next(iter(sizes))
    if len(sizes) == 1 and max(first) <= _KEEP_UP_TO:
        return first, ""
    middle = median(min(header.height, header.width) for header in headers)
    side = next((side for side in _USUAL_SIZES if side <= middle), _USUAL_SIZES[-1])
    before = f"{first[0]}×{first[1]}" if len(sizes) == 1 else f"{len(sizes):,} different sizes"
    return (side, side), f"from {before} to {side}×{side}: short side resized, centre cut out; choose with size="


def _refuse_if_most_unusable(path: str, listing: Listing, skipped: dict[int, str]) -> None:
    """Raise BestiaryError where more than half of the files cannot be used."""
    total = len(listing.entries) + len(listing.refused)
    unusable = len(skipped) + len(listing.refused)
    if 2 * unusable > total or unusable == total:
        reasons = _list_reasons({listing.entries[i].name: reason for i, reason in skipped.items()} | listing.refused)
        raise BestiaryError(f"{path}: {unusable:,} of {total:,} image files cannot be used: {reasons}")


def _list_reasons(reasons: dict[str, str]) -> str:
    first = [f"{name} ({reason})" for name, reason in list(reasons.items())[:8]]
    return ", ".join(first) + (f" and {len(reasons) - 8:,} more" if len(reasons) > 8 else "")


def _skip_note(listing: Listing, skipped: dict[str, str]) -> dict[str, str]:
    reasons = {listing.entries[int(i)].name: reason for i, reason in skipped.items()} | listing.refused
    total = len(listing.entries) + len(listing.refused)
    return {"skipped": f"{len(reasons):,} of {total:,} left out: {_list_reasons(reasons)}"} if reasons else {}


def _folder_parts(names: list[str], shares: dict[str, Any]) -> tuple[dict[str, np.ndarray], list[str], str]:
    """The split, and the class name of each file, by the names of the folders.

    Where these give no class names there are none, and a note where a few images lie outside of the folders.
    """
    paths = [name.split("/") for name in names]
    while len({path[0] for path in paths}) == 1 and min(map(len, paths)) > 1:
        paths = [path[1:] for path in paths]  # a folder that holds every file is no class
    tops = [_PART_FOLDERS.get(path[0].lower()) if len(path) > 1 else None for path in paths]
    names_of_parts = {top for top in tops if top}
    if None in tops and "train" in names_of_parts and len(names_of_parts) > 1:
        strays = [name for name, top in zip(names, tops, strict=True) if top is None]
        raise BestiaryError(
            f"there are folders for {' and '.join(sorted(names_of_parts))}, and {len(strays):,} image(s) outside of "
            f"them, such as {strays[0]}: move these into one of the folders, or away"
        )
    if None in tops or "train" not in names_of_parts or len(names_of_parts) < 2:
        return split_parts(len(names), **shares), *_folder_labels(paths)
    rows = {part: np.flatnonzero([top == part for top in tops]) for part in ("train", "validation", "test")}
    for part in ("validation", "test"):
        if not len(rows[part]):  # taken from the training folder
            inner = split_parts(len(rows["train"]), **shares)
            rows[part] = np.sort(rows["train"][inner[part]])
            rows["train"] = np.setdiff1d(rows["train"], rows[part])
    parts = {part: r if part == "train" else shuffle(r) for part, r in rows.items()}
    return parts, *_folder_labels([path[1:] for path in paths])


def _folder_labels(paths: list[list[str]]) -> tuple[list[str], str]:
    """The folder of each file, and a note where there are two or more folders and some files are in none."""
    tops = [path[0] for path in paths if len(path) > 1]
    folders = list(dict.fromkeys(tops))
    if len(folders) < 2:
        return [], ""
    strays = [path[0] for path in paths if len(path) == 1]
    if strays:
        where = f"{folders[0]} and {folders[1]}" if len(folders) == 2 else f"{folders[0]}, {folders[1]}, …"
        return [], f"no labels: {len(strays):,} image(s) lie outside of the folders {where}, such as {strays[0]}"
    return tops, ""
