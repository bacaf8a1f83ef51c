"""Job: what to fit, written down: the name or path of the data, a model's name, and options. It holds no data.

    hash     the first 12 hex digits of sha256(canonical JSON of source, model, options)
    folder   root/<data>-<model>-<hash>, an ordinary run folder: the job's result

Options are read by the signatures of the loader, the model and the recipe, so that "2k" and 2000 are one job, and so
are "400,400" and (400, 400). A key that no signature knows is kept as it is given; `fit` refuses it when the job runs.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from bestiary.data.files import plain_name
from bestiary.data.load import loader
from bestiary.errors import BestiaryError
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import coerce
from bestiary.models.zoo import MODELS
from bestiary.runs.fit import fit
from bestiary.runs.run_folder import locked
from bestiary.storage.atomic import io_error
from bestiary.storage.run_files import read_env
from bestiary.training.recipe import Recipe

__all__ = ["Job", "run_job"]

DIGITS = 12  # of the hash: 48 bits, by which two of a million jobs share a name with probability 0.002
POLL = 0.5  # seconds between looks at a job that another process runs

Signature = Mapping[str, tuple[Any, Any]]  # option → (annotation, default)


@dataclass(frozen=True)
class Job:
    """Data by name, a model by name, options; equal where the same run is asked for.

    `source` is a name or a path, `options` holds what can be written down: numbers, words, yes and no, tuples of these.
    A path is read as the loader of the file or folder that is there when the job is made.
    Raises BestiaryError for an option that cannot be written down, or that a signature cannot read.

    >>> Job("ring", "ae", {"hidden": "64,64", "steps": "2k"}) == Job("ring", "ae", {"steps": 2000, "hidden": (64, 64)})
    True
    """

    source: str
    model: str
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.source, str | PathLike):
            raise BestiaryError(
                f"a job names its data and does not hold them; got {type(self.source).__name__}. Save them, for example"
                ' by numpy.save("x.npy", x), and give the path: Job("x.npy", …)'
            )
        object.__setattr__(self, "source", fspath(self.source))
        object.__setattr__(self, "options", _canonical(self.source, self.model, self.options))

    def __hash__(self) -> int:
        return int(self.hash, 16)

    @property
    def hash(self) -> str:
        """The job's name among all jobs: the same in every process and on every machine."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()[:DIGITS]

    @property
    def name(self) -> str:
        """The name of the job's run folder: `<data>-<model>-<hash>`."""
        data = plain_name(Path(self.source.removeprefix("hf:")).stem)
        return f"{data[:40]}-{self.model}-{self.hash}"

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON holds it."""
        return {"source": self.source, "model": self.model, "options": dict(self.options)}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "Job":
        """The job that `to_dict` wrote down, also where its data are no longer there."""
        return cls(d["source"], d["model"], d["options"])


def _canonical(source: str, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options under one spelling of each key, with values as JSON holds them."""
    signatures, flags = _signatures(source, model), signature_options(fit)
    canonical: dict[str, Any] = {}
    for key, value in options.items():
        if key in flags:
            raise BestiaryError(f"{key}= says how to run and not what: it is no option of a job, leave it out")
        name, annotation = _option(key, signatures)
        if name in canonical:
            raise BestiaryError(f"`{name}` is given twice, once as `{key}`: keep one of them")
        canonical[name] = _plain(key, value, annotation)
    return dict(sorted(canonical.items()))


def _signatures(source: str, model: str) -> dict[str, Signature]:
    """What the data, the model and the training take, as far as it is known here."""
    try:
        data: Signature = signature_options(loader(source))
    except BestiaryError:  # there is no such file here; where the job was made its options were read
        data = {}
    zoo = signature_options(MODELS[model]) if model in MODELS else {}
    return {"data": data, "model": zoo, "training": signature_options(Recipe)}


def _option(key: str, signatures: Mapping[str, Signature]) -> tuple[str, Any]:
    """The one spelling of a key, and its annotation.

    A bare key belongs to the last section that knows it, as on the command line: `seed` is `training.seed`, while
    `data.seed` keeps its section.
    """
    section, dot, name = key.rpartition(".")
    homes = [home for home, known in signatures.items() if name in known]
    if not homes or (dot and section not in homes):
        return key, Any
    home = section if dot else homes[-1]
    return name if home == homes[-1] else key, signatures[home][name][0]


def _plain(key: str, value: object, annotation: Any) -> Any:
    """A value as JSON holds it; an object whose text is read back as its equal (a schedule, a path) as its text."""
    value = coerce(value, annotation, key)
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        pass
    if not _reads_back(str(value), value, annotation):
        raise BestiaryError(
            f"{key}={type(value).__name__}(…) cannot be written down, and a job must be: give a number, a word or the"
            f" name of a part, or call bestiary.fit(…, {key}=…), which takes objects"
        )
    return str(value)


def _reads_back(text: str, value: object, annotation: Any) -> bool:
    try:
        again = coerce(text, annotation, "")
    except BestiaryError:
        return False
    return type(again) is type(value) and bool(again == value)


def run_job(job: Job, root: str | Path = "runs", *, device: str = "auto") -> Path:
    """Fit the job in `root`, as far as that is not done; the folder of its finished run.

    A finished run is left alone, one that was stopped goes on from its checkpoint. While another process of this
    machine runs the same job, this one waits for it. Raises what `fit` raises.
    """
    folder = Path(root) / job.name
    if _finished(folder):
        return folder
    lock = folder.with_name(f".{job.name}.lock")
    with _alone(lock):
        if not _finished(folder):
            _fit(job, folder, device)
        lock.unlink(missing_ok=True)  # whoever waits for it will find the run finished
    return folder


def _finished(folder: Path) -> bool:
    return bool(read_env(folder).get("finished"))


def _fit(job: Job, folder: Path, device: str) -> None:
    """Fit from where the folder stands to the end."""
    if (folder / "config.toml").is_file():
        fit(resume=folder, root=folder.parent, device=device, quiet=True)
        return
    if folder.exists():
        _clear(folder)
    fit(job.source, job.model, name=folder.name, root=folder.parent, device=device, quiet=True, **job.options)


def _clear(folder: Path) -> None:
    """Remove what a fit leaves that was killed before it wrote its config: a folder without visible files."""
    try:
        for part in folder.glob(".*"):
            part.unlink()
        folder.rmdir()
    except OSError as error:
        raise io_error(f"begin a run in {folder}, which holds no config.toml", error) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Within: no other process of this machine holds the lock. Waits for one that does, and says so once."""
    waits = 0
    with ExitStack() as stack:
        while True:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                lock.touch()
                stack.enter_context(locked(lock))
                break
            except FileNotFoundError:  # the run is finished: its lock was removed between the two lines
                continue
            except OSError as error:
                raise io_error(f"write {lock}", error) from error
            except BestiaryError:
                if not waits:
                    print(f"waiting: another process holds {lock}", file=sys.stderr, flush=True)
                waits += 1
                time.sleep(POLL)
        yield
