"""The VAE beside its bound: what it observes, what it samples, what reaches its players."""

from copy import deepcopy
from math import log
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec, pictures, rows
from bestiary.data.support import Category, Column
from bestiary.densities.diagonal_gaussian import DiagonalNormal
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import Linear
from bestiary.models.model import Bounds, Coded, Drawn, Encodes, Samples, Shows
from bestiary.models.vae import VAE
from bestiary.models.zoo import build
from bestiary.training.clock import Clock
from bestiary.training.noise import batch_share

GREY = pictures((1, 8, 8), 17)
TABLE = rows((Column("a"), Column("b", Category(("x", "y", "z")))))
SPECS = {
    "grey": GREY,
    "binary": pictures((1, 8, 8), 2),
    "colour": pictures((3, 16, 9), 256),
    "tiny colour": pictures((3, 5, 4), 256),
    "vector": rows(3),
    "table": TABLE,
}


def clock(round: float = 0) -> Clock:
    return Clock(torch.tensor(float(round)), 10)


def small(spec: Spec, **options: object) -> VAE:
    torch.manual_seed(0)
    model = build("vae", spec, **{"latent": 2, "hidden": (16,), "width": 4, **options})
    assert isinstance(model, VAE)
    return model


def observed(model: VAE, n: int = 4) -> Batch:
    return model.observe(Batch(torch.rand(n, *model.spec.shape)))


@pytest.mark.parametrize("name", SPECS)
def test_every_kind_of_data_has_a_vae(name: str) -> None:
    """All that a model offers, in the data's shape; every weight of the one player gets a gradient."""
    spec, model = SPECS[name], small(SPECS[name])
    batch = observed(model)
    assert model.sample(5).shape == (5, *spec.shape)
    assert model.encode(batch).shape == (4, 2)
    assert model.show(torch.zeros(6, 2)).shape == (6, *spec.shape)
    assert model.bound(batch, 3).shape == (4,)
    assert model.bounds(batch, (1, 3)).shape == (2, 4)
    (player,) = model.players()
    terms, _ = player.loss(Batch(torch.rand(4, *spec.shape)), clock())
    assert all(term.shape == () for term in terms.values())
    terms["total"].backward()
    assert {id(p) for p in player.parameters} == {id(p) for p in model.parameters()}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in player.parameters)


@pytest.mark.parametrize("name", SPECS)
def test_samples_lie_in_the_support(name: str) -> None:
    x = small(SPECS[name]).sample(50)
    if SPECS[name].x.is_picture:
        assert x.min() >= 0
        assert x.max() <= 1
    if SPECS[name].x.columns:
        assert torch.equal(x[:, 1:].sort(1).values, torch.tensor([0.0, 0, 1]).expand(50, -1))


