"""Objectives of latent-variable models: ELBO, free bits, capacity, IWAE, DIP. Functions of a `Draw`, to be minimised.

    elbo        −λ E_q[log p(x|z)] + β KL(q(z|x)‖p(z))       λ = β = 1: the negative evidence lower bound (Kingma and
                Welling 2014, arXiv 1312.6114); β ≠ 1: β-VAE (Higgins et al. 2017); β a schedule: annealing
    free_bits   −E_q[log p(x|z)] + Σ_j max(λ, E_x KL_j)      j: all dimensions together, groups of them, or single ones;
                the KL costs nothing up to λ nats (Kingma et al. 2016, arXiv 1606.04934)
    capacity    −E_q[log p(x|z)] + γ |E_x KL − C|            C a schedule (Burgess et al. 2018, arXiv 1804.03599)
    iwae        −log 1/K Σ_k w_k,  w_k = p(x|z_k) p(z_k)/q(z_k|x)    (Burda et al. 2016, arXiv 1509.00519)
    dip         −ELBO + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)²     pulls the covariance of q(z) = E_x q(z|x) to the
                identity: C = Cov_x[μ(x)] (I) or Cov_x[μ(x)] + E_x Cov[z|x] (II); λ_d = 10 λ_od or λ_od
                (Kumar et al. 2018, arXiv 1711.00848)

E_x is the mean over the whole batch, also when several processes share it. An objective returns named terms: `total` is
minimised; `reconstruction` and `kl` are always those of the ELBO. Terms are per example (B,), or 0-d for the whole
batch.

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
from bestiary.grammar.ranges import NotNegative, Size
from bestiary.grammar.schedules import Weight, value_at
from bestiary.objectives.draw import Draw
from bestiary.training.parallel import global_mean
from bestiary.training.part import Part

__all__ = ["OBJECTIVES", "Objective", "ObjectiveFunction", "capacity", "dip", "elbo", "free_bits", "iwae"]


def _elbo_terms(draw: Draw) -> dict[str, Tensor]:
    log_px = draw.log_px.squeeze(0) if len(draw.log_px) == 1 else draw.log_px.mean(0)  # (K, B) → (B,)
    return {"reconstruction": -log_px, "kl": draw.kl}


def elbo(
    draw: Draw,
    *,
    beta: Weight = 1.0,  # weight of the KL: a number or e.g. linear(0,1,2000)
    lam: Weight = 1.0,  # λ, weight of the reconstruction
) -> dict[str, Tensor]:
    """−ELBO with its two terms weighted; `total` is minimised."""
    terms = _elbo_terms(draw)
    reconstruction = terms["reconstruction"] if lam == 1.0 else value_at(lam, draw.clock) * terms["reconstruction"]
    kl = draw.kl if beta == 1.0 else value_at(beta, draw.clock) * draw.kl
    return {"total": reconstruction + kl, **terms}


def free_bits(
    draw: Draw,
    *,
    lam: Weight = 2.0,  # λ, nats of KL that are free
    per: Literal["total", "group", "dimension"] = "total",  # λ nats for all of z, for each group, or each dimension
    groups: Size = 4,  # number of groups of neighbouring dimensions
) -> dict[str, Tensor]:
    """The lectures' max(λ, KL): a KL below λ costs λ, so its gradient is zero."""
    terms = _elbo_terms(draw)
    kl_by_part: dict[str, Callable[[], Tensor]] = {
        "total": lambda: draw.kl[:, None],
        "group": lambda: _kl_groups(draw, groups),
        "dimension": lambda: _kl_dims(draw),
    }
    kl, free = global_mean(kl_by_part[per]()), value_at(lam, draw.clock)  # (parts,)
    cost = (torch.maximum(kl, free.to(kl.dtype)) if isinstance(free, Tensor) else kl.clamp_min(free)).sum()
    return {"total": terms["reconstruction"].mean() + cost, **terms}


def _kl_dims(draw: Draw) -> Tensor:
    if draw.kl_dims is None:
        raise BestiaryError(
            "free bits per dimension or group need the KL of each dimension, and this posterior and prior have no"
            " closed form for it: use objective=free_bits(per=total), or posterior=diagonal with prior=standard"
        )
    return draw.kl_dims  # (B, D)


def _kl_groups(draw: Draw, groups: int) -> Tensor:
    dims = _kl_dims(draw)
    if not 1 <= groups <= dims.shape[1]:
        raise BestiaryError(
            f"objective=free_bits: z has {dims.shape[1]} dimensions, which cannot be split into groups={groups}: use"
            f" groups={min(4, dims.shape[1])}"
        )
    return torch.stack([group.sum(1) for group in dims.tensor_split(groups, 1)], 1)  # (B, groups)


def capacity(
    draw: Draw,
    *,
    nats: Weight = 25.0,  # C, the KL to reach: a number, or a rising schedule, e.g. linear(0,25,20000)
    gamma: NotNegative = 30.0,  # weight of |KL − C|
) -> dict[str, Tensor]:
    """Keeps the KL near C instead of minimising it."""
    terms = _elbo_terms(draw)
    gap = (global_mean(draw.kl) - value_at(nats, draw.clock)).abs()
    return {"total": terms["reconstruction"].mean() + gamma * gap, **terms}


def iwae(draw: Draw) -> dict[str, Tensor]:
    """−L_K, the importance-weighted bound of K draws: log-sum-exp over the draws, then the mean over examples."""
    log_w = draw.log_px + draw.log_pz - draw.log_qz  # (K, B)
    return {"total": log(len(log_w)) - log_w.logsumexp(0), **_elbo_terms(draw)}


def dip(
    draw: Draw,
    *,
    version: Literal["i", "ii"] = "i",  # covariance of the posterior's mean, or of z itself
    off: NotNegative = 10.0,  # λ_od, weight of the covariances
    diagonal: NotNegative | None = None,  # λ_d, weight of the variances; none: 10 λ_od in version i, λ_od in ii
) -> dict[str, Tensor]:
    """−ELBO plus the squared distance of the covariance of q(z) from the identity."""
    if not isinstance(draw.q, DiagonalNormal | FullNormal):
        raise BestiaryError(
            "objective=dip needs the covariance of q(z|x), and this posterior has none in closed form: use"
            " posterior=diagonal or posterior=full"
        )
    terms = _elbo_terms(draw)
    c = covariance(draw.q.mean)
    if version == "ii":
        c = c + global_mean(draw.q.covariance)
    lambda_d = diagonal if diagonal is not None else off * (10 if version == "i" else 1)
    variances = c.diagonal()
    moments = off * (c.square().sum() - variances.square().sum()) + lambda_d * (variances - 1).square().sum()
    return {"total": (terms["reconstruction"] + terms["kl"]).mean() + moments, **terms, "moments": moments}


def covariance(mean: Tensor) -> Tensor:
    """The covariance over the whole batch: (B, D) → (D, D)."""
    centred = mean - global_mean(mean)
    return global_mean(centred[:, :, None] * centred[:, None, :])


ObjectiveFunction = Callable[[Draw], Mapping[str, Tensor]]  # → named terms, of which `total` is minimised


class Objective(Part):
    """An objective function as a part of a model."""

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
