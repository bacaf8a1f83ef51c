"""Likelihoods sum or integrate to 1, their draws follow them, and neither precision nor extremes break them."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chi2
from torch import Tensor
from torch.distributions import Normal

from bestiary.data.spec import Field, pictures, rows
from bestiary.data.support import Category, Column
from bestiary.densities.density_names import LIKELIHOODS
from bestiary.densities.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian, Mixed
from bestiary.errors import BestiaryError
from bestiary.grammar.part_calls import build_part

BITS = pictures((1, 2, 3), 2).x
GREY = pictures((1, 2, 2), 17).x
COLOUR = pictures((3, 4, 4), 256).x
VECTOR = rows(2).x
TABLE = rows([Column("a"), Column("b", Category(("x", "y", "z"))), Column("c"), Column("d", Category(("only",)))]).x
THREE = pictures((2, 1, 2), 3).x
KINDS = {
    "bernoulli": BITS, "gaussian": VECTOR, "logistic": COLOUR, "mixed": TABLE, "categorical": THREE, "pixelcnn": BITS,
}  # fmt: skip
N = 20_000


def context(field: Field, per: int, b: int = 2, scale: float = 1.0, seed: int = 0) -> Tensor:
    """What a decoder might give."""
    shape = (b, per * field.shape[0], *field.shape[1:])
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fits(counts: Tensor, probabilities: Tensor) -> bool:
    """Pearson's χ² at 1 in 100,000, cells of fewer than 5 expected counts taken together."""
    expected = probabilities.double() * counts.sum()
    big = expected >= 5
    o = torch.cat([counts[big].double(), counts[~big].sum().double()[None]])
    e = torch.cat([expected[big], expected[~big].sum()[None]])
    o, e = (o[:-1], e[:-1]) if e[-1] < 1e-3 else (o, e)
    return bool(((o - e).square() / e).sum() < chi2.isf(1e-5, len(e) - 1))


@pytest.mark.parametrize("scale", [0.1, 1, 30])
def test_bernoulli_sums_to_one(scale: float) -> None:
    p = Bernoulli(BITS)(context(BITS, 1, scale=scale))
    every = torch.tensor(list(product((0.0, 1.0), repeat=6))).view(-1, 1, 1, 2, 3)  # (64, 1, C, H, W)
    total = torch.stack([p.log_prob(x) for x in every]).exp().sum(0)  # one picture for both rows
    torch.testing.assert_close(total, torch.ones(2), atol=1e-5, rtol=0)


def test_bernoulli_draws_have_its_probabilities() -> None:
    torch.manual_seed(0)
    p = Bernoulli(BITS)(context(BITS, 1, b=1).expand(N, -1, -1, -1))
    x = p.sample()
    assert set(x.unique().tolist()) == {0, 1}
    spread = (p.mean[0] * (1 - p.mean[0]) / N).sqrt()
    assert ((x.mean(0) - p.mean[0]).abs() < 4.5 * spread).all()


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_logistic_sums_to_one_over_its_levels(levels: int) -> None:
    """For means inside, at and far outside the support, and for every scale, from where it is cut to beyond any use.

    The formula is exact in float64. In fp32 each logarithm carries the error of (x − μ)/s: a few 2⁻²⁴·(1 + |μ|)/s.
    """
    means = torch.tensor([-300, -3, -1, -0.7, -1 / 3, 0, 0.123, 0.5, 1, 1.001, 2, 30])
    scales = torch.tensor([-40, -5, -4.9, -2, 0, 1, 2, 4, 8, 15, 60, 200])
    h = torch.cartesian_prod(means, scales).view(-1, 2, 1, 1)
    field = pictures((1, 1, 1), levels).x
    p = DiscretisedLogistic(field)(h)
    x = (torch.arange(levels) / (levels - 1)).view(-1, 1, 1, 1, 1)
    total = torch.stack([p.log_prob(level) for level in x]).double().exp().sum(0)
    error = 8 * 2**-24 * (1 + p.mu.abs()) * (-p.log_scale).exp() + 1e-5
    assert ((total - 1).abs() < error.flatten()).all()
    p.mu, p.log_scale = p.mu.double(), p.log_scale.double()
    x = (torch.arange(levels).double() / (levels - 1)).view(-1, 1, 1, 1, 1)
    exact = torch.stack([p.log_prob(level) for level in x]).exp().sum(0)
    torch.testing.assert_close(exact, torch.ones_like(exact), atol=1e-10, rtol=0)


