"""Inversion: exact for a linear decoder, near 0 on what the decoder made, alone or in company, by its prior."""

import pytest
import torch
from torch import nn

from bestiary.codes.inversion import invert
from bestiary.errors import BestiaryError


def log_normal(z: torch.Tensor) -> torch.Tensor:
    return -0.5 * z.square().sum(1)


@pytest.fixture(scope="module")
def linear() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(6, 3), torch.randn(6)


@pytest.mark.parametrize("prior", [0.0, 0.5, 20.0])
def test_of_a_linear_decoder_it_is_ridge_regression(linear, prior) -> None:
    """argmin ‖x − Wz − c‖² + λ‖z‖² = (WᵀW + λI)⁻¹ Wᵀ(x − c)."""
    w, c = linear
    torch.manual_seed(1)
    x, starts = torch.randn(10, 6), torch.randn(2, 10, 3)
    found = invert(lambda z: z @ w.T + c, x, starts, log_normal, prior=prior, steps=400)
    exact = torch.linalg.solve(w.T @ w + prior * torch.eye(3), w.T @ (x - c).T).T
    assert torch.allclose(found.z, exact, atol=1e-3)
    assert torch.allclose(found.x, found.z @ w.T + c)
    assert torch.allclose(found.error, (found.x - x).square().mean(1).sqrt())


def decoder() -> nn.Module:
    """Random, deep enough that the search has local minima, with images out."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 25), nn.Sigmoid(),
                         nn.Unflatten(1, (1, 5, 5)))  # fmt: skip


def test_what_the_decoder_made_is_found_again_and_its_weights_get_no_gradient() -> None:
    net = decoder()
    z = torch.randn(30, 4)
    x, starts = net(z).detach(), torch.randn(4, 30, 4)
    found = invert(net, x, starts, log_normal, prior=0.0, steps=600)
    spread = x.std(0).square().mean().sqrt()
    assert found.error.median() < 0.001 * spread
    assert (found.error < 0.02 * spread).float().mean() > 0.9  # a few stay in a local minimum
    assert all(p.grad is None for p in net.parameters())


def test_more_starts_are_no_worse_and_one_of_them_may_be_right_already() -> None:
    net = decoder()
    z = torch.randn(30, 4)
    x, starts = net(z).detach(), torch.randn(4, 30, 4)
    one, four = (invert(net, x, starts[:s], prior=0.0, steps=100).error.mean() for s in (1, 4))
    assert four < one
    best = invert(net, x, torch.cat([starts[:1], z[None]]), prior=0.0, steps=100, lr=1e-4)
    assert best.error.max() < 1e-3


def test_the_code_of_an_example_does_not_depend_on_its_company() -> None:
    net = decoder()
    x, starts = net(torch.randn(6, 4)).detach(), torch.randn(3, 6, 4)
    whole = invert(net, x, starts, log_normal, steps=40)
    alone = invert(net, x[2:3], starts[:, 2:3], log_normal, steps=40)
    assert torch.allclose(whole.z[2], alone.z[0], atol=1e-4)
    again = invert(net, x, starts, log_normal, steps=40)
    assert torch.equal(whole.z, again.z)


def test_the_prior_keeps_codes_near() -> None:
    net = decoder()
    x, starts = torch.rand(10, 1, 5, 5), torch.randn(2, 10, 4)  # no image that it makes
    norms = [invert(net, x, starts, log_normal, prior=p, steps=200).z.norm(dim=1).mean() for p in (0.0, 0.1, 1.0)]
    assert norms[0] > norms[1] > norms[2]


@pytest.mark.parametrize(
    ("how", "x", "says"),
    [
        ({"steps": 0}, torch.zeros(2, 6), "steps ≥ 1"),
        ({"lr": 0.0}, torch.zeros(2, 6), "lr > 0"),
        ({"prior": -1.0}, torch.zeros(2, 6), "prior ≥ 0"),
        ({}, torch.zeros(2, 7), r"makes x of shape \(6,\); got \(7,\)"),
        ({}, torch.full((2, 6), torch.nan), "not finite"),
    ],
)
def test_mistakes_are_explained(linear, how, x, says) -> None:
    with pytest.raises(BestiaryError, match=says):
        invert(lambda z: z @ linear[0].T, x, torch.zeros(1, 2, 3), **how)


def test_a_decoder_that_draws_is_refused() -> None:
    with pytest.raises(BestiaryError, match="draws x"):
        invert(lambda z: torch.rand(len(z), 6), torch.zeros(2, 6), torch.zeros(1, 2, 3))
