"""The record of a run as the report sees it: what its folder holds, and a note on everything that cannot be read.

Every file is optional. A file that is torn, of the wrong shape or not there becomes a note, never an error:
the page must come out of a run that was killed in the middle of a line. Nothing here loads a model or
torch.

Which files there are: storage/run_files.py.

Legend: T lines of the journal; other letters stand in the contract of the run folder.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from bestiary.data.spec import Spec, pictures, rows
from bestiary.errors import BestiaryError
from bestiary.storage.journal import parse_journal
from bestiary.storage.run_files import (
    CONFIG,
    ENV,
    EVIDENCE,
    JOURNAL,
    JUDGEMENT,
    MODEL,
    parse_object,
    read_evidence,
    refuse_old,
    weights_hash,
)  # fmt: skip

__all__ = ["Folder", "Series", "read", "real", "sentences", "table", "tables"]

Series = tuple[np.ndarray, np.ndarray]  # rounds (T,), values (T,)


@dataclass(frozen=True)
class Folder:
    """What a run folder says."""

    path: Path
    config: dict[str, Any]
    journal: dict[str, Series]  # "vae.kl" → its rounds and values
    env: dict[str, Any]
    judgement: dict[str, Any]
    evidence: dict[str, np.ndarray]
    spec: Spec | None
    notes: tuple[str, ...]  # what could not be read, in sentences

    @property
    def model(self) -> str:
        return str(table(self.config, "model").get("name", "model"))

    @property
    def data(self) -> str:
        return str(table(self.config, "data").get("source", "data"))

    @property
    def known(self) -> bool:
        """Whether config.toml says which model was fitted to which data."""
        return "name" in table(self.config, "model") and "source" in table(self.config, "data")

    @property
    def of(self) -> str:
        """Which examples the numbers are about: what the data are and how they were parted."""
        data, known = table(self.config, "data"), table(self.config, "origin").get("fingerprint")
        options = {key: value for key, value in data.items() if key != "source" or not known}
        return json.dumps([known, sorted((key, str(value)) for key, value in options.items())])

    @cached_property
    def stale(self) -> bool:
        """Whether the run was fitted further after it was judged."""
        was = table(self.judgement, "protocol").get("weights")
        return bool(was) and (self.path / MODEL).is_file() and was != weights_hash(self.path)

    @property
    def samples(self) -> bool:
        """Whether the model can sample; what is not known of an old run is taken for granted."""
        abilities = self.env.get("abilities")
        return not isinstance(abilities, list) or "Samples" in abilities

    @property
    def part(self) -> str:
        """The part of the data that the run was judged on."""
        return str(table(self.judgement, "protocol").get("split") or "test")

    @property
    def command(self) -> str:
        return str(self.config.get("command", ""))

    @property
    def version(self) -> str:
        return str(self.config.get("version", ""))


def table(d: object, key: str) -> dict[str, Any]:
    """`d[key]` if that is a table, else an empty one.

    >>> table({"model": {"name": "vae"}}, "model"), table({"model": 3}, "model")
    ({'name': 'vae'}, {})
    """
    value = d.get(key) if isinstance(d, dict) else None
    return value if isinstance(value, dict) else {}


def tables(d: object, key: str) -> list[dict[str, Any]]:
    """`d[key]` if that is a list: its members that are tables."""
    value = d.get(key) if isinstance(d, dict) else None
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


def sentences(d: dict[str, Any], key: str) -> list[str]:
    """`d[key]` if that is a list: its members that are text."""
    value = d.get(key)
    return [member for member in value if isinstance(member, str)] if isinstance(value, list) else []


def real(value: object) -> float | None:
    """A finite number as a float; anything else is None.

    >>> real(3), real("3"), real(float("nan")), real(True)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None  # false for nan as well


def _journal(text: str) -> dict[str, Series]:
    """Series by name; lines that are torn are left out, a round written twice counts once, the last time."""
    points: dict[str, dict[float, float]] = {}
    for row in parse_journal(text):
        round = real(row.get("round"))
        for key, value in row.items():
            if round is not None and "." in key and isinstance(value, int | float | None):
                points.setdefault(key, {})[round] = nan if (number := real(value)) is None else number
    return {key: (np.array(sorted(p)), np.array([p[r] for r in sorted(p)])) for key, p in points.items()}


def _text(parse: Callable[[str], Any]) -> Callable[[Path], Any]:
    return lambda path: parse(path.read_text("utf-8", errors="replace"))


