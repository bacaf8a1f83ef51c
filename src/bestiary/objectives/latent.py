"""Objectives of latent-variable models: functions of a `Draw`, per example, to be minimised.

    elbo     −E_q[log p(x|z)] + β KL(q(z|x)‖p(z))        β = 1: the negative evidence lower bound (Kingma and Welling
             2014, arXiv 1312.6114); β ≠ 1: β-VAE (Higgins et al. 2017); β a schedule: annealing

Legend: B batch; every term is (B,) in nats.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from bestiary.objectives.draw import Draw
from bestiary.training.clock import Schedule, at

__all__ = ["OBJECTIVES", "Objective", "elbo"]


def elbo(draw: Draw, beta: float | Schedule = 1.0) -> dict[str, Tensor]:
    """−ELBO with KL weighted by β; `total` is minimised."""
    reconstruction = -draw.log_px.mean(0)  # (K, B) → (B,)
    return {
        "total": reconstruction + at(beta, draw.clock) * draw.kl,
        "reconstruction": reconstruction,
        "kl": draw.kl,
    }


Objective = Callable[[Draw], Mapping[str, Tensor]]
OBJECTIVES: dict[str, Callable[..., dict[str, Tensor]]] = {"elbo": elbo}