def test_logistic_is_the_difference_of_two_distribution_functions() -> None:
    """In float64 and where nothing is extreme, the formula of the paper itself."""
    mu, log_s, levels = torch.rand(50, 1, 1, 1).double(), -3 * torch.rand(50, 1, 1, 1).double(), 9
    p = DiscretisedLogistic(pictures((1, 1, 1), levels).x)(torch.zeros(50, 2, 1, 1))
    p.mu, p.log_scale, d = mu, log_s, 1 / (levels - 1)
    for i in range(levels):
        upper = ((i + 0.5) * d - mu) / log_s.exp() if i < levels - 1 else torch.full_like(mu, torch.inf)
        lower = ((i - 0.5) * d - mu) / log_s.exp() if i else torch.full_like(mu, -torch.inf)
        wanted = (upper.sigmoid() - lower.sigmoid()).log().flatten()
        torch.testing.assert_close(p.log_prob(torch.full((50, 1, 1, 1), i * d).double()), wanted)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_logistic_and_its_gradient_are_finite_everywhere(levels: int) -> None:
    values = torch.tensor([-1e4, -300, -3, -1, 0, 0.3, 1, 3, 300, 1e4])
    scales = torch.tensor([-1e4, -100, -7, -5, -1, 0, 3, 10, 50, 90, 105, 300, 1e4])
    h = torch.cartesian_prod(values, scales).view(-1, 2, 1, 1).requires_grad_()
    for level in {0, 1, levels // 2, levels - 1}:
        log_p = DiscretisedLogistic(pictures((1, 1, 1), levels).x)(h).log_prob(
            torch.full((len(h), 1, 1, 1), level / (levels - 1))
        )
        (grad,) = torch.autograd.grad(log_p.sum(), h)
        assert log_p.isfinite().all()
        assert (log_p <= 0).all()
        assert grad.isfinite().all()


def test_logistic_far_from_the_data_still_points_back() -> None:
    """Where F(a) − F(b) underflows in fp32 the product form still has slope ±1/s in μ."""
    h = torch.tensor([[[[40.0]], [[-5.0]]], [[[-40.0]], [[-5.0]]]]).requires_grad_()
    DiscretisedLogistic(pictures((1, 1, 1), 256).x)(h).log_prob(torch.full((2, 1, 1, 1), 0.2)).sum().backward()
    slope = 0.5 * torch.tensor(7.0).exp()  # ∂μ/∂h = ½
    torch.testing.assert_close(h.grad[:, 0].flatten(), torch.tensor([-slope, slope]), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("mean", "log_scale"), [(0.2, 1.0), (-0.9, 0.0), (0.5, -1.5), (3.0, 2.0)])
def test_logistic_draws_fall_on_levels_with_their_probabilities(mean: float, log_scale: float) -> None:
    torch.manual_seed(1)
    levels = 17
    p = DiscretisedLogistic(pictures((1, 1, 1), levels).x)(
        torch.tensor([mean, log_scale]).view(1, 2, 1, 1).expand(N, -1, -1, -1)
    )
    x = p.sample().flatten() * (levels - 1)
    assert torch.equal(x, x.round())
    support = (torch.arange(levels) / (levels - 1)).view(-1, 1, 1, 1)
    probabilities = torch.stack([p.log_prob(level)[0] for level in support]).exp()
    assert fits(x.long().bincount(minlength=levels), probabilities)
    exact = float((probabilities * support.flatten()).sum())
    assert abs(float(p.mean[0]) - exact) < 0.5 / (levels - 1)


def test_logistic_mean_lies_in_the_support_and_is_mu_well_inside() -> None:
    h = torch.cartesian_prod(torch.tensor([-1e6, -2, 0.0, 1, 1e6]), torch.tensor([-50, -5, 0, 3, 9.0]))
    p = DiscretisedLogistic(pictures((1, 1, 1), 256).x)(h.view(-1, 2, 1, 1))
    assert (p.mean >= 0).all()
    assert (p.mean <= 1).all()
    sharp = DiscretisedLogistic(pictures((1, 1, 1), 256).x)(torch.tensor([-0.4, -9]).view(1, 2, 1, 1))
    torch.testing.assert_close(sharp.mean, torch.full((1, 1, 1, 1), 0.3))


def test_gaussian_integrates_to_one_and_is_pytorchs() -> None:
    family = Gaussian(VECTOR).double().requires_grad_(False)
    family.log_var.fill_(-0.7)
    p = family(torch.tensor([[0.3, -1.0]]))
    grid = torch.arange(-6, 6, 0.1, dtype=torch.float64)
    x = torch.cartesian_prod(grid + 0.3, grid - 1.0)
    assert float(p.log_prob(x).exp().sum()) * 0.1**2 == pytest.approx(1, abs=1e-9)
    wanted = Normal(p.mean.double(), torch.tensor(-0.35).double().exp()).log_prob(x).sum(1)
    torch.testing.assert_close(p.log_prob(x), wanted)


def test_gaussian_draws_have_its_moments() -> None:
    torch.manual_seed(2)
    family = Gaussian(VECTOR).requires_grad_(False)
    family.log_var.fill_(1.5)
    x, var = family(torch.tensor([[0.3, -1.0]]).expand(N, -1)).sample(), torch.tensor(1.5).exp()
    assert ((x.mean(0) - torch.tensor([0.3, -1.0])).abs() < 4.5 * (var / N).sqrt()).all()
    assert ((x.var(0) - var).abs() < 4.5 * var * (2 / N) ** 0.5).all()


def mixed() -> Mixed:
    family = Mixed(TABLE).requires_grad_(False)
    family.log_var.copy_(torch.tensor([-0.5, 9, 0.4, 9]))  # those of categories take no part
    return family


def test_mixed_integrates_over_numbers_and_sums_over_categories() -> None:
    p = mixed()(context(TABLE, 1, b=1))
    grid = torch.arange(-8, 8, 0.125)
    a, c, which = torch.cartesian_prod(grid + p.mean[0, 0], grid + p.mean[0, 4], torch.arange(3.0)).T
    x = torch.cat([a[:, None], F.one_hot(which.long(), 3), c[:, None], torch.ones(len(a), 1)], 1)
    assert float(p.log_prob(x).double().exp().sum()) * 0.125**2 == pytest.approx(1, abs=1e-5)


def test_mixed_draws_follow_it() -> None:
    torch.manual_seed(3)
    h = context(TABLE, 1, b=1)
    p = mixed()(h.expand(N, -1))
    x = p.sample()
    assert fits(x[:, 1:4].sum(0).long(), h[0, 1:4].softmax(0))
    assert torch.equal(x[:, 1:4].sum(1), torch.ones(N))
    assert torch.equal(x[:, 5], torch.ones(N))
    for column, log_var in ((0, -0.5), (4, 0.4)):
        var = torch.tensor(log_var).exp()
        assert abs(x[:, column].mean() - h[0, column]) < 4.5 * (var / N).sqrt()
        assert abs(x[:, column].var() - var) < 4.5 * var * (2 / N) ** 0.5
    torch.testing.assert_close(p.mean[:1, 1:4], h[:, 1:4].softmax(1))


def test_mixed_without_categories_is_gaussian_with_a_variance_for_each_column() -> None:
    field = rows((Column("a"), Column("b"))).x
    x, h = torch.randn(5, 2), torch.randn(5, 2)
    torch.testing.assert_close(Mixed(field)(h).log_prob(x), Gaussian(VECTOR)(h).log_prob(x))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_is_fp32_whatever_the_network_computed_in(name: str) -> None:
    """From bf16 context, under autocast, log p is that of the same numbers in fp32, one for each example."""
    field, family = KINDS[name], LIKELIHOODS[name](KINDS[name])
    h, b = context(field, family.decoder_outputs).bfloat16(), 2
    x = family(h.float()).sample()
    assert x.shape == (b, *field.shape)
    with torch.autocast("cpu", torch.bfloat16):
        p = family(h)
        log_p = p.log_prob(x)
    assert log_p.dtype == p.sample().dtype == torch.float32
    assert log_p.shape == (b,)
    if family.autoregressive:  # its own network runs in bf16
        return torch.testing.assert_close(log_p, family(h.float()).log_prob(x), atol=0.1, rtol=0.05)
    assert p.mean.dtype == torch.float32
    assert p.mean.shape == x.shape
    torch.testing.assert_close(log_p, family(h.float()).log_prob(x))


def test_several_draws_of_bernoulli_pixels_are_fp32_under_autocast() -> None:
    x, h = torch.rand(4, 1, 28, 28).round(), 3 * torch.randn(3 * 4, 1, 28, 28)  # K = 3
    p = Bernoulli(pictures((1, 28, 28), 2).x)(h)
    with torch.autocast("cpu", torch.bfloat16):
        log_p = p.log_prob(x)
    torch.testing.assert_close(log_p, p.log_prob(x))


def test_a_column_that_the_code_can_carry_has_a_bounded_density() -> None:
    family = LIKELIHOODS["mixed"](TABLE)
    with torch.no_grad():
        family.log_var.fill_(-50.0)
    h = torch.zeros(1, *TABLE.shape)
    assert family(h).log_prob(h).item() < 5 * len(TABLE.columns)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_each_example_has_its_own_log_prob(name: str) -> None:
    field, family = KINDS[name], LIKELIHOODS[name](KINDS[name])
    h = context(field, family.decoder_outputs, b=5)
    x = family(h).sample()
    alone = torch.cat([family(h[i : i + 1]).log_prob(x[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(family(h).log_prob(x), alone)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_what_is_learned_gets_a_gradient(name: str) -> None:
    field, family = KINDS[name], LIKELIHOODS[name](KINDS[name])
    h = context(field, family.decoder_outputs).requires_grad_()
    family(h).log_prob(family(h).sample().detach()).sum().backward()
    assert h.grad.isfinite().all()
    assert all(p.grad is not None for p in family.parameters())


@pytest.mark.parametrize(("name", "field", "instead"), [
    ("bernoulli", VECTOR, "gaussian"), ("bernoulli", TABLE, "mixed"), ("logistic", VECTOR, "gaussian"),
    ("logistic", TABLE, "mixed"), ("mixed", VECTOR, "gaussian"), ("mixed", GREY, "bernoulli"),
    ("gaussian", TABLE, "mixed"), ("categorical", VECTOR, "gaussian"), ("pixelcnn", TABLE, "mixed"),
])  # fmt: skip
def test_data_of_another_kind_is_refused_with_a_likelihood_that_fits(name: str, field: Field, instead: str) -> None:
    with pytest.raises(BestiaryError, match=f"use likelihood={instead}$"):
        LIKELIHOODS[name](field)
    LIKELIHOODS[instead](field)


def test_which_are_probabilities() -> None:
    """Only where log_prob is that of a probability do nats turn into bits per dimension."""
    probabilities = {"bernoulli", "logistic", "categorical", "pixelcnn"}
    assert {name for name, family in LIKELIHOODS.items() if family.discrete} == probabilities


def every(field: Field) -> Tensor:
    """Every image there is, (L^CHW, C, H, W)."""
    levels = [i / (field.levels - 1) for i in range(field.levels)]
    return torch.tensor(list(product(levels, repeat=field.dimensions))).view(-1, *field.shape)


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("categorical", {}, THREE),
        ("logistic", {"mixtures": 3}, THREE),
        ("logistic", {"mixtures": 2}, pictures((3, 1, 1), 5).x),
        ("pixelcnn", {"layers": 2}, BITS),
        ("pixelcnn", {"head": "categorical"}, THREE),
        ("pixelcnn", {"head": "logistic", "kernel": 1}, pictures((3, 1, 2), 3).x),
    ],
)
def test_over_every_image_it_sums_to_one_and_draws_follow_it(name: str, options: dict, field: Field) -> None:
    torch.manual_seed(4)
    family = LIKELIHOODS[name](field, **options)
    h, x = context(field, family.decoder_outputs, b=1), every(field)
    with torch.no_grad():
        p = family(h.expand(len(x), *h.shape[1:])).log_prob(x).double().exp()
        torch.testing.assert_close(p.sum(), torch.ones((), dtype=torch.float64), atol=1e-5, rtol=0)
        drawn = family(h.expand(N, *h.shape[1:])).sample()
    place = (drawn * (field.levels - 1)).round().long().flatten(1)
    code = (place * field.levels ** torch.arange(field.dimensions).flip(0)).sum(1)
    assert fits(torch.bincount(code, minlength=len(x)), p)
    if not family.autoregressive:
        mean = family(h).mean[0]
        if name == "categorical":
            torch.testing.assert_close(mean, torch.einsum("n,nchw->chw", p.float(), x), atol=1e-4, rtol=0)
        assert ((drawn.mean(0) - mean).abs() < 0.5 / (field.levels - 1)).all()  # E x to within half a level


def test_channels_of_a_mixture_depend_on_those_before() -> None:
    field = pictures((3, 1, 1), 5).x
    family = LIKELIHOODS["logistic"](field, mixtures=2)
    h, x = (
        context(field, family.decoder_outputs, b=1),
        torch.tensor([0.5, 0.25, 0.75]).view(1, 3, 1, 1).requires_grad_(),
    )
    p = family(h)
    for c in range(3):
        mu = p._channel(c, list(x.unbind(1))[:c]).mu.sum() + 0 * x.sum()
        (slope,) = torch.autograd.grad(mu, x)
        seen = slope.view(3)
        assert torch.equal(seen != 0, torch.arange(3) < c)


@pytest.mark.parametrize("sigma", ["pixel", 0.3])
def test_a_gaussians_deviation_is_the_decoders_or_fixed(sigma: float | str) -> None:
    family = Gaussian(VECTOR, sigma=sigma)
    h, x = context(VECTOR, family.decoder_outputs), torch.randn(2, 2)
    mean, deviation = (h[:, :2], (0.5 * h[:, 2:]).exp()) if sigma == "pixel" else (h, torch.tensor(0.3))
    torch.testing.assert_close(family(h).log_prob(x), Normal(mean, deviation).log_prob(x).sum(1))
    assert not list(family.parameters())
    with pytest.raises(BestiaryError, match="sigma=0"):
        build_part("likelihood", "gaussian(0)", LIKELIHOODS, VECTOR)


@pytest.mark.parametrize(
    ("name", "field", "bad", "says"),
    [
        ("bernoulli", BITS, 0.5, "binarise=dynamic"),
        ("bernoulli", BITS, -0.42, "-0.42"),
        ("logistic", GREY, 255.0, "give images as uint8"),
        ("logistic", GREY, 0.51, "17 levels"),
        ("categorical", THREE, -1.0, "3 levels"),
        ("gaussian", VECTOR, float("nan"), "NaN"),
        ("pixelcnn", BITS, 0.3, "needs x in"),
        ("mixed", TABLE, float("inf"), "infinite"),
    ],
)
def test_data_outside_the_support_is_told_before_training(name: str, field: Field, bad: float, says: str) -> None:
    family = LIKELIHOODS[name](field)
    family.check(torch.zeros(3, *field.shape))
    with pytest.raises(BestiaryError, match=says):
        family.check(torch.full((3, *field.shape), bad))


def test_cached_draws_of_a_pixelcnn_are_those_of_the_whole_network() -> None:
    field = pictures((1, 5, 6), 2).x
    torch.manual_seed(5)
    family = LIKELIHOODS["pixelcnn"](field, layers=3, width=8)
    p = family(context(field, family.decoder_outputs, b=4))
    torch.manual_seed(6)
    cached = p.sample()
    torch.manual_seed(6)
    assert torch.equal(cached, p.sample_naive())
    assert set(cached.unique().tolist()) == {0.0, 1.0}
    assert family.reach == 4
    with pytest.raises(BestiaryError, match="no mean"):
        _ = p.mean
    with pytest.raises(BestiaryError, match="kernel must be odd"):
        LIKELIHOODS["pixelcnn"](field, kernel=2)


def test_repeating_x_is_the_same_as_copying_it() -> None:
    """K·B rows of logits for B rows of x, k after k; nats and gradients, also where logits are large."""
    field = pictures((2, 4, 4), 2).x
    h = context(field, 1, b=15, scale=6.0).requires_grad_()
    x = (torch.rand(5, 2, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    repeated, copied = Bernoulli(field)(h).log_prob(x), Bernoulli(field)(h).log_prob(x.repeat(3, 1, 1, 1))
    torch.testing.assert_close(repeated, copied, atol=1e-4, rtol=1e-6)
    slopes = [torch.autograd.grad(p.sum(), h, retain_graph=True)[0] for p in (repeated, copied)]
    torch.testing.assert_close(*slopes, atol=1e-6, rtol=1e-5)
