"""Our strided convolutions are PyTorch's own: values, gradients and gradients of gradients."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from bestiary.networks import fast_convolutions
from bestiary.networks.fast_convolutions import Conv, ConvTranspose, gather, scatter

# small grid (H, W), channels in and out: on both sides of every line that PRODUCT_POSITIONS and its like draw
GRIDS = [
    ((8, 8), 5, 7),  # 16 positions: a product
    ((9, 7), 6, 5),  # odd sides, 12 positions: a product
    ((28, 28), 1, 6),  # thin, 196 positions: a product
    ((29, 20), 4, 9),  # thin and odd: a product
    ((10, 8), 5, 6),  # 20 positions, not thin: the library's
    ((30, 28), 2, 6),  # thin, 210 positions: the library's
]
OPTIONS = [(4, 2, 1), (3, 1, 1), (2, 2, 0), (5, 3, 2)]  # kernel, stride, padding


def both(ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> None:
    """Equal outputs, and equal gradients of a quadratic of the output by input and weights."""
    theirs.load_state_dict(ours.state_dict())
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = ours(a), theirs(b)
    assert y.shape == expected.shape
    torch.testing.assert_close(y, expected)
    weights = torch.randn_like(expected)
    (weights * y.square()).sum().backward()
    (weights * expected.square()).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=name)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels-last"])
@pytest.mark.parametrize(("size", "a", "b"), GRIDS)
@pytest.mark.parametrize(("k", "s", "p"), OPTIONS)
def test_convolution_is_the_librarys(size, a, b, k, s, p, layout) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, a, *size, dtype=torch.float64).to(memory_format=layout)
    for bias in (True, False):
        both(Conv(a, b, k, s, p, bias=bias).double(), nn.Conv2d(a, b, k, s, p, bias=bias).double(), x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels-last"])
@pytest.mark.parametrize(("size", "a", "b"), [((4, 4), 6, 5), ((3, 5), 7, 2), ((14, 13), 5, 1), ((6, 5), 6, 7)])
@pytest.mark.parametrize("odd", [(0, 0), (1, 0), (1, 1)])
def test_transposed_convolution_is_the_librarys(size, a, b, odd, layout) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, a, *size, dtype=torch.float64).to(memory_format=layout)
    for bias in (True, False):
        ours = ConvTranspose(a, b, 4, 2, 1, output_padding=odd, bias=bias).double()
        both(ours, nn.ConvTranspose2d(a, b, 4, 2, 1, output_padding=odd, bias=bias).double(), x)


def test_the_two_ways_are_both_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the comparisons above would compare the library with itself."""
    taken = []
    monkeypatch.setattr(fast_convolutions, "gather", lambda *given: taken.append(True) or gather(*given))
    for size, a, b in GRIDS:
        Conv(a, b, 4, 2, 1)(torch.zeros(1, a, *size))
    assert len(taken) == 4


@pytest.mark.parametrize(("size", "k", "s", "p"), [((5, 4), 4, 2, 1), ((5, 6), 3, 2, 0), ((4, 4), 2, 2, 0)])
def test_gather_and_scatter_are_transposes(size, k, s, p) -> None:
    """⟨gather(x), r⟩ = ⟨x, scatter(r)⟩, and each passes the checks of its first and second derivative."""
    torch.manual_seed(1)
    x = torch.randn(2, *size, 2, dtype=torch.float64, requires_grad=True)
    rows = gather(x, k, s, p)
    r = torch.randn_like(rows).requires_grad_()
    torch.testing.assert_close((rows * r).sum(), (x * scatter(r, x.shape, k, s, p)).sum())
    assert gradcheck(lambda x: gather(x, k, s, p).square(), x)
    assert gradgradcheck(lambda x: gather(x, k, s, p).square(), x, fast_mode=True)
    assert gradcheck(lambda r: scatter(r, x.shape, k, s, p).square(), r)
    assert gradgradcheck(lambda r: scatter(r, x.shape, k, s, p).square(), r, fast_mode=True)


def test_scatter_takes_rows_in_any_memory_layout() -> None:
    rows = torch.randn(2 * 2 * 2, 16 * 3)
    columns = rows.t().contiguous().t()  # the same numbers, column after column
    torch.testing.assert_close(scatter(columns, (2, 4, 4, 3), 4, 2, 1), scatter(rows, (2, 4, 4, 3), 4, 2, 1))


@pytest.mark.parametrize(
    "layer",
    [Conv(2, 3, 4, 2, 1), Conv(2, 2, 3, 1, 1, bias=False), ConvTranspose(2, 3, 4, 2, 1, output_padding=(1, 0))],
    ids=["down", "same", "up"],
)
def test_derivatives_to_second_order(layer: nn.Module) -> None:
    """As the gradient penalties of critics take them."""
    torch.manual_seed(2)
    layer = layer.double()
    x = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn_like(layer.weight).requires_grad_()

    def call(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": w}, (x,)).square()  # curved, so that nothing vanishes

    assert gradcheck(call, (x, w))
    assert gradgradcheck(call, (x, w), fast_mode=True)


def test_gradient_penalty_is_the_librarys() -> None:
    """∇_w (‖∇_x f‖ − 1)² through two layers of ours and of PyTorch's."""
    torch.manual_seed(3)
    ours = nn.Sequential(Conv(3, 8, 4, 2, 1), nn.SiLU(), Conv(8, 4, 4, 2, 1)).double()
    theirs = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.SiLU(), nn.Conv2d(8, 4, 4, 2, 1)).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    found = []
    for critic in (ours, theirs):
        at = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        parameters = list(critic.parameters())[:-1]  # the last bias has no part in a slope
        found.append(torch.autograd.grad(penalty, parameters))
    for a, b in zip(*found, strict=True):
        assert a.abs().sum() > 0
        torch.testing.assert_close(a, b)


def test_bf16_patches_are_summed_in_fp32() -> None:
    """Under autocast only the product is in bf16; the up to four patches that meet at a pixel are summed in fp32."""
    torch.manual_seed(4)
    layer, x = ConvTranspose(32, 6, 4, 2, 1, bias=False), torch.randn(8, 32, 4, 4)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        y = layer(x)
    weight = layer.weight.detach().permute(0, 2, 3, 1).reshape(32, -1)
    rows = x.permute(0, 2, 3, 1).reshape(-1, 32).bfloat16() @ weight.bfloat16()
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, scatter(rows.float(), (8, 8, 8, 6), 4, 2, 1).permute(0, 3, 1, 2))
