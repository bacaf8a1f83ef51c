"""Readers of the file formats of the standard sets: idx, .amat, CIFAR's binary records, OMNIGLOT's zips, .npz.

    idx     magic 0 0 8 R, then R big-endian int32 sizes, then bytes in C order
    amat    text: one example a line, 0 and 1 separated by blanks
    CIFAR   records of 1 + 3072 bytes: label, then 32 × 32 red, green, blue

Nothing is unpickled, and nothing is unpacked to disk from an archive.
"""

import gzip
import importlib.util
import io
import math
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bestiary.data.files import cache_folder
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import atomic, io_error

__all__ = [
    "downsample",
    "file_errors",
    "map_array",
    "open_zip",
    "read_amat",
    "read_cifar",
    "read_drawings",
    "read_idx",
    "read_npz",
    "read_omniglot",
    "sklearn_digits",
]

_MAX_RATIO = 200  # bytes unpacked for each byte of a zip: dSprites, of two levels, have 120
_MAX_EMPTY = 2**28  # bytes that a zip may announce in any case


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """A context in which any error of reading `path` becomes a BestiaryError that names it."""
    try:
        yield
    except BestiaryError:
        raise
    except OSError as error:
        raise io_error(f"read {path}", error) from error
    except Exception as error:  # bytes that are not what they claim to be can make a reader raise anything
        raise BestiaryError(f"cannot read {path}: {error}. The file is damaged or incomplete") from error


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip archive, open for reading. Raises BestiaryError where it announces far more bytes than it has."""
    with file_errors(path):
        archive = zipfile.ZipFile(path)
        packed, unpacked = path.stat().st_size, sum(info.file_size for info in archive.infolist())
    if unpacked > max(_MAX_EMPTY, _MAX_RATIO * packed):
        archive.close()
        raise BestiaryError(
            f"{path} announces {unpacked / 1e9:.3f} GB in a file of {packed / 1e6:.1f} MB, over {_MAX_RATIO} times "
            "its size: it is damaged, or empty but for its size. Unpack it yourself if you trust it"
        )
    return archive


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file of bytes, gzipped or not."""
    with file_errors(path):
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
            raise ValueError("its first bytes are not those of an idx file of bytes")
        first = 4 + 4 * raw[3]
        shape = tuple(int(n) for n in np.frombuffer(raw[4:first], ">i4"))
        if len(raw) - first != math.prod(shape):
            raise ValueError(f"it holds {len(raw) - first:,} values where its header announces {math.prod(shape):,}")
        return np.frombuffer(raw, np.uint8, offset=first).reshape(shape)


def read_amat(path: Path, width: int = 784) -> np.ndarray:
    """Read one of Larochelle's text files: (N, width) of 0 and 1."""
    with file_errors(path):
        digits = np.frombuffer(path.read_bytes(), np.uint8)
        digits = digits[(digits != ord(" ")) & (digits != ord("\n")) & (digits != ord("\r"))] - ord("0")
        if digits.size == 0 or digits.size % width or digits.max() > 1:
            raise ValueError(f"it is not lines of {width} zeros and ones")
        return digits.reshape(-1, width)


def read_npz(path: Path, *keys: str) -> list[np.ndarray]:
    """Read arrays of an .npz file, by name."""
    with file_errors(path), open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
        missing = [key for key in keys if key not in file.files]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}; it has {', '.join(file.files)}")
        return [file[key] for key in keys]


def read_cifar(archive: Path, records_per_file: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Read cifar-10-binary.tar.gz: images (60000, 32, 32, 3), test last, and labels (60000,)."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    with file_errors(archive), tarfile.open(archive, "r:gz") as tar:
        files = {Path(member.name).name: tar.extractfile(member) for member in tar if member.isfile()}
        opened = [files.get(name) for name in names]
        raw = b"".join(file.read(records_per_file * 3073) for file in opened if file)
        if len(raw) != 6 * records_per_file * 3073:
            raise ValueError(f"it does not hold the six files of {records_per_file:,} records")
    records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].astype(np.int64)


