"""Write samples to files of common formats.

    .png       a picture: a grid of images, a scatter, histograms
    .npy .npz  images as 8-bit greys or colours (N, H, W, C), also if the data have fewer levels; numbers (N, F) in
               the units of the user's file (in an .npz under `x`)
    .csv       a row for each sample, with the columns of the user's file
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

__all__ = ["WRITERS", "write_samples"]


def _file_array(stored: np.ndarray, spec: Spec, path: Path) -> np.ndarray:
    """Samples as one array in the units of the user's file. Raises BestiaryError for a table with categories."""
    if spec.x.layout != "row":
        return spec.x.support.file_values(stored)
    if spec.x.support.output_layer == "columns":
        raise BestiaryError(f"{path} cannot hold words, and this table has categories: write {path.stem}.csv")
    return np.stack(list(to_columns(spec, stored).values()), axis=1).astype(np.float64)


def _write_npy(path: Path, stored: np.ndarray, spec: Spec) -> None:
    array = _file_array(stored, spec, path)
    with atomic(path) as file:
        np.save(file, array, allow_pickle=False)


def _write_npz(path: Path, stored: np.ndarray, spec: Spec) -> None:
    array = _file_array(stored, spec, path)
    with atomic(path) as file:
        np.savez_compressed(file, x=array)


def _write_csv(path: Path, stored: np.ndarray, spec: Spec) -> None:
    if spec.x.layout != "row":
        raise BestiaryError(f"{path}: {spec.x.noun}s do not fit a table: write {path.stem}.npz, .png, or a folder/")
    write_table(path, spec, stored)


def _write_folder(path: Path, stored: np.ndarray, spec: Spec) -> None:
    if not spec.x.is_picture:
        raise BestiaryError(f"{path}: a folder holds images only: write {path.name or 'samples'}.csv or .npz")
    if path.is_dir() and any(path.iterdir()):
        raise BestiaryError(f"{path} is not empty, and the new samples would mix with its files: name another folder")
    width = len(str(len(stored) - 1))
    for i, image in enumerate(spec.x.support.file_values(stored)):
        save_png(path / f"{i:0{width}d}.png", image)


WRITERS: dict[str, Callable[[Path, np.ndarray, Spec], object]] = {  # suffix → function that writes such a file
    ".png": write_picture,
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".csv": _write_csv,
    "": _write_folder,
}


def write_samples(path: str | Path, stored: np.ndarray, spec: Spec) -> Path:
    """Write samples to the kind of file that the suffix of `path` names, and return the path.

    stored: samples as `Dataset.x` would hold them. Raises BestiaryError for another suffix, for no samples, and
    for samples that do not fit this kind of file.
    """
    path = Path(path)
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix not in WRITERS:
        suffixes = ", ".join(filter(None, WRITERS))
        raise BestiaryError(f"samples cannot be written as {path.name}: name a file with {suffixes}, or a folder/")
    if not len(stored):
        raise BestiaryError("there are no samples to write: ask for n=1 or more")
    WRITERS[suffix](path, stored, spec)
    return path
