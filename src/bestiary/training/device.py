"""Where, in which precision and with which noise a turn computes.

`auto` takes CUDA, then MPS, then the CPU. Precision `auto` takes bf16 for the networks where they see images and are
large, no critic's slope is bounded, and the processor multiplies bf16 natively (CUDA from compute capability 8.0; CPUs
with AMX or AVX512-BF16), else fp32: a bf16 number has 8 significant bits, as many as a pixel, but too few for a point
near a mode of the ring, a table's column, or a Wasserstein critic. Likelihoods, their sums and the weights are fp32 in
both. What bf16 costs: docs/precision.md.
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
    "choose_device",
    "cpu_features",
    "has_native_bf16",
    "infer_precision",
    "on_cpu_alone",
    "reads_allowed",
    "seed_noise",
    "seeded",
    "threads_for",
    "tune_cpu",
]


def choose_device(name: str = "auto") -> torch.device:
    """The device that `--device` names, checked to be there."""
    have = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in have if have[kind])
    kind, _, number = name.partition(":")
    if kind not in have or (number and not number.isdigit()):
        raise BestiaryError(f"device `{name}` is not one of auto, cpu, cuda, cuda:N, mps")
    if not have[kind]:
        raise BestiaryError(f"device `{name}` is not available here (`bestiary doctor` says why): use --device auto")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise BestiaryError(f"device `{name}`: this machine has {torch.cuda.device_count()} CUDA device(s)")
    if name == "cuda":
        return torch.device("cuda", torch.cuda.current_device())  # with its number: noise is seeded by it
    return torch.device(name)


def has_native_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bf16 itself; emulated bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool({"avx512_bf16", "amx_bf16"} & cpu_features())
    return False


def cpu_features() -> set[str]:
    """What the processor can do, by the names that Linux and torch give; empty where nobody says."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not in every torch that we take
    if ask is not None:
        return {name for name, there in ask().items() if there is True}
    try:
        return set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    except OSError:
        return set()


LARGE = 1 << 18  # weights; with fewer, bf16 is no faster on a CPU: casts take the time that products gain


def infer_precision(
    device: torch.device, x: Field, weights: int, fine: bool = False
) -> tuple[Literal["fp32", "bf16"], str]:
    """What `precision=auto` takes for a model of so many weights on such data, and why. `fine`: its critic's slope is
    bounded by a penalty or clipped weights."""
    if not has_native_bf16(device):
        return "fp32", "this processor does not multiply bf16 itself"
    if not x.support.coarse:
        return "fp32", f"a {x.noun}'s numbers have more digits than bf16"
    if fine:
        return "fp32", "a critic of bounded slope tells by small differences of its logits"
    if weights < LARGE:
        return "fp32", f"below {LARGE:,} weights bf16 gains nothing"
    return "bf16", "this processor multiplies it itself, and the networks are large"


_reads = False  # whether code that runs on a CPU alone is running


@contextmanager
def on_cpu_alone() -> Iterator[None]:
    """Within: values may be read on the host, for a device has other code in the place of this."""
    global _reads
    before, _reads = _reads, True
    try:
        yield
    finally:
        _reads = before


def reads_allowed() -> bool:
    """Whether code is running that may read a value on the host."""
    return _reads


def seed_noise(seed: int, device: torch.device) -> None:
    """Seed the default generators of the CPU and of `device`, and no other.

    (`torch.manual_seed` would do, but where CUDA is absent it queues a call for every kind of device at each turn.)
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Within: noise that is a function of `seed`. After: the caller's generators as they were."""
    device = torch.device(device)
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        seed_noise(seed, device)
        yield


def tune_cpu() -> None:
    """Settings of this process that make a CPU train faster. To be called before the first parallel operation.

    Denormal numbers are flushed to zero: Adam's moments of weights that no longer move decay into them, and the
    processor is then ten times slower at each. And the C library is asked to keep freed memory for the next turn: large
    activations would otherwise be mapped, zeroed and unmapped at every one (nothing happens where there is no glibc).
    """
    torch.set_flush_denormal(True)
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, 1 << 30)


# Below so many numbers in a batch (8×8 images, batch 128) one thread is about as fast as two on an idle machine, and
# several times as fast on a busy one, where threads spin while they wait for each other.
SMALL_BATCH = 1 << 15


@contextmanager
def threads_for(numbers: int) -> Iterator[int]:
    """Within: as many threads as a batch of so many numbers can use; what OMP_NUM_THREADS says is left alone."""
    before = torch.get_num_threads()
    small = numbers < SMALL_BATCH and "OMP_NUM_THREADS" not in os.environ
    torch.set_num_threads(1 if small else before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
