"""Winograd's form of the 4×4, stride 2 convolution is the convolution: values, gradients, gradients of gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from bestiary.networks import fast_convolutions, winograd
from bestiary.networks.fast_convolutions import Conv, ConvTranspose

SIZES = [(4, 6), (8, 8), (15, 9), (10, 21), (28, 14), (33, 12)]  # one window and several, odd sides, m from 2 to 7


def library(x: Tensor, w: Tensor) -> Tensor:
    return F.conv2d(x, w, stride=2, padding=1)


def library_transpose(y: Tensor, w: Tensor, size: tuple[int, int]) -> Tensor:
    return F.conv_transpose2d(y, w, stride=2, padding=1, output_padding=(size[0] % 2, size[1] % 2))


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def pair(size: tuple[int, int], b: int = 2, c: int = 3, o: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """x, its convolution's shape, and kernels, seeded."""
    torch.manual_seed(0)
    return double(b, c, *size), double(b, o, size[0] // 2, size[1] // 2), double(o, c, 4, 4)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_convolution_and_its_transpose(size) -> None:
    x, y, w = pair(size)
    torch.testing.assert_close(winograd.convolve(x, w), library(x, w))
    torch.testing.assert_close(winograd.transpose(y, w, size), library_transpose(y, w, size))


@pytest.mark.parametrize("size", SIZES)
def test_the_two_are_each_others_transpose(size) -> None:
    x, y, w = pair(size)
    torch.testing.assert_close((winograd.convolve(x, w) * y).sum(), (winograd.transpose(y, w, size) * x).sum())


@pytest.mark.parametrize("size", [(4, 6), (9, 8)])
def test_gradients_and_theirs(size) -> None:
    x, y, w = pair(size, 1, 2, 2)
    assert gradcheck(winograd.convolve, (x, w))
    assert gradgradcheck(winograd.convolve, (x, w))
    assert gradcheck(lambda y, w: winograd.transpose(y, w, size), (y, w))
    assert gradgradcheck(lambda y, w: winograd.transpose(y, w, size), (y, w))


@pytest.mark.parametrize(("side", "most"), [(8, 5e-6), (16, 5e-6), (14, 1.5e-5)])
def test_the_error_in_fp32_is_what_the_module_says(side, most) -> None:
    """Relative to the result's norm, against fp64: m = 4, 4 and 7; the bounds are twice the errors stated."""
    x, y, w = pair((side, side), 4, 64, 32)
    for ours, exact in (
        (winograd.convolve(x.float(), w.float()), library(x, w)),
        (winograd.transpose(y.float(), w.float(), (side, side)), library_transpose(y, w, (side, side))),
    ):
        assert float((ours - exact).detach().norm() / exact.detach().norm()) < most


@pytest.fixture
def roads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of the two forms were called."""
    taken: list[str] = []
    for name in ("convolve", "transpose"):
        form = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *a, form=form, name=name: taken.append(name) or form(*a))
    return taken


# small grid, channels, batch: on both sides of every line of the rule
TAKEN = [((7, 7), 64, 128, 100), ((4, 4), 96, 96, 100), ((8, 8), 96, 97, 25), ((3, 7), 64, 128, 100)]
LEFT = [
    ((7, 7), 64, 127, 100),
    ((8, 7), 64, 128, 100),
    ((4, 4), 96, 96, 99),
    ((2, 4), 96, 96, 100),
    ((11, 4), 96, 96, 100),
]


@pytest.mark.parametrize(
    ("grid", "a", "b", "batch", "taken"), [*((*t, True) for t in TAKEN), *((*t, False) for t in LEFT)]
)
def test_layers_take_it_where_the_rule_says_and_agree(grid, a, b, batch, taken, roads) -> None:
    torch.manual_seed(0)
    size = (2 * grid[0] + 1, 2 * grid[1])
    small, large = torch.randn(batch, b, *grid), torch.randn(batch, a, *size)
    ours, theirs = Conv(a, b, 4, 2, 1), nn.Conv2d(a, b, 4, 2, 1)
    theirs.load_state_dict(ours.state_dict())
    up, up_theirs = (kind(b, a, 4, 2, 1, output_padding=(1, 0)) for kind in (ConvTranspose, nn.ConvTranspose2d))
    up_theirs.load_state_dict(up.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(ours(large), theirs(large), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(up(small), up_theirs(small), rtol=1e-4, atol=1e-4)
    assert roads == (["convolve", "transpose"] if taken else [])


def test_other_layers_and_16_bits_are_left_to_the_other_roads(roads) -> None:
    x = torch.randn(100, 96, 8, 8)
    with torch.no_grad():
        for k, s, p in ((3, 2, 1), (4, 1, 1), (4, 2, 0)):
            Conv(96, 96, k, s, p)(x)
        Conv(96, 96, 4, 2, 1).to(torch.bfloat16)(x.to(torch.bfloat16))
        with torch.autocast("cpu", torch.bfloat16):
            Conv(96, 96, 4, 2, 1)(x)
        assert roads == []
        Conv(96, 96, 4, 2, 1)(x)
        assert roads == ["convolve"]


def test_matrices_made_in_inference_mode_serve_training() -> None:
    x, _, w = pair((10, 10))
    winograd._axis.cache_clear()
    with torch.inference_mode():
        winograd.convolve(x, w)
    winograd.convolve(x, w).sum().backward()


def test_the_rule_needs_the_processor() -> None:
    x = torch.empty(100, 96, 8, 8, device="meta")
    assert not fast_convolutions._use_winograd(x, (4, 2, 1), 4, 4, 96, 96)
