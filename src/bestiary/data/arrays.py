"""Arrays: .npy and .npz files, numpy arrays and torch tensors.

    uint8 (N, H, W), (N, H, W, C), (N, C, H, W), C = 1, 3    images, as they are
    bool, or only 0 and 1, of such a shape                   images of 2 levels
    float of such a shape in [0, 1], [−1, 1] or [0, 255]     images of 2, 17 or 256 levels if all values are on
                                                             them; else rounded to 256, and the note says so
    uint16 of such a shape                                   images, rounded to 256 levels
    (N, F) or (N,) numbers                                   vectors, standardised column by column

`shape=28x28` reads rows of 784 numbers as images. Object arrays are refused: they need pickle, which can run
foreign code.

Legend: N examples, C channels, H height, W width, F features, L levels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.columns import finite_rows, standardised
from bestiary.data.dataset import Dataset
from bestiary.data.files import fingerprint, in_memory, plain_name
from bestiary.data.formats import reading
from bestiary.data.labels import encoded, numbers_of
from bestiary.data.parts import parts_of
from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError

__all__ = ["from_array", "from_file"]

_DATA_KEYS = ("x", "images", "imgs", "data", "train", "x_train", "train_images", "arr_0")
_LABEL_KEYS = ("y", "labels", "label", "target", "targets", "y_train", "train_labels")
_BLOCK = 1024  # images looked at together: a mapped file need not fit in memory
_LEVELS = (2, 17, 256)  # counts of levels that values are tried on: binary, digits and OMNIGLOT, photographs


def from_array(
    x: Any,
    *,
    labels: Any = None,
    name: str = "array",
    shape: str = "",
    missing: str = "",
    stream: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """labels: (N,) whole numbers or words, or (N, n) numbers; shape: HxW or HxWxC of a row; missing: drop or mean."""
    array = _numbers(x)
    if shape:
        array = _reshaped(array, shape)
    if 0 in array.shape or array.ndim == 0:
        raise BestiaryError(f"the array is empty or a single number: its shape is {array.shape}")
    shares = {"validation": validation, "test": test, "split_seed": split_seed}
    y = None if labels is None else _given(labels, len(array))
    if array.ndim <= 2:
        return _vectors(plain_name(name), array, y, missing, shares)
    return _images(plain_name(name), array, y, stream, shares)


def from_file(
    path: Path,
    *,
    key: str = "",
    label: str = "",
    shape: str = "",
    missing: str = "",
    stream: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """key, label: which arrays of an .npz (label=none: no labels); the rest as for arrays."""
    if path.suffix.lower() == ".npy":
        x, y, note = _load_npy(path), None, ""
    else:
        x, y, note = _load_npz(path, key, label)
    dataset = from_array(
        x, labels=y, name=path.stem, shape=shape, missing=missing, stream=stream,
        validation=validation, test=test, split_seed=split_seed,
    )  # fmt: skip
    notes = "; ".join(part for part in (note, dataset.source.get("note", "")) if part)
    dataset.source.update(path=str(path), note=notes)
    return dataset


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


def _load_npz(path: Path, key: str, label: str) -> tuple[np.ndarray, np.ndarray | None, str]:
    with reading(path), open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
        names = list(file.files)
        x_key = _chosen(path, "key", key, names, _DATA_KEYS)
        y_key = "" if label == "none" else _label_key(path, label, names, x_key)
        try:
            x, y = file[x_key], file[y_key] if y_key else None
        except ValueError as error:
            raise _not_plain(f"{x_key} of {path}", error) from error
    left = [name for name in names if name not in (x_key, y_key)]
    took = f"took `{x_key}`" + (f" with labels `{y_key}`" if y_key else "")
    return x, y, took + (f", left {', '.join(left)}" if left else "")


def _chosen(path: Path, option: str, asked: str, names: list[str], usual: tuple[str, ...]) -> str:
    """The array asked for, or the only one with a usual name, or the only one."""
    if asked:
        if asked not in names:
            raise BestiaryError(f"{path} has no array `{asked}`; it has {', '.join(names)}")
        return asked
    found = [name for name in names if name.lower() in usual] or [n for n in names if n not in _LABEL_KEYS]
    if len(found) != 1:
        raise BestiaryError(f"{path} holds {', '.join(names) or 'nothing'}: say which to take with {option}=NAME")
    return found[0]


def _label_key(path: Path, asked: str, names: list[str], x_key: str) -> str:
    found = [name for name in names if name.lower() in _LABEL_KEYS and name != x_key]
    return _chosen(path, "label", asked, names, _LABEL_KEYS) if asked or found else ""


def _numbers(x: Any) -> np.ndarray:
    """Anything array-like as a numpy array of plain numbers; a mapped array stays mapped."""
    try:
        array = np.asanyarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BestiaryError(
            f"this is not an array: {error}. Rows must have equal lengths; a torch tensor must lie on the "
            f"CPU, without gradient: x.detach().cpu().float()"
        ) from error
    if array.dtype.kind not in "biuf":
        raise BestiaryError(
            f"an array of type {array.dtype} cannot be data: give numbers. For words and categories write a "
            f"CSV table; for a name or a path give text"
        )
    return array


def _reshaped(array: np.ndarray, shape: str) -> np.ndarray:
    try:
        sides = tuple(int(side) for side in shape.lower().split("x"))
        if len(sides) not in (2, 3) or min(sides) < 1:
            raise ValueError
        return array.reshape(len(array), *sides)
    except (ValueError, TypeError) as error:
        raise BestiaryError(
            f"shape={shape} does not fit an array of shape {array.shape}: say shape=HxW or shape=HxWxC, "
            f"for example shape=28x28, with as many numbers as a row has"
        ) from error


Given = tuple[np.ndarray, tuple[str, ...]] | None  # labels and their classes, or (N, n) numbers and none


def _given(labels: Any, n: int) -> Given:
    numbers = numbers_of(labels, n)
    return encoded(labels, n) if numbers is None else (numbers, ())


def _beside(y: Given, train: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...], tuple[Column, ...]]:
    """What comes with each example, as it is stored: labels and their classes, or standardised numbers as columns."""
    if y is None:
        return None, (), ()
    if y[0].ndim == 1:
        return y[0], y[1], ()
    numbers, columns = standardised(y[0], [f"y{i + 1}" for i in range(y[0].shape[1])], train)
    return numbers, (), columns


def _vectors(name: str, array: np.ndarray, y: Given, missing: str, shares: dict[str, Any]) -> Dataset:
    raw = np.asarray(array, np.float64).reshape(len(array), -1)
    names = [f"x{i + 1}" for i in range(raw.shape[1])]
    raw, rows = finite_rows(raw, names, missing, parts_of(len(raw), **shares)["train"])
    parts = parts_of(len(raw), **shares)
    x, columns = standardised(raw, names, parts["train"])
    dropped = len(array) - len(rows)
    source = {
        "origin": "array",
        "fingerprint": fingerprint(x),
        "note": f"{dropped} rows dropped" if dropped else "",
    }
    labels, classes, beside = _beside((y[0][rows], y[1]) if y else None, parts["train"])
    return Dataset(name, Spec("vector", (x.shape[1],), 0, columns, classes, beside), x, parts, labels, source=source)


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(array), _BLOCK):
        yield np.asarray(array[start : start + _BLOCK])


def _images(name: str, array: np.ndarray, y: Given, stream: bool | None, shares: dict[str, Any]) -> Dataset:
    array = _channels_last(array)
    stored, levels, note = _quantised(array)
    if isinstance(stored, np.memmap):
        stored = in_memory(stored, stream)
    height, width, channels = stored.shape[1:]
    parts = parts_of(len(stored), **shares)
    labels, classes, beside = _beside(y, parts["train"])
    spec = Spec("image", (channels, height, width), levels, classes=classes, beside=beside)
    source = {"origin": "array", "fingerprint": fingerprint(stored), "note": note}
    return Dataset(name, spec, stored, parts, labels, source=source)


def _channels_last(array: np.ndarray) -> np.ndarray:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) → (N, H, W, C), as a view."""
    if array.ndim == 3:
        return array[..., None]
    if array.ndim == 4 and array.shape[3] in (1, 3):
        return array
    if array.ndim == 4 and array.shape[1] in (1, 3):
        return array.transpose(0, 2, 3, 1)
    raise BestiaryError(
        f"an array of shape {array.shape} is neither images, (N, H, W) or (N, H, W, C) or (N, C, H, W) with 1 "
        f"or 3 channels, nor vectors (N, F). Drop other channels, or flatten: x.reshape(len(x), -1)"
    )


