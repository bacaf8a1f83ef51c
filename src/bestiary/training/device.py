"""Devices, precision, random generators and CPU threads.

`device=auto` takes CUDA, else MPS, else the CPU. `precision=auto` takes bf16 for large networks of images, unless a
critic's slope is bounded, on processors that multiply bf16 natively (CUDA from compute capability 8.0; CPUs with AMX or
AVX512-BF16). Otherwise it takes fp32: a bf16 number has 8 significant bits, as many as a pixel, but too few for points
near a mode of the ring, for the columns of a table, or for a Wasserstein critic. Likelihoods, their sums and weights
are always fp32. The costs of bf16 are measured in docs/precision.md.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from bestiary.data.spec import Field
from bestiary.errors import BestiaryError

__all__ = [
    "LARGE",
    "available_processors",
    "choose_device",
    "cpu_features",
    "cpu_only_code",
    "has_native_bf16",
    "infer_precision",
    "infer_threads",
    "reads_allowed",
    "seed_noise",
    "seeded",
    "tune_cpu",
    "use_threads",
]


def choose_device(name: str = "auto") -> torch.device:
    """The device for `--device`. Raises BestiaryError if the name is unknown or this machine has no such device."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in available if available[kind])
    kind, _, number = name.partition(":")
    if kind not in available or (number and not (kind == "cuda" and number.isdecimal())):
        raise BestiaryError(f"device `{name}` is not one of auto, cpu, cuda, cuda:N, mps: use --device auto")
    if not available[kind]:
        raise BestiaryError(f"device `{name}` is not available here (`bestiary doctor` says why): use --device auto")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise BestiaryError(
            f"device `{name}`: this machine has {torch.cuda.device_count()} CUDA device(s): use --device cuda:0"
        )
    if name == "cuda":
        return torch.device("cuda", torch.cuda.current_device())  # with its number, which seeds the noise
    return torch.device(name)


def has_native_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bf16 natively; emulated bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool({"avx512_bf16", "amx_bf16"} & cpu_features())
    return False


def cpu_features() -> set[str]:
    """The CPU's instruction sets, by the names of Linux and torch; empty if unknown."""
    get_capabilities = getattr(torch.cpu, "get_capabilities", None)  # older supported versions of torch lack it
    if get_capabilities is not None:
        return {name for name, supported in get_capabilities().items() if supported is True}
    try:
        return set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    except OSError:
        return set()


LARGE = 1 << 18  # weights; with fewer bf16 is no faster on a CPU, since casts cost what products gain


def infer_precision(
    device: torch.device, x: Field, weights: int, bounded_slope: bool = False
) -> tuple[Literal["fp32", "bf16"], str]:
    """The precision that `precision=auto` stands for, and the reason.

    weights: how many the model has. bounded_slope: whether a penalty or weight clipping bounds its critic's slope.
    """
    if not has_native_bf16(device):
        return "fp32", "this processor does not multiply bf16 natively"
    if not x.support.is_coarse:
        return "fp32", f"a {x.noun}'s numbers have more digits than bf16"
    if bounded_slope:
        return "fp32", "the logits of a critic of bounded slope differ by little"
    if weights < LARGE:
        return "fp32", f"bf16 is no faster below {LARGE:,} weights"
    return "bf16", "this processor multiplies it natively, and the networks are large"


_host_reads = False  # whether code is running that runs only on a CPU


@contextmanager
def cpu_only_code() -> Iterator[None]:
    """Marks code that runs only on a CPU and so may read values on the host: `reads_allowed` is true within."""
    global _host_reads
    previous, _host_reads = _host_reads, True
    try:
        yield
    finally:
        _host_reads = previous


def reads_allowed() -> bool:
    """Whether the running code may read values on the host, as `bestiary.testing` checks."""
    return _host_reads


def seed_noise(seed: int, device: torch.device) -> None:
    """Seed the default generators of the CPU and of `device`, and no others.

    (`torch.manual_seed` does it too, but without CUDA it queues a call for every kind of device at each turn.)
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Within the block random numbers are a function of `seed`; after it the generators are as they were before."""
    device = torch.device(device)
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        seed_noise(seed, device)
        yield


def tune_cpu() -> None:
    """Settings of this process that make training on a CPU faster. Call it before the first parallel operation.

    Denormal numbers are flushed to zero, since the processor is ten times slower with them, and Adam's moments of
    weights that no longer move decay into them. The C library keeps freed memory for the next turn, since it would map,
    zero and unmap large activations at every turn otherwise (without glibc this has no effect).
    """
    torch.set_flush_denormal(True)
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, 1 << 30)


# With fewer numbers in a batch (such as 8×8 images, batch 128) one thread is about as fast as two on an idle machine,
# and faster on a busy one.
SMALL_BATCH = 1 << 15


def available_processors(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The processors that this process may use: those it may run on, and not more than a container's quota of time."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        count = os.cpu_count() or 1
    try:
        time, period = quota.read_text().split()
        return max(1, min(count, round(float(time) / float(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return count


def infer_threads(numbers: int, processes: int = 1) -> tuple[int, str]:
    """The number of CPU threads that `threads=none` stands for, and the reason.

    numbers: in a batch of x. processes: how many share the processors.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads(), f"OMP_NUM_THREADS is {os.environ['OMP_NUM_THREADS']}"
    if numbers < SMALL_BATCH:
        return 1, f"a batch has {numbers:,} numbers, too few for several threads"
    available = available_processors()
    threads = max(1, min(torch.get_num_threads(), available) // processes)
    shared = f", shared by {processes} processes" if processes > 1 else ""
    return threads, f"this machine gives {available} processor{'s' if available > 1 else ''}{shared}"


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Within the block torch uses so many CPU threads; None: as many as before."""
    previous = torch.get_num_threads()
    torch.set_num_threads(count or previous)
    try:
        yield
    finally:
        torch.set_num_threads(previous)
