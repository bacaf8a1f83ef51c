"""Known modes of a mixture: the number reached, their shares, and the share of samples near one (PacGAN protocol).

    high quality   share of samples within 3 σ of a mode, N(μ_k, σ² I); in 2 dimensions π itself has 98.89%
    modes          modes with at least one sample of high quality
    reverse KL     Σ_k p̂_k log(p̂_k K), p̂_k the share of samples nearest to mode k

(Lin et al. 2018, arXiv 1712.04086, with 2,500 samples.) Each number has as ceiling or floor what a perfect sampler gets
with as many samples. Here every sample counts for the mode nearest to it. The authors' code, pacgan/extensions.py,
counts samples of high quality only, which gives `near_kl`. Samples that fill the space between the modes have equal
shares too, and a reverse KL near 0.

Legend: N samples, K modes, F coordinates.
"""

from collections.abc import Mapping
from math import ceil, floor
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import count_ends, quantile_ends, wilson
from bestiary.measures.number import Number, Reference

__all__ = ["Modes", "count_modes", "mode_numbers"]

REACH = 3.0  # σ
DRAWS = 200  # of the bootstrap


class Modes(NamedTuple):
    """The numbers of a set of samples."""

    modes: int
    quality: float
    reverse_kl: float
    near_kl: float  # reverse KL of the samples of high quality only; NaN if there are none


def _count_nearest(x: Tensor, centres: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """For each mode, the number of samples nearest to it, and the number of these within reach of it: (K,) each."""
    if x.ndim != 2 or x.shape[1] != centres.shape[1] or not len(x):
        raise BestiaryError(f"modes have {centres.shape[1]} dimensions; samples have the shape {tuple(x.shape)}")
    if not x.isfinite().all():
        raise BestiaryError("samples hold values that are not finite (NaN or inf): they are near no mode")
    d, nearest = torch.cdist(x.double(), centres.double()).min(1)
    near = nearest[d < REACH * sigma]
    return torch.bincount(nearest, minlength=len(centres)), torch.bincount(near, minlength=len(centres))


def _reverse_kl(counts: Tensor) -> Tensor:
    """Reverse KL of counts (…, K) → (…)."""
    shares = counts.double() / counts.sum(-1, keepdim=True)
    return torch.special.xlogy(shares, shares * counts.shape[-1]).sum(-1)


def count_modes(x: Tensor, centres: Tensor, sigma: float) -> Modes:
    """The numbers of samples (N, F) for modes (K, F)."""
    nearest, near = _count_nearest(x, centres, sigma)
    return Modes(int((near > 0).sum()), float(near.sum()) / len(x), *map(float, map(_reverse_kl, (nearest, near))))


def _bootstrap(nearest: Tensor, near: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The number of modes and the reverse KL of bootstrap samples, (R,) each, from counts (K,) of the samples."""
    cells, n = torch.cat([near, nearest - near]).double().cpu(), int(nearest.sum())
    g = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(cells.expand(DRAWS, -1), n, replacement=True, generator=g)
    counts = torch.zeros(DRAWS, len(cells)).scatter_add_(1, drawn, torch.ones(drawn.shape))
    near, far = counts.chunk(2, 1)
    return (near > 0).sum(1).double(), _reverse_kl(near + far)


def _ends(
    x: Tensor, modes: Modes, centres: Tensor, sigma: float, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the number of modes, and of the reverse KL.

    The KL of estimated shares is biased upwards, in a bootstrap sample twice: its ends move down by the difference.
    """
    mode_draws, kl_draws = _bootstrap(*_count_nearest(x, centres, sigma), seed)
    fewest, most = count_ends(modes.modes, mode_draws)
    kl = quantile_ends(kl_draws)
    bias = max(0.0, sum(kl) / 2 - modes.reverse_kl)
    low, high = (max(0.0, end - bias) for end in kl)
    return (floor(fewest), min(len(centres), ceil(most))), (low, high)


def _plain(missing: int, k: int) -> str:
    """How many modes are missing, in a sentence."""
    if missing in (0, k):
        return f"All {k} modes are {'missing' if missing else 'reached'}."
    return f"{missing} of {k} modes are missing."


def mode_numbers(
    x: Tensor, centres: Tensor, sigma: float, perfect: Tensor, seed: int = 0,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:  # fmt: skip
    """The three numbers of samples x; `perfect`: as many exact draws, for ceilings and floor."""
    modes, ideal, k = count_modes(x, centres, sigma), count_modes(perfect, centres, sigma), len(centres)
    mode_ends, kl_ends = _ends(x, modes, centres, sigma, seed)
    ideal_mode_ends, ideal_kl_ends = _ends(perfect, ideal, centres, sigma, seed)
    missing = k - modes.modes
    full_protocol = {**(protocol or {}), "n": len(x), "K": k, "reach": f"{REACH:g} σ"}
    bootstrap_protocol = {**full_protocol, "interval": f"95%, {DRAWS} bootstrap samples, less their bias", "seed": seed}
    perfect_says = "a perfect sampler, as many draws"
    return [
        Number("modes", "modes reached", modes.modes, *mode_ends, f"of {k}", "higher",
               ceiling=Reference(ideal.modes, *ideal_mode_ends, perfect_says), protocol=bootstrap_protocol,
               says=f"Modes of the data with at least one sample within {REACH:g} σ.",
               plain=_plain(missing, k), weight=80),
        Number("high_quality", "share of samples near a mode", modes.quality, *wilson(modes.quality * len(x), len(x)),
               "share", "higher",
               ceiling=Reference(ideal.quality, *wilson(ideal.quality * len(perfect), len(perfect)), perfect_says),
               protocol={**full_protocol, "interval": "95%, Wilson"},
               says=f"Share of samples within {REACH:g} σ of a mode. The others lie between modes."),
        Number("mode_kl", "reverse KL of mode counts", modes.reverse_kl, *kl_ends, "nats", "lower",
               Reference(ideal.reverse_kl, *ideal_kl_ends, perfect_says), protocol=bootstrap_protocol,
               says="0: all modes have the same share of samples; ln K: one mode has all samples."),
    ]  # fmt: skip
