"""The residual pair follows every image's size, starts where it should and lets everything through."""

import pytest
import torch
from torch import nn

from bestiary.errors import BestiaryError
from bestiary.networks import residual
from bestiary.networks.batch_norm import BatchNorm

SIZES = [(n, n) for n in (8, 9, 15, 16, 28, 31, 32, 33, 63, 64, 100, 127, 128)]
SIZES += [(28, 20), (9, 17), (127, 65), (8, 128), (12, 97), (8, 9)]


@torch.no_grad()
def test_the_pair_follows_every_size() -> None:
    for size in SIZES:
        shape = (3 if sum(size) // 2 % 2 else 1, *size)
        x = residual.Generator(5, shape, width=2)(torch.randn(2, 5))
        assert x.shape == (2, *shape), size
        assert x.abs().max() <= 1, size
        assert residual.critic(shape, width=2)(x).shape == (2,), size


def test_other_sizes_are_refused() -> None:
    for make in (lambda s: residual.Generator(5, s), lambda s: residual.critic(s)):
        with pytest.raises(BestiaryError, match="from 8×8 to 128×128"):
            make((1, 7, 20))


@pytest.mark.parametrize("size", [(16, 16), (9, 17)])
def test_the_image_reaches_every_weight_and_z_every_pixel(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    generator, critic = (
        residual.Generator(6, (2, *size), 4),
        residual.critic((2, *size), 4, condition_width=3, kernels=2),
    )
    x = generator(torch.randn(8, 6))
    assert (x.detach().std(0) > 0).all()
    critic(x, torch.randn(8, 3)).square().sum().backward()
    for p in [*generator.parameters(), *critic.parameters()]:
        assert p.grad is not None
        assert p.grad.isfinite().all()
    heavy = [p for p in [*generator.parameters(), *critic.parameters()] if p.ndim > 1]
    assert all(p.grad.abs().sum() > 0 for p in heavy)


def test_a_block_is_its_straight_path_where_the_other_is_zero() -> None:
    """x ↦ up(W x) in the generator, W pool(x) in the critic, W the convolution 1×1."""
    torch.manual_seed(0)
    up, down, x = residual._Up(3, 2, (9, 8), "none"), residual._Down(3, 2), torch.randn(4, 3, 4, 4)
    for block in (up, down):
        nn.init.zeros_(block.convs[1].weight)
    mixed = torch.einsum("oi,bihw->bohw", up.straight.weight[:, :, 0, 0], x)
    rows, columns = [i * 4 // 9 for i in range(9)], [i // 2 for i in range(8)]  # the nearest pixel, repeated
    torch.testing.assert_close(up(x), mixed[:, :, rows][:, :, :, columns])
    pooled = x.view(4, 3, 2, 2, 2, 2).mean((3, 5))
    torch.testing.assert_close(down(x), torch.einsum("oi,bihw->bohw", down.straight.weight[:, :, 0, 0], pooled))


def test_pooling_and_a_convolution_1x1_may_change_places() -> None:
    """pool(conv 1×1 x), as the paper has it, is conv 1×1 (pool x), which is a quarter of the work."""
    torch.manual_seed(0)
    layer, x = residual._conv(3, 5, 1), torch.randn(2, 3, 8, 6)
    pool = nn.AvgPool2d(2)
    torch.testing.assert_close(pool(layer(x)), layer(pool(x)))


@pytest.mark.parametrize(("norm", "kind"), [("batch", BatchNorm), ("layer", nn.GroupNorm), ("none", nn.Identity)])
def test_the_generators_norm_is_the_one_asked_for(norm: str, kind: type[nn.Module]) -> None:
    net = residual.Generator(5, (1, 16, 16), 4, norm)
    assert sum(isinstance(m, kind) for m in net.modules()) == 2 * 2 + 1  # two in each block, one before the output
    assert isinstance(list(net.layers)[-1], nn.Tanh)


def test_widths_double_up_to_four_times() -> None:
    critic = residual.critic((3, 128, 128), 8)
    assert [m.out_channels for m in critic.body if isinstance(m, nn.Conv2d)] == [8]
    assert [m.straight.out_channels for m in critic.body if isinstance(m, residual._Down)] == [16, 32, 32, 32, 32]
    assert critic.head.in_features == 32
