"""Which image files a folder or a zip holds, which texts may say something of them, and which must not be followed.

A link may point anywhere, and the name inside a zip may be `/etc/passwd` or `../../x`: what leads out of the
folder or the archive is refused and named. Nothing is ever unpacked to disk.
"""

import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from bestiary.data.decode import Unusable, suffixes
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import io_error

__all__ = ["CAPTION", "METADATA", "Entry", "Listing", "list_folder", "list_zip"]

METADATA = ("metadata.jsonl", "metadata.csv")  # as the image folders of Hugging Face
CAPTION = ".txt"  # of a file beside an image of the same stem

MAX_BYTES = 2**29  # of one image file, packed or not
MAX_ENTRIES = 5_000_000


@dataclass(frozen=True)
class Entry:
    """An image file: its name inside the folder or zip, and how to read it."""

    name: str  # with forward slashes
    read: Callable[[], bytes]


@dataclass
class Listing:
    """What was found."""

    entries: list[Entry] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # name → why
    others: int = 0  # files that are no images by their name
    texts: list[Entry] = field(default_factory=list)  # those of them that may speak of images: data/metadata.py

    def other(self, name: str, read: Callable[[], bytes] | None) -> None:
        """Count a file that is no image, and keep it if it may speak of images and may be read."""
        self.others += 1
        if read is not None and _speaks(name):
            self.texts.append(Entry(name, read))


def _wanted(name: str) -> bool:
    """Image files by their ending; a name without one may be an image too. Hidden files are not."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part != ".." for part in path.parts) or "__MACOSX" in path.parts
    return not hidden and (path.suffix.lower() in suffixes() or not path.suffix)


def _speaks(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts) or "__MACOSX" in path.parts
    return not hidden and (path.name in METADATA or path.suffix.lower() == CAPTION)


def list_folder(root: Path) -> Listing:
    """Every image file below a folder, in the order of their names."""
    found, real_root = Listing(), root.resolve()
    for folder, folders, files in os.walk(root, onerror=_raise):
        folders.sort()
        for name in [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            found.refused[_relative(Path(folder, name), root)] = "a link to a folder: links are not followed"
        for name in sorted(files):
            path = Path(folder, name)
            relative = _relative(path, root)
            if not _wanted(relative):
                inside = path.is_file() and path.resolve().is_relative_to(real_root)
                found.other(relative, partial(_read_file, path) if inside else None)
            elif not path.resolve().is_relative_to(real_root):
                found.refused[relative] = "a link that points out of the folder"
            elif not path.is_file():
                found.refused[relative] = "a broken link" if path.is_symlink() else "not a regular file"
            else:
                found.entries.append(Entry(relative, partial(_read_file, path)))
    for entries in (found.entries, found.texts):
        entries.sort(key=lambda entry: entry.name)
    return found


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _raise(error: OSError) -> None:
    raise io_error(f"read the folder {error.filename}", error) from error


def _read_file(path: Path) -> bytes:
    with open(path, "rb") as file:
        return _bounded(file.read(MAX_BYTES + 1))


def _bounded(raw: bytes) -> bytes:
    if len(raw) > MAX_BYTES:
        raise Unusable(f"larger than {MAX_BYTES >> 20} MB")
    return raw


def list_zip(archive: zipfile.ZipFile) -> Listing:
    """Every image file of a zip, in the order of their names."""
    found = Listing()
    members = archive.infolist()
    if len(members) > MAX_ENTRIES:
        raise BestiaryError(f"{archive.filename} announces {len(members):,} files, more than {MAX_ENTRIES:,}")
    for info in sorted(members, key=lambda info: info.filename):
        if info.is_dir():
            continue
        reason = _why_not(info)
        if not _wanted(info.filename):
            found.other(info.filename, None if reason else partial(_read_member, archive, info))
        elif reason:
            found.refused[info.filename] = reason
        else:
            found.entries.append(Entry(info.filename, partial(_read_member, archive, info)))
    return found


def _why_not(info: zipfile.ZipInfo) -> str:
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
        return _bounded(file.read(MAX_BYTES + 1))  # the size that a zip announces may be a lie
