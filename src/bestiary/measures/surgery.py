"""ELBO surgery: what the bound is made of (Hoffman and Johnson 2016; Chen et al. 2018, arXiv 1802.04942).

    ELBO = E log p(x|z) − I_q[x, z] − KL(q(z)‖p(z)),     q(z) = E_x q(z|x)
    I_q[x, z]     = E[log q(z|x) − log q(z)]              what z tells of x
    KL(q(z)‖p(z)) = E[log q(z) − log p(z)]                how far the codes of all data are from the prior
                  = TC + Σ_d KL(q(z_d)‖p(z_d)),           TC = E[log q(z) − Σ_d log q(z_d)],  where p(z) = Π_d p(z_d)

E is over the N examples x_n and one draw z_n ~ q(z|x_n) for each. q(z) itself is not known. Two mixtures bound it:

    over all N examples, x_n among them      E log q̂(z_n) ≥ E log q(z)      each code has its own example as a component
    over the N − 1 others                    E log q̂(z_n) ≤ E log q(z)      by Jensen's inequality

(Poole et al. 2019, arXiv 1905.06922: these bound I_q from below, by at most ln N, and from above.) Values are of the
mixture over all N, so that they add up to the ELBO: I_q at least, marginal KL and the KL of single dimensions at most.
The other mixture gives the other end of each interval, which is therefore as wide as what N examples leave open: where
the codes tell more than ln N, the marginal KL is known to lie between 0 and its value, and no better. TC has a floor
too: that of the same codes with each dimension dealt anew among the examples, which makes dimensions independent. Where
log q(z|x) is at hand only for the z that was drawn, as for a flow, there is no q(z): only rate and distortion are told.

Legend: N examples, M of them in a block, D latent; nats.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import log, pi
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import student_interval
from bestiary.measures.number import Number, Reference

__all__ = ["Aggregate", "aggregate", "aggregate_dims", "surgery"]

BLOCK = 1 << 18  # numbers in a block of pairs: it stays in the cache


class Aggregate(NamedTuple):
    """log q̂(z_n) of each code, of the mixture over all examples and over the others: (N,), or (N, D) by dimension."""

    whole: Tensor
    others: Tensor


def _mixtures(log_q: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """log 1/N Σ_n and log 1/(N − 1) Σ of the others, for the codes m from `first` on: (M, N) → (M,) each."""
    n, own = log_q.shape[1], torch.arange(first, first + len(log_q))
    whole = log_q.logsumexp(1) - log(n)
    without = log_q.scatter(1, own[:, None], -torch.inf)
    return whole, without.logsumexp(1) - log(max(1, n - 1))


def aggregate(z: Tensor, log_q: Callable[[Tensor], Tensor]) -> Aggregate:
    """log q̂ of each code z (N, D); `log_q` gives (M, D) → (M, N)."""
    rows = max(1, BLOCK // max(1, len(z) * z.shape[1]))
    parts = [_mixtures(log_q(z[i : i + rows]).double(), i) for i in range(0, len(z), rows)]
    return Aggregate(*(torch.cat(side) for side in zip(*parts, strict=True)))


def aggregate_dims(z: Tensor, mean: Tensor, log_var: Tensor) -> Aggregate:
    """log q̂(z_nd) of Gaussians N(μ_nd, σ_nd²) for each dimension by itself."""
    columns = []
    for d in range(z.shape[1]):
        m, v = mean[:, d].double(), log_var[:, d].double()

        def log_q(block: Tensor, m: Tensor = m, v: Tensor = v) -> Tensor:
            return -0.5 * ((block - m).square() * (-v).exp() + v + log(2 * pi))

        columns.append(aggregate(z[:, d : d + 1].double(), log_q))
    return Aggregate(*(torch.stack(side, 1) for side in zip(*columns, strict=True)))


def surgery(
    log_px: Tensor,
    log_pz: Tensor,
    log_qz: Tensor,
    joint: Aggregate | None = None,
    dims: Aggregate | None = None,
    dealt: Tensor | None = None,
    protocol: Mapping[str, object] | None = None,
) -> list[Number]:
    """The parts of the ELBO as numbers, from densities of one draw for each example, all (N,); `joint`: of z, `dims`:
    of its dimensions; `dealt`: log q(z) − Σ_d log q(z_d) of codes whose dimensions were dealt anew.

    Without `joint` the rate stays whole; without `dims`, as where p(z) does not factorise, the marginal KL.
    """
    n = len(log_px)
    if n < 2:
        raise BestiaryError("ELBO surgery needs at least two examples: the aggregated posterior is a mixture over them")
    full_protocol = {**(protocol or {}), "n": n, "k": 1, "interval": "95%, Student, over examples"}
    numbers = [
        _part("distortion", "reconstruction loss, −E log p(x|z)", -log_px, _DISTORTION, full_protocol),
        _part("rate", "rate, E KL(q(z|x)‖p(z))", log_qz - log_pz, _RATE, full_protocol),
    ]
    if joint is None:
        return numbers
    full_protocol |= {"q(z)": f"mixture over {n}", "interval": f"{full_protocol['interval']}, of both mixtures"}
    most = Reference(log(n), says="ln N: codes of N examples cannot say more")
    full = _FULL if log(n) - float((log_qz - joint.whole).mean()) < 1 else ""
    information, marginal = (
        _part("mutual_information", "mutual information of x and z", log_qz - joint.whole, _INFORMATION,
              full_protocol, high=log_qz - joint.others),
        _part("marginal_kl", "marginal KL, KL(q(z)‖p(z)), at most", joint.whole - log_pz, _MARGINAL + full,
              full_protocol, low=joint.others - log_pz),
    )  # fmt: skip
    numbers += [replace(information, ceiling=most), marginal]
    if dims is None:
        return numbers
    whole, others = dims.whole.sum(1), dims.others.sum(1)
    mixed = None if dealt is None else Reference(*student_interval(dealt), says=_SHUFFLED)
    correlation, single = (
        _part("total_correlation", "total correlation of q(z)", joint.whole - whole, _CORRELATION, full_protocol,
              low=joint.others - whole, high=joint.whole - others),
        _part("dimension_kl", "KL of single dimensions, Σ_d KL(q(z_d)‖p(z_d)), at most", whole - log_pz, _DIMENSIONS,
              full_protocol, low=others - log_pz),
    )  # fmt: skip
    return [*numbers, replace(correlation, floor=mixed), single]


def _part(
    name: str, title: str, values: Tensor, says: str, protocol: Mapping[str, object], low: Tensor | None = None,
    high: Tensor | None = None,
) -> Number:  # fmt: skip
    """The mean of values (N,) as a number; `low`, `high`: values whose means bound the truth, for its ends."""
    mean, least, most = student_interval(values)
    if low is not None:  # a divergence is not negative; nor is the value outside of its interval
        least = min(mean, max(0.0, student_interval(low)[1] or 0.0))
    if high is not None:
        most = max(most or mean, student_interval(high)[2] or mean)
    return Number(name, title, mean, least, most, "nats", protocol=protocol, says=says, detail=name in DETAILS)


DETAILS = ("marginal_kl", "total_correlation", "dimension_kl")  # what the mutual information leaves of the rate

_DISTORTION = "What the code loses of x. Reconstruction loss + rate = −ELBO."
_RATE = "What the code of an example costs: mutual information + marginal KL."
_INFORMATION = "How much z says about the x that it encodes, at least. Near 0 the codes are useless."
_MARGINAL = (
    "How far the codes of all data are from the prior, at most; its interval goes down to what is certain. A better"
    " prior can save at most this."
)
_FULL = " The mutual information is at its ceiling: more examples would move some of this into it."
_SHUFFLED = "the same codes, each dimension shuffled over the examples"
_CORRELATION = "How much the dimensions of z depend on each other. Independent ones have the floor."
_DIMENSIONS = "How far each dimension of z, by itself, is from the prior, summed over dimensions, at most."
