"""Networks of a GAN by name: a generator and a critic.

    mlp         [linear → norm → activation] for each number in `hidden`
    dcgan       networks/dcgan.py, with or without BatchNorm, strides or average pooling, growing or constant widths
    residual    networks/residual.py

The last layer of a generator depends on the support of its data (networks/output_layers.py).

Legend: B batch, C channels, H height, W width, F features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

from torch import nn

from bestiary.data.spec import Field
from bestiary.errors import BestiaryError, unknown_name
from bestiary.models.vae_networks import image_shape
from bestiary.networks import dcgan, residual
from bestiary.networks.batch_norm import BatchNorm
from bestiary.networks.critic import Critic
from bestiary.networks.mlp import ACTIVATIONS, FlatInput, Maxout, ShapedOutput
from bestiary.networks.output_layers import output_layers

__all__ = ["GAN_NETWORKS", "Style"]


@dataclass(frozen=True)
class Style:
    """Options of both networks, explained at `gan` in zoo_adversarial.py. Raises BestiaryError for an unknown name."""

    hidden: tuple[int, ...] = (256, 256)
    critic_hidden: tuple[int, ...] = ()  # empty: as `hidden`
    width: int = 64
    norm: str = "none"
    critic_norm: str = "none"
    activation: str = "relu"
    critic_activation: str = "leaky"
    pool: str = "stride"
    constant: bool = False

    def __post_init__(self) -> None:
        for option, name, table in (
            ("norm", self.norm, NORMS),
            ("critic_norm", self.critic_norm, NORMS),
            ("activation", self.activation, ACTIVATIONS),
            ("critic_activation", self.critic_activation, {**ACTIVATIONS, "maxout": Maxout}),
            ("pool", self.pool, dcgan.POOLS),
        ):
            if name not in table:
                raise unknown_name(option, name, table)


class GanPair(NamedTuple):
    """Builders: generator(field, inputs, style) and critic(shape, style, condition_width, kernels)."""

    generator: Callable[[Field, int, Style], nn.Module]
    critic: Callable[[tuple[int, ...], Style, int, int], Critic]


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda features: nn.Identity(),
    "batch": BatchNorm,
    "layer": nn.LayerNorm,
}


def _layers(sizes: Sequence[int], activation: str, norm: str) -> list[nn.Module]:
    """Linear → norm → activation for each pair of neighbouring sizes."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        if activation == "maxout":
            layers.append(Maxout(a, b))
            continue
        layers.append(nn.Linear(a, b))
        layers.append(NORMS[norm](b))
        layers.append(nn.LeakyReLU(0.2) if activation == "leaky" else ACTIVATIONS[activation]())
    return layers


def _mlp_generator(field: Field, inputs: int, style: Style) -> nn.Module:
    sizes = [inputs, *style.hidden]
    layers = [*_layers(sizes, style.activation, style.norm), nn.Linear(sizes[-1], field.dimensions)]
    return ShapedOutput(nn.Sequential(*layers, *output_layers(field)), field.shape)


def _mlp_critic(shape: tuple[int, ...], style: Style, condition_width: int, kernels: int) -> Critic:
    if style.critic_activation == "maxout":
        _check_no_norm(style, "a critic of maxout layers")
    sizes = [prod(shape), *(style.critic_hidden or style.hidden)]
    body = FlatInput(*_layers(sizes, style.critic_activation, style.critic_norm))
    return Critic(body, sizes[-1], condition_width, kernels)


def _pixel_shape(field: Field) -> tuple[int, ...]:
    """The shape of images of pixels. Raises BestiaryError for other data, since these generators end in tanh."""
    shape = image_shape(field)
    if field.support.output_layer != "tanh":
        raise BestiaryError(
            f"this generator ends in tanh, and {field.name} holds {field.support.values}: use network=mlp"
        )
    return shape


def _dcgan_generator(field: Field, inputs: int, style: Style) -> nn.Module:
    return dcgan.Generator(inputs, _pixel_shape(field), style.width, style.norm, style.constant)


def _dcgan_critic(shape: tuple[int, ...], style: Style, condition_width: int, kernels: int) -> Critic:
    return dcgan.critic(shape, style.width, style.critic_norm, style.pool, style.constant, condition_width, kernels)


def _residual_generator(field: Field, inputs: int, style: Style) -> nn.Module:
    return residual.Generator(inputs, _pixel_shape(field), style.width, style.norm)


def _residual_critic(shape: tuple[int, ...], style: Style, condition_width: int, kernels: int) -> Critic:
    _check_no_norm(style, "the residual critic")
    return residual.critic(shape, style.width, condition_width, kernels)


def _check_no_norm(style: Style, critic: str) -> None:
    if style.critic_norm != "none":
        raise BestiaryError(f"{critic} has no norm between its layers: leave out critic_norm={style.critic_norm}")


GAN_NETWORKS: dict[str, GanPair] = {
    "mlp": GanPair(_mlp_generator, _mlp_critic),
    "dcgan": GanPair(_dcgan_generator, _dcgan_critic),
    "residual": GanPair(_residual_generator, _residual_critic),
}
