"""Folders and zips of images → a data set, decoded once in parallel into a memory-mapped cache.

    size     HxW or one number; not given: kept if all images have one size of at most 128, else 64 (or the
             largest of 32, 16, 8 that half of the images reach): short side resized, centre cut out
    colour   auto: grey if every image is; or grey, or rgb
    labels   the folder just below the top, if there are two or more such folders and every image is in one
    parts    folders called train, val, test (and the like) at the top are taken as the split

Files that are truncated, empty or no images are left out and named. More than half of them unusable is an
error.

Legend: N images, H height, W width, C channels.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np

from bestiary.data import cache
from bestiary.data.dataset import Dataset
from bestiary.data.decode import Facts, Unusable, decode, facts, suffixes
from bestiary.data.files import in_memory, plain_name
from bestiary.data.formats import open_zip, reading
from bestiary.data.labels import encoded
from bestiary.data.listing import Entry, Listing, list_folder, list_zip
from bestiary.data.parts import parts_of, shuffled
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError

__all__ = ["from_folder", "from_listing", "from_zip", "suffixes"]

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


def from_folder(
    path: Path,
    *,
    size: int | str | None = None,
    colour: str = "auto",
    stream: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """size: HxW or one number; colour: auto, grey or rgb; stream: read from disk as needed."""
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    name = path.resolve().name
    return from_listing(name, str(path), list_folder(path), size, colour, stream, shares)


def from_zip(
    path: Path,
    *,
    size: int | str | None = None,
    colour: str = "auto",
    stream: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """size: HxW or one number; colour: auto, grey or rgb; stream: read from disk as needed."""
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    with open_zip(path) as archive:
        with reading(path):
            listing = list_zip(archive)
        return from_listing(path.stem, str(path), listing, size, colour, stream, shares)


def from_listing(
    name: str,
    where: str,
    listing: Listing,
    size: int | str | None,
    colour: str,
    stream: bool | None,
    shares: dict[str, Any],
    labels: list[str] | None = None,
) -> Dataset:
    """Image files from anywhere → a data set; `labels`, one for each entry, replace the folders' names."""
    if colour not in _COLOURS:
        raise BestiaryError(f"colour={colour}: say colour={', '.join(_COLOURS)}")
    target = None if size is None else _sides(size)
    if not listing.entries:
        raise BestiaryError(_nothing(where, listing))
    key = cache.key_of((e.name for e in listing.entries), _digests(listing.entries), {"size": target, "colour": colour})
    found = cache.lookup(key)
    if found is None:
        _build(key, where, listing, target, colour)
        found = cache.lookup(key)
        if found is None:
            raise BestiaryError(f"the cache entry {key} vanished while it was made: is something clearing the cache?")
    stored, known = found
    kept = [i for i in range(len(listing.entries)) if str(i) not in known["skipped"]]
    names = [listing.entries[i].name for i in kept]
    parts, classes = _folders(names, shares)
    classes = classes if labels is None else [labels[i] for i in kept]
    numbers, words = encoded(classes, len(names)) if classes else (None, ())
    height, width, channels = stored.shape[1:]
    spec = Spec("image", (channels, height, width), known["levels"], classes=words)
    source = {"path": where, "fingerprint": key, "note": known["note"]} | _skipped(listing, known["skipped"])
    return Dataset(plain_name(name), spec, in_memory(stored, stream), parts, numbers, source=source)


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
