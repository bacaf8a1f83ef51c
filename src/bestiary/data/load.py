"""One door to all data: a name, a path, a hub set or an array goes in, a `Dataset` comes out.

    load("digits")   load("ring", n=5000)   load("photos/", size=64)   load("t.csv", label="class")   load(x)

`loader(source)` tells which function will answer; its keyword parameters are the options that the source
takes.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bestiary.data import array_files, arrays, folders, hub, images, table_files, tables
from bestiary.data.dataset import Dataset
from bestiary.data.locations import DOWNLOADS
from bestiary.data.spec import Field
from bestiary.data.standard_sets import SETS
from bestiary.data.toys import TOYS
from bestiary.errors import BestiaryError, nearest, unknown

__all__ = ["catalogue", "describe", "load", "loader", "named"]

Loader = Callable[..., Dataset]

_FILES: dict[str, Loader] = {
    ".npy": array_files.from_file,
    ".npz": array_files.from_file,
    ".zip": folders.from_images,
    **dict.fromkeys(table_files.SUFFIXES, tables.from_file),
}


def loader(source: Any) -> Loader:
    """The function that loads `source`, taking options only.

    >>> sorted(inspect.signature(loader("ring")).parameters)
    ['labels', 'n', 'seed']
    """
    if not isinstance(source, (str, Path)):
        return partial(arrays.from_array, source)
    text = str(source)
    if text in SETS:
        return SETS[text].load
    if text in TOYS:
        return TOYS[text].load
    if text.startswith("hf:"):
        return partial(hub.from_hub, text.removeprefix("hf:"))
    return _of_path(text)


def named(source: object) -> bool:
    """Whether a source is a name, and never a path."""
    text = str(source)
    return text in SETS or text in TOYS or text.startswith("hf:")


def _of_path(text: str) -> Loader:
    if not text.strip():
        raise BestiaryError(f"no data is named. Give a folder, a file, or one of: {', '.join((*SETS, *TOYS))}")
    try:
        path = Path(text).expanduser()
        folder, file = path.is_dir(), path.exists()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, a home that nobody has
        raise _nothing(text) from None
    if folder:
        return partial(folders.from_images, path)
    if not file:
        raise _nothing(text)
    suffix = path.suffix.lower()
    if suffix in images.suffixes():
        raise BestiaryError(f"{text} is one image: give the folder that holds it, so that there is something to fit")
    if suffix not in _FILES:
        known = ", ".join(sorted(_FILES))
        raise BestiaryError(f"{text} is not of a kind that can be read: give a folder of images, or one of {known}")
    return partial(_FILES[suffix], path)


def _nothing(text: str) -> BestiaryError:
    names = [*SETS, *TOYS]
    looks_like_path = any(mark in text for mark in "/\\.~")
    guess = None if looks_like_path else nearest(text, names)
    hint = f"did you mean `{guess}`? " if guess else ""
    return BestiaryError(
        f"unknown data `{text}`: {hint}There is no such file or folder here, and the named sets are "
        f"{', '.join(sorted(names))}"
    )


def load(source: Any, **options: Any) -> Dataset:
    """A data set by name (`digits`, `ring`, …), path, `hf:name`, or from a numpy array or torch tensor.

    >>> load("digits").x.shape
    (1797, 8, 8, 1)
    """
    function = loader(source)
    return function(**_checked(function, options))


def _checked(function: Loader, options: dict[str, Any]) -> dict[str, Any]:
    """Options known to the loader, with numbers and yes/no given as words turned into what they mean."""
    known = inspect.signature(function).parameters
    for key in options:
        if key not in known:
            raise unknown("data option", key, known)
    return {key: _read(key, value, known[key].annotation) for key, value in options.items()}


_YES_NO = {
    "yes": True,
    "true": True,
    "on": True,
    "1": True,
    "no": False,
    "false": False,
    "off": False,
    "0": False,
}


def _read(key: str, value: Any, annotation: Any) -> Any:
    """A value by its annotation; only plain numbers and booleans need reading."""
    if annotation in (bool, bool | None) and value is not None:
        if str(value).lower() not in _YES_NO:
            raise BestiaryError(f"{key}={value}: say {key}=yes or {key}=no")
        return _YES_NO[str(value).lower()]
    if annotation in (int, float) or (annotation == int | None and value is not None):
        annotation = float if annotation is float else int
        try:
            number = float(value)
            if annotation is int and not number.is_integer():
                raise ValueError
            return annotation(number)
        except (TypeError, ValueError, OverflowError) as error:
            kind = "a whole number" if annotation is int else "a number"
            raise BestiaryError(f"{key}={value}: this must be {kind}") from error
    if annotation is str:
        return str(value)
    return value


def describe(dataset: Dataset) -> dict[str, Any]:
    """What `bestiary data NAME` shows: numbers, words and lists only."""
    spec = dataset.spec
    likelihood = spec.x.likelihood
    return {
        "name": dataset.name,
        "noun": spec.x.noun,
        "shape": list(spec.shape),
        "levels": spec.x.levels,
        "examples": len(dataset),
        "parts": {name: len(rows) for name, rows in dataset.parts.items()},
        "beside": {f.name: _told(f) for f in spec.beside},
        "columns": [column.name for column in spec.x.columns],
        "likelihood": likelihood.value,
        "likelihood_reason": likelihood.reason,
        "entropy_nats": dataset.truth.entropy if dataset.truth else None,
        "source": dict(dataset.source),
    }


_LISTED = 20  # words of a label that are shown; more are counted


def _told(f: Field) -> str:
    """A field beside x in a few words."""
    names = f.words or [c.name for c in f.columns]
    many = f.layout == "sequence" or len(names) > _LISTED
    each = f"{len(names):,} {'words' if f.words else 'columns'}" if many else ", ".join(names)
    shape = f"{'×'.join(map(str, f.shape))} " if f.shape else ""
    levels = f"{f.levels} levels" if f.levels else f.support.values
    return f"{shape}{f.noun}: {each or levels}" + (" (some examples lack it)" if f.optional else "")


def _where(name: str) -> str:
    found = SETS[name].where()
    if found is not None:
        return str(found[0].parent) if found else "comes with scikit-learn"
    return f"bestiary data {name} --download" if name in DOWNLOADS else "not here, and no download is offered"


def catalogue() -> dict[str, dict[str, str]]:
    """Every named set: what it is, its shape, and where it is or how to get it."""
    sets = {
        name: {
            "what": s.what,
            "shape": s.shape,
            "where": _where(name),
            "here": "yes" if s.where() is not None else "no",
        }
        for name, s in SETS.items()
    }
    toys = {
        name: {
            "what": toy.what,
            "shape": "points in the plane",
            "where": "drawn from its density",
            "here": "yes",
        }
        for name, toy in TOYS.items()
    }
    return sets | toys
