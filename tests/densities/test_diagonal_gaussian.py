"""The diagonal Gaussian: its density integrates to 1, its draws have its moments, its divergence is that of draws."""

from dataclasses import replace
from math import prod

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from bestiary.data.spec import label, rows
from bestiary.densities.density_names import POSTERIORS, PRIORS
from bestiary.densities.diagonal_gaussian import CLOSED_KL, DiagonalNormal, StandardNormal, closed_kl
from bestiary.densities.posterior_and_prior import Diagonal, PriorSetting, Standard

PLACE = PriorSetting(rows(2), 3, infer=lambda x: DiagonalNormal(x[:, :1].expand(-1, 3), torch.zeros(len(x), 3)))
TOLD = replace(PLACE, condition=(label(("cat", "dog")),))
CASES = {  # μ, log σ² of q and of p, each (B=2, D=3)
    "far": ([[0.0, 1.0, -2.0], [3.0, 0.5, 0.0]], [[0.0, -1.0, 1.0], [0.5, -3.0, 2.0]]),
    "near": ([[0.1, 0.0, -0.1], [0.0, 0.2, 0.0]], [[0.0, 0.1, -0.1], [0.2, 0.0, -0.2]]),
}
N = 40_000


def pair(name: str) -> tuple[DiagonalNormal, DiagonalNormal]:
    mean, log_var = (torch.tensor(v, dtype=torch.float64) for v in CASES[name])
    return DiagonalNormal(mean, log_var), DiagonalNormal(log_var.flip(1), 0.5 * mean)


def theirs(d: DiagonalNormal) -> Normal:
    return Normal(d.mean, (0.5 * d.log_var).exp())


@pytest.mark.parametrize("name", CASES)
def test_closed_kl_is_pytorchs(name: str) -> None:
    q, p = pair(name)
    torch.testing.assert_close(closed_kl(q, p), kl_divergence(theirs(q), theirs(p)))
    torch.testing.assert_close(closed_kl(q, q), torch.zeros_like(q.mean), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_closed_kl_is_the_mean_of_draws_in_every_dimension(name: str) -> None:
    torch.manual_seed(0)
    q, p = pair(name)
    z = q.rsample((N,))
    each = theirs(q).log_prob(z) - theirs(p).log_prob(z)  # (N, B, D)
    error = each.std(0) / N**0.5
    assert ((closed_kl(q, p) - each.mean(0)).abs() < 4.5 * error).all()


def test_kl_broadcasts_over_the_batch_of_a_prior() -> None:
    q, _ = pair("far")
    assert closed_kl(q, Standard(PLACE)()).shape == (2, 3)


@pytest.mark.parametrize("name", CASES)
def test_kl_from_the_standard_normal_is_that_from_a_gaussian_of_zeros(name: str) -> None:
    """Values, and gradients through the deviation that the draw has used too."""
    mean, log_var = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in CASES[name])
    zero = torch.zeros(1, 3, dtype=torch.float64)
    q = DiagonalNormal(mean, log_var)
    z = q.rsample((2,)).sum()
    kls = [closed_kl(q, p) for p in (StandardNormal(zero), DiagonalNormal(zero, zero))]
    assert kls[0] is not None
    assert kls[1] is not None
    torch.testing.assert_close(*kls)
    slopes = [torch.autograd.grad(kl.sum() + z, (mean, log_var), retain_graph=True) for kl in kls]
    torch.testing.assert_close(*slopes)


def test_a_distribution_without_a_closed_form_has_none() -> None:
    q, _ = pair("far")
    assert closed_kl(q, Independent(theirs(q), 1)) is None
    assert (DiagonalNormal, DiagonalNormal) in CLOSED_KL


