"""Load any data: a name, a path, a hub set or an array → a `Dataset`; and describe data sets.

    load("digits")   load("ring", n=5000)   load("photos/", size=64)   load("t.csv", label="class")   load(x)

`loader(source)` is the function that loads a source; its keyword parameters are the options of the source.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data import array_files, arrays, folders, hub, table_files, tables
from bestiary.data.dataset import Dataset
from bestiary.data.decode import image_suffixes
from bestiary.data.files import printable
from bestiary.data.locations import DOWNLOADS
from bestiary.data.shared_rows import shared_rows_note
from bestiary.data.spec import Field
from bestiary.data.standard_sets import SETS
from bestiary.data.toys import TOYS
from bestiary.errors import BestiaryError, nearest_name, unknown_name

__all__ = ["catalogue", "describe", "is_name", "load", "loader"]

Loader = Callable[..., Dataset]

_FILES: dict[str, Loader] = {
    ".npy": array_files.from_file,
    ".npz": array_files.from_file,
    ".zip": folders.from_images,
    **dict.fromkeys(table_files.SUFFIXES, tables.from_file),
}


def loader(source: Any) -> Loader:
    """The function that loads `source`; it takes options only. Raises BestiaryError for an unknown name or file.

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
    return _path_loader(text)


def is_name(source: object) -> bool:
    """Whether a source is a name and not a path."""
    text = str(source)
    return text in SETS or text in TOYS or text.startswith("hf:")


def _path_loader(text: str) -> Loader:
    if not text.strip():
        raise BestiaryError(f"no data is named. Give a folder, a file, or one of: {', '.join((*SETS, *TOYS))}")
    try:
        path = Path(text).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, a home that nobody has
        raise _unknown_data(text) from None
    if is_folder:
        return partial(folders.from_images, path)
    if not exists:
        raise _unknown_data(text)
    suffix = path.suffix.lower()
    if suffix in image_suffixes():
        raise BestiaryError(f"{text} is one image: give the folder that holds the images")
    if suffix not in _FILES:
        types = ", ".join(sorted(_FILES))
        raise BestiaryError(f"{text} cannot be read: give a folder of images, or a file of type {types}")
    return partial(_FILES[suffix], path)


def _unknown_data(text: str) -> BestiaryError:
    names = [*SETS, *TOYS]
    if any(mark in text for mark in "/\\.~"):
        return BestiaryError(
            f"unknown data `{text}`: there is no such file or folder; the current folder is {Path.cwd()}. "
            f"`bestiary data` lists the sets that have a name"
        )
    guess = nearest_name(text, names)
    hint = f": did you mean `{guess}`?" if guess else "."
    return BestiaryError(
        f"unknown data `{text}`{hint} No file or folder has this name, and the named sets are "
        f"{', '.join(sorted(names))}"
    )


def load(source: Any, **options: Any) -> Dataset:
    """Load a data set by name (`digits`, `ring`, …), path or `hf:name`, or from a numpy array or torch tensor.

    Raises BestiaryError for an unknown name, file or option, and for data that cannot be read.

    >>> load("digits").x.shape
    (1797, 8, 8, 1)
    """
    function = loader(source)
    dataset = function(**_parse_options(function, options))
    if not isinstance(dataset.x, np.memmap):  # what is read as needed is not read whole to be counted
        notes = [shared_rows_note(dataset, part) for part in dataset.parts]
        dataset.source.update({"shared": " ".join(filter(None, notes))} if any(notes) else {})
    return dataset


def _parse_options(function: Loader, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a loader, with numbers and yes/no parsed where they are text."""
    parameters = inspect.signature(function).parameters
    for key in options:
        if key not in parameters:
            raise unknown_name("data option", key, parameters)
    return {key: _parse_value(key, value, parameters[key].annotation) for key, value in options.items()}


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


def _parse_value(key: str, value: Any, annotation: Any) -> Any:
    """Parse a value by its annotation: numbers and yes/no; anything else stays as it is."""
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
    """The facts that `bestiary data NAME` shows, as numbers, words and lists."""
    spec = dataset.spec
    likelihood = spec.x.likelihood
    return {
        "name": dataset.name,
        "noun": spec.x.noun,
        "shape": list(spec.shape),
        "levels": spec.x.levels,
        "examples": len(dataset),
        "parts": {name: len(rows) for name, rows in dataset.parts.items()},
        "beside": {f.name: _describe_field(f) for f in spec.beside},
        "columns": [column.name for column in spec.x.columns],
        "likelihood": likelihood.value,
        "likelihood_reason": likelihood.reason,
        "entropy_nats": dataset.truth.entropy if dataset.truth else None,
        "source": {key: printable(text) if key != "path" else text for key, text in dataset.source.items()},
    }


_LISTED = 20  # a label with more words is described by their number


def _describe_field(f: Field) -> str:
    """A field beside x in a few words."""
    names = f.words or [c.name for c in f.columns]
    is_long = f.layout == "sequence" or len(names) > _LISTED
    words = f"{len(names):,} {'words' if f.words else 'columns'}" if is_long else ", ".join(map(printable, names))
    shape = f"{'×'.join(map(str, f.shape))} " if f.shape else ""
    values = f"{f.levels} levels" if f.levels else f.support.values
    return f"{shape}{f.noun}: {words or values}" + (" (some examples lack it)" if f.optional else "")


def _describe_location(name: str) -> str:
    """The folder of a set's files, or what to do to get them."""
    files = SETS[name].local_files()
    if files is not None:
        return str(files[0].parent) if files else "needs no file"
    if any(other in DOWNLOADS and SETS[other].forms == SETS[name].forms for other in SETS):
        return f"bestiary data {name} --download"
    return f"no download: put {SETS[name].forms[0][0]} into $BESTIARY_DATA"


def catalogue() -> dict[str, dict[str, str]]:
    """Every named set: its description, its shape, and its location or the command that downloads it."""
    sets = {
        name: {
            "description": standard.description,
            "shape": standard.shape,
            "where": _describe_location(name),
            "here": "yes" if standard.local_files() is not None else "no",
        }
        for name, standard in SETS.items()
    }
    toys = {
        name: {
            "description": toy.description,
            "shape": "points in the plane",
            "where": "drawn from a known density",
            "here": "yes",
        }
        for name, toy in TOYS.items()
    }
    return sets | toys
