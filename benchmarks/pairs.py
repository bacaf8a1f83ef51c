"""What is compared with what: the pairs of `make bench`."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bestiary.training.device import has_native_bf16

# The workers read their settings from a module beside them, each in its own environment.
sys.path.insert(0, str(Path(__file__).resolve().parent / "workers"))
from settings import (
    BOUND_IMAGES,
    BOUND_PART,
    BOUND_SAMPLES,
    COMPONENTS,
    DRAWN,
    EXAMPLES,
    GAN_BATCH,
    SAMPLES,
    VAE_BATCH,
)

__all__ = ["PAIRS", "Pair"]


@dataclass(frozen=True)
class Pair:
    """Two sides that do the same work. A side is (environment, worker, case)."""

    name: str
    rival: str  # what the other side is, in words
    ours: tuple[str, str, str]
    theirs: tuple[str, str, str]
    images: int  # images a step
    target: float = 0.0  # the least speed of ours over theirs; 0: none is set
    threads: int = 0  # the number of threads that the target is set for; 0: any
    part: float = 1.0  # the part of a step that theirs does, where a whole one would take too long
    job: int = 0  # images of a whole job, whose minutes are told; 0: none
    minutes: float = 0.0  # the most minutes that ours may take for it; 0: none are set

    @property
    def products(self) -> tuple[str, str, str] | None:
        """The side that makes the products of our training loop alone."""
        environment, file, case = self.ours
        return (environment, file, f"{case}-products") if file == "ours.py" else None


def _pair(
    name: str, rival: str, ours: str, theirs: tuple[str, str, str], images: int, target: float = 0.0, **more: Any
) -> Pair:
    return Pair(name, rival, (_OWN, "ours.py", ours), theirs, images, target, **more)


def _pythae(name: str, case: str, target: float, threads: int = 0) -> Pair:
    return _pair(name, "pythae", case, (_RIVALS, "pythae_vae.py", case), VAE_BATCH, target, threads=threads)


def _judged(name: str, rival: str, case: str, theirs: tuple[str, str, str], images: int, **more: Any) -> Pair:
    return Pair(name, rival, (_OWN, "judged.py", case), theirs, images, **more)


def _compared(name: str, rival: str, case: str, theirs: str, target: float) -> Pair:
    sides = ((_OWN, "distances.py", case), (_RIVALS, "rival_distances.py", theirs))
    return Pair(f"{name}, 10k × 2048", rival, *sides, EXAMPLES, target)


def _looped(rival: str, loop: str, size: int) -> Pair:
    theirs = (_RIVALS, "tutorial.py", f"{loop}-{size}")
    return _pair(f"DCGAN, {size}×{size}", rival, f"dcgan-{size}", theirs, GAN_BATCH, _TWICE)


_OWN, _RIVALS = ".venv", ".venv-rivals"
_BARE = "bare loop"
_OVERHEAD, _TWICE, _THRICE = 1 / 1.05, 2.0, 3.0  # at most 5 % slower than bare; so many times as fast as others

PAIRS = [
    _pair("VAE, MLP 784-512-40", "ours again (control)", "vae-mlp", (_OWN, "ours.py", "vae-mlp"), VAE_BATCH),
    _pair("VAE, MLP 784-512-40", _BARE, "vae-mlp", (_OWN, "bare.py", "vae-mlp"), VAE_BATCH, _OVERHEAD),
    _pair("VAE, convolutions, 28×28", _BARE, "vae-conv", (_OWN, "bare.py", "vae-conv"), VAE_BATCH, _OVERHEAD),
    _pair("DCGAN, 28×28", _BARE, "dcgan-28", (_OWN, "bare.py", "dcgan-28"), GAN_BATCH, _OVERHEAD),
    _pair("DCGAN, 28×28", "bare loop, fakes shared", "dcgan-28", (_OWN, "bare.py", "dcgan-28-shared"), GAN_BATCH),
    _pythae("VAE, pythae's MLP", "pythae-mlp", _TWICE),
    _pythae("VAE, pythae's convolutions", "pythae-conv", _TWICE),
    _pythae(f"VAE, VampPrior K={COMPONENTS}", "pythae-vamp", _THRICE, threads=2),
    _pythae(f"IWAE, k={SAMPLES}", "pythae-iwae", _THRICE, threads=2),
    _judged(
        f"bound, k={BOUND_SAMPLES}",
        "pythae's get_nll",
        "bound",
        (_RIVALS, "pythae_vae.py", "bound"),
        BOUND_IMAGES,
        threads=2,
        part=BOUND_PART / BOUND_IMAGES,
        job=10_000,
        minutes=8.0,
    ),
    _judged(
        f"PixelCNN, {DRAWN} draws of 28×28",
        "the whole network for each pixel",
        "pixel",
        (_OWN, "judged.py", "pixel-naive"),
        DRAWN,
        target=50.0,
        part=1 / 28,
    ),
    _compared("Fréchet distance", "torchmetrics", "fid", "fid", _THRICE),
    _compared("kernel distance, all pairs", "torchmetrics, 100 subsets", "kid", "kid", _THRICE),
    _compared("kernel distance, 10 blocks", "torchmetrics, 100 subsets", "kid-blocks", "kid", _THRICE),
    _compared("precision, coverage", "prdc", "prdc", "prdc", _THRICE),
    _looped("tutorial", "dcgan", 28),
    _looped("tutorial", "dcgan", 64),
    _looped("torchgan-style loop", "torchgan", 28),
    _looped("torchgan-style loop", "torchgan", 64),
]
if has_native_bf16(torch.device("cpu")):  # what a user has here, who says nothing of precision
    PAIRS += [
        replace(pair, name=f"{pair.name}, bf16", ours=(*pair.ours[:2], f"{pair.ours[2]}-auto"))
        for pair in PAIRS
        if pair.theirs[1] in ("tutorial.py", "pythae_vae.py") and pair.ours[1] == "ours.py"
    ]