READERS: dict[str, Callable[[Path], Any]] = {
    CONFIG: _text(tomllib.loads),
    JOURNAL: _text(_journal),
    ENV: _text(parse_object),
    JUDGEMENT: _text(parse_object),
    EVIDENCE: read_evidence,
}


def _spec(config: dict[str, Any], evidence: dict[str, np.ndarray], notes: list[str]) -> Spec | None:
    """The spec of config.toml; without it, what the shape of the evidence suggests."""
    try:
        if result := table(config, "spec"):
            spec = Spec.from_dict(result)
            if any(int(n) < 1 for f in (spec.x, *spec.beside) for n in f.shape):
                raise ValueError(f"shape = {spec.shape}")
            return spec
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        notes.append(f"config.toml: [spec] cannot be used ({error}).")
    arrays = [evidence[key] for key in ("data", "samples") if key in evidence and evidence[key].size]
    if arrays and arrays[0].ndim == 4 and arrays[0].dtype == np.uint8:
        _, h, w, c = arrays[0].shape
        return pictures((c, h, w), max(2, 1 + max(int(x.max()) for x in arrays if x.dtype == np.uint8)))
    return rows(arrays[0].shape[1]) if arrays and arrays[0].ndim == 2 else None


def _shapes(spec: Spec | None) -> dict[str, tuple[int | None, ...]]:
    """What each array must look like; None stands for any length."""
    x: tuple[int | None, ...] = (None,) if spec is None else spec.shape
    if spec is not None and spec.x.is_picture:
        x = (*spec.shape[1:], spec.shape[0])
    one = ("samples", "data", "reconstructed_from", "reconstructions", "manifold", "neighbour_of")
    return {
        **dict.fromkeys(one, (None, *x)),
        "neighbours": (None, None, *x),
        "neighbour_distances": (None, None),
        "codes": (None, None),
        "code_labels": (None,),
        "codes_2d": (None, 2),
        "truth_density": (None, None),
        "model_samples": (None, 2),
        "extent": (4,),
        "k_curve": (None, 4),
        "kl_dims": (None,),
        "code_variance": (None,),
        "two_sample": (None, 2),
        "density_ratio": (None, 2),
    }


def _fitting(spec: Spec | None, evidence: dict[str, np.ndarray], notes: list[str]) -> dict[str, np.ndarray]:
    """The arrays that have the shape and type they should have."""
    kept: dict[str, np.ndarray] = {}
    for key, shape in _shapes(spec).items():
        array = evidence.get(key)
        if array is None or not array.size:
            continue
        fits = len(shape) == array.ndim and all(want in (None, n) for want, n in zip(shape, array.shape, strict=True))
        images = spec is not None and spec.x.is_picture and len(shape) > 3
        kinds = "u" if images else "iu" if key == "code_labels" else "iuf"
        if fits and array.dtype.kind in kinds:
            kept[key] = array
        else:
            wanted = " × ".join("any" if n is None else str(n) for n in shape)
            got = f"{' × '.join(map(str, array.shape))} of {array.dtype}"
            notes.append(f"evidence.safetensors: `{key}` should be {wanted}; it is {got}, and was left out.")
    return kept


def read(path: Path) -> Folder:
    """Read a run folder. Only a folder with none of a run's files is an error."""
    path = Path(path)
    if not path.is_dir():
        raise BestiaryError(f"there is no run folder {path}. Make one with `bestiary fit`, or see what is in runs/.")
    if not any((path / name).is_file() for name in READERS):
        raise BestiaryError(f"{path} is not a run folder: it has none of {', '.join(READERS)}.")
    notes: list[str] = []
    result: dict[str, dict[str, Any]] = {}
    for name, reader in READERS.items():
        result[name] = {}
        try:
            result[name] = reader(path / name)
        except FileNotFoundError:
            continue  # the page says so where the content would be
        except (OSError, ValueError, RecursionError) as error:
            notes.append(f"{name} cannot be read ({str(error).strip().splitlines()[0] if str(error) else 'torn'}).")
    if result[CONFIG].get("spec"):
        refuse_old(result[CONFIG], path)
    if not (path / CONFIG).exists():
        notes.append("config.toml is missing: which model was fitted to which data is not known.")
    evidence = result[EVIDENCE]
    spec = _spec(result[CONFIG], evidence, notes)
    return Folder(
        path=path,
        config=result[CONFIG],
        journal=result[JOURNAL],
        env=result[ENV],
        judgement=result[JUDGEMENT],
        evidence=_fitting(spec, evidence, notes),
        spec=spec,
        notes=tuple(notes),
    )
