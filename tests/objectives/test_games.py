"""Games at their optimum: the critic's loss is the divergence it stands for, its logit a function of the ratio π/p."""

from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.networks.mlp import mlp
from bestiary.objectives.games import (
    DIVERGENCES,
    GAMES,
    f_game,
    least_squares,
    nonsaturating,
    relativistic,
    saturating,
    smooth_labels,
    wasserstein,
)
from bestiary.objectives.penalties import gp

PAIRS = {  # π and p over six values
    "unlike": ([0.3, 0.3, 0.2, 0.1, 0.06, 0.04], [0.02, 0.08, 0.1, 0.2, 0.3, 0.3]),
    "alike": ([0.1, 0.2, 0.3, 0.2, 0.1, 0.1], [0.1, 0.2, 0.3, 0.2, 0.1, 0.1]),
    "apart": ([0.5, 0.5, 1e-12, 1e-12, 1e-12, 1e-12], [1e-12, 1e-12, 0.25, 0.25, 0.25, 0.25]),
}
F_GAMES = {f"f({name})": f_game(divergence=name) for name in DIVERGENCES}
BY_RATIO = {name: GAMES[name]() for name in ("saturating", "nonsaturating", "least_squares", "hinge")} | F_GAMES
EVERY = {name: make() for name, make in GAMES.items()} | F_GAMES


def doubles(name: str) -> tuple[Tensor, Tensor]:
    a, b = PAIRS[name]
    return torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)


def jsd(a: Tensor, b: Tensor) -> Tensor:
    m = (a + b) / 2
    return ((a * (a / m).log()).sum() + (b * (b / m).log()).sum()) / 2


