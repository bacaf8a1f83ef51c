"""Samples as files that any program reads.

    .png       a picture: a grid of images, a scatter, histograms
    .npy .npz  images as 8-bit greys or colours (N, H, W, C), whatever levels the data had; numbers (N, F) in
               the units of the user's file (an .npz holds them under `x`)
    .csv       a row for each sample, columns as in the user's file
    folder/    a PNG for each image

Every file is whole or absent. Legend: N samples, H W C image shape, F columns.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bestiary.data.columns import to_columns
from bestiary.data.picture import save_png, write_picture
from bestiary.data.spec import Spec
from bestiary.data.tables import write_table
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import atomic

__all__ = ["KINDS", "write_samples"]


def _picture(path: Path, stored: np.ndarray, spec: Spec) -> None:
    write_picture(path, stored, spec)


def _numbers(stored: np.ndarray, spec: Spec, path: Path) -> np.ndarray:
    """Samples as one array in the user's units."""
    if spec.x.layout != "row":
        return spec.x.support.file_values(stored)
    if spec.x.support.output_layer == "columns":
        raise BestiaryError(f"{path} cannot hold words, and this table has categories: write {path.stem}.csv")
    return np.stack(list(to_columns(spec, stored).values()), axis=1).astype(np.float64)


def _npy(path: Path, stored: np.ndarray, spec: Spec) -> None:
    array = _numbers(stored, spec, path)
    with atomic(path) as file:
        np.save(file, array, allow_pickle=False)


def _npz(path: Path, stored: np.ndarray, spec: Spec) -> None:
    array = _numbers(stored, spec, path)
    with atomic(path) as file:
        np.savez_compressed(file, x=array)


def _csv(path: Path, stored: np.ndarray, spec: Spec) -> None:
    if spec.x.layout != "row":
        raise BestiaryError(f"{path}: {spec.x.noun}s do not fit a table: write {path.stem}.npz, .png, or a folder/")
    write_table(path, spec, stored)


def _folder(path: Path, stored: np.ndarray, spec: Spec) -> None:
    if not spec.x.is_picture:
        raise BestiaryError(f"{path}: a folder takes images: write {path.name or 'samples'}.csv or .npz")
    if path.is_dir() and any(path.iterdir()):
        raise BestiaryError(f"{path} is not empty, and old samples among new ones mislead: name another folder")
    width = len(str(len(stored) - 1))
    for i, image in enumerate(spec.x.support.file_values(stored)):
        save_png(path / f"{i:0{width}d}.png", image)


KINDS: dict[str, Callable[[Path, np.ndarray, Spec], None]] = {
    ".png": _picture,
    ".npy": _npy,
    ".npz": _npz,
    ".csv": _csv,
    "": _folder,
}


def write_samples(path: str | Path, stored: np.ndarray, spec: Spec) -> Path:
    """Samples, as `Dataset.stored` would hold them, in the kind of file that the name of `path` asks for."""
    path = Path(path)
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix not in KINDS:
        kinds = ", ".join(filter(None, KINDS))
        raise BestiaryError(f"samples cannot be written as {path.name}: the kinds are {kinds}, or a folder/")
    if not len(stored):
        raise BestiaryError("there are no samples to write: ask for n=1 or more")
    KINDS[suffix](path, stored, spec)
    return path
