"""Files of arrays: one .npy, with others beside it, or the named arrays of an .npz.

    .npy    x, memory-mapped; label=, numbers=, … name other .npy files of its folder, each a field called as its stem
    .npz    key= names x; every other array of as many rows stands beside x under its own name

Nothing is unpickled.

Legend: N examples, T tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.arrays import ArrayOptions, assembled, masked
from bestiary.data.dataset import Dataset
from bestiary.data.field_types import Declared, Kind, taken
from bestiary.data.files import plain_name
from bestiary.data.formats import reading
from bestiary.data.missing_values import Values
from bestiary.data.spec import known
from bestiary.errors import BestiaryError, nearest

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
    tokens; shape: HxW or HxWxC of a row; channels: first or last; pad: the token behind the end; missing: drop or
    mean; stream: read from disk as needed."""
    names: dict[Kind, str] = {"label": label, "numbers": numbers, "tokens": tokens, "factors": factors,
                              "caption": caption, "pictures": pictures}  # fmt: skip
    declared = Declared({kind: text for kind, text in names.items() if text}, beside)
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    how = ArrayOptions(layout, shape, channels, pad, missing, stream)
    dataset = (_npy if path.suffix.lower() == ".npy" else _npz)(path, key, declared, how, shares)
    dataset.source.update(path=str(path))
    return dataset


def _npy(path: Path, key: str, declared: Declared, how: ArrayOptions, shares: dict[str, Any]) -> Dataset:
    declared, how = _x_as_tokens("x", declared, how)
    columns: dict[str, Callable[[], Values]] = {}
    stems: dict[Kind, str] = {}
    for kind, text in declared.names.items():
        files = [] if text == "none" else [_beside_file(path, part.strip(), kind) for part in text.split(",")]
        columns |= {file.stem: partial(_array, _load_npy(file), file.stem, None) for file in files}
        stems[kind] = ",".join(file.stem for file in files)
    if declared.beside not in ("", "none"):
        files = [_beside_file(path, part.strip(), "beside") for part in declared.beside.split(",")]
        columns |= {file.stem: partial(_array, _load_npy(file), file.stem, None) for file in files}
    x = _load_npy(path)
    others = taken(columns, Declared(stems), len(x) if x.ndim else 0)
    return assembled(plain_name(path.stem), x, others, how, shares)


def _beside_file(path: Path, name: str, option: str) -> Path:
    file = path.parent / name
    if file.suffix.lower() != ".npy" or not file.is_file():
        raise BestiaryError(
            f"{option}={name}: beside {path.name} stand other .npy files of its folder: say {option}=FILE.npy. "
            f"There is no {file}"
        )
    return file


def _load_npy(path: Path) -> np.ndarray:
    with reading(path):
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise _not_plain(path, error) from error


def _not_plain(what: Path | str, error: ValueError) -> BestiaryError:
    """numpy says `allow_pickle` both of Python objects and of bytes that are no array at all."""
    if "allow_pickle" not in str(error) and "Python objects" not in str(error):
        return BestiaryError(f"cannot read {what}: {error}. The file is damaged or incomplete")
    return BestiaryError(
        f"{what} is not a plain array of numbers: it is damaged, or it holds Python objects, which are not "
        f"loaded since they could run foreign code. Save numbers: np.save(path, x.astype(np.float32))"
    )


def _npz(path: Path, key: str, declared: Declared, how: ArrayOptions, shares: dict[str, Any]) -> Dataset:
    with reading(path), open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
        x_key = _x_key(path, key, list(file.files), declared)
        arrays = {name: _member(path, file, name) for name in file.files}
    x = arrays.pop(x_key)
    if isinstance(x, BestiaryError):
        raise x
    declared, how = _x_as_tokens(x_key, declared, how)
    masks = {known(name) for name in arrays} & arrays.keys()
    columns: dict[str, Callable[[], Values]] = {
        name: partial(_array, array, name, arrays.get(known(name)))
        for name, array in arrays.items()
        if name not in masks
    }
    others = taken(columns, declared, len(x) if x.ndim else 0)
    others.x = x_key
    return assembled(plain_name(path.stem), x, others, how, shares)


def _member(path: Path, file: Mapping[str, np.ndarray], name: str) -> np.ndarray | BestiaryError:
    """An array of an .npz, or why it cannot be read: an array that nobody asks for may be of any kind."""
    try:
        return file[name]
    except ValueError as error:
        return _not_plain(f"{name} of {path}", error)


def _array(array: np.ndarray | BestiaryError, name: str, mask: Any) -> Values:
    if isinstance(array, BestiaryError):
        raise array
    return masked(name, array, mask)


def _x_as_tokens(x: str, declared: Declared, how: ArrayOptions) -> tuple[Declared, ArrayOptions]:
    """`tokens=x` declares x itself."""
    tokens = [name.strip() for name in declared.names.get("tokens", "").split(",")]
    if x not in tokens:
        return declared, how
    names = dict(declared.names) | {"tokens": ",".join(name for name in tokens if name != x)}
    return replace(declared, names={kind: text for kind, text in names.items() if text}), replace(how, layout="tokens")


def _x_key(path: Path, asked: str, names: list[str], declared: Declared) -> str:
    """The array asked for, or the only one with a usual name, or the only one that is nothing else."""
    if asked:
        if asked not in names:
            guess = nearest(asked, names)
            hint = f"did you mean `{guess}`? " if guess else ""
            raise BestiaryError(f"{path} has no array `{asked}`; {hint}It has {', '.join(names)}")
        return asked
    kinds = {part.strip(): kind for kind, text in declared.names.items() for part in text.split(",")}
    others = {known(name) for name in names} | {name for name, kind in kinds.items() if kind != "tokens"}
    left = [name for name in names if name not in others]
    usual = [name for name in left if name.lower() in _DATA_KEYS]
    plain = [name for name in left if name not in kinds and name.lower() not in _LABEL_KEYS]
    found = usual or plain or [name for name in left if name in kinds]
    if len(found) != 1:
        raise BestiaryError(f"{path} holds {', '.join(names) or 'nothing'}: say which to take with key=NAME")
    return found[0]
