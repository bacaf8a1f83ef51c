"""What this installation can do, what it lacks, and the command that mends it.

`examine` looks and changes nothing. Each finding has a state:

    fine      nothing to do
    lacking   something optional is not there; the remedy is in `fix`
    broken    bestiary cannot work until `fix` is done: only such a finding makes the exit code 1

Every look is taken on its own: a torch that does not import is a finding, not a crash.
"""

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Finding", "examine", "look"]

PYTHON = (3, 11)  # requires-python of pyproject.toml
ROOM = 1 << 30  # bytes: a run of photographs with its checkpoints takes a few hundred MB
BASE = ""  # the name under which the packages that are always needed stand beside the extras

_NAME = re.compile(r"[\w.-]+")
_LEAST = re.compile(r">=\s*([\d.]+)")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's page."""

    topic: str
    name: str
    state: Literal["fine", "lacking", "broken"]
    says: str
    fix: str = ""


# ---------------------------------------------------------------------------------------------- packages


def _requirements() -> dict[str, list[str]]:
    """Extra → its requirements, as installed, or as the checkout says where nothing is installed."""
    found: dict[str, list[str]] = {BASE: []}
    try:
        lines = importlib.metadata.requires("bestiary") or []
    except importlib.metadata.PackageNotFoundError:
        file = Path(__file__).parents[2] / "pyproject.toml"
        project = tomllib.loads(file.read_text("utf-8"))["project"] if file.is_file() else {}
        return {BASE: project.get("dependencies", []), **project.get("optional-dependencies", {})}
    for line in lines:
        extra = _EXTRA.search(line)
        found.setdefault(extra[1] if extra else BASE, []).append(line.partition(";")[0].strip())
    return found


