"""What a judge finds inside a model that has codes: ELBO surgery, active units, linear probe, compression.

Legend: N examples, D latent, M of N in a block.
"""

import torch
from torch import Tensor

from bestiary.densities.normal import DiagonalNormal, closed_kl
from bestiary.measures.bound import normal_interval
from bestiary.measures.codes import active_units, bits, probe, quantised
from bestiary.measures.number import Number
from bestiary.measures.surgery import aggregate, aggregate_dims, surgery
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
    run: Fitted, x: Tensor, seed: int, protocol: dict[str, object]
) -> tuple[list[Number], dict[str, Tensor], list[str]]:
    """Surgery and active units of examples x as observed; evidence: what each dimension carries, (D,); notes."""
    model, x = run.model, x[:MOST].to(run.device)
    with torch.no_grad(), seeded(mix(seed, "surgery"), run.device):
        q, p = model.infer(x), model.prior()
        z = q.rsample((1,))
        log_qz, log_pz = q.log_prob(z)[0].cpu().double(), p.log_prob(z)[0].cpu().double()
        # in the units of the file, like the bound: for columns that were standardised p(raw|z) = p(x|z) / Π scale
        log_px = _log_px(run, x, z) - run.spec.log_scale
        kl, means, z = closed_kl(q, p), q.mean.cpu(), z[0].cpu()
        log_all = log_dims = dealt = None
        paired = getattr(q, "components", None) is q  # log q(z|x) is at hand for any z
        if paired:
            log_all = aggregate(z, lambda block: q.log_prob(block[:, None].to(run.device)).cpu())
            if isinstance(p, DiagonalNormal):  # p(z) = Π_d p(z_d)
                log_var = q.variance.log().cpu()
                log_dims = aggregate_dims(z, means, log_var)
                if isinstance(q, DiagonalNormal):
                    dealt = _dealt(z, means, log_var, log_dims, seed)
    numbers = surgery(log_px, log_pz, log_qz, log_all, log_dims, dealt, protocol)
    at = "posterior means" if paired else "the flow at the mean of its base"
    found = {"code_variance": means.double().var(0).float()}
    found |= {} if kl is None else {"kl_dims": kl.mean(0).cpu().float()}
    return [*numbers, active_units(means, {**protocol, "codes": at}, seed)], found, [] if paired else [PAIRLESS]


def _dealt(z: Tensor, mean: Tensor, log_var: Tensor, log_dims: Tensor, seed: int) -> Tensor:
    """log q(z) − Σ_d log q(z_d), (N,), of codes in which each dimension comes from another example."""
    generator = torch.Generator().manual_seed(mix(seed, "dealt") % 2**63)
    order = torch.stack([torch.randperm(len(z), generator=generator) for _ in range(z.shape[1])], 1)
    z, mean, log_var, log_dims = (t.gather(0, order) for t in (z, mean, log_var, log_dims))
    q = DiagonalNormal(mean, log_var)
    return aggregate(z, lambda block: q.log_prob(block[:, None])) - log_dims.sum(1)


def _log_px(run: Fitted, x: Tensor, z: Tensor) -> Tensor:
    """log p(x|z) in nats for x (N, …) and z (1, N, D), some at a time: (N,)."""
    pairs = zip(x.split(TOGETHER), z.split(TOGETHER, 1), strict=True)
    return torch.cat([run.model.log_px(a, b)[0].cpu().double() for a, b in pairs])


def reading(
    run: Fitted,
    judged: tuple[Tensor, Tensor | None],
    train: tuple[Tensor, Tensor | None],
    seed: int,
    protocol: dict[str, object],
) -> list[Number]:
    """A linear probe where there are labels; what a code costs and loses where there is no bound."""
    numbers, (x, y), (x_train, y_train) = [], judged, train
    codes = run.encode(run.observe(x, seed))
    if "bound" not in run.model.abilities and len(x) > 1:
        numbers += _compression(run, run.observe(x, seed), codes, protocol)
    if y is not None and y_train is not None and y.dtype == torch.int64:
        x_train, y_train = x_train[:PROBED], y_train[:PROBED]
        if len(y_train.unique()) > 1:
            raw = (x_train, x) if run.spec.dimensions <= WIDEST else None
            learned = run.encode(run.observe(x_train, seed))
            said = {**protocol, "codes": "posterior means"}
            numbers.append(probe((learned, y_train), (codes, y), raw, said))
    return numbers


def _compression(run: Fitted, x: Tensor, codes: Tensor, protocol: dict[str, object]) -> list[Number]:
    """An autoencoder's point on the rate–distortion plane."""
    said = {**protocol, "n": len(x), "interval": "95%, normal, over examples"}
    numbers = [bits(codes, protocol)]
    whole = "What the code loses of x, in nats."
    rounded = "The same when the code is rounded to the bits above."
    for name, title, z, says in (
        ("distortion", "reconstruction loss −E log p(x|z)", codes, whole),
        ("distortion_quantised", "reconstruction loss of the quantised code", quantised(codes), rounded),
    ):
        with torch.no_grad():
            lost = run.spec.log_scale - _log_px(run, x.to(run.device), z[None].to(run.device))
        numbers.append(Number(name, title, *normal_interval(lost), "nats", "lower", protocol=said, says=says))
    return numbers
