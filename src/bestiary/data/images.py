"""Image files from anywhere → a data set, decoded once in parallel into a memory-mapped cache.

    size     HxW or one number; not given: kept if all images have one size of at most 128, else 64 (or the
             largest of 32, 16, 8 that half of the images reach): short side resized, centre cut out
    colour   auto: grey if every image is; or grey, or rgb
    labels   the folder just below the top, if there are two or more such folders and every image is in one
    beside   columns that the reader brings: data/folders.py, data/hub.py; what they are: data/field_types.py
    parts    folders called train, val, test (and the like) at the top are taken as the split

Files that are truncated, empty or no images are left out and named. More than half of them unusable is an
error.

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
from bestiary.data.beside import How, beside_of
from bestiary.data.dataset import Dataset
from bestiary.data.decode import Facts, Unusable, decode, facts, suffixes
from bestiary.data.field_types import Declared, RawField, taken
from bestiary.data.files import in_memory, plain_name
from bestiary.data.listing import Entry, Listing
from bestiary.data.missing_values import Values
from bestiary.data.spec import Field, Spec
from bestiary.data.splits import parts_of, shuffled
from bestiary.data.support import Levels
from bestiary.errors import BestiaryError

__all__ = ["Request", "from_listing", "pictures_of", "suffixes"]

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
class Request:
    """What a user asks of images, from wherever they come."""

    size: int | str | None = None
    colour: str = "auto"
    stream: bool | None = None
    declared: Declared = field(default_factory=Declared)
    pad: int | None = None
    shares: Mapping[str, Any] = field(default_factory=dict)


def from_listing(
    name: str,
    where: str,
    listing: Listing,
    request: Request,
    columns: Mapping[str, Callable[[], Values]],
    notes: Sequence[str] = (),
) -> Dataset:
    """Image files from anywhere → a data set; `columns`: what stands beside each entry of the listing, by name."""
    if not listing.entries:
        raise BestiaryError(_nothing(where, listing))
    key, stored, known = _decoded(where, listing, request)
    kept = [i for i in range(len(listing.entries)) if str(i) not in known["skipped"]]
    parts, classes = _folders([listing.entries[i].name for i in kept], dict(request.shares))
    others = taken(columns, request.declared, len(listing.entries))
    rows = np.array(kept) if len(kept) < len(listing.entries) else None
    beside = beside_of(others.fields, How(parts["train"], request.pad, stream=request.stream), rows)
    if classes and "label" not in beside.stored and request.declared.names.get("label") != "none":
        beside = beside_of([RawField("label", "label", Values(np.array(classes)))], How(parts["train"])) + beside
    elif classes and "label" in beside.stored:
        beside.notes.append("labels are those of the metadata, not the names of the folders")
    height, width, channels = stored.shape[1:]
    x = Field("x", "picture", (channels, height, width), Levels(known["levels"]))
    note = "; ".join(part for part in (known["note"], others.note(), *notes, *beside.notes) if part)
    source = {"path": where, "fingerprint": beside.fingerprint(key), "note": note} | _skipped(listing, known["skipped"])
    held = {"x": in_memory(stored, request.stream), **beside.stored}
    return Dataset(plain_name(name), Spec(x, tuple(beside.fields)), held, parts, source=source)


def pictures_of(where: str, entries: Sequence[Entry | None], request: Request) -> Values:
    """Images that stand beside x, None where an example has none; decoded as x is, in their own size."""
    there = [i for i, entry in enumerate(entries) if entry]
    if not there:
        raise BestiaryError("no image is there")
    listing = Listing([entry for entry in entries if entry])
    _, stored, known = _decoded(where, listing, replace(request, size=None))
    rows = [row for j, row in enumerate(there) if str(j) not in known["skipped"]]
    if len(rows) == len(entries):
        return Values(stored)
    full, mask = np.zeros((len(entries), *stored.shape[1:]), np.uint8), np.zeros(len(entries), bool)
    full[rows], mask[rows] = stored, True
    return Values(full, mask)


def _decoded(where: str, listing: Listing, request: Request) -> tuple[str, np.ndarray, dict[str, Any]]:
    """The cache's key, the images, and what is known of them; made if they are not there."""
    if request.colour not in _COLOURS:
        raise BestiaryError(f"colour={request.colour}: say colour={', '.join(_COLOURS)}")
    target = None if request.size is None else _sides(request.size)
    options = {"size": target, "colour": request.colour}
    key = cache.key_of((e.name for e in listing.entries), _digests(listing.entries), options)
    found = cache.lookup(key)
    if found is None:
        _build(key, where, listing, target, request.colour)
        found = cache.lookup(key)
        if found is None:
            raise BestiaryError(f"the cache entry {key} vanished while it was made: is something clearing the cache?")
    return key, *found


