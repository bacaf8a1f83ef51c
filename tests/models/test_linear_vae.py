"""The VAE where all is known: bounds, gaps and gradients against the exact log p(x) of a linear-Gaussian model."""

from itertools import pairwise
from math import log

import pytest
import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.densities.diagonal_gaussian import DiagonalNormal
from bestiary.densities.posterior_and_prior import Posterior
from bestiary.errors import BestiaryError
from bestiary.models.vae import VAE
from bestiary.training.clock import Clock
from tests.models.linear_gaussian import CLOCK, best, data, log_p, posterior, truth


def within(estimates: Tensor, exact: Tensor | float, errors: float = 4.5) -> bool:
    """Whether the mean over dimension 0 lies so many standard errors from the exact value, everywhere.

    fp32 sums of a few hundred nats add a rounding of about 1e-5.
    """
    error = estimates.double().std(0) / len(estimates) ** 0.5
    return bool(((estimates.double().mean(0) - exact).abs() < errors * error + 1e-5).all())


def spoiled(model: VAE) -> VAE:
    """With a posterior that is wrong by a shift and a scale, so that every bound is loose."""
    with torch.no_grad():
        model.posterior.head.bias += torch.tensor([0.5, -0.3, 0.2, 0.7, -0.6, 0.4])
    return model


def test_with_the_exact_posterior_every_draw_gives_log_p() -> None:
    """log p(x|z) + log p(z) − log q(z|x) = log p(x) whatever z, so L_k = log p(x) for every k."""
    torch.manual_seed(0)
    w, b, log_var = truth()
    model, x = best(w, b, log_var), data(50, w, b, log_var)
    exact = log_p(x, w, b, log_var)
    drawn = model.draw(Batch(x), 7, CLOCK)
    torch.testing.assert_close(drawn.log_px + drawn.log_pz - drawn.log_qz, exact.expand(7, -1), rtol=0, atol=1e-4)
    for k in (1, 5):
        torch.testing.assert_close(model.bound(Batch(x), k), exact.double(), rtol=0, atol=1e-4)


def test_elbo_with_the_exact_posterior_is_log_p() -> None:
    """With the closed form of the KL the estimate has noise, and the right mean for every x."""
    torch.manual_seed(1)
    w, b, log_var = truth()
    model, x = best(w, b, log_var), data(20, w, b, log_var)
    drawn = model.draw(Batch(x), 4000, CLOCK)
    assert within(drawn.log_px - drawn.kl, log_p(x, w, b, log_var).double())


def test_the_mean_field_gap_is_known() -> None:
    """Columns that are not orthogonal: the best diagonal posterior loses ½ (Σ log P_dd − log |P|), for every x."""
    torch.manual_seed(2)
    w, b, log_var = truth(orthogonal=False)
    model, x = best(w, b, log_var), data(20, w, b, log_var)
    precision = posterior(w, b, log_var)[2]
    gap = 0.5 * (precision.diagonal().log().sum() - precision.logdet())
    assert gap > 0.3
    drawn = model.draw(Batch(x), 4000, CLOCK)
    assert within(drawn.log_px - drawn.kl, (log_p(x, w, b, log_var) - gap).double())


def gradients(model: VAE, x: Tensor, draws: int) -> dict[str, Tensor]:
    """So many independent estimates of the gradient of the loss, for each parameter: (draws, *shape)."""
    found: dict[str, list[Tensor]] = {name: [] for name, _ in model.named_parameters()}
    for _ in range(draws):
        total = model.loss(Batch(x), CLOCK)[0]["total"]
        for (name, _), g in zip(
            model.named_parameters(), torch.autograd.grad(total, list(model.parameters())), strict=True
        ):
            found[name].append(g)
    return {name: torch.stack(g) for name, g in found.items()}


def test_gradient_at_the_exact_posterior_is_that_of_log_p() -> None:
    """For W, b, σ by Fisher's identity; for the encoder it vanishes: its bound is tight."""
    torch.manual_seed(3)
    w, b, log_var = (t.clone().requires_grad_() for t in truth())
    x = data(64, *(t.detach() for t in truth(orthogonal=False)))  # data of another model: gradients are not small
    exact = torch.autograd.grad(-log_p(x, w, b, log_var).mean(), (w, b, log_var))
    found = gradients(best(w.detach(), b.detach(), log_var.detach()), x, 400)
    for name, g in zip(("decoder.net.weight", "decoder.net.bias", "likelihood.log_var"), exact, strict=True):
        assert g.abs().max() > 0.05
        assert within(found[name], g.double()), name
    for name in ("posterior.head.weight", "posterior.head.bias"):
        assert within(found[name], 0.0), name


def test_gradient_of_a_loose_bound_is_that_of_its_closed_form() -> None:
    """For any q(z|x) = N(Ax + a, S): −ELBO = ½[F log 2πσ² + (‖x − b − Wμ‖² + tr WSWᵀ)/σ²] + KL, in closed form."""
    torch.manual_seed(4)
    model = spoiled(best(*truth(orthogonal=False)))
    x = data(64, *truth())
    head, w, b, log_var = (
        model.posterior.head,
        model.decoder.net.weight,
        model.decoder.net.bias,
        model.likelihood.log_var,
    )
    mean, log_s = head(x).chunk(2, 1)
    misfit = (x - b - mean @ w.T).square().sum(1) + (log_s.exp() * w.square().sum(0)).sum(1)
    reconstruction = 0.5 * (x.shape[1] * (log_var + log(2 * torch.pi)) + misfit / log_var.exp())
    kl = 0.5 * (log_s.exp() + mean.square() - 1 - log_s).sum(1)
    exact = torch.autograd.grad((reconstruction + kl).mean(), list(model.parameters()))
    found = gradients(model, x, 400)
    for (name, _), g in zip(model.named_parameters(), exact, strict=True):
        assert within(found[name], g.double()), name


