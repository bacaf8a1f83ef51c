"""Objectives of a draw: identities that hold for any model, on a Gaussian draw whose parts are known."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from bestiary.densities.diagonal_gaussian import DiagonalNormal, StandardNormal
from bestiary.densities.full_gaussian import FullNormal
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import Linear
from bestiary.objectives.draw import Draw
from bestiary.objectives.elbo import capacity, covariance, dip, elbo, free_bits, iwae
from bestiary.training.clock import Clock

CLOCK = Clock(torch.tensor(5.0), 10)


def draw(k: int = 1, b: int = 6, d: int = 4, scale: float = 1.0) -> Draw:
    """q = N(μ, σ²), log p(x|z) = −½|z|², which is enough for every identity."""
    torch.manual_seed(0)
    mean = (scale * torch.randn(b, d)).requires_grad_()
    q, p = DiagonalNormal(mean, 0.3 * torch.randn(b, d)), StandardNormal(torch.zeros(1, d))
    z = q.rsample((k,))
    made = Draw(torch.zeros(b, 1), z, clock=CLOCK, q=q, p=p)
    made.log_px = -0.5 * z.square().sum(-1)
    return made


def gradient(d: Draw, total: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(total.mean(), d.q.mean, retain_graph=True)[0]


def test_weights_weigh_their_own_term() -> None:
    d = draw()
    plain, weighted = elbo(d), elbo(d, beta=Linear(0, 4, 10), lam=3.0)
    assert not {"log_pz", "log_qz"} & d.__dict__.keys()  # the closed form pays for neither
    expected = 3 * plain["reconstruction"] + 2 * plain["kl"]  # half way from 0 to 4
    torch.testing.assert_close(weighted["total"], expected)
    torch.testing.assert_close(weighted["kl"], plain["kl"])


def test_free_bits_of_nothing_is_the_elbo() -> None:
    d = draw()
    for per in ("total", "group", "dimension"):
        torch.testing.assert_close(free_bits(d, lam=0.0, per=per)["total"], elbo(d)["total"].mean())


@pytest.mark.parametrize(("per", "parts"), [("total", 1), ("group", 2), ("dimension", 4)])
def test_bits_are_free_up_to_lambda(per: str, parts: int) -> None:
    """Below λ the price is λ for each part and the KL's gradient is gone; above it the KL is paid in full."""
    d = draw(scale=0.1)
    rich = free_bits(d, lam=100.0, per=per, groups=2)
    torch.testing.assert_close(rich["total"], d.log_px.neg().mean() + 100.0 * parts)
    torch.testing.assert_close(gradient(d, rich["total"]), gradient(d, -d.log_px))
    poor = free_bits(d, lam=1e-6, per=per, groups=2)
    torch.testing.assert_close(gradient(d, poor["total"]), gradient(d, elbo(d)["total"]))


def test_free_bits_max_is_of_the_batch_mean() -> None:
    """max(λ, E_x KL), not E_x max(λ, KL): one x with a large KL pays for the others."""
    d = draw(scale=2.0)
    lam = float(d.kl.mean().detach())
    assert (d.kl < lam).any()
    torch.testing.assert_close(free_bits(d, lam=lam)["total"], elbo(d)["total"].mean())


def test_parts_of_a_kl_that_has_none_are_refused() -> None:
    d = draw()
    d.kl_dims = None
    with pytest.raises(BestiaryError, match="per=total"):
        free_bits(d, per="dimension")
    with pytest.raises(BestiaryError, match="groups=9"):
        free_bits(draw(), per="group", groups=9)


def test_capacity_vanishes_where_the_kl_is_reached() -> None:
    d = draw()
    at_kl = capacity(d, nats=float(d.kl.mean().detach()), gamma=50.0)
    torch.testing.assert_close(at_kl["total"], -d.log_px.mean(), atol=1e-3, rtol=0)
    short = capacity(d, nats=float(d.kl.mean().detach()) + 2.0, gamma=50.0)
    torch.testing.assert_close(short["total"], -d.log_px.mean() + 100.0, atol=1e-3, rtol=1e-5)