@pytest.mark.parametrize(("mean", "log_var"), [(0.3, 0.0), (-1.0, -4.0), (2.0, 3.0)])
def test_density_integrates_to_one(mean: float, log_var: float) -> None:
    """The midpoint rule in two dimensions, over eight standard deviations: its error is far below 1e-9."""
    d = DiagonalNormal(torch.tensor([[mean, -mean]]).double(), torch.tensor([[log_var, log_var / 2]]).double())
    axes, steps = [], []
    for m, lv in zip(d.mean[0], d.log_var[0], strict=True):
        sd = float((0.5 * lv).exp())
        axes.append(m + sd * torch.arange(-8, 8, 0.25, dtype=torch.float64))
        steps.append(0.25 * sd)
    z = torch.cartesian_prod(*axes).unsqueeze(1)  # (points, 1, 2)
    assert float(d.log_prob(z).exp().sum()) * prod(steps) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_log_prob_is_pytorchs_and_sums_over_the_last_dimension(name: str) -> None:
    q, p = pair(name)
    z = p.rsample((5, 4))
    assert z.shape == (5, 4, 2, 3)
    torch.testing.assert_close(q.log_prob(z), theirs(q).log_prob(z).sum(-1))


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_moments(name: str) -> None:
    torch.manual_seed(1)
    q, _ = pair(name)
    z, var = q.rsample((N,)), q.log_var.exp()
    assert ((z.mean(0) - q.mean).abs() < 4.5 * (var / N).sqrt()).all()
    assert ((z.var(0) - var).abs() < 4.5 * var * (2 / N) ** 0.5).all()
    cross = torch.corrcoef(z.flatten(1).T) - torch.eye(6)
    assert (cross.abs() < 4.5 / N**0.5).all()  # dimensions and examples are independent


def test_draws_carry_gradients_to_mean_and_variance() -> None:
    """z = μ + σε: ∂z/∂μ = 1, ∂z/∂log σ² = (z − μ)/2."""
    mean, log_var = torch.randn(4, 3).requires_grad_(), torch.randn(4, 3).requires_grad_()
    z = DiagonalNormal(mean, log_var).rsample((7,))
    z.sum().backward()
    torch.testing.assert_close(mean.grad, torch.full((4, 3), 7.0))
    torch.testing.assert_close(log_var.grad, ((z - mean) / 2).sum(0).detach())


def test_diagonal_is_linear_in_its_features_and_fp32_whatever_they_are() -> None:
    torch.manual_seed(2)
    head, features = Diagonal(5, 3), torch.randn(4, 5)
    q = head(features)
    both = head.head(features)
    torch.testing.assert_close(q.mean, both[:, :3])
    torch.testing.assert_close(q.log_var, both[:, 3:])
    with torch.autocast("cpu", torch.bfloat16):
        low = head(features.bfloat16())
    assert low.mean.dtype == low.log_var.dtype == low.rsample((2,)).dtype == torch.float32


def test_standard_is_the_standard_normal_and_saves_nothing() -> None:
    prior = Standard(PLACE)
    torch.testing.assert_close(prior().log_prob(torch.zeros(2, 3)), Normal(0, 1).log_prob(torch.zeros(2, 3)).sum(-1))
    assert prior().rsample((5,)).shape == (5, 1, 3)
    assert not prior.state_dict()


def test_every_posterior_and_prior_gives_a_distribution() -> None:
    """What the dictionaries offer answers to rsample, log_prob and mean with the shapes of the legend."""
    for posterior in POSTERIORS.values():
        q = posterior(5, 3)(torch.randn(4, 5))
        z = q.rsample((2,))
        assert z.shape == (2, 4, 3)
        assert q.log_prob(z).shape == (2, 4)
        for name, prior in PRIORS.items():
            p = prior(TOLD if name == "conditional" else PLACE)({"label": torch.ones(1, dtype=torch.int64)})
            assert p.log_prob(z).shape == (2, 4)
            assert p.rsample((6,)).reshape(6, -1).shape == (6, 3)


def test_a_conditional_prior_begins_as_the_standard_normal_and_has_a_gaussian_for_each_condition() -> None:
    prior, c = PRIORS["conditional"](TOLD), {"label": torch.tensor([0, 1, 1])}
    torch.manual_seed(3)
    assert prior(c).mean.abs().max() < 0.1
    assert prior(c).log_var.abs().max() < 0.1
    with torch.no_grad():
        for p in prior.parameters():
            p.add_(torch.randn_like(p))
    p = prior(c)
    assert (p.mean[1] == p.mean[2]).all()
    assert (p.mean[0] != p.mean[1]).all()
    with torch.no_grad():
        z = prior.codes(2 * N, {"label": torch.arange(2).repeat(N)}).view(N, 2, 3)
    p = prior({"label": torch.arange(2)})
    var = p.variance.detach()
    assert ((z.mean(0) - p.mean).abs() < 4.5 * (var / N).sqrt()).all()
    assert ((z.var(0) - var).abs() < 4.5 * var * (2 / N) ** 0.5).all()
