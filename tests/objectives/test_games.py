"""Games at their optimum: the critic's loss is the divergence it stands for, its logit the log of the ratio."""

from math import log

import pytest
import torch
from torch import Tensor

from bestiary.networks.mlp import mlp
from bestiary.objectives.games import GAMES, nonsaturating

PAIRS = {  # π and p over six values
    "unlike": ([0.3, 0.3, 0.2, 0.1, 0.06, 0.04], [0.02, 0.08, 0.1, 0.2, 0.3, 0.3]),
    "alike": ([0.1, 0.2, 0.3, 0.2, 0.1, 0.1], [0.1, 0.2, 0.3, 0.2, 0.1, 0.1]),
    "apart": ([0.5, 0.5, 1e-12, 1e-12, 1e-12, 1e-12], [1e-12, 1e-12, 0.25, 0.25, 0.25, 0.25]),
}


def jsd(a: Tensor, b: Tensor) -> float:
    m = (a + b) / 2
    return float((a * (a / m).log()).sum() + (b * (b / m).log()).sum()) / 2


def expected(game, logits: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """E_π[critic's loss on real] + E_p[on fake], the two parts taken apart by logits at which the other vanishes."""
    never = torch.full_like(logits, 1e9)
    return (a * game.critic(logits, -never)).sum() + (b * game.critic(never, logits)).sum()


@pytest.mark.parametrize("name", PAIRS)
def test_critics_optimum_is_the_jensen_shannon_divergence(name: str) -> None:
    a, b = (torch.tensor(v, dtype=torch.float64) for v in PAIRS[name])
    best = (a / b).log()
    assert float(expected(nonsaturating, best, a, b)) == pytest.approx(2 * log(2) - 2 * jsd(a, b), abs=1e-9)


@pytest.mark.parametrize("name", ["unlike", "alike"])
def test_the_log_ratio_is_the_optimum(name: str) -> None:
    """The gradient vanishes there, and no other critic does better."""
    a, b = (torch.tensor(v, dtype=torch.float64) for v in PAIRS[name])
    best = (a / b).log().requires_grad_()
    loss = expected(nonsaturating, best, a, b)
    (slope,) = torch.autograd.grad(loss, best)
    torch.testing.assert_close(slope, torch.zeros(6).double(), atol=1e-12, rtol=0)
    torch.manual_seed(0)
    for scale in (0.01, 0.1, 1, 10):
        assert expected(nonsaturating, best + scale * torch.randn(6), a, b) > loss


def test_by_quadrature_for_two_gaussians() -> None:
    """The same for densities on the line: N(0, 1) against N(1, 2²)."""
    x = torch.arange(-14, 15, 0.01, dtype=torch.float64)
    real, fake = torch.distributions.Normal(0, 1), torch.distributions.Normal(1, 2)
    a, b = (d.log_prob(x).exp() * 0.01 for d in (real, fake))
    logits = real.log_prob(x) - fake.log_prob(x)
    assert float(expected(nonsaturating, logits, a, b)) == pytest.approx(2 * log(2) - 2 * jsd(a, b), abs=1e-7)


def test_slopes_by_the_logit() -> None:
    """Generator: −(1 − D), which does not vanish where D → 0. Critic: −(1 − D) on real, D on fake."""
    logits = torch.tensor([-80.0, -5, -1, 0, 1, 5, 80]).requires_grad_()
    d = logits.detach().sigmoid()
    (slope,) = torch.autograd.grad(nonsaturating.generator(logits.detach(), logits).sum(), logits)
    torch.testing.assert_close(slope, -(1 - d))
    (on_real,) = torch.autograd.grad(nonsaturating.critic(logits, logits.detach()).sum(), logits)
    (on_fake,) = torch.autograd.grad(nonsaturating.critic(logits.detach(), logits).sum(), logits)
    torch.testing.assert_close(on_real, -(1 - d))
    torch.testing.assert_close(on_fake, d)


@pytest.mark.parametrize("name", GAMES)
def test_every_game_is_per_example_and_finite(name: str) -> None:
    real, fake = torch.tensor([-1e4, 0, 1e4, 3]), torch.tensor([1e4, 0, -1e4, 2])
    for loss in (GAMES[name].critic, GAMES[name].generator):
        assert loss(real, fake).shape == (4,)
        assert loss(real, fake).isfinite().all()


@pytest.mark.parametrize("name", [name for name, game in GAMES.items() if not game.paired])
def test_a_generator_that_is_not_paired_does_not_look_at_real(name: str) -> None:
    fake = torch.randn(5)
    assert torch.equal(GAMES[name].generator(torch.randn(5), fake), GAMES[name].generator(fake, fake))


def test_a_trained_critic_recovers_the_log_ratio() -> None:
    """π = N(1, 1), p = N(−1, 1): log π/p = 2x. An mlp fitted by the game comes close wherever there is data.

    Its error has two sources: 4096 fresh draws at each of the last steps give a standard error of the fitted slope of
    about 0.02 a step, averaged by Adam; and the mlp's bias. Together below 0.25 of a logit that runs from −4 to 4.
    """
    torch.manual_seed(0)
    critic = mlp([1, 32, 32, 1])
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-2)
    steps = 300
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        real, fake = torch.randn(4096, 1) + 1, torch.randn(4096, 1) - 1
        loss = nonsaturating.critic(critic(real), critic(fake)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = torch.linspace(-2, 2, 41).unsqueeze(1)
    assert float((critic(x) - 2 * x).detach().abs().max()) < 0.25