def _sides(size: int | str) -> tuple[int, int]:
    """`64` or `48x64` → (height, width)."""
    try:
        sides = [int(side) for side in str(size).lower().split("x")]
        height, width = sides * 2 if len(sides) == 1 else sides
    except ValueError as error:
        raise BestiaryError(f"size={size}: say one number, size=64, or height and width, size=48x64") from error
    if not (1 <= height <= 4096 and 1 <= width <= 4096):
        raise BestiaryError(f"size={size}: sides must lie between 1 and 4096")
    return height, width


def _nothing(where: str, listing: Listing) -> str:
    refused = "".join(f"; {name}: {why}" for name, why in list(listing.refused.items())[:3])
    others = f" ({listing.others:,} other files)" if listing.others else ""
    return f"{where} holds no images{others}{refused}. Give a folder or zip with files such as .png or .jpg"


def _parallel(function: Callable[[Entry], T], entries: list[Entry]) -> Iterator[T | str]:
    """function(entry) of each in order, or the reason why not. Pillow frees the interpreter while it decodes."""

    def attempt(entry: Entry) -> T | str:
        try:
            return function(entry)
        except Unusable as error:
            return str(error)
        except OSError as error:
            return "truncated" if "truncated" in str(error) else str(error)
        except Exception as error:  # a damaged file can make a decoder raise anything; it is one file of many
            return f"damaged ({type(error).__name__}: {error})"[:200]

    workers = min(8, os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers, "bestiary-decode") as pool:
        warnings.simplefilter("ignore")  # Pillow warns of each odd file; what matters is in the reasons
        for chunk in cache.chunked(entries, _CHUNK):
            yield from pool.map(attempt, chunk)


def _digests(entries: list[Entry]) -> Iterator[bytes]:
    def digest(entry: Entry) -> bytes:
        return hashlib.blake2b(entry.read(), digest_size=16).digest()

    for found in _parallel(digest, entries):
        yield found if isinstance(found, bytes) else found.encode()