def _quantised(array: np.ndarray) -> tuple[np.ndarray, int, str]:
    """Any numbers that can be pixels → (stored uint8, levels, note)."""
    low, high = _range(array)
    if array.dtype.kind == "b" or (low >= 0 and high <= 1 and array.dtype.kind in "iu"):
        return (array if array.dtype == np.uint8 else array.astype(np.uint8)), 2, "pixels are 0 or 1"
    if array.dtype.kind == "f":
        return _from_floats(array, low, high)
    if low >= 0 and high <= 255:
        return (array if array.dtype == np.uint8 else array.astype(np.uint8)), 256, ""
    if low >= 0 and high <= 65_535 and array.dtype == np.uint16:
        return _filled(array, 1 / 257, 0.0), 256, "16-bit pixels, rounded to 256 levels"
    raise BestiaryError(_no_pixels(low, high))


def _range(array: np.ndarray) -> tuple[float, float]:
    extremes = [(block.min(), block.max()) for block in _blocks(array)]
    low, high = (float(f([e[i] for e in extremes])) for i, f in ((0, np.min), (1, np.max)))
    if not (np.isfinite(low) and np.isfinite(high)):
        flat = (np.isfinite(block).reshape(len(block), -1).all(axis=1) for block in _blocks(array))
        bad = np.flatnonzero(~np.concatenate(list(flat)))
        raise BestiaryError(
            f"{len(bad):,} of {len(array):,} images hold NaN or infinite pixels; the first is image "
            f"{bad[0]}. Leave them out: x = x[np.isfinite(x).reshape(len(x), -1).all(axis=1)]"
        )
    return low, high


