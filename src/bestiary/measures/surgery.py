"""ELBO surgery: what the bound is made of (Hoffman and Johnson 2016; Chen et al. 2018, arXiv 1802.04942).

    ELBO = E log p(x|z) − I_q[x, z] − KL(q(z)‖p(z)),     q(z) = 1/N Σ_n q(z|x_n)
    I_q[x, z]     = E[log q(z|x) − log q(z)]              what z tells of x: 0 ≤ I ≤ ln N
    KL(q(z)‖p(z)) = E[log q(z) − log p(z)]                how far the codes of all data are from the prior
                  = TC + Σ_d KL(q(z_d)‖p(z_d)),           TC = E[log q(z) − Σ_d log q(z_d)],  where p(z) = Π_d p(z_d)

E is over the N examples x_n and one draw z_n ~ q(z|x_n) for each. On these draws the parts add up to the ELBO exactly;
q(z) is the mixture over these same N examples, so that I is bounded by ln N, which the protocol says. Where the codes
tell more than ln N, what is missing of I stands in KL(q(z)‖p(z)), which is then more than that of all x, and in TC.
TC has a floor for it: that of the same codes with each dimension dealt anew among the examples, which makes dimensions
independent. Where log q(z|x) is at hand only for the z that was drawn, as for a flow, there is no q(z): only rate and
distortion are told.

Legend: N examples, M of them in a block, D latent; nats.
"""

from collections.abc import Callable, Mapping
from math import log, pi

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import normal_interval
from bestiary.measures.number import Number, Reference

__all__ = ["aggregate", "aggregate_dims", "surgery"]

BLOCK = 1 << 18  # numbers in a block of pairs: it stays in the cache


def aggregate(z: Tensor, log_q: Callable[[Tensor], Tensor]) -> Tensor:
    """log 1/N Σ_n q(z_m|x_n) for each z (N, D) → (N,); `log_q` gives (M, D) → (M, N)."""
    rows = max(1, BLOCK // max(1, len(z) * z.shape[1]))
    parts = [log_q(block).double().logsumexp(1) for block in z.split(rows)]
    return torch.cat(parts) - log(len(z))


def aggregate_dims(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log 1/N Σ_n N(z_md; μ_nd, σ_nd²) for each dimension by itself, (N, D)."""
    columns = []
    for d in range(z.shape[1]):
        m, v = mean[:, d].double(), log_var[:, d].double()
        parts = [
            (-0.5 * ((block[:, None] - m).square() * (-v).exp() + v + log(2 * pi))).logsumexp(1)
            for block in z[:, d].double().split(max(1, BLOCK // len(z)))
        ]
        columns.append(torch.cat(parts) - log(len(z)))
    return torch.stack(columns, 1)


def surgery(
    log_px: Tensor,
    log_pz: Tensor,
    log_qz: Tensor,
    log_aggregate: Tensor | None = None,
    log_dims: Tensor | None = None,
    dealt: Tensor | None = None,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:
    """The parts of the ELBO as numbers, from densities of one draw for each example, all (N,); `log_dims` (N, D);
    `dealt`: log q(z) − Σ_d log q(z_d) of codes whose dimensions were dealt anew.

    Without `log_aggregate` the rate stays whole; without `log_dims`, as where p(z) does not factorise, the marginal KL.
    """
    n = len(log_px)
    if n < 2:
        raise BestiaryError("ELBO surgery needs at least two examples: the aggregated posterior is a mixture over them")
    full_protocol = {**(protocol or {}), "n": n, "k": 1, "interval": "95%, normal, over examples"}
    rows: list[tuple[str, str, Tensor, str, Reference | None]] = [
        ("distortion", "reconstruction loss, −E log p(x|z)", -log_px, _DISTORTION, None),
        ("rate", "rate, E KL(q(z|x)‖p(z))", log_qz - log_pz, _RATE, None),
    ]
    if log_aggregate is not None:
        full_protocol["q(z)"] = f"mixture over {n}"
        most = Reference(log(n), says="ln N: codes of N examples cannot say more")
        full = _FULL if log(n) - float((log_qz - log_aggregate).mean()) < 1 else ""
        rows += [
            ("mutual_information", "mutual information of x and z", log_qz - log_aggregate, _INFORMATION, most),
            ("marginal_kl", "marginal KL, KL(q(z)‖p(z))", log_aggregate - log_pz, _MARGINAL + full, None),
        ]
    if log_aggregate is not None and log_dims is not None:
        whole, mixed = log_dims.sum(1), None
        if dealt is not None:
            mixed = Reference(*normal_interval(dealt), says="the same codes, each dimension shuffled over the examples")
        rows += [
            ("total_correlation", "total correlation of q(z)", log_aggregate - whole, _CORRELATION, mixed),
            ("dimension_kl", "KL of single dimensions, Σ_d KL(q(z_d)‖p(z_d))", whole - log_pz, _DIMENSIONS, None),
        ]
    return [
        Number(
            name,
            title,
            *normal_interval(values),
            "nats",
            protocol=full_protocol,
            says=says,
            ceiling=held if name == "mutual_information" else None,
            floor=held if name == "total_correlation" else None,
            detail=name in DETAILS,
        )
        for name, title, values, says, held in rows
    ]


DETAILS = ("marginal_kl", "total_correlation", "dimension_kl")  # what the mutual information leaves of the rate

_DISTORTION = "What the code loses of x. Reconstruction loss + rate = −ELBO."
_RATE = "What the code of an example costs: mutual information + marginal KL."
_INFORMATION = "How much z says about the x that it encodes. Near 0 the codes are useless."
_MARGINAL = "How far the codes of these examples are from the prior. A better prior can save at most this."
_FULL = " The mutual information is at its ceiling: more examples would move some of this into it."
_CORRELATION = "How much the dimensions of z depend on each other. Independent ones have the floor."
_DIMENSIONS = "How far each dimension of z, by itself, is from the prior, summed over dimensions."