def test_iwae_of_one_draw_is_the_monte_carlo_elbo_and_of_many_lies_below() -> None:
    d = draw(k=1)
    torch.testing.assert_close(iwae(d)["total"], (-d.log_px - d.log_pz + d.log_qz)[0])
    d = draw(k=64)
    log_w = d.log_px + d.log_pz - d.log_qz
    direct = -(log_w.double().exp().mean(0)).log()  # an average of weights, not of losses
    torch.testing.assert_close(iwae(d)["total"].double(), direct, atol=1e-5, rtol=1e-5)
    assert (iwae(d)["total"] <= -log_w.mean(0) + 1e-5).all()


def test_iwae_weights_the_gradient_of_each_draw() -> None:
    """∇ of −log mean w is −Σ_k w̃_k ∇ log w_k with w̃ the softmax of log w (not of the losses)."""
    d = draw(k=5)
    log_w = d.log_px + d.log_pz - d.log_qz
    byhand = -(log_w.softmax(0).detach() * log_w).sum(0)
    torch.testing.assert_close(gradient(d, iwae(d)["total"]), gradient(d, byhand))


@pytest.mark.parametrize("version", ["i", "ii"])
def test_dip_vanishes_at_the_identity_and_is_the_papers_elsewhere(version: str) -> None:
    d = draw(b=50)
    c = torch.from_numpy(np.cov(d.q.mean.detach().T.numpy(), bias=True)).float()
    if version == "ii":
        c = c + torch.diag(d.q.variance.mean(0))
    on, off = (torch.diagonal(c) - 1).square().sum(), (c - torch.diag(torch.diagonal(c))).square().sum()
    expected = 7 * off + (70 if version == "i" else 7) * on
    torch.testing.assert_close(dip(d, version=version, off=7.0)["moments"], expected, atol=1e-4, rtol=1e-4)
    white = torch.linalg.qr(torch.randn(50, 5))[0][:, :4]
    white = white - white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / 50)).T
    torch.testing.assert_close(covariance(white), torch.eye(4), atol=1e-4, rtol=0)


def test_dip_sees_the_correlations_that_a_full_posterior_has_for_each_x() -> None:
    scale = torch.tensor([[1.0, 0.0], [0.99, (1 - 0.99**2) ** 0.5]]).expand(50, 2, 2)
    q, zero = FullNormal(torch.zeros(50, 2), scale), torch.zeros(1, 50)
    d = Draw(zero, q.rsample((1,)), clock=CLOCK, q=q, p=StandardNormal(torch.zeros(1, 2)))
    d.log_px = zero
    seen = dip(d, version="ii", off=1.0)
    assert seen["moments"].item() == pytest.approx(2 * 0.99**2, rel=1e-5)  # both off-diagonals


@pytest.mark.parametrize("least", [2.0, Linear(0, 4, 10)])
def test_free_bits_of_a_number_and_of_a_schedule_agree(least: float | Linear) -> None:
    d = draw(scale=0.1)
    torch.testing.assert_close(free_bits(d, lam=least)["total"], free_bits(d, lam=2.0)["total"])


TWO = """
import os, torch, torch.distributed as dist
from bestiary.training.parallel import global_mean
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
x = torch.randn(8, 3)
mine = x[rank * 4 : rank * 4 + 4].clone().requires_grad_()
loss = global_mean(mine).square().sum()
loss.backward()
whole = x.clone().requires_grad_()
whole.mean(0).square().sum().backward()
torch.testing.assert_close(global_mean(mine), x.mean(0))
torch.testing.assert_close(mine.grad / 2, whole.grad[rank * 4 : rank * 4 + 4])  # DDP then divides by the processes
"""


@pytest.mark.slow
def test_the_mean_of_the_whole_batch_is_shared_with_its_gradient(tmp_path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
