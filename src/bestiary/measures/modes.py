"""Modes that are known: how many are reached, how evenly, and how many samples lie near any (the PacGAN protocol).

    high quality   share of samples within 3 σ of a mode (of N(μ_k, σ² I))             2 dimensions: 98.89% of π itself
    modes          modes with at least one sample of high quality
    reverse KL     Σ_k p̂_k log(p̂_k K), p̂_k the share of samples nearest to mode k

(Lin et al. 2018, arXiv 1712.04086, whose samples are 2,500.) Beside each stands what a perfect sampler gets of as many.
Here every sample counts for the mode nearest to it; the authors' code, pacgan/extensions.py, counts those of high
quality alone, of which `near_kl` is. Samples that fill the space between the modes have even shares, and a reverse KL
near 0.

Legend: N samples, K modes, F coordinates.
"""

from collections.abc import Mapping
from math import ceil, floor
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import wilson
from bestiary.measures.number import Number, Reference

__all__ = ["Modes", "count_modes", "mode_numbers"]

REACH = 3.0  # σ
DRAWS = 200  # of the bootstrap


class Modes(NamedTuple):
    """Of some samples."""

    modes: int
    quality: float
    reverse_kl: float
    near_kl: float  # of the samples of high quality alone; NaN where there is none


def _placed(x: Tensor, centres: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """How many samples lie nearest to each mode, and how many of these near it: (K,) and (K,)."""
    if x.ndim != 2 or x.shape[1] != centres.shape[1] or not len(x):
        raise BestiaryError(f"modes lie in {centres.shape[1]} dimensions; samples have the shape {tuple(x.shape)}")
    if not x.isfinite().all():
        raise BestiaryError("samples hold values that are not finite (NaN or inf): they lie near no mode")
    d, nearest = torch.cdist(x.double(), centres.double()).min(1)
    near = nearest[d < REACH * sigma]
    return torch.bincount(nearest, minlength=len(centres)), torch.bincount(near, minlength=len(centres))


def _reverse_kl(counts: Tensor) -> Tensor:
    """(…, K) → (…)."""
    share = counts.double() / counts.sum(-1, keepdim=True)
    return torch.special.xlogy(share, share * counts.shape[-1]).sum(-1)


def count_modes(x: Tensor, centres: Tensor, sigma: float) -> Modes:
    """Of samples (N, F) and modes (K, F)."""
    nearest, near = _placed(x, centres, sigma)
    return Modes(int((near > 0).sum()), float(near.sum()) / len(x), *map(float, map(_reverse_kl, (nearest, near))))


def _bootstrap(nearest: Tensor, near: Tensor, seed: int) -> Tensor:
    """95% intervals, (2, 2), of the number of modes and of the reverse KL, over samples drawn again from these."""
    cells, n = torch.cat([near, nearest - near]).double().cpu(), int(nearest.sum())
    g = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(cells.expand(DRAWS, -1), n, replacement=True, generator=g)
    counts = torch.zeros(DRAWS, len(cells)).scatter_add_(1, drawn, torch.ones(drawn.shape))
    good, rest = counts.chunk(2, 1)
    ends = torch.tensor([0.025, 0.975]).double()
    both = torch.stack([(good > 0).sum(1).double(), _reverse_kl(good + rest)])
    return both.quantile(ends, dim=1).T


def _ends(
    x: Tensor, found: Modes, centres: Tensor, sigma: float, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the number of modes and of the reverse KL. A divergence of shares is biased upwards, and of draws from
    draws twice: the interval is moved back by that; the number of modes downwards, for one that a single sample found
    is often lost."""
    (fewest, most), kl = _bootstrap(*_placed(x, centres, sigma), seed).tolist()
    bias, lost = max(0.0, sum(kl) / 2 - found.reverse_kl), max(0.0, found.modes - (fewest + most) / 2)
    low, high = (max(0.0, end - bias) for end in kl)
    return (floor(fewest + lost), min(len(centres), ceil(most + lost))), (low, high)


def _plain(missing: int, k: int) -> str:
    """How many modes are missing, in a sentence."""
    if missing in (0, k):
        return f"All {k} modes are {'missing' if missing else 'reached'}."
    return f"{missing} of {k} modes are missing."


def mode_numbers(
    x: Tensor, centres: Tensor, sigma: float, perfect: Tensor, seed: int = 0,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """The three as numbers; `perfect`: as many exact draws."""
    result, best, k = count_modes(x, centres, sigma), count_modes(perfect, centres, sigma), len(centres)
    reached, apart = _ends(x, result, centres, sigma, seed)
    reached_best, apart_best = _ends(perfect, best, centres, sigma, seed)
    missing = k - result.modes
    full_protocol = {**(protocol or {}), "n": len(x), "K": k, "reach": f"{REACH:g} σ"}
    again = {**full_protocol, "interval": f"95%, {DRAWS} bootstrap samples, less their bias", "seed": seed}
    says = "a perfect sampler, as many draws"
    return [
        Number("modes", "modes reached", result.modes, *reached, f"of {k}", "higher",
               ceiling=Reference(best.modes, *reached_best, says), protocol=again,
               says=f"Modes of the data with at least one sample within {REACH:g} σ.",
               plain=_plain(missing, k), weight=80),
        Number("high_quality", "share of samples near a mode", result.quality, *wilson(result.quality * len(x), len(x)),
               "share", "higher",
               ceiling=Reference(best.quality, *wilson(best.quality * len(perfect), len(perfect)), says),
               protocol={**full_protocol, "interval": "95%, Wilson"},
               says=f"Share of samples within {REACH:g} σ of a mode. The others lie between modes."),
        Number("mode_kl", "reverse KL of mode counts", result.reverse_kl, *apart, "nats", "lower",
               Reference(best.reverse_kl, *apart_best, says), protocol=again,
               says="0: all modes have the same share of samples; ln K: one mode has all samples."),
    ]  # fmt: skip