def test_dynamic_ink_has_the_probability_of_the_grey() -> None:
    torch.manual_seed(1)
    n, model = 20_000, small(GREY)
    grey = torch.rand(1, 1, 8, 8)
    grey[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    ink = model.observe(Batch(grey.expand(n, -1, -1, -1))).x
    assert set(ink.unique().tolist()) == {0, 1}
    assert ((ink.mean(0) - grey[0]).abs() <= 4.5 * (grey[0] * (1 - grey[0]) / n).sqrt()).all()


def test_threshold_cuts_at_a_half_and_none_changes_nothing() -> None:
    x = torch.tensor([0, 0.49, 0.5, 1]).expand(1, 1, 2, 4)
    spec = pictures((1, 2, 4), 17)
    cut = small(spec, binarise="threshold").observe(Batch(x))
    assert torch.equal(cut.x, torch.tensor([0.0, 0, 1, 1]).expand(1, 1, 2, 4))
    assert small(spec, likelihood="gaussian").observe(Batch(x)).x is x


def test_what_was_observed_stays_as_it_is() -> None:
    """observe ∘ observe = observe, also where the second would draw other pixels, and rows and pieces remember it."""
    model, batch = small(GREY), Batch(torch.rand(40, 1, 8, 8), {"label": torch.arange(40)})
    once = model.observe(batch)
    assert model.observe(once) is once
    assert once.beside == batch.beside
    torch.testing.assert_close(torch.cat([model.observe(piece).x for piece in once.split(7)]), once.x)
    assert not torch.equal(model.observe(batch).x, once.x)


def test_the_loss_averages_what_the_objective_gives_per_example() -> None:
    model = small(SPECS["vector"], beta=Linear(0, 1, 10))
    batch = Batch(torch.randn(6, 3))
    torch.manual_seed(2)
    terms, left = model.loss(batch, clock(5))
    torch.manual_seed(2)
    drawn = model.draw(batch, 1, clock(5))
    torch.testing.assert_close(left.z, drawn.z)  # what a part is told after the step
    torch.testing.assert_close(terms["total"], (-drawn.log_px[0] + 0.5 * drawn.kl).mean())


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_the_loss_of_two_processes_is_that_of_one(name: str, samples: int) -> None:
    """Each half of the batch with its slice of the noise, of binarisation and of z: their mean is the whole's loss."""
    model = small(SPECS[name], samples=samples)
    batch = torch.rand(8, *SPECS[name].shape)

    def loss(x: torch.Tensor, rank: int, world: int) -> torch.Tensor:
        torch.manual_seed(3)
        with batch_share(rank, world), torch.no_grad():
            return model.loss(Batch(x), clock())[0]["total"]

    halves = [loss(x, rank, 2) for rank, x in enumerate(batch.chunk(2))]
    torch.testing.assert_close(torch.stack(halves).mean(), loss(batch, 0, 1))


def test_log_px_pairs_each_x_with_its_own_draws() -> None:
    model = small(SPECS["vector"])
    x = torch.randn(4, 3)
    with torch.no_grad():
        drawn = model.draw(Batch(x), 5)
        one_by_one = [[model.px(drawn.z[k, b : b + 1]).log_prob(x[b : b + 1]) for b in range(4)] for k in range(5)]
    torch.testing.assert_close(drawn.log_px, torch.tensor(one_by_one))


def test_what_a_model_can_do_is_its_type() -> None:
    every = (Samples, Shows, Coded, Encodes, Drawn, Bounds)
    can = {
        "vae": {Samples, Shows, Coded, Encodes, Drawn, Bounds},
        "gan": {Samples, Shows, Coded},
        "ae": {Shows, Encodes},
    }
    for name, abilities in can.items():
        model = build(name, SPECS["vector"], latent=2, hidden=(4,))
        assert {ability for ability in every if isinstance(model, ability)} == abilities, name


@pytest.mark.parametrize("prior", ["vamp(5)", "aggregated(5)"])
def test_a_copys_prior_is_made_of_the_copys_codes(prior: str) -> None:
    model = small(SPECS["vector"], prior=prior)
    copy, before = deepcopy(model), model.prior().mean.detach()
    with torch.no_grad():
        for p in model.encoder.parameters():
            p.fill_(float("nan"))
    torch.testing.assert_close(copy.prior().mean.detach(), before)
    assert model.prior().mean.isnan().all()


@pytest.mark.parametrize(
    ("prior", "why"), [("standard", ""), ("aggregated(5)", ""), ("vamp(5)", "prior"), ("maf", "prior")]
)
def test_a_prior_that_is_trained_is_not_sharded(prior: str, why: str) -> None:
    assert why in small(SPECS["vector"], prior=prior).sharding_obstacle()
    assert bool(small(SPECS["vector"], prior=prior).sharding_obstacle()) == bool(why)


class Loose(nn.Linear):
    """q(z|x) of the user's own; `whole`: whether z is one event."""

    def __init__(self, whole: bool) -> None:
        super().__init__(16, 2)
        self.whole = whole

    def forward(self, features: torch.Tensor) -> Any:
        q = Normal(super().forward(features), 1.0)
        return Independent(q, 1) if self.whole else q


def test_a_posterior_of_torch_stands_for_a_whole_z_or_is_refused() -> None:
    model = small(SPECS["vector"], posterior=Loose(whole=True))
    assert model.bound(Batch(torch.randn(4, 3)), 2).shape == (4,)
    with pytest.raises(BestiaryError, match=r"posterior= must give .* log_prob of shape \(K, B\); .* \(1, 2, 2\)"):
        small(SPECS["vector"], posterior=Loose(whole=False))
    with pytest.raises(BestiaryError, match="do not fit"):
        small(SPECS["vector"], posterior=nn.Linear(16, 2))


@pytest.mark.parametrize(("options", "says"), [
    ({"objective": "elbo(beta=-1)"}, "beta=-1 .* at least 0"), ({"beta": Linear(0, -1, 5)}, "at least 0"),
    ({"objective": "capacity(gamma=-3)"}, "gamma"), ({"objective": "free_bits(-1)"}, "lam"),
    ({"objective": "dip(off=-5)"}, "off"), ({"objective": "free_bits(groups=3)"}, "without per=group"),
    ({"objective": "free_bits(per=dimension)", "posterior": "iaf"}, "per=total"),
    ({"objective": "free_bits(per=group,groups=3)"}, "cannot be split"),
    ({"objective": "dip", "posterior": "iaf"}, "posterior=diagonal"),
])  # fmt: skip
def test_objectives_that_make_no_sense_are_refused_when_the_model_is_built(options: dict, says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        small(SPECS["vector"], **options)


class Far(nn.Module):
    """p(z) = N(5, .01²)."""

    def forward(self) -> DiagonalNormal:
        return DiagonalNormal(torch.full((1, 2), 5.0), torch.full((1, 2), 2 * log(0.01)))


def test_samples_are_drawn_from_the_models_own_prior() -> None:
    model = build("vae", rows(2), latent=2, decoder=nn.Identity(), prior=Far(), likelihood="gaussian(sigma=0.01)")
    assert (model.sample(50) - 5).abs().max() < 0.2
