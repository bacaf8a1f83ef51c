"""What a bound is made of, and which dimensions of a code are used: ELBO surgery (measures/surgery.py), active units.

Legend: N examples, D latent.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.densities.diagonal_gaussian import DiagonalNormal, closed_kl
from bestiary.densities.full_gaussian import FullNormal
from bestiary.judging.case import Case
from bestiary.judging.chapter import Findings
from bestiary.measures.code_numbers import active_units
from bestiary.measures.surgery import Aggregate, aggregate, aggregate_dims, surgery
from bestiary.models.model import Drawn
from bestiary.objectives.draw import Draw
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded

__all__ = ["PAIRLESS", "has_rows_of_codes", "latent"]

MOST = 2000  # examples in the mixture q(z): its cost grows with their square
TOGETHER = 64  # examples decoded at once

PAIRLESS = (
    "Mutual information and marginal KL are left out: they need log q(z|x) for every pair of examples, and with this"
    " posterior each pair costs as many passes as z has dimensions."
)


class Aggregates(NamedTuple):
    """log q(z) of each code, and what of it factorises; None where it cannot be told."""

    joint: Aggregate | None = None
    dims: Aggregate | None = None
    shuffled: Tensor | None = None  # log q(z) − Σ_d log q(z_d) of codes whose dimensions come from different examples


def has_rows_of_codes(case: Case) -> bool:
    """Whether codes are vectors, and there are several."""
    return isinstance(case.model, Drawn) and case.model.code.layout == "row" and len(case.examples) > 1


def latent(case: Case) -> Findings:
    """The parts of the bound and the active units; evidence: what each dimension carries, (D,)."""
    model, examples = case.model, case.look[:MOST].to(case.device)
    assert isinstance(model, Drawn)  # the chapter needs it
    with torch.no_grad(), seeded(derive_seed(case.seed, "surgery"), case.device):
        whole = model.look(examples)
        q, p, draws = whole.q, whole.p, [_densities(model.draw(part)) for part in examples.split(TOGETHER)]
        z, log_px, log_pz, log_qz = (torch.cat(part) for part in zip(*draws, strict=True))
        # in the units of the file, like the bound: for columns that were standardised p(raw|z) = p(x|z) / Π scale
        log_px, log_pz, log_qz = log_px.double() - case.spec.log_scale, log_pz.double(), log_qz.double()
        kl, means = closed_kl(q, p), q.mean.cpu()
        of_codes = _aggregates(q, p, z, case.seed)
    paired = of_codes.joint is not None
    numbers = surgery(log_px, log_pz, log_qz, of_codes.joint, of_codes.dims, of_codes.shuffled, case.protocol)
    codes = "posterior means" if paired else "the flow at the mean of its base"
    numbers.append(active_units(means, {**case.protocol, "codes": codes}, case.seed))
    evidence = {"code_variance": means.double().var(0).float()}
    evidence |= {} if kl is None else {"kl_dims": kl.mean(0).cpu().float()}
    return Findings(numbers, [] if paired else [PAIRLESS], evidence)


def _densities(draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z and its three densities, of one draw for each example."""
    return tuple(t[0].cpu() for t in (draw.z, draw.log_px, draw.log_pz, draw.log_qz))  # type: ignore[return-value]


def _aggregates(q: object, p: object, z: Tensor, seed: int) -> Aggregates:
    """Of posteriors whose log q(z|x) is at hand for any pair of z and x."""
    if not isinstance(q, DiagonalNormal | FullNormal):
        return Aggregates()
    device = q.mean.device
    joint = aggregate(z, lambda block: q.log_prob(block[:, None].to(device)).cpu())
    if not (isinstance(p, DiagonalNormal) and len(p.mean) == 1):  # p(z) = Π_d p(z_d)
        return Aggregates(joint)
    means, log_var = q.mean.cpu(), q.variance.log().cpu()
    dims = aggregate_dims(z, means, log_var)
    shuffled = _shuffled(z, means, log_var, dims.whole, seed) if isinstance(q, DiagonalNormal) else None
    return Aggregates(joint, dims, shuffled)


def _shuffled(z: Tensor, mean: Tensor, log_var: Tensor, log_qz_dims: Tensor, seed: int) -> Tensor:
    """log q(z) − Σ_d log q(z_d), (N,), of codes in which each dimension comes from another example."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "dealt") % 2**63)
    order = torch.stack([torch.randperm(len(z), generator=generator) for _ in range(z.shape[1])], 1)
    z, mean, log_var, log_qz_dims = (t.gather(0, order) for t in (z, mean, log_var, log_qz_dims))
    q = DiagonalNormal(mean, log_var)
    return aggregate(z, lambda block: q.log_prob(block[:, None])).whole - log_qz_dims.sum(1)