def test_bound_rises_with_k_towards_log_p() -> None:
    """L_1 < L_5 < L_50 < log p(x), each step larger than the standard error of its paired difference."""
    torch.manual_seed(5)
    w, b, log_var = truth(orthogonal=False)
    model, x = spoiled(best(w, b, log_var)), data(400, w, b, log_var)
    with torch.no_grad():
        bounds = [model.bound(Batch(x), k) for k in (1, 5, 50)] + [log_p(x, w, b, log_var).double()]
    for looser, tighter in pairwise(bounds):
        step = tighter - looser
        assert step.mean() > 3 * step.std() / len(step) ** 0.5


@torch.no_grad()
def test_the_last_of_the_gap_shrinks_as_one_over_k() -> None:
    """log p(x) − L_k → Var(w)/(2k p²), and Var(w)/p² = Π r/√(2r−1) − 1 for q wider by r in each variance."""
    torch.manual_seed(10)
    w, b, log_var = truth()
    model, x, r, k = best(w, b, log_var), data(20_000, w, b, log_var), 2.0, 100
    model.posterior.head.bias[3:] += log(r)
    gap = (log_p(x, w, b, log_var).double() - model.bound(Batch(x), k)).mean()
    wanted = ((r / (2 * r - 1) ** 0.5) ** 3 - 1) / (2 * k)
    error = (2 * wanted / len(x)) ** 0.5  # of L_k over examples: its variance is Var(w)/(k p²)
    assert abs(gap - wanted) < 4.5 * error + 10 * wanted / k
    assert wanted > 4.5 * error


class Table(Posterior):
    """A posterior whose noise is read off a table, line after line, however the lines are asked for."""

    def __init__(self, inner: torch.nn.Module, noise: Tensor) -> None:
        super().__init__()
        self.inner, self.noise = inner, noise

    def forward(self, features: Tensor, clock: Clock) -> DiagonalNormal:
        q, lines = self.inner(features, clock), iter(self.noise)

        def rsample(shape: tuple[int]) -> Tensor:
            noise = torch.stack([next(lines) for _ in range(shape[0])])
            return q.mean + (0.5 * q.log_var).exp() * noise

        q.rsample = rsample
        return q


@torch.no_grad()
def test_chunks_do_not_change_the_bound() -> None:
    """The same 60 draws, taken together or in pieces of any size, in any order of summing."""
    torch.manual_seed(6)
    w, b, log_var = truth(orthogonal=False)
    model, x = spoiled(best(w, b, log_var)), data(30, w, b, log_var)
    model.posterior = Table(model.posterior, torch.randn(60, 30, 3))
    whole = model.bound(Batch(x), 60, chunk=60)
    drawn = model.draw(Batch(x), 60, CLOCK)
    by_hand = (drawn.log_px + drawn.log_pz - drawn.log_qz).double().exp().mean(0).log()
    torch.testing.assert_close(whole, by_hand, rtol=0, atol=1e-5)
    for chunk in (1, 7, 59, 1000, 0):
        torch.testing.assert_close(model.bound(Batch(x), 60, chunk=chunk), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_chunks_have_the_same_distribution() -> None:
    torch.manual_seed(7)
    w, b, log_var = truth(orthogonal=False)
    model, x = spoiled(best(w, b, log_var)), data(800, w, b, log_var)
    assert within(model.bound(Batch(x), 20, chunk=3) - model.bound(Batch(x), 20, chunk=20), 0.0)


def test_bound_is_float64_per_example_and_refuses_no_samples() -> None:
    w, b, log_var = truth()
    model, x = best(w, b, log_var), data(6, w, b, log_var)
    assert model.bound(Batch(x), 3).shape == (6,)
    assert model.bound(Batch(x), 3).dtype == torch.float64
    with pytest.raises(BestiaryError, match="k ≥ 1 samples; got k=0"):
        model.bound(Batch(x), 0)


def test_many_samples_only_average() -> None:
    """`samples=K` has the mean of `samples=1` and about a K-th of its variance."""
    torch.manual_seed(8)
    x = data(16, *truth())
    one, many = (gradients(spoiled(best(*truth(), samples=k)), x, 300)["decoder.net.weight"] for k in (1, 16))
    assert within(one - many, 0.0)
    ratio = float(one.var(0).mean() / many.var(0).mean())
    assert 12 < ratio < 21  # 16, to within the errors of two variances of 300 draws of 15 correlated numbers


@torch.no_grad()
def test_samples_are_draws_of_p() -> None:
    """Numbers are drawn with the noise of p(x|z): mean b, covariance C."""
    torch.manual_seed(9)
    w, b, log_var = truth()
    n = 20_000
    x = best(w, b, log_var).sample(n)
    c = w @ w.T + log_var.exp() * torch.eye(len(b))
    assert within(x, b.double())
    spread = ((c.square() + torch.outer(c.diagonal(), c.diagonal())) / n).sqrt()  # of a Gaussian's covariance
    assert ((x.T.cov() - c).abs() < 4.5 * spread).all()


@torch.no_grad()
def test_encode_and_show_are_the_means() -> None:
    w, b, log_var = truth()
    model, x, z = best(w, b, log_var), data(9, w, b, log_var), torch.randn(9, 3)
    a, shift, _ = posterior(w, b, log_var)
    torch.testing.assert_close(model.encode(Batch(x)), x @ a.T + shift)
    torch.testing.assert_close(model.show(z), z @ w.T + b)
