"""Convolutional networks follow every image's size from 8 to 128, and back exactly."""

from itertools import pairwise
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bestiary.errors import BestiaryError
from bestiary.networks import dcgan
from bestiary.networks.batch_norm import BatchNorm
from bestiary.networks.conv import ConvDecoder, conv_encoder
from bestiary.networks.image_sizes import down, halvings, up

ODD = [(28, 20), (9, 17), (127, 65), (8, 128), (128, 8), (15, 16), (33, 31), (12, 97), (8, 9)]
SIZES = [(n, n) for n in range(8, 129)] + ODD


@settings(deadline=None, derandomize=True)
@given(st.tuples(st.integers(8, 128), st.integers(8, 128)))
def test_the_size_rule(size) -> None:
    """Each stage halves both sides, rounding down, until one would fall below 4 (below 2 if it began below 16)."""
    sizes = halvings(size)
    assert sizes[0] == size
    for large, small in pairwise(sizes):
        assert small == (large[0] // 2, large[1] // 2)
    least = 4 if min(size) >= 16 else 2
    assert least <= min(sizes[-1]) < 2 * least


@settings(deadline=None, derandomize=True)
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)).filter(lambda s: min(s) < 8 or max(s) > 128))
def test_other_sizes_are_refused_with_one_that_works(size) -> None:
    with pytest.raises(BestiaryError, match="from 8×8 to 128×128") as error:
        halvings(size)
    side = int(str(error.value).split("size=")[1].split(",")[0])
    assert halvings((side, side))


@pytest.mark.parametrize("size", [(8, 9), (11, 14), (27, 16)])
def test_down_and_up_are_the_arithmetic_that_the_rule_relies_on(size) -> None:
    small = halvings(size)[1]
    assert down(2, 3)(torch.zeros(1, 2, *size)).shape == (1, 3, *small)
    assert up(3, 2, small, size)(torch.zeros(1, 3, *small)).shape == (1, 2, *size)


@torch.no_grad()
def test_encoder_and_decoder_follow_every_size() -> None:
    for size in SIZES:
        channels, per = ((1, 1), (3, 2))[sum(size) // 2 % 2]
        x = torch.zeros(2, channels, *size)
        encoder, features = conv_encoder(x.shape[1:], width=2)
        assert encoder(x).shape == (2, features), size
        decoder = ConvDecoder(5, x.shape[1:], per * channels, width=2)
        assert decoder(torch.zeros(2, 5)).shape == (2, per * channels, *size), size


@torch.no_grad()
def test_dcgan_pair_follows_every_size() -> None:
    for size in SIZES:
        shape = (3 if sum(size) // 2 % 2 else 1, *size)
        x = dcgan.Generator(5, shape, width=2)(torch.randn(2, 5))
        assert x.shape == (2, *shape), size
        assert x.abs().max() <= 1, size
        assert dcgan.critic(shape, width=2)(x).shape == (2,), size


@torch.no_grad()
def test_the_pair_of_the_wgan_figures_follows_every_size() -> None:
    """Without BatchNorm and with as many channels everywhere; the critic halves by average pooling."""
    for size in [(8, 8), (28, 28), (32, 32), *ODD]:
        x = dcgan.Generator(5, (3, *size), 2, "none", constant=True)(torch.randn(2, 5))
        assert x.shape == (2, 3, *size), size
        critic = dcgan.critic((3, *size), 2, "none", "average", constant=True)
        assert critic(x).shape == (2,), size
        layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
        assert {m.out_channels for m in layers} == {2}
        assert all(m.bias is not None and m.stride == (1, 1) for m in layers)
        assert not any(isinstance(m, BatchNorm) for m in critic.modules())


def test_the_image_reaches_every_weight_and_every_pixel_its_code() -> None:
    """Odd sides too: no gradient is cut off, no output is out of z's reach."""
    torch.manual_seed(0)
    for size in ((9, 17), (15, 13)):
        encoder, features = conv_encoder((1, *size), width=4)
        net = nn.Sequential(encoder, nn.Linear(features, 6), ConvDecoder(6, (1, *size), 1, width=4))
        net(torch.rand(8, 1, *size)).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
        images = net[2](torch.randn(16, 6))
        assert (images.std(0) > 0).all()


def nets() -> list[nn.Module]:
    torch.manual_seed(1)
    return [dcgan.Generator(100, (3, 64, 64), width=32), dcgan.critic((3, 64, 64), width=32)]


@pytest.mark.parametrize("net", nets(), ids=["generator", "critic"])
def test_dcgan_starts_as_the_paper_says(net: nn.Module) -> None:
    """Weights N(0, .02²), gains N(1, .02²), shifts 0. n draws: s/√n on a mean, s/√2n on a standard deviation."""
    weights, gains = [], []
    for module in net.modules():
        if isinstance(module, BatchNorm):
            gains.append(module.weight.detach())
            assert not module.bias.any()
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            weights.append(module.weight.detach().flatten())
            assert module.bias is None or not module.bias.any()
    for values, mean in ((w, 0.0) for w in [*weights, torch.cat(weights)]):
        close_to_normal(values, mean)
    close_to_normal(torch.cat(gains), 1.0)


def close_to_normal(values: torch.Tensor, mean: float, s: float = 0.02) -> None:
    error = s / len(values) ** 0.5
    assert abs(float(values.mean()) - mean) < 4.5 * error
    assert abs(float(values.std()) - s) < 4.5 * error / 2**0.5


@pytest.mark.parametrize("net", nets(), ids=["generator", "critic"])
def test_dcgan_normalises_where_the_paper_says(net: nn.Module) -> None:
    """No BatchNorm after the generator's last layer and at the critic's first; no bias where BatchNorm follows."""
    linear = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    normed = [m for m in net.modules() if isinstance(m, BatchNorm)]
    generator = isinstance(net, dcgan.Generator)
    bare = linear[-1:] if generator else [linear[0], linear[-1]]
    assert len(normed) == len(linear) - len(bare)
    for layer in linear:
        assert (layer.bias is not None) == (layer in bare)
    layers = list(net.layers if generator else net.body)
    assert isinstance(layers[-1 if generator else 1], nn.Tanh if generator else nn.LeakyReLU)


def test_dcgan_widths_double_towards_the_small_side() -> None:
    generator, critic = nets()
    z = torch.zeros(2, generator.project[0].in_features)
    assert generator.project(z).shape == (2, 32 * 8, 4, 4)
    down_widths = [m.out_channels for m in critic.modules() if isinstance(m, nn.Conv2d)]
    up_widths = [m.in_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert down_widths == up_widths[::-1] == [32, 64, 128, 256]
    assert critic.head.in_features == 256 * prod((4, 4))
