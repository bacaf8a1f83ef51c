"""Penalties by critics whose slope is known, against a loop over examples, and at the edges of fp32."""

import pytest
import torch
from torch import Tensor, nn

from bestiary.errors import BestiaryError
from bestiary.grammar.part_calls import parse_part
from bestiary.networks.dcgan import critic as dcgan_critic
from bestiary.networks.residual import critic as residual_critic
from bestiary.objectives.penalties import PENALTIES, gp, r1, r1r2, r2, squared_slope


def linear(slope: float, features: int = 5):
    """A critic of this slope everywhere."""
    w = torch.randn(features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w = slope * w / w.norm()
    return lambda x: x.double() @ w


def pair(n: int = 64) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=g), torch.randn(n, 5, generator=g)


@pytest.mark.parametrize("batch", [1, 64])
def test_a_linear_critic_of_slope_one_costs_nothing_at_any_batch(batch: int) -> None:
    """One norm over the whole batch would give (√64 − 1)² = 49."""
    torch.testing.assert_close(gp()(linear(1.0), *pair(batch)), torch.zeros(batch), atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("penalty", "value"),
    [(gp(weight=2.0), 8.0), (gp(weight=2.0, one_sided=True), 8.0), (r1(weight=2.0), 9.0), (r2(weight=2.0), 9.0),
     (r1r2(weight=2.0), 18.0)],
)  # fmt: skip
def test_slope_three(penalty, value: float) -> None:
    torch.testing.assert_close(penalty(linear(3.0), *pair(4)), torch.full((4,), value), atol=1e-4, rtol=1e-5)


def test_a_flat_slope_is_punished_on_both_sides_or_on_one() -> None:
    torch.testing.assert_close(gp(weight=1.0)(linear(0.5), *pair(4)), torch.full((4,), 0.25), atol=1e-6, rtol=0)
    assert gp(one_sided=True)(linear(0.5), *pair(4)).abs().max() == 0


def test_each_example_has_its_own_slope() -> None:
    """C(x) = Σ x³: slope 3 ‖x²‖, against one example at a time."""
    x = pair(6)[0]

    def cubic(x: Tensor) -> Tensor:
        return x.pow(3).sum(1)

    torch.testing.assert_close(squared_slope(cubic, x), 9 * x.pow(4).sum(1))
    torch.testing.assert_close(squared_slope(cubic, x), torch.cat([squared_slope(cubic, row[None]) for row in x]))


def test_where_they_are_taken() -> None:
    """C(x) = ‖x‖²/2 has slope ‖x‖: at real, at fake, and between them."""
    real, fake = pair(200)

    def half_square(x: Tensor) -> Tensor:
        return x.square().sum(1) / 2

    torch.testing.assert_close(r1(weight=2.0)(half_square, real, fake), real.square().sum(1))
    torch.testing.assert_close(r2(weight=2.0)(half_square, real, fake), fake.square().sum(1))
    torch.manual_seed(0)
    found = gp(weight=1.0)(half_square, real, fake)
    torch.manual_seed(0)
    u = torch.rand(200, 1)
    torch.testing.assert_close(found, ((u * real + (1 - u) * fake).norm(dim=1) - 1).square())


@pytest.mark.parametrize("name", [name for name in PENALTIES if name != "none"])
def test_no_slope_at_all_gives_a_finite_gradient(name: str) -> None:
    """The norm has no derivative at 0, and PyTorch's is NaN there."""
    net = nn.Linear(5, 1)
    nn.init.zeros_(net.weight)
    PENALTIES[name]()(lambda x: net(x)[:, 0], *pair(4)).sum().backward()
    assert net.weight.grad.isfinite().all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("penalty", [gp(), r1(), r2(), r1r2()], ids=["gp", "r1", "r2", "r1r2"])
def test_in_fp32_also_where_the_networks_compute_in_half_precision(penalty, kind: torch.dtype) -> None:
    """Squares of slopes leave the range of fp16, and its scaled loss scales them."""
    net = nn.Linear(5, 1)
    real, fake = pair(8)
    torch.manual_seed(0)
    plain = penalty(lambda x: net(x)[:, 0], real, fake)
    with torch.autocast("cpu", kind):
        torch.manual_seed(0)
        within = penalty(lambda x: net(x)[:, 0], real, fake)
    assert within.dtype == torch.float32
    assert torch.equal(plain, within)


def test_samples_of_a_network_in_bf16_lie_between_as_others_do() -> None:
    net = nn.Linear(5, 1)
    real, fake = pair(8)
    found = []
    for samples in (fake.bfloat16(), fake.bfloat16().float()):
        torch.manual_seed(0)
        found.append(gp()(lambda x: net(x)[:, 0], real, samples))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("make", "size", "width"),
    [(dcgan_critic, 8, 4), (dcgan_critic, 16, 96), (dcgan_critic, 32, 8), (residual_critic, 16, 4)],
)
def test_second_derivatives_of_every_road_of_a_convolution(make, size: int, width: int) -> None:
    """∂/∂w of the penalty against a difference quotient along a random direction, in float64."""
    torch.manual_seed(0)
    options = {"norm": "none"} if make is dcgan_critic else {}
    net = make((1, size, size), width, **options).double()
    for p in net.parameters():
        nn.init.normal_(p, 0, 0.2)
    x = torch.randn(8, 1, size, size).double()

    class Double:  # penalties compute in fp32: the same formula in float64
        @staticmethod
        def value() -> Tensor:
            given = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(net(given).sum(), given, create_graph=True)
            return slope.square().sum()

    weights = [p for p in net.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(Double.value(), weights, allow_unused=True, materialize_grads=True)
    along = [torch.randn_like(p) for p in weights]
    step = 1e-8  # a kink of a ReLU must not lie between

    def moved(by: float) -> float:
        with torch.no_grad():
            for p, d in zip(weights, along, strict=True):
                p += by * d
        value = float(Double.value().detach())
        with torch.no_grad():
            for p, d in zip(weights, along, strict=True):
                p -= by * d
        return value

    quotient = (moved(step) - moved(-step)) / (2 * step)
    assert sum(float((s * d).sum()) for s, d in zip(slopes, along, strict=True)) == pytest.approx(quotient, rel=1e-4)


@pytest.mark.parametrize("weight", ["0", "-1", "inf"])
def test_weights_are_positive(weight: str) -> None:
    with pytest.raises(BestiaryError, match="a finite number, above 0"):
        parse_part("penalty", f"gp({weight})", PENALTIES)
