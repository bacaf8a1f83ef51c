"""Fully connected networks: layers, activations, shapes."""

import pytest
import torch
from torch import nn

from bestiary.networks.mlp import ACTIVATIONS, FlatInput, ShapedOutput, mlp


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_is_its_formula(activation: str) -> None:
    """W₂ a(W₁ x + b₁) + b₂."""
    torch.manual_seed(0)
    net, x = mlp([3, 5, 2], activation), torch.randn(7, 3)
    kinds = {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky": lambda h: torch.where(h > 0, h, 0.2 * h),
        "silu": lambda h: h * h.sigmoid(),
        "gelu": lambda h: h * torch.special.ndtr(h),
    }
    expected = kinds[activation](x @ net[0].weight.T + net[0].bias) @ net[2].weight.T + net[2].bias
    torch.testing.assert_close(net(x), expected)


def test_the_last_layer_is_linear_unless_asked() -> None:
    assert isinstance(mlp([3, 4, 2])[-1], nn.Linear)
    assert isinstance(mlp([3, 4, 2], last=True)[-1], nn.Tanh)
    assert len(mlp([3])) == 0


def test_images_are_flattened_and_given_back() -> None:
    x = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    torch.testing.assert_close(ShapedOutput(FlatInput(), (3, 4, 5))(FlatInput()(x)), x)
    assert FlatInput(nn.Linear(60, 2))(x.to(memory_format=torch.channels_last)).shape == (2, 2)


def test_flat_does_not_depend_on_the_memory_layout() -> None:
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(FlatInput()(x.to(memory_format=torch.channels_last)), FlatInput()(x))