def expected(game, logits: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """E_π[critic's loss on real] + E_p[on fake], of a game that judges each example by itself."""
    real, fake = game.sides
    return (a * real(logits)).sum() + (b * fake(logits)).sum()


VALUES = {  # what the critic's loss is at its optimum
    "saturating": lambda a, b: 2 * log(2) - 2 * float(jsd(a, b)),
    "nonsaturating": lambda a, b: 2 * log(2) - 2 * float(jsd(a, b)),
    "least_squares": lambda a, b: float((a * b / (a + b)).sum()) / 2,
    "hinge": lambda a, b: 2 * float(torch.minimum(a, b).sum()),
    "f(kl)": lambda a, b: -float((a * (a / b).log()).sum()),
    "f(reverse_kl)": lambda a, b: -float((b * (b / a).log()).sum()),
    "f(pearson)": lambda a, b: -float(((a - b).square() / b).sum()),
    "f(jsd)": lambda a, b: -2 * float(jsd(a, b)),
}


@pytest.mark.parametrize("pair", ["unlike", "alike"])
@pytest.mark.parametrize("name", BY_RATIO)
def test_the_critics_optimum_is_the_divergence(name: str, pair: str) -> None:
    """The stated l* gives the stated value, and no other critic does better."""
    (a, b), game = doubles(pair), BY_RATIO[name]
    best = game.optimum(a / b)
    least = expected(game, best, a, b)
    assert float(least) == pytest.approx(VALUES[name](a, b), abs=1e-9)
    torch.manual_seed(0)
    for scale in (0.01, 0.1, 1, 10):
        assert expected(game, best + scale * torch.randn(6), a, b) >= least - 1e-12


@pytest.mark.parametrize("name", [name for name in BY_RATIO if name != "hinge"])  # which has a corner there
def test_the_slope_vanishes_at_the_optimum(name: str) -> None:
    (a, b), game = doubles("unlike"), BY_RATIO[name]
    best = game.optimum(a / b).requires_grad_()
    (slope,) = torch.autograd.grad(expected(game, best, a, b), best)
    torch.testing.assert_close(slope, torch.zeros(6).double(), atol=1e-12, rtol=0)


def test_the_value_of_the_minimax_is_minus_two_log_two_where_p_is_the_data() -> None:
    a, b = doubles("alike")
    assert float(expected(saturating(), (a / b).log(), a, b)) == pytest.approx(2 * log(2), abs=1e-12)


@pytest.mark.parametrize("name", ["unlike", "apart"])
def test_targets_one_apart_make_least_squares_pearsons_divergence(name: str) -> None:
    """With b − c = 1 and b − a = 2, twice the generator's loss and the same on real is χ²(π + p ‖ 2p)."""
    a, b = doubles(name)
    game = least_squares(a=-1, b=1, c=0)
    best = game.optimum(a / b)
    on_both = (a * game.generator(best, best)).sum() + (b * game.generator(best, best)).sum()
    torch.testing.assert_close(2 * on_both, ((a + b - 2 * b).square() / (a + b)).sum())


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0), (0.3, -2.0, 5.0)])
def test_least_squares_at_any_targets(a: float, b: float, c: float) -> None:
    """l* = (bπ + ap)/(π + p) has no slope, is worth ½ (b − a)² ∫ πp/(π + p), and the generator descends to c."""
    (pi, p), game = doubles("unlike"), least_squares(a=a, b=b, c=c)
    best = game.optimum(pi / p).requires_grad_()
    loss = expected(game, best, pi, p)
    (slope,) = torch.autograd.grad(loss, best)
    torch.testing.assert_close(best.detach(), (b * pi + a * p) / (pi + p))
    torch.testing.assert_close(slope, torch.zeros(6).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(loss.detach(), (b - a) ** 2 / 2 * (pi * p / (pi + p)).sum())
    (pull,) = torch.autograd.grad(game.generator(best, best).sum(), best)
    torch.testing.assert_close(pull, best.detach() - c)


def test_least_squares_to_one_target_is_no_game() -> None:
    with pytest.raises(BestiaryError, match="must differ"):
        least_squares(a=0.5, b=0.5)


DESCENDED = {  # of which the generator's loss has the slope by p, at the critic's optimum for p
    "saturating": lambda a, b: 2 * jsd(a, b),
    "nonsaturating": lambda a, b: (b * (b / a).log()).sum() - 2 * jsd(a, b),
    "hinge": lambda a, b: (a - b).abs().sum(),
    "f(kl)": lambda a, b: (a * (a / b).log()).sum(),
    "f(reverse_kl)": lambda a, b: (b * (b / a).log()).sum(),
    "f(pearson)": lambda a, b: ((a - b).square() / b).sum(),
    "f(jsd)": lambda a, b: 2 * jsd(a, b),
}


@pytest.mark.parametrize("name", DESCENDED)
def test_what_the_generator_descends_at_the_critics_optimum(name: str) -> None:
    """p = softmax(w): the slope by w of E_p[loss], l* held, is that of the stated divergence."""
    (a, b), game = doubles("unlike"), BY_RATIO[name]
    w = b.log().requires_grad_()
    p = w.softmax(0)
    best = game.optimum(a / p).detach()
    (slope,) = torch.autograd.grad((p * game.generator(best, best)).sum(), w, retain_graph=True)
    (wanted,) = torch.autograd.grad(DESCENDED[name](a, p), w)
    torch.testing.assert_close(slope, wanted)


def test_two_points_apart_are_at_their_distance_where_the_jensen_shannon_divergence_is_stuck() -> None:
    """π = δ_0, p = δ_θ: the standard critic's best loss is 0 wherever θ is, and W₁ = |θ|."""
    points = torch.arange(9)
    for theta in (1, 3, 8):
        a, b = ((points == at).double().clamp_min(1e-30) for at in (0, theta))
        assert float(expected(saturating(), (a / b).log(), a, b)) == pytest.approx(0, abs=1e-9)
        assert jsd(a, b) == pytest.approx(log(2), abs=1e-9)
        assert -transport(a, b)[0] == theta


def transport(a: Tensor, b: Tensor) -> tuple[float, Tensor]:
    """On the points 0, 1, 2 …: the Wasserstein critic's loss at l*, whose steps are the signs of F_p − F_π; and l*."""
    steps = torch.sign(b.cumsum(0) - a.cumsum(0))[:-1]
    best = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    return float(
        (a * wasserstein().critic(best, 0 * best)).sum() + (b * wasserstein().critic(0 * best, best)).sum()
    ), best


@pytest.mark.parametrize("pair", PAIRS)
def test_the_wasserstein_critics_optimum_is_the_distance(pair: str) -> None:
    """∫ |F_π − F_p|; no other critic of slopes within ±1 does better."""
    a, b = doubles(pair)
    least, best = transport(a, b)
    assert -least == pytest.approx(float((a.cumsum(0) - b.cumsum(0)).abs().sum()), abs=1e-9)
    assert float(best.diff().abs().max()) <= 1
    g = torch.Generator().manual_seed(0)
    for _ in range(200):
        steps = torch.rand(5, generator=g).double() * 2 - 1
        other = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        assert float((b * other).sum() - (a * other).sum()) >= least - 1e-9


def test_a_critic_of_slopes_drawn_to_one_finds_the_distance() -> None:
    """N(0, 1) against the same moved by 3. A penalty of weight λ lets slopes grow to 1 + 3/(2λ), here 1.5%."""
    torch.manual_seed(0)
    critic, penalty = mlp([2, 64, 64, 1], "silu"), gp(weight=100)
    adam, shift = torch.optim.Adam(critic.parameters(), lr=2e-3), torch.tensor([3.0, 0.0])
    for _ in range(400):
        real, fake = torch.randn(256, 2), torch.randn(256, 2) + shift
        loss = wasserstein().critic(critic(real)[:, 0], critic(fake)[:, 0]).mean()
        loss = loss + penalty(lambda x: critic(x)[:, 0], real, fake).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        x = torch.randn(20_000, 2)
        found = -wasserstein().critic(critic(x)[:, 0], critic(x + shift)[:, 0]).mean()
    assert 0.95 * 3 < float(found) < 1.05 * 3


def test_by_quadrature_for_two_gaussians() -> None:
    """The same for densities on the line: N(0, 1) against N(1, 2²)."""
    x = torch.arange(-14, 15, 0.01, dtype=torch.float64)
    real, fake = torch.distributions.Normal(0, 1), torch.distributions.Normal(1, 2)
    a, b = (d.log_prob(x).exp() * 0.01 for d in (real, fake))
    logits = real.log_prob(x) - fake.log_prob(x)
    assert float(expected(nonsaturating(), logits, a, b)) == pytest.approx(2 * log(2) - 2 * float(jsd(a, b)), abs=1e-7)


def test_slopes_by_the_logit() -> None:
    """Generator: −(1 − D), which does not vanish where D → 0, against −D. Critic: −(1 − D) on real, D on fake."""
    logits = torch.tensor([-80.0, -5, -1, 0, 1, 5, 80]).requires_grad_()
    d, still = logits.detach().sigmoid(), logits.detach()

    def slope(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss.sum(), logits)[0]

    torch.testing.assert_close(slope(nonsaturating().generator(still, logits)), -(1 - d))
    torch.testing.assert_close(slope(saturating().generator(still, logits)), -d)
    torch.testing.assert_close(slope(nonsaturating().critic(logits, still)), -(1 - d))
    torch.testing.assert_close(slope(nonsaturating().critic(still, logits)), d)


def test_a_relativistic_critic_that_cannot_tell_stands_at_log_two() -> None:
    """Where π = p no critic does better than a constant one: softplus is convex and the difference has mean 0."""
    game, table = relativistic(), torch.randn(8, generator=torch.Generator().manual_seed(0))
    real, fake = (g.flatten() for g in torch.meshgrid(table, table, indexing="ij"))  # all pairs of one distribution
    assert float(game.critic(real, fake).mean()) > log(2)
    assert float(game.critic(0 * real, 0 * fake).mean()) == pytest.approx(log(2))
    torch.testing.assert_close(game.generator(real, fake), game.critic(fake, real))  # what one wins the other loses


def test_the_relativistic_optimum_where_it_is_known() -> None:
    """On two values, π = (q, 1 − q) and p = (1 − q, q), there is one number to choose, d = l₁ − l₂.

    The loss is q² softplus(−d) + (1 − q)² softplus(d) + 2q(1 − q) ln 2, least at d = 2 log q/(1 − q) = log r₁/r₂.
    """
    q = 0.8
    pi, p = torch.tensor([q, 1 - q]).double(), torch.tensor([1 - q, q]).double()
    logits = (pi / p).log().requires_grad_()
    loss = (pi[:, None] * p * relativistic().critic(logits[:, None], logits)).sum()
    (slope,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(slope, torch.zeros(2).double(), atol=1e-12, rtol=0)
    assert float(loss.detach()) < log(2)


@pytest.mark.parametrize("name", EVERY)
def test_every_game_is_per_example_and_finite_with_its_slopes(name: str) -> None:
    real = torch.tensor([-1e4, 0, 1e4, 3]).requires_grad_()
    fake = torch.tensor([1e4, 0, -1e4, 2]).requires_grad_()
    for loss in (EVERY[name].critic, EVERY[name].generator):
        out = loss(real, fake)
        assert out.shape == (4,)
        assert out.isfinite().all()
        for slope in torch.autograd.grad(out.sum(), (real, fake), allow_unused=True):
            assert slope is None or slope.isfinite().all()


@pytest.mark.parametrize("name", [name for name, game in EVERY.items() if not game.paired])
def test_a_generator_that_is_not_paired_does_not_look_at_real(name: str) -> None:
    fake = torch.randn(5)
    assert torch.equal(EVERY[name].generator(torch.randn(5), fake), EVERY[name].generator(fake, fake))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_dual_is_the_convex_conjugate(name: str) -> None:
    """f*(t) = sup_u u t − f(u), by a fine grid of u."""
    d, u = DIVERGENCES[name], torch.linspace(1e-4, 60, 600_000, dtype=torch.float64)
    for logit in (-1.0, 0.0, 0.7, 1.5):
        t = d.output(torch.tensor(logit).double())
        assert float((u * t - d.f(u)).max()) == pytest.approx(float(d.dual(torch.tensor(logit).double())), abs=2e-4)


def test_smoothing_is_a_cross_entropy_with_a_softer_target_on_real_alone() -> None:
    game, logits = smooth_labels(saturating(), 0.1), torch.linspace(-4, 4, 9)
    soft = F.binary_cross_entropy_with_logits(logits, torch.full((9,), 0.9), reduction="none")
    torch.testing.assert_close(game.critic(logits, torch.zeros(9)), soft + log(2))
    torch.testing.assert_close(game.generator(logits, logits), saturating().generator(logits, logits))


def test_smoothed_least_squares_has_the_slope_of_the_softer_target() -> None:
    logits = torch.linspace(-4, 4, 9, requires_grad=True)
    game, fake = smooth_labels(least_squares(), 0.1), torch.zeros(9)
    (slope,) = torch.autograd.grad(game.critic(logits, fake).sum(), logits)
    torch.testing.assert_close(slope, logits.detach() - 0.9)


@pytest.mark.parametrize("name", [name for name in BY_RATIO if name != "hinge"])
def test_a_smoothed_critic_stands_where_it_says(name: str) -> None:
    """No slope at its optimum, for every game; for the minimax D* = (1 − s) π/(π + p), below 1 − s."""
    (a, b), share = doubles("unlike"), 0.1
    game = smooth_labels(BY_RATIO[name], share)
    best = game.optimum(a / b).requires_grad_()
    (slope,) = torch.autograd.grad(expected(game, best, a, b), best)
    torch.testing.assert_close(slope, torch.zeros(6).double(), atol=1e-12, rtol=0)
    if game.is_logit:
        torch.testing.assert_close(best.detach().sigmoid(), (1 - share) * a / (a + b))


def test_what_is_smoothed_is_real_alone() -> None:
    """Its sides add up to it, and that of fake is the game's own."""
    plain, game, logits = saturating(), smooth_labels(saturating(), 0.2), torch.linspace(-4, 4, 9)
    torch.testing.assert_close(game.sides[0](logits) + game.sides[1](logits), game.critic(logits, logits))
    torch.testing.assert_close(game.sides[1](logits), plain.sides[1](logits))
    assert not torch.allclose(game.sides[0](logits), plain.sides[0](logits))


def test_a_divergence_of_another_name_is_refused() -> None:
    with pytest.raises(BestiaryError, match="did you mean `pearson`"):
        f_game(divergence="pearsn")


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
        loss = nonsaturating().critic(critic(real), critic(fake)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = torch.linspace(-2, 2, 41).unsqueeze(1)
    assert float((critic(x) - 2 * x).detach().abs().max()) < 0.25


@pytest.mark.parametrize(("divergence", "sign"), [("kl", 1.0), ("reverse_kl", -1.0)])
def test_an_exponential_goes_on_as_its_tangent(divergence: str, sign: float) -> None:
    """Where exp would be infinite the critic still feels which way is back."""
    game = GAMES["f"](divergence=divergence)
    logit = sign * torch.tensor([-5.0, 3.0, 30.9, 31.1, 200.0])
    real, fake = (logit.clone().requires_grad_() for _ in range(2))
    loss = game.critic(real, fake)
    loss.sum().backward()
    strayed = fake if divergence == "kl" else real
    assert bool(loss.isfinite().all())
    assert bool((sign * strayed.grad > 0).all())  # downhill is back to where the optimum is
    slopes = (sign * strayed.grad)[1:]
    assert bool((slopes.diff() >= 0).all())  # convex
    assert slopes[-1] == slopes[-2]  # a tangent
