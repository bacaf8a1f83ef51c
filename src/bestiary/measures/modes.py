"""Modes that are known: how many are reached, how evenly, and how many samples lie near any (the PacGAN protocol).

    high quality   share of samples within 3 σ of a mode (of N(μ_k, σ² I))             2 dimensions: 98.89% of π itself
    modes          modes with at least one sample of high quality
    reverse KL     Σ_k p̂_k log(p̂_k K), p̂_k the share of samples nearest to mode k

(Lin et al. 2018, arXiv 1712.04086, whose samples are 2,500.) Beside each stands what a perfect sampler gets of as many.

Legend: N samples, K modes, F coordinates.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.neighbours import wilson
from bestiary.measures.number import Number, Reference

__all__ = ["Modes", "count_modes", "mode_numbers"]

REACH = 3.0  # σ


class Modes(NamedTuple):
    """Of some samples."""

    modes: int
    quality: float
    reverse_kl: float


def count_modes(x: Tensor, centres: Tensor, sigma: float) -> Modes:
    """Of samples (N, F) and modes (K, F)."""
    if x.ndim != 2 or x.shape[1] != centres.shape[1] or not len(x):
        raise BestiaryError(f"modes lie in {centres.shape[1]} dimensions; samples have the shape {tuple(x.shape)}")
    d, nearest = torch.cdist(x.double(), centres.double()).min(1)
    good = d < REACH * sigma
    share = torch.bincount(nearest, minlength=len(centres)).double() / len(x)
    kl = float(torch.special.xlogy(share, share * len(centres)).sum())
    return Modes(len(nearest[good].unique()), float(good.double().mean()), kl)


def mode_numbers(
    x: Tensor, centres: Tensor, sigma: float, perfect: Tensor, protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """The three as numbers; `perfect`: as many exact draws."""
    found, best, k = count_modes(x, centres, sigma), count_modes(perfect, centres, sigma), len(centres)
    said = {**(protocol or {}), "n": len(x), "K": k, "reach": f"{REACH:g} σ"}
    says = "a perfect sampler, as many draws"
    return [
        Number("modes", "modes reached", found.modes, unit=f"of {k}", better="higher",
               ceiling=Reference(best.modes, says=says), protocol=said,
               says="Modes of the data with at least one sample near them."),
        Number("high_quality", "samples near a mode", found.quality, *wilson(found.quality * len(x), len(x)), "share",
               "higher", ceiling=Reference(best.quality, says=says), protocol={**said, "interval": "95%, Wilson"},
               says="The others lie between modes."),
        Number("mode_kl", "reverse KL of mode counts", found.reverse_kl, unit="nats", better="lower",
               floor=Reference(best.reverse_kl, says=says), protocol=said,
               says="0 where every mode has its share; ln K where all samples are of one."),
    ]  # fmt: skip
