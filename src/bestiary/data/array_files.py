"""Data sets from .npy and .npz files.

    .npy    x, memory-mapped; label=, numbers=, … name other .npy files of its folder; a field's name is its file's stem
    .npz    key= names x; every other array with as many rows stands beside x under its own name

Nothing is unpickled.

Legend: N examples, T tokens.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.arrays import ArrayOptions, build_dataset, with_mask
from bestiary.data.dataset import Dataset
from bestiary.data.field_types import Declarations, Kind, declare, select_fields
from bestiary.data.files import plain_name
from bestiary.data.formats import file_errors, open_zip
from bestiary.data.missing_values import Values
from bestiary.data.spec import mask_name
from bestiary.errors import BestiaryError, nearest_name

__all__ = ["from_file"]

_DATA_KEYS = ("x", "images", "imgs", "data", "train", "x_train", "train_images", "arr_0")
_LABEL_KEYS = ("y", "labels", "label", "target", "targets", "y_train", "train_labels")


def from_file(
    path: Path,
    *,
    key: str = "",
    label: str = "",
    numbers: str = "",
    tokens: str = "",
    factors: str = "",
    caption: str = "",
    pictures: str = "",
    beside: str = "",
    layout: str = "",
    shape: str = "",
    size: int | str | None = None,
    channels: str = "",
    pad: int | None = None,
    missing: str = "",
    stream: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """key: the array that is x; label, numbers, tokens, factors, caption, pictures: arrays beside it, a,b,c (none: no
    label; tokens=x: x itself); beside: those that may be taken undeclared, or none; layout: picture, row, grid or
    tokens; shape: HxW or HxWxC of a row; size: HxW or one number, to which images are brought; channels: first or
    last; pad: the token behind the end; missing: drop or mean; stream: read from disk as needed."""
    declared = declare(beside, label=label, numbers=numbers, tokens=tokens, factors=factors, caption=caption,
                       pictures=pictures)  # fmt: skip
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    options = ArrayOptions(layout, shape, size, channels, pad, missing, stream)
    dataset = (_read_npy if path.suffix.lower() == ".npy" else _read_npz)(path, key, declared, options, shares)
    dataset.source.update(path=str(path))
    return dataset


def _read_npy(path: Path, key: str, declared: Declarations, options: ArrayOptions, shares: dict[str, Any]) -> Dataset:
    declared, options = _x_as_tokens("x", declared, options)
    columns: dict[str, Callable[[], Values]] = {}
    stems: dict[Kind, str] = {}
    for kind, text in declared.names.items():
        files = [] if text == "none" else [_beside_file(path, part.strip(), kind) for part in text.split(",")]
        columns |= {file.stem: partial(_values, _load_npy(file), file.stem, None) for file in files}
        stems[kind] = ",".join(file.stem for file in files)
    if declared.beside not in ("", "none"):
        files = [_beside_file(path, part.strip(), "beside") for part in declared.beside.split(",")]
        columns |= {file.stem: partial(_values, _load_npy(file), file.stem, None) for file in files}
    x = _load_npy(path)
    selection = select_fields(columns, Declarations(stems), len(x) if x.ndim else 0)
    return build_dataset(plain_name(path.stem), x, selection, options, shares)


def _beside_file(path: Path, name: str, option: str) -> Path:
    file = path.parent / name
    if file.suffix.lower() != ".npy" or not file.is_file():
        raise BestiaryError(
            f"{option}={name}: there is no {file}. Name another .npy file in the folder of {path.name}: "
            f"{option}=FILE.npy"
        )
    return file


def _load_npy(path: Path) -> np.ndarray:
    with file_errors(path), _old_headers():
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise _unreadable(path, error) from error


@contextmanager
def _old_headers() -> Iterator[None]:
    """Within the block numpy does not advise to save an array of Python 2 again: it is read all the same."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Reading `.npy`", category=UserWarning)
        yield


def _unreadable(place: Path | str, error: ValueError) -> BestiaryError:
    """The error for what numpy cannot read; it names `allow_pickle` also where the bytes are no array at all."""
    if "allow_pickle" not in str(error) and "Python objects" not in str(error):
        return BestiaryError(f"cannot read {place}: {error}. The file is damaged or incomplete")
    return BestiaryError(
        f"{place} is not an array of numbers: it is damaged, or it holds Python objects, which are not loaded "
        f"since they could run foreign code. Save numbers: np.save(path, x.astype(np.float32))"
    )


def _read_npz(path: Path, key: str, declared: Declarations, options: ArrayOptions, shares: dict[str, Any]) -> Dataset:
    open_zip(path).close()  # before an array is made of what a few bytes announce
    with file_errors(path), _old_headers(), open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
        x_key = _x_key(path, key, list(file.files), declared)
        arrays = {name: _read_member(path, file, name) for name in file.files}
    x = arrays.pop(x_key)
    if isinstance(x, BestiaryError):
        raise x
    declared, options = _x_as_tokens(x_key, declared, options)
    masks = {mask_name(name) for name in arrays} & arrays.keys()
    columns: dict[str, Callable[[], Values]] = {
        name: partial(_values, array, name, arrays.get(mask_name(name)))
        for name, array in arrays.items()
        if name not in masks
    }
    selection = select_fields(columns, declared, len(x) if x.ndim else 0)
    selection.x = x_key
    return build_dataset(plain_name(path.stem), x, selection, options, shares)


def _read_member(path: Path, file: Mapping[str, np.ndarray], name: str) -> np.ndarray | BestiaryError:
    """An array of an .npz, or the error of reading it, which matters only if the array is used."""
    try:
        return file[name]
    except ValueError as error:
        return _unreadable(f"{name} of {path}", error)


def _values(array: np.ndarray | BestiaryError, name: str, mask: Any) -> Values:
    if isinstance(array, BestiaryError):
        raise array
    return with_mask(name, array, mask)


def _x_as_tokens(x: str, declared: Declarations, options: ArrayOptions) -> tuple[Declarations, ArrayOptions]:
    """Where `tokens=` names x itself: layout=tokens in its place."""
    tokens = [name.strip() for name in declared.names.get("tokens", "").split(",")]
    if x not in tokens:
        return declared, options
    names = dict(declared.names) | {"tokens": ",".join(name for name in tokens if name != x)}
    return replace(declared, names={kind: text for kind, text in names.items() if text}), replace(
        options, layout="tokens"
    )


def _x_key(path: Path, key: str, names: list[str], declared: Declarations) -> str:
    """The name of x: `key`, else the only array with a usual name, else the only one that is not declared.

    Raises BestiaryError where there is no such array, or more than one.
    """
    if key:
        if key not in names:
            guess = nearest_name(key, names)
            hint = f"did you mean `{guess}`? " if guess else ""
            raise BestiaryError(f"{path} has no array `{key}`; {hint}It has {', '.join(names)}")
        return key
    kinds = {part.strip(): kind for kind, text in declared.names.items() for part in text.split(",")}
    other_names = {mask_name(name) for name in names} | {name for name, kind in kinds.items() if kind != "tokens"}
    free_names = [name for name in names if name not in other_names]
    usual = [name for name in free_names if name.lower() in _DATA_KEYS]
    plain = [name for name in free_names if name not in kinds and name.lower() not in _LABEL_KEYS]
    candidates = usual or plain or [name for name in free_names if name in kinds]
    if len(candidates) != 1:
        raise BestiaryError(f"{path} holds {', '.join(names) or 'nothing'}: say which array is x with key=NAME")
    return candidates[0]
