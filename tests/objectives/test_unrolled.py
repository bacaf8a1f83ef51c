"""Unrolled critics: θ_k against closed forms, and its derivative by the generator against difference quotients."""

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from bestiary.networks.mlp import mlp
from bestiary.objectives.unrolled import unroll


def test_on_a_quadratic_the_steps_are_known() -> None:
    """L = ½ (θ − a)²: θ_k = a + (1 − η)^k (θ − a), and ∂θ_k/∂a = 1 − (1 − η)^k."""
    a, theta = torch.tensor(2.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    for k in (0, 1, 7):
        (found,) = unroll({"t": theta}, lambda w: (w["t"] - a).square() / 2, k, 0.3).values()
        assert float(found.detach()) == pytest.approx(2 + 0.7**k * 3, rel=1e-6)
        slope = torch.autograd.grad(found, a, allow_unused=True)[0]
        assert float(0 if slope is None else slope) == pytest.approx(1 - 0.7**k, abs=1e-6)


def test_ever_more_steps_lead_to_the_critics_best_answer() -> None:
    """θ_k → θ*(a) = A⁻¹ a on L = ½ θᵀAθ − aᵀθ, and so do the derivatives: ∂θ_k/∂a → A⁻¹."""
    torch.manual_seed(0)
    half = torch.randn(4, 3).double()
    matrix, a = half.T @ half + torch.eye(3), torch.randn(3).double().requires_grad_()
    rate = 1 / float(torch.linalg.matrix_norm(matrix, 2))

    def answer(a: Tensor) -> Tensor:
        start = {"t": torch.zeros(3).double().requires_grad_()}
        return unroll(start, lambda w: w["t"] @ matrix @ w["t"] / 2 - a @ w["t"], 400, rate)["t"]

    torch.testing.assert_close(answer(a), torch.linalg.solve(matrix, a))
    torch.testing.assert_close(torch.autograd.functional.jacobian(answer, a), torch.linalg.inv(matrix))


def test_its_steps_are_those_of_gradient_descent() -> None:
    torch.manual_seed(0)
    critic, x = mlp([2, 6, 1]), torch.randn(16, 2)
    found = unroll(dict(critic.named_parameters()), lambda w: functional_call(critic, w, (x,)).square().mean(), 4, 0.1)
    optimiser = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _ in range(4):
        optimiser.zero_grad()
        critic(x).square().mean().backward()
        optimiser.step()
    for name, w in critic.named_parameters():
        torch.testing.assert_close(found[name], w)


def test_a_weight_that_the_loss_does_not_see_stays() -> None:
    """As the last bias in a Wasserstein game, which cancels."""
    start = {"seen": torch.ones(2, requires_grad=True), "not": torch.full((2,), 3.0, requires_grad=True)}
    found = unroll(start, lambda w: w["seen"].sum(), 3, 0.5)
    assert torch.equal(found["not"], start["not"])
    assert torch.equal(found["seen"], torch.full((2,), -0.5))


def test_without_steps_the_weights_are_the_critics_own() -> None:
    own = {"t": torch.ones(3)}
    assert unroll(own, lambda w: w["t"].sum(), 0, 0.1) is own


@pytest.mark.parametrize("k", [1, 3])
def test_the_generators_gradient_through_the_critics_steps(k: int) -> None:
    """Against a difference quotient in float64; and it is not that of the critic held still."""
    torch.manual_seed(0)
    generator, critic = mlp([2, 6, 2]).double(), mlp([2, 6, 1]).double()
    z, real = torch.randn(16, 2).double(), torch.randn(16, 2).double() + 1

    def judge(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
        return functional_call(critic, weights, (x,))[:, 0]

    def loss(held: bool = False) -> Tensor:
        fake, softplus = generator(z), torch.nn.functional.softplus
        seen = fake.detach() if held else fake
        weights = unroll(
            dict(critic.named_parameters()),
            lambda w: (softplus(-judge(real, w)) + softplus(judge(seen, w))).mean(), k, 0.5,
        )  # fmt: skip
        return softplus(-judge(fake, weights)).mean()

    weight = generator[0].weight
    (slope,) = torch.autograd.grad(loss(), weight)
    (held,) = torch.autograd.grad(loss(held=True), weight)
    along, step = torch.randn_like(weight), 1e-6
    with torch.no_grad():
        weight += step * along
        up = loss_value = float(_value(loss))
        weight -= 2 * step * along
        down = float(_value(loss))
        weight += step * along
    assert float((slope * along).sum()) == pytest.approx((up - down) / (2 * step), rel=1e-5)
    assert (slope - held).norm() > 0.01 * slope.norm()
    assert loss_value == up


def _value(loss) -> Tensor:
    with torch.enable_grad():  # the inner steps differentiate
        return loss().detach()
