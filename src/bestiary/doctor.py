"""Check an installation: packages, torch, devices, disk and data, each with the command that repairs what is wrong.

`examine` changes nothing. Each finding has a state:

    fine      nothing to do
    warning   bestiary works, but something optional is missing; `fix` says how to get it
    broken    bestiary cannot work until `fix` is done: only such a finding makes the exit code 1

A check that raises becomes a finding of its own: a torch that does not import does not stop the others.
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

__all__ = ["Finding", "examine", "run_check"]

PYTHON = (3, 11)  # requires-python of pyproject.toml
FREE_SPACE = 1 << 30  # bytes: a run of photographs with its checkpoints takes a few hundred MB
CORE = ""  # the key of the packages that are always needed, beside those of the extras

_NAME = re.compile(r"[\w.-]+")
_MINIMUM = re.compile(r">=\s*([\d.]+)")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")


@dataclass(frozen=True)
class Finding:
    """One line of what `bestiary doctor` prints."""

    topic: str
    name: str
    state: Literal["fine", "warning", "broken"]
    message: str
    fix: str = ""


# ---------------------------------------------------------------------------------------------- packages


def _requirements() -> dict[str, list[str]]:
    """Extra → its requirements, as installed, or as pyproject.toml lists them where bestiary is not installed."""
    requirements: dict[str, list[str]] = {CORE: []}
    try:
        lines = importlib.metadata.requires("bestiary") or []
    except importlib.metadata.PackageNotFoundError:
        file = Path(__file__).parents[2] / "pyproject.toml"
        project = tomllib.loads(file.read_text("utf-8"))["project"] if file.is_file() else {}
        return {CORE: project.get("dependencies", []), **project.get("optional-dependencies", {})}
    for line in lines:
        extra = _EXTRA.search(line)
        requirements.setdefault(extra[1] if extra else CORE, []).append(line.partition(";")[0].strip())
    return requirements


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.13.0+cpu → (2, 13, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _problem(requirement: str) -> str | None:
    """The package that is missing, or older than required; None where the requirement is met."""
    name, minimum = _NAME.match(requirement), _MINIMUM.search(requirement)
    if not name:
        return requirement
    try:
        version = importlib.metadata.version(name[0])
    except importlib.metadata.PackageNotFoundError:
        return name[0]
    is_old = minimum and _release(version) < _release(minimum[1])
    return f"{name[0]} {version} (older than {minimum[1]})" if is_old and minimum else None


def _packages() -> Iterator[Finding]:
    for extra, requirements in _requirements().items():
        problems = [problem for requirement in requirements if (problem := _problem(requirement))]
        name = extra or "core"
        if not problems:
            yield Finding("packages", name, "fine", ", ".join(_versions(requirements)) or "none listed")
        elif extra:
            fix = f"pip install 'bestiary[{extra}]'"
            yield Finding("packages", name, "warning", f"missing: {', '.join(problems)}", fix)
        else:
            fix = f"pip install --upgrade {' '.join(problem.split()[0] for problem in problems)}"
            yield Finding("packages", name, "broken", f"missing: {', '.join(problems)}", fix)


def _versions(requirements: list[str]) -> list[str]:
    names = [match[0] for requirement in requirements if (match := _NAME.match(requirement))]
    return [f"{name} {importlib.metadata.version(name)}" for name in names]


def _python() -> Iterator[Finding]:
    message = f"{platform.python_version()} on {platform.platform()}"
    if sys.version_info < PYTHON:
        yield Finding("python", "version", "broken", message, "install Python 3.11 or newer")
    else:
        yield Finding("python", "version", "fine", message)


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
    processors, threads, limit = os.cpu_count() or 1, torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    fix = f"OMP_NUM_THREADS is {limit}: unset it to use more" if limit and threads < processors else ""
    yield Finding("torch", "threads", "fine", f"{threads} of {processors} processors", fix)


def _devices(torch: Any) -> Iterator[Finding]:
    yield Finding("devices", "cpu", "fine", platform.processor() or platform.machine())
    for i in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(i)
        message = f"{card.name}, {card.total_memory / 2**30:.0f} GiB, capability {card.major}.{card.minor}"
        yield Finding("devices", f"cuda:{i}", "fine", message)
    if torch.backends.mps.is_available():
        yield Finding("devices", "mps", "fine", "Apple GPU")
    if not torch.cuda.is_available() and shutil.which("nvidia-smi"):
        is_cuda_build = torch.version.cuda
        message = "an NVIDIA driver is here, but torch " + ("cannot use it" if is_cuda_build else "is a CPU build")
        fix = "update the NVIDIA driver" if is_cuda_build else "install a CUDA build of torch: see pytorch.org"
        yield Finding("devices", "cuda", "warning", message, fix)


def _precision() -> Iterator[Finding]:
    from bestiary.training.device import choose_device, has_native_bf16

    device = choose_device("auto")
    message = f"precision=auto is fp32: {device} has no native bf16"
    if has_native_bf16(device):
        message = f"precision=auto is bf16 for large models of images, else fp32: {device} has native bf16"
    yield Finding("devices", "precision", "fine", message)


# ---------------------------------------------------------------------------------------------- files


def _disk(root: Path) -> Iterator[Finding]:
    parent = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        fix = f"choose another folder (--runs DIR), or make {parent} a folder you may write to"
        yield Finding("files", "runs", "broken", f"cannot write to {parent}", fix)
        return
    free = shutil.disk_usage(parent).free
    message = f"{root}/ has {free / 2**30:.1f} GiB free"
    fix = "free some space, or choose another folder: --runs DIR"
    yield Finding(
        "files", "runs", "fine" if free >= FREE_SPACE else "warning", message, fix if free < FREE_SPACE else ""
    )


def _data() -> Iterator[Finding]:
    from bestiary.data.load import catalogue

    folder = os.environ.get("BESTIARY_DATA", "")
    if not folder:
        fix = "export BESTIARY_DATA=FOLDER, or download a set: bestiary data mnist --download"
        yield Finding("data", "BESTIARY_DATA", "warning", "is not set: standard sets are read from the cache only", fix)
    elif not Path(folder).is_dir():
        fix = "set it to a folder that exists, or unset it"
        yield Finding("data", "BESTIARY_DATA", "warning", f"is {folder}, which is not a folder", fix)
    else:
        yield Finding("data", "BESTIARY_DATA", "fine", folder)
    sets = catalogue()
    local = [name for name, entry in sets.items() if entry["here"] == "yes"]
    yield Finding("data", "sets", "fine", ", ".join(local))
    for name, entry in sets.items():
        if name not in local:
            yield Finding("data", name, "warning", entry["description"], entry["where"])


def run_check(topic: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of one check; where it raises, the error is the last of them."""
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except Exception as error:
        fix = "pip install --upgrade --force-reinstall bestiary"
        findings.append(Finding(topic, "check", "broken", f"{type(error).__name__}: {error}", fix))
    return findings


def examine(root: str | Path = "runs") -> dict[str, Any]:
    """Run every check: `{"healthy": bool, "findings": [{"topic", "name", "state", "message", "fix"}, …]}`.

    `root` is the folder of runs, whose disk is checked.
    """
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "files": lambda: _disk(Path(root)),
        "data": _data,
    }
    findings = [finding for topic, check in checks.items() for finding in run_check(topic, check)]
    return {
        "healthy": all(finding.state != "broken" for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }
