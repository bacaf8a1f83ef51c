"""Objectives of latent-variable models: functions of a `Draw`, to be minimised.

    elbo        −λ E_q[log p(x|z)] + β KL(q(z|x)‖p(z))       λ = β = 1: the negative evidence lower bound (Kingma and
                Welling 2014, arXiv 1312.6114); β ≠ 1: β-VAE (Higgins et al. 2017); β a schedule: annealing
    free_bits   −E_q[log p(x|z)] + Σ_j max(λ, E_x KL_j)      j: all dimensions at once, groups of them, or each one; the
                KL is free up to λ nats (Kingma et al. 2016, arXiv 1606.04934)
    capacity    −E_q[log p(x|z)] + γ |E_x KL − C|            C a schedule (Burgess et al. 2018, arXiv 1804.03599)
    iwae        −log 1/K Σ_k w_k,  w_k = p(x|z_k) p(z_k)/q(z_k|x)    (Burda et al. 2016, arXiv 1509.00519)
    dip         −ELBO + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)²     the moments of q(z) = E_x q(z|x) drawn to the
                identity: C = Cov_x[μ(x)] (I) or Cov_x[μ(x)] + E_x Cov[z|x] (II); λ_d = 10 λ_od or λ_od
                (Kumar et al. 2018, arXiv 1711.00848)

E_x is the mean over the whole batch, also when several processes share it. Terms are per example (B,), or 0-d where
the batch has one. `reconstruction` and `kl` are always those of the ELBO, whatever is minimised.

Legend: B batch, K samples, D latent; nats.
"""

from collections.abc import Callable, Mapping
from math import log
from typing import Literal

import torch
from torch import Tensor

from bestiary.densities.diagonal_gaussian import DiagonalNormal
from bestiary.densities.full_gaussian import FullNormal
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import Schedule, at
from bestiary.objectives.draw import Draw
from bestiary.training.parallel import whole_mean
from bestiary.training.part import Part

__all__ = ["OBJECTIVES", "Objective", "ObjectiveFunction", "capacity", "dip", "elbo", "free_bits", "iwae"]


def _parts(draw: Draw) -> dict[str, Tensor]:
    log_px = draw.log_px.squeeze(0) if len(draw.log_px) == 1 else draw.log_px.mean(0)  # (K, B) → (B,)
    return {"reconstruction": -log_px, "kl": draw.kl}


def elbo(
    draw: Draw,
    *,
    beta: float | Schedule = 1.0,  # weight of the KL: a number or e.g. linear(0,1,2000)
    lam: float | Schedule = 1.0,  # λ, weight of the reconstruction
) -> dict[str, Tensor]:
    """−ELBO with its two terms weighted; `total` is minimised."""
    parts = _parts(draw)
    reconstruction = parts["reconstruction"]
    weighted = reconstruction if lam == 1.0 else at(lam, draw.clock) * reconstruction
    kl = draw.kl if beta == 1.0 else at(beta, draw.clock) * draw.kl
    return {"total": weighted + kl, **parts}


def free_bits(
    draw: Draw,
    *,
    lam: float | Schedule = 2.0,  # λ, nats that each part of z may carry for nothing
    per: Literal["total", "group", "dimension"] = "total",  # the parts: z as a whole, groups, or single dimensions
    groups: int = 4,  # how many groups, of neighbouring dimensions
) -> dict[str, Tensor]:
    """The lectures' max(λ, KL): where the KL is below λ it costs no more than λ, and its gradient vanishes."""
    parts = _parts(draw)
    pieces: dict[str, Callable[[], Tensor]] = {
        "total": lambda: draw.kl[:, None],
        "group": lambda: _grouped(draw, groups),
        "dimension": lambda: _dims(draw),
    }
    kls, least = whole_mean(pieces[per]()), at(lam, draw.clock)  # (parts,)
    paid = (torch.maximum(kls, least.to(kls.dtype)) if isinstance(least, Tensor) else kls.clamp_min(least)).sum()
    return {"total": parts["reconstruction"].mean() + paid, **parts}


def _dims(draw: Draw) -> Tensor:
    if draw.kl_dims is None:
        raise BestiaryError(
            "free bits for each dimension or group need a KL for each dimension: this posterior and prior have none"
            " in closed form. Use objective=free_bits(per=total), or posterior=diagonal with prior=standard"
        )
    return draw.kl_dims  # (B, D)


def _grouped(draw: Draw, groups: int) -> Tensor:
    dims = _dims(draw)
    if not 1 <= groups <= dims.shape[1]:
        raise BestiaryError(f"free_bits: {dims.shape[1]} dimensions of z cannot be parted into groups={groups}")
    return torch.stack([part.sum(1) for part in dims.tensor_split(groups, 1)], 1)  # (B, groups)


def capacity(
    draw: Draw,
    *,
    nats: float | Schedule = 25.0,  # C: the KL to be reached; a schedule raises it, e.g. linear(0,25,20000)
    gamma: float = 30.0,  # weight of |KL − C|
) -> dict[str, Tensor]:
    """The KL is led along C instead of being made small."""
    parts = _parts(draw)
    gap = (whole_mean(draw.kl) - at(nats, draw.clock)).abs()
    return {"total": parts["reconstruction"].mean() + gamma * gap, **parts}


def iwae(draw: Draw) -> dict[str, Tensor]:
    """−L_K of the K draws: log-sum-exp over them before the mean over examples."""
    log_w = draw.log_px + draw.log_pz - draw.log_qz  # (K, B)
    return {"total": log(len(log_w)) - log_w.logsumexp(0), **_parts(draw)}


def dip(
    draw: Draw,
    *,
    version: Literal["i", "ii"] = "i",  # moments of the posterior's mean, or of z itself
    off: float = 10.0,  # λ_od, weight of the covariances
    diagonal: float | None = None,  # λ_d, weight of the variances; 10 λ_od in version i, λ_od in ii
) -> dict[str, Tensor]:
    """−ELBO and the distance of q(z)'s covariance from the identity."""
    if not isinstance(draw.q, DiagonalNormal | FullNormal):
        raise BestiaryError(
            "objective=dip needs the covariance of q(z|x), and this posterior has none in closed form: use"
            " posterior=diagonal or posterior=full"
        )
    parts = _parts(draw)
    c = covariance(draw.q.mean)
    if version == "ii":
        c = c + whole_mean(draw.q.covariance)
    on = diagonal if diagonal is not None else off * (10 if version == "i" else 1)
    variances = c.diagonal()
    moments = off * (c.square().sum() - variances.square().sum()) + on * (variances - 1).square().sum()
    return {"total": (parts["reconstruction"] + parts["kl"]).mean() + moments, **parts, "moments": moments}


def covariance(mean: Tensor) -> Tensor:
    """Cov over the whole batch of rows (B, D) → (D, D), around their common mean."""
    centred = mean - whole_mean(mean)
    return whole_mean(centred[:, :, None] * centred[:, None, :])


ObjectiveFunction = Callable[[Draw], Mapping[str, Tensor]]


class Objective(Part):
    """A function of a draw as a part of a model."""

    def __init__(self, function: ObjectiveFunction) -> None:
        super().__init__()
        self.function = function

    def terms(self, draw: Draw) -> Mapping[str, Tensor]:
        return self.function(draw)


OBJECTIVES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "elbo": elbo,
    "free_bits": free_bits,
    "capacity": capacity,
    "iwae": iwae,
    "dip": dip,
}
