"""List the image files of a folder or a zip, and the text files that may describe them.

A link may point anywhere, and the name inside a zip may be `/etc/passwd` or `../../x`: a file outside of the folder or
the archive is refused and named. Nothing is ever unpacked to disk.
"""

import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from bestiary.data.decode import UnusableImage, image_suffixes
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import io_error

__all__ = ["CAPTION", "METADATA", "Entry", "Listing", "list_folder", "list_zip"]

METADATA = ("metadata.jsonl", "metadata.csv")  # the names in image folders of Hugging Face
CAPTION = ".txt"  # the ending of a caption beside an image of the same stem

MAX_BYTES = 2**29  # of one image file, unpacked
MAX_ENTRIES = 5_000_000


@dataclass(frozen=True)
class Entry:
    """An image file: its name inside the folder or zip, and how to read it."""

    name: str  # with forward slashes
    read: Callable[[], bytes]


@dataclass
class Listing:
    """The files of a folder or a zip."""

    entries: list[Entry] = field(default_factory=list)  # image files
    refused: dict[str, str] = field(default_factory=dict)  # name → reason
    other_files: int = 0  # how many files are no images, by their names
    texts: list[Entry] = field(default_factory=list)  # those among them that may describe images: data/metadata.py

    def add_other(self, name: str, read: Callable[[], bytes] | None) -> None:
        """Count a file that is no image; keep it if it may describe images. `read` is None if it must not be read."""
        self.other_files += 1
        if read is not None and _is_metadata(name):
            self.texts.append(Entry(name, read))


def _is_image(name: str) -> bool:
    """Whether a name has the ending of an image, or none at all. Hidden files do not count."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part != ".." for part in path.parts) or "__MACOSX" in path.parts
    return not hidden and (path.suffix.lower() in image_suffixes() or not path.suffix)


def _is_metadata(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts) or "__MACOSX" in path.parts
    return not hidden and (path.name in METADATA or path.suffix.lower() == CAPTION)


def list_folder(root: Path) -> Listing:
    """Every image file below a folder, in the order of their names."""
    listing, real_root = Listing(), root.resolve()
    for folder, folders, files in os.walk(root, onerror=_raise_io_error):
        folders.sort()
        for name in [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            listing.refused[_relative(Path(folder, name), root)] = "a link to a folder: links are not followed"
        for name in sorted(files):
            path = Path(folder, name)
            relative = _relative(path, root)
            reason = _file_refusal(path, real_root)
            if not _is_image(relative):
                listing.add_other(relative, None if reason else partial(_read_file, path))
            elif reason:
                listing.refused[relative] = reason
            else:
                listing.entries.append(Entry(relative, partial(_read_file, path)))
    for entries in (listing.entries, listing.texts):
        entries.sort(key=lambda entry: entry.name)
    return listing


def _file_refusal(path: Path, real_root: Path) -> str:
    """The reason why a file of a folder is not read; "" where it is."""
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # older Pythons raise RuntimeError
        return "a link that points to itself"
    if not target.is_relative_to(real_root):
        return "a link that points out of the folder"
    if path.is_file():
        return ""
    return "a broken link" if path.is_symlink() else "not a regular file"


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _raise_io_error(error: OSError) -> None:
    raise io_error(f"read the folder {error.filename}", error) from error


def _read_file(path: Path) -> bytes:
    with open(path, "rb") as file:
        return _refuse_large(file.read(MAX_BYTES + 1))


def _refuse_large(raw: bytes) -> bytes:
    if len(raw) > MAX_BYTES:
        raise UnusableImage(f"larger than {MAX_BYTES >> 20} MB")
    return raw


def list_zip(archive: zipfile.ZipFile) -> Listing:
    """Every image file of a zip, in the order of their names."""
    listing = Listing()
    members = archive.infolist()
    if len(members) > MAX_ENTRIES:
        raise BestiaryError(f"{archive.filename} announces {len(members):,} files, more than {MAX_ENTRIES:,}")
    for info in sorted(members, key=lambda info: info.filename):
        if info.is_dir():
            continue
        reason = _refusal(info)
        if not _is_image(info.filename):
            listing.add_other(info.filename, None if reason else partial(_read_member, archive, info))
        elif reason:
            listing.refused[info.filename] = reason
        else:
            listing.entries.append(Entry(info.filename, partial(_read_member, archive, info)))
    return listing


def _refusal(info: zipfile.ZipInfo) -> str:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "a name that leads out of the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.flag_bits & 1:
        return "encrypted"
    return f"larger than {MAX_BYTES >> 20} MB" if info.file_size > MAX_BYTES else ""


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return _refuse_large(file.read(MAX_BYTES + 1))  # the size that a zip announces may be a lie