def _no_pixels(low: float, high: float) -> str:
    return (
        f"pixels lie between {low:g} and {high:g}; they should be uint8, or numbers in [0, 1], [−1, 1] or "
        f"[0, 255]. Rescale them, or fit them as vectors: x.reshape(len(x), -1)"
    )


def _from_floats(array: np.ndarray, low: float, high: float) -> tuple[np.ndarray, int, str]:
    """u = scale · x + shift ∈ [0, 1], then the fewest levels on which every u lies."""
    if (low >= 0 and 1 < high < 2) or (-0.1 < low < 0 and high <= 1):
        raise BestiaryError(
            f"pixels lie between {low:g} and {high:g}, a little outside of [0, 1]: clip them, x.clip(0, 1), lest all be"
            " taken for numbers in another range"
        )
    ranges = (((0, 1), 1.0, 0.0), ((-1, 1), 0.5, 0.5), ((0, 255), 1 / 255, 0.0))
    fits = [(scale, shift, r) for r, scale, shift in ranges if r[0] <= low and high <= r[1]]
    if not fits:
        raise BestiaryError(_no_pixels(low, high))
    scale, shift, (bottom, top) = fits[0]
    worst = dict.fromkeys(_LEVELS, 0.0)
    for block in _blocks(array):
        u = block.astype(np.float64) * scale + shift
        for levels in _LEVELS:
            worst[levels] = max(worst[levels], float(np.abs(u * (levels - 1) - np.round(u * (levels - 1))).max()))
    exact = [levels for levels in _LEVELS if worst[levels] < 1e-3]  # float32 of k/255 is off by 1e-5 levels
    levels = exact[0] if exact else 256
    note = f"floats in [{bottom}, {top}], " + (
        f"exactly {levels} levels" if exact else f"ROUNDED to 256 levels, by up to {worst[256] / 255 / scale:.2g}"
    )
    return _filled(array, scale * (levels - 1), shift * (levels - 1)), levels, note


def _filled(array: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """round(scale · x + shift) as uint8, a block at a time."""
    out = np.empty(array.shape, np.uint8)
    for i, block in enumerate(_blocks(array)):
        out[i * _BLOCK : i * _BLOCK + len(block)] = np.round(block.astype(np.float64) * scale + shift)
    return out
