"""What is compared with what: the pairs of `make bench`."""

from dataclasses import dataclass

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


def _pair(name: str, rival: str, ours: str, theirs: tuple[str, str, str], images: int, target: float = 0.0) -> Pair:
    return Pair(name, rival, (".venv", "ours.py", ours), theirs, images, target)


_OWN, _RIVALS = ".venv", ".venv-rivals"
_BARE, _PYTHAE, _TUTORIAL = "bare loop", "pythae", "tutorial"
_OVERHEAD, _TWICE = 1 / 1.05, 2.0  # at most 5 % slower than bare; at least twice as fast as others

PAIRS = [
    _pair("VAE, MLP 784-512-40", "ours again (control)", "vae-mlp", (_OWN, "ours.py", "vae-mlp"), 100),
    _pair("VAE, MLP 784-512-40", _BARE, "vae-mlp", (_OWN, "bare.py", "vae-mlp"), 100, _OVERHEAD),
    _pair("VAE, convolutions, 28×28", _BARE, "vae-conv", (_OWN, "bare.py", "vae-conv"), 100, _OVERHEAD),
    _pair("DCGAN, 28×28", _BARE, "dcgan-28", (_OWN, "bare.py", "dcgan-28"), 128, _OVERHEAD),
    _pair("DCGAN, 28×28", "bare loop, fakes shared", "dcgan-28", (_OWN, "bare.py", "dcgan-28-shared"), 128),
    _pair("VAE, pythae's MLP", _PYTHAE, "pythae-mlp", (_RIVALS, "pythae_vae.py", "pythae-mlp"), 100, _TWICE),
    _pair("VAE, pythae's convolutions", _PYTHAE, "pythae-conv", (_RIVALS, "pythae_vae.py", "pythae-conv"), 100, _TWICE),
    _pair("DCGAN, 28×28", _TUTORIAL, "dcgan-28", (_RIVALS, "tutorial.py", "dcgan-28"), 128, _TWICE),
    _pair("DCGAN, 64×64", _TUTORIAL, "dcgan-64", (_RIVALS, "tutorial.py", "dcgan-64"), 128, _TWICE),
]
