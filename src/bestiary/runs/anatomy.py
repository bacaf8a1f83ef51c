"""What a judge finds inside a model that has codes: ELBO surgery, active units, linear probe, compression.

Legend: N examples, D latent.
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

__all__ = ["anatomy", "reading"]

MOST = 2000  # examples in the mixture q(z): its cost grows with their square
PROBED = 5000  # training examples that a linear probe is fitted to


def anatomy(run: Fitted, x: Tensor, seed: int, protocol: dict[str, object]) -> tuple[list[Number], Tensor]:
    """Surgery and active units of examples x as observed; and the KL of each dimension, (D,)."""
    model, x = run.model, x[:MOST].to(run.device)
    with torch.no_grad(), seeded(mix(seed, "surgery"), run.device):
        q, p = model.infer(x), model.prior()
        z = q.rsample((1,))
        log_qz, log_pz = q.log_prob(z)[0].double().cpu(), p.log_prob(z)[0].double().cpu()
        log_px = torch.cat([model.log_px(a, b) for a, b in zip(x.split(256), z.split(256, 1), strict=True)], 1)
        kl, z = closed_kl(q, p), z[0].cpu()
    diagonal = isinstance(q, DiagonalNormal)
    means = q.mean.detach().cpu()
    numbers = [active_units(means, protocol, seed)]
    if diagonal:
        log_var = q.log_var.detach().cpu()
        whole = DiagonalNormal(means.double(), log_var.double())
        log_all = aggregate(z, lambda block: whole.log_prob(block[:, None].double()))
        dims = aggregate_dims(z, means, log_var)
        numbers = surgery(log_px[0].double().cpu(), log_pz, log_qz, log_all, dims, protocol) + numbers
    else:  # log q(z|x_n) of a z drawn for another x costs D passes a pair, or D² numbers
        said = {**protocol, "n": len(x), "k": 1, "interval": "95%, normal, over examples"}
        rows = (("distortion", "reconstruction loss −E log p(x|z)", -log_px[0]), ("rate", "rate E KL", log_qz - log_pz))
        numbers = [Number(n, t, *normal_interval(v), "nats", protocol=said) for n, t, v in rows] + numbers
    dims_kl = kl.mean(0).cpu() if kl is not None else means.double().var(0)
    return numbers, dims_kl.float()


def reading(
    run: Fitted,
    judged: tuple[Tensor, Tensor | None],
    train: tuple[Tensor, Tensor | None],
    seed: int,
    protocol: dict[str, object],
) -> list[Number]:
    """A linear probe where there are labels; what a code costs and loses where there is no bound."""
    numbers, (x, y), (x_train, y_train) = [], judged, (train[0][:PROBED], train[1])
    codes = run.encode(run.observe(x, seed))
    if "bound" not in run.model.abilities and len(x) > 1:
        numbers += _compression(run, run.observe(x, seed), codes, protocol)
    if y is not None and y_train is not None and len(y_train[:PROBED].unique()) > 1 and y.dtype == torch.int64:
        learned = run.encode(run.observe(x_train, seed))
        y_train = y_train[:PROBED]
        numbers.append(probe((learned, y_train), (codes, y), (x_train, x), {**protocol, "codes": "posterior means"}))
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
            lost = -run.model.log_px(x.to(run.device), z[None].to(run.device))[0].cpu()
        numbers.append(Number(name, title, *normal_interval(lost), "nats", "lower", protocol=said, says=says))
    return numbers
