"""What a judge finds inside a model that has codes: ELBO surgery, active units, linear probe, compression.

Legend: N examples, D latent, M of N in a block.
"""

import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.densities.diagonal_gaussian import DiagonalNormal, closed_kl
from bestiary.densities.full_gaussian import FullNormal
from bestiary.measures.bound import normal_interval
from bestiary.measures.code_numbers import active_units, bits, probe, quantised
from bestiary.measures.number import Number
from bestiary.measures.surgery import aggregate, aggregate_dims, surgery
from bestiary.models.model import Drawn, Reconstructs
from bestiary.objectives.draw import Draw
from bestiary.runs.fitted import Fitted
from bestiary.training.clock import mix
from bestiary.training.device import seeded

__all__ = ["PAIRLESS", "anatomy", "reading"]

MOST = 2000  # examples in the mixture q(z): its cost grows with their square
PROBED = 2000  # training examples that a linear probe is fitted to
WIDEST = 4096  # numbers of x beyond which no probe of x itself is fitted for comparison: it would take minutes
TOGETHER = 64  # examples decoded at once

PAIRLESS = (
    "Mutual information and marginal KL are not told: they need log q(z|x) of a z drawn for another x, and for this"
    " posterior each such pair of examples costs as many passes as z has dimensions."
)


def anatomy(
    run: Fitted, look: Batch, seed: int, protocol: dict[str, object]
) -> tuple[list[Number], dict[str, Tensor], list[str]]:
    """Surgery and active units of examples as observed; evidence: what each dimension carries, (D,); notes."""
    model, look = run.model, look[:MOST].to(run.device)
    assert isinstance(model, Drawn)  # the caller has looked
    with torch.no_grad(), seeded(mix(seed, "surgery"), run.device):
        whole = model.look(look)
        q, p, drawn = whole.q, whole.p, [_densities(model.draw(part)) for part in look.split(TOGETHER)]
        z, log_px, log_pz, log_qz = (torch.cat(part) for part in zip(*drawn, strict=True))
        # in the units of the file, like the bound: for columns that were standardised p(raw|z) = p(x|z) / Π scale
        log_px, log_pz, log_qz = log_px.double() - run.spec.log_scale, log_pz.double(), log_qz.double()
        kl, means = closed_kl(q, p), q.mean.cpu()
        log_all = log_dims = dealt = None
        paired = isinstance(q, DiagonalNormal | FullNormal)  # log q(z|x) is at hand for any z
        if paired:
            log_all = aggregate(z, lambda block: q.log_prob(block[:, None].to(run.device)).cpu())
            if isinstance(p, DiagonalNormal) and len(p.mean) == 1:  # p(z) = Π_d p(z_d)
                log_var = q.variance.log().cpu()
                log_dims = aggregate_dims(z, means, log_var)
                if isinstance(q, DiagonalNormal):
                    dealt = _dealt(z, means, log_var, log_dims, seed)
    numbers = surgery(log_px, log_pz, log_qz, log_all, log_dims, dealt, protocol)
    at = "posterior means" if paired else "the flow at the mean of its base"
    found = {"code_variance": means.double().var(0).float()}
    found |= {} if kl is None else {"kl_dims": kl.mean(0).cpu().float()}
    return [*numbers, active_units(means, {**protocol, "codes": at}, seed)], found, [] if paired else [PAIRLESS]


def _densities(draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z and its three densities, of one draw for each example."""
    return tuple(t[0].cpu() for t in (draw.z, draw.log_px, draw.log_pz, draw.log_qz))  # type: ignore[return-value]


def _dealt(z: Tensor, mean: Tensor, log_var: Tensor, log_dims: Tensor, seed: int) -> Tensor:
    """log q(z) − Σ_d log q(z_d), (N,), of codes in which each dimension comes from another example."""
    generator = torch.Generator().manual_seed(mix(seed, "dealt") % 2**63)
    order = torch.stack([torch.randperm(len(z), generator=generator) for _ in range(z.shape[1])], 1)
    z, mean, log_var, log_dims = (t.gather(0, order) for t in (z, mean, log_var, log_dims))
    q = DiagonalNormal(mean, log_var)
    return aggregate(z, lambda block: q.log_prob(block[:, None])) - log_dims.sum(1)


def reading(run: Fitted, judged: Batch, train: Batch, seed: int, protocol: dict[str, object]) -> list[Number]:
    """A linear probe where there is a label; what a code costs and loses where there is no bound."""
    numbers, label = [], run.spec.label
    look = run.observe(judged, seed)
    codes = run.encode(look)
    if codes.is_floating_point() and isinstance(run.model, Reconstructs) and len(judged) > 1:
        numbers += _compression(run, look, codes, protocol)
    if label is not None and not label.optional and codes.is_floating_point():
        train, y = train[:PROBED], judged.beside[label.name]
        y_train = train.beside[label.name]
        if len(y_train.unique()) > 1:
            raw = (train.x, judged.x) if run.spec.dimensions <= WIDEST else None
            learned = run.encode(run.observe(train, seed))
            said = {**protocol, "codes": "posterior means"}
            numbers.append(probe((learned, y_train), (codes, y), raw, said))
    return numbers


def _compression(run: Fitted, look: Batch, codes: Tensor, protocol: dict[str, object]) -> list[Number]:
    """An autoencoder's point on the rate–distortion plane."""
    model = run.model
    assert isinstance(model, Reconstructs)  # the caller has looked
    said = {**protocol, "n": len(look), "interval": "95%, normal, over examples"}
    numbers = [bits(codes, protocol)]
    whole = "What the code loses of x, in nats."
    rounded = "The same when the code is rounded to the bits above."
    for name, title, z, says in (
        ("distortion", "reconstruction loss −E log p(x|z)", codes, whole),
        ("distortion_quantised", "reconstruction loss of the quantised code", quantised(codes), rounded),
    ):
        with torch.no_grad():
            parts = zip(look.split(TOGETHER), z.split(TOGETHER), strict=True)
            found = [model.distortion(part.to(run.device), code.to(run.device)).cpu().double() for part, code in parts]
        lost = run.spec.log_scale + torch.cat(found)
        numbers.append(Number(name, title, *normal_interval(lost), "nats", "lower", protocol=said, says=says))
    return numbers