def _release(version: str) -> tuple[int, ...]:
    """Its leading numbers: 2.13.0+cpu → (2, 13, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _lack(requirement: str) -> str | None:
    """What is wrong with one requirement, or None."""
    name, least = _NAME.match(requirement), _LEAST.search(requirement)
    if not name:
        return requirement
    try:
        version = importlib.metadata.version(name[0])
    except importlib.metadata.PackageNotFoundError:
        return name[0]
    old = least and _release(version) < _release(least[1])
    return f"{name[0]} {version} (older than {least[1]})" if old and least else None


def _packages() -> Iterator[Finding]:
    for extra, requirements in _requirements().items():
        lacks = [lack for requirement in requirements if (lack := _lack(requirement))]
        name = extra or "needed always"
        if not lacks:
            yield Finding("packages", name, "fine", ", ".join(_versions(requirements)) or "none listed")
        elif extra:
            fix = f"pip install 'bestiary[{extra}]'"
            yield Finding("packages", name, "lacking", f"missing: {', '.join(lacks)}", fix)
        else:
            fix = f"pip install --upgrade {' '.join(lack.split()[0] for lack in lacks)}"
            yield Finding("packages", name, "broken", f"missing: {', '.join(lacks)}", fix)


def _versions(requirements: list[str]) -> list[str]:
    names = [found[0] for requirement in requirements if (found := _NAME.match(requirement))]
    return [f"{name} {importlib.metadata.version(name)}" for name in names]


def _python() -> Iterator[Finding]:
    says = f"{platform.python_version()} on {platform.platform()}"
    if sys.version_info < PYTHON:
        yield Finding("python", "version", "broken", says, "install Python 3.11 or newer")
    else:
        yield Finding("python", "version", "fine", says)


# ---------------------------------------------------------------------------------------------- machine


def _torch() -> Iterator[Finding]:
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        fix = "pip install --upgrade torch"
        yield Finding("torch", "import", "broken", f"does not import: {error}", fix)
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    yield Finding("torch", "version", "fine", f"{torch.__version__} ({build})")
    yield from _threads(torch)
    yield from _devices(torch)
    yield from _precision()


def _threads(torch: Any) -> Iterator[Finding]:
    have, used, asked = os.cpu_count() or 1, torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    fix = f"OMP_NUM_THREADS is {asked}: unset it to use more" if asked and used < have else ""
    yield Finding("torch", "threads", "fine", f"{used} of {have} processors", fix)


def _devices(torch: Any) -> Iterator[Finding]:
    yield Finding("devices", "cpu", "fine", platform.processor() or platform.machine())
    for i in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(i)
        says = f"{card.name}, {card.total_memory / 2**30:.0f} GiB, capability {card.major}.{card.minor}"
        yield Finding("devices", f"cuda:{i}", "fine", says)
    if torch.backends.mps.is_available():
        yield Finding("devices", "mps", "fine", "Apple GPU")
    if not torch.cuda.is_available() and shutil.which("nvidia-smi"):
        built = torch.version.cuda
        says = "an NVIDIA driver is here, but torch " + ("cannot use it" if built else "is a CPU build")
        fix = "update the NVIDIA driver" if built else "install a CUDA build of torch: see pytorch.org"
        yield Finding("devices", "cuda", "lacking", says, fix)


def _precision() -> Iterator[Finding]:
    from bestiary.training.device import choose_device, has_native_bf16

    device = choose_device("auto")
    says = f"auto takes fp32: {device} has no native bf16"
    if has_native_bf16(device):
        says = f"auto takes bf16 for large models of images, else fp32 (docs/precision.md): {device} has native bf16"
    yield Finding("devices", "precision", "fine", says)


# ---------------------------------------------------------------------------------------------- files


def _disk(root: Path) -> Iterator[Finding]:
    here = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    if not here.is_dir() or not os.access(here, os.W_OK):
        fix = f"choose another folder (--runs DIR), or make {here} a folder you may write to"
        yield Finding("files", "runs", "broken", f"cannot write to {here}", fix)
        return
    free = shutil.disk_usage(here).free
    says = f"{root}/ has {free / 2**30:.1f} GiB free"
    fix = "free some space, or choose another folder: --runs DIR"
    yield Finding("files", "runs", "fine" if free >= ROOM else "lacking", says, fix if free < ROOM else "")


def _data() -> Iterator[Finding]:
    from bestiary.data.load import catalogue

    folder = os.environ.get("BESTIARY_DATA", "")
    if not folder:
        fix = "export BESTIARY_DATA=FOLDER, or download one: bestiary data mnist --download"
        yield Finding("data", "BESTIARY_DATA", "lacking", "is not set: standard sets are not looked for", fix)
    elif not Path(folder).is_dir():
        fix = "point it at a folder that is there, or unset it"
        yield Finding("data", "BESTIARY_DATA", "lacking", f"is {folder}, which is not a folder", fix)
    else:
        yield Finding("data", "BESTIARY_DATA", "fine", folder)
    sets = catalogue()
    here = [name for name, entry in sets.items() if entry["here"] == "yes"]
    yield Finding("data", "here", "fine", ", ".join(here))
    for name, entry in sets.items():
        if name not in here:
            yield Finding("data", name, "lacking", entry["what"], entry["where"])


def look(topic: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of one check; if it fails itself, that is the finding."""
    found: list[Finding] = []
    try:
        found.extend(check())
    except Exception as error:
        fix = "pip install --upgrade --force-reinstall bestiary"
        found.append(Finding(topic, "check", "broken", f"{type(error).__name__}: {error}", fix))
    return found


def examine(root: str | Path = "runs") -> dict[str, Any]:
    """`{"healthy": bool, "findings": [{"topic", "name", "state", "says", "fix"}, …]}`."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "files": lambda: _disk(Path(root)),
        "data": _data,
    }
    found = [finding for topic, check in checks.items() for finding in look(topic, check)]
    return {
        "healthy": all(finding.state != "broken" for finding in found),
        "findings": [asdict(finding) for finding in found],
    }