_DRAWING = re.compile(r"images_\w+/(?P<alphabet>[^/]+)/[^/]+/\d+_\d+\.png")


def read_drawings(archive: Path) -> tuple[np.ndarray, list[str]]:
    """Read one of OMNIGLOT's two zips of images: drawings (N, 105, 105), ink = 1, and the alphabet of each."""
    from PIL import Image

    drawings, alphabets = [], []
    with file_errors(archive), zipfile.ZipFile(archive) as file:
        for name in sorted(file.namelist()):
            match = _DRAWING.fullmatch(name)
            if match:
                image = Image.open(io.BytesIO(file.read(name)), formats=["PNG"])
                if image.size != (105, 105):
                    raise ValueError(f"{name} is {image.size[0]} × {image.size[1]}, not 105 × 105")
                drawings.append(~np.asarray(image.convert("1")))
                alphabets.append(match["alphabet"])
        if not drawings:
            raise ValueError("it holds no drawings")
    return np.stack(drawings).astype(np.uint8), alphabets


def read_omniglot(paths: list[Path]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], np.ndarray]:
    """Read OMNIGLOT, in either form: drawings (N, 105, 105) with ink = 1, alphabets, their names, background or not."""
    if paths[0].suffix == ".npz":
        keys = ("bits", "alphabet", "alphabet_names", "background")
        bits, alphabet, names, background = read_npz(paths[0], *keys)
        return np.unpackbits(bits, axis=2)[:, :, :105], alphabet, tuple(map(str, names)), background
    (first, first_names), (second, second_names) = map(read_drawings, paths)
    names, alphabet = np.unique([*first_names, *second_names], return_inverse=True)
    background = np.arange(len(alphabet)) < len(first)
    return np.concatenate([first, second]), alphabet, tuple(map(str, names)), background


def downsample(drawings: np.ndarray) -> np.ndarray:
    """(N, 105, 105) → (N, 28, 28): ink pixels, 0 … 16, in each 4×4 cell of the drawing padded to 112×112."""
    cells = np.empty((len(drawings), 28, 28), np.uint8)
    for start in range(0, len(drawings), 4096):
        padded = np.pad(drawings[start : start + 4096], ((0, 0), (3, 4), (3, 4)))
        rows = padded[:, 0::4] + padded[:, 1::4] + padded[:, 2::4] + padded[:, 3::4]  # ten times faster than .sum
        cells[start : start + 4096] = rows[..., 0::4] + rows[..., 1::4] + rows[..., 2::4] + rows[..., 3::4]
    return cells


def map_array(path: Path, key: str) -> np.ndarray:
    """An array of an .npz that is too large for memory: unpacked once to the cache, then memory-mapped.

    It is unpacked again where the file in the cache has another checksum than the zip says.
    """
    plain = cache_folder("unpacked", f"{path.stem}-{path.stat().st_size}-{key}.npy")
    with file_errors(path), zipfile.ZipFile(path) as archive:
        if not plain.exists() or _checksum(plain) != archive.getinfo(f"{key}.npy").CRC:
            with archive.open(f"{key}.npy") as member, atomic(plain) as file:
                shutil.copyfileobj(member, file, 1 << 22)
    with file_errors(plain):
        return np.load(plain, mmap_mode="r", allow_pickle=False)


def _checksum(path: Path) -> int:
    """The CRC-32 of a file, as a zip holds it of each member."""
    checksum = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            checksum = zlib.crc32(block, checksum)
    return checksum


def sklearn_digits() -> np.ndarray:
    """The digits of scikit-learn, (1797, 65), from its file: importing scikit-learn would take seconds."""
    package = importlib.util.find_spec("sklearn")
    path = Path(package.origin or "").parent / "datasets" / "data" / "digits.csv.gz" if package else Path()
    if path.is_file():
        with file_errors(path), gzip.open(path, "rt") as file:
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