def _build(key: str, where: str, listing: Listing, target: tuple[int, int] | None, colour: str) -> None:
    """Look at every header, decide size and colour, decode, write."""
    heads = list(_parallel(lambda entry: facts(entry.read()), listing.entries))
    skipped = {i: head for i, head in enumerate(heads) if isinstance(head, str)}
    _refuse_if_bad(where, listing, skipped)
    good = [head for head in heads if isinstance(head, Facts)]
    size, note = (target, "") if target else _natural_size(good)
    grey = colour == "grey" or (colour == "auto" and all(head.grey for head in good))
    if colour == "auto" and not grey and any(head.grey for head in good):
        note = "; ".join(filter(None, (note, "grey images beside coloured ones: all made rgb")))
    usable = [i for i in range(len(heads)) if i not in skipped]
    known: dict[str, Any] = {"note": note, "skipped": skipped}

    def chunks() -> Iterator[np.ndarray]:
        make = partial(_decode, size=size, grey=grey, white=255.0 if any(head.peak > 1 for head in good) else 1.0)
        at_once = max(1, min(_CHUNK, _CHUNK_BYTES // (size[0] * size[1] * (1 if grey else 3))))
        for rows in cache.chunked(usable, at_once):
            images = list(_parallel(make, [listing.entries[i] for i in rows]))
            skipped.update({i: image for i, image in zip(rows, images, strict=True) if isinstance(image, str)})
            decoded = [image for image in images if not isinstance(image, str)]
            if decoded:
                yield np.stack(decoded)
        _refuse_if_bad(where, listing, skipped)

    cache.store(key, chunks(), known)


def _decode(entry: Entry, size: tuple[int, int], grey: bool, white: float) -> np.ndarray:
    return decode(entry.read(), size, grey, white)


def _natural_size(heads: list[Facts]) -> tuple[tuple[int, int], str]:
    sizes = {(head.height, head.width) for head in heads}
    first = next(iter(sizes))
    if len(sizes) == 1 and max(first) <= _KEEP_UP_TO:
        return first, ""
    middle = median(min(head.height, head.width) for head in heads)
    side = next((side for side in _USUAL_SIZES if side <= middle), _USUAL_SIZES[-1])
    was = f"{first[0]}×{first[1]}" if len(sizes) == 1 else f"{len(sizes):,} different sizes"
    return (side, side), f"from {was} to {side}×{side}: short side resized, centre cut out; choose with size="


def _refuse_if_bad(where: str, listing: Listing, skipped: dict[int, str]) -> None:
    """Half of the files may be unusable, not more, and three must remain."""
    total = len(listing.entries) + len(listing.refused)
    bad = len(skipped) + len(listing.refused)
    if 2 * bad > total or bad == total:
        named = _named({listing.entries[i].name: why for i, why in skipped.items()} | listing.refused)
        raise BestiaryError(f"{where}: {bad:,} of {total:,} image files cannot be used: {named}")


def _named(reasons: dict[str, str]) -> str:
    shown = [f"{name} ({why})" for name, why in list(reasons.items())[:8]]
    return ", ".join(shown) + (f" and {len(reasons) - 8:,} more" if len(reasons) > 8 else "")


def _skipped(listing: Listing, skipped: dict[str, str]) -> dict[str, str]:
    reasons = {listing.entries[int(i)].name: why for i, why in skipped.items()} | listing.refused
    total = len(listing.entries) + len(listing.refused)
    return {"skipped": f"{len(reasons):,} of {total:,} left out: {_named(reasons)}"} if reasons else {}


def _folders(names: list[str], shares: dict[str, Any]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The split and the class names that the folders tell; no class names if they tell none."""
    paths = [name.split("/") for name in names]
    while len({path[0] for path in paths}) == 1 and min(map(len, paths)) > 1:
        paths = [path[1:] for path in paths]  # a folder that holds everything says nothing
    tops = [_PART_FOLDERS.get(path[0].lower()) if len(path) > 1 else None for path in paths]
    found = {top for top in tops if top}
    if None in tops and "train" in found and len(found) > 1:
        outside = [name for name, top in zip(names, tops, strict=True) if top is None]
        raise BestiaryError(
            f"there are {' and '.join(sorted(found))} folders, and beside them {len(outside):,} image(s) of no part,"
            f" such as {outside[0]}: move these into a part, or away"
        )
    if None in tops or "train" not in found or len(found) < 2:
        return parts_of(len(names), **shares), _classes(paths)
    rows = {part: np.flatnonzero([top == part for top in tops]) for part in ("train", "validation", "test")}
    for part in ("validation", "test"):
        if not len(rows[part]):  # taken from the training folder
            inner = parts_of(len(rows["train"]), **shares)
            rows[part] = np.sort(rows["train"][inner[part]])
            rows["train"] = np.setdiff1d(rows["train"], rows[part])
    parts = {part: r if part == "train" else shuffled(r) for part, r in rows.items()}
    return parts, _classes([path[1:] for path in paths])


def _classes(paths: list[list[str]]) -> list[str]:
    tops = [path[0] for path in paths if len(path) > 1]
    return tops if len(tops) == len(paths) and len(set(tops)) > 1 else []
