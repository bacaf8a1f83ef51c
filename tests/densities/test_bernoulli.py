"""The Bernoulli's density for many logits of each x: exact, bounded, and with the derivatives of the formula."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.densities import bernoulli
from bestiary.densities.bernoulli import log_bernoulli

K, B, D = 5, 3, 784
EPS = 2.0**-24  # half a unit in the last place of 1


def drawn(scale: float, kind: torch.dtype = torch.float32, d: int = D) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return (scale * torch.randn(K, B, d)).to(kind), (torch.rand(B, d) < 0.3).to(kind)


def formula(logits: Tensor, x: Tensor) -> Tensor:
    """log σ((2x − 1) l) pixel by pixel, in float64: no sum of large numbers that cancel."""
    return F.logsigmoid((2 * x - 1).double() * logits.double()).sum(-1)


@pytest.mark.parametrize("scale", [1.0, 5.0, 30.0, 200.0])
def test_it_is_the_formula_within_the_rounding_stated(scale: float) -> None:
    """2⁻²⁴ nats a number from 1 + exp l, and the rounding of two sums of at most Σ|l| in blocks of a few numbers."""
    logits, x = drawn(scale)
    bound = D * EPS + 8 * EPS * logits.abs().sum(-1).double()
    assert ((log_bernoulli(logits, x) - formula(logits, x)).abs() <= bound).all()


def test_logits_beyond_the_range_of_exp_are_no_infinity() -> None:
    logits = torch.tensor([[[1000.0, -1000.0, 2.0]]], requires_grad=True)
    value = log_bernoulli(logits, torch.tensor([[1.0, 0.0, 1.0]]))
    torch.testing.assert_close(value, F.logsigmoid(torch.tensor([[2.0]])), atol=1e3 * EPS, rtol=0)  # of 1002 − 1002.1
    value.sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[[0.0, 0.0, 1 - 1 / (1 + 2.718281828**-2)]]]))
    assert log_bernoulli(torch.tensor([[[float("nan"), 1.0]]]), torch.ones(1, 2)).isnan().all()


@pytest.mark.parametrize("block", [1, 40, 1 << 18])
def test_blocks_and_derivatives_to_the_second_order(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of logits and of x, against finite differences; also where a block holds one k, or some, or all."""
    monkeypatch.setattr(bernoulli, "BLOCK", block)
    logits, x = (t.requires_grad_() for t in drawn(2.0, torch.float64, d=6))
    torch.testing.assert_close(log_bernoulli(logits, x), formula(logits, x.detach()))
    assert torch.autograd.gradcheck(log_bernoulli, (logits, x))
    assert torch.autograd.gradgradcheck(log_bernoulli, (logits, x))
    weights = torch.rand(K, B, dtype=torch.float64)
    (slope,) = torch.autograd.grad(formula(logits, x), logits, weights)
    for again in (False, True):  # the gradient to be differentiated again is computed on a road of its own
        (mine,) = torch.autograd.grad(log_bernoulli(logits, x), logits, weights, create_graph=again)
        torch.testing.assert_close(mine, slope)
