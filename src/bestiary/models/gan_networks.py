"""The networks of a GAN by name: a generator that fits the data's support, and a critic.

    mlp         linear → [norm] → activation, as often as `hidden` says
    dcgan       networks/dcgan.py, with or without BatchNorm, strides or average pooling, growing or constant widths
    residual    networks/residual.py

A generator ends in what the support of its data asks for (networks/output_layers.py).

Legend: B batch, C channels, H height, W width, F features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

from torch import nn

from bestiary.data.spec import Field
from bestiary.errors import BestiaryError, unknown
from bestiary.models.vae_networks import maps
from bestiary.networks import dcgan, residual
from bestiary.networks.batch_norm import BatchNorm
from bestiary.networks.critic import Critic
from bestiary.networks.mlp import ACTIVATIONS, Flat, Maxout, Shaped
from bestiary.networks.output_layers import output_layers

__all__ = ["GAN_NETWORKS", "Style"]


@dataclass(frozen=True)
class Style:
    """How networks are built."""

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
        for what, name, table in (
            ("norm", self.norm, NORMS),
            ("critic_norm", self.critic_norm, NORMS),
            ("activation", self.activation, ACTIVATIONS),
            ("critic_activation", self.critic_activation, {**ACTIVATIONS, "maxout": Maxout}),
            ("pool", self.pool, dcgan.POOLS),
        ):
            if name not in table:
                raise unknown(what, name, table)


class GanPair(NamedTuple):
    """generator(field, inputs, style) and critic(shape, style, condition_width, kernels)."""

    generator: Callable[[Field, int, Style], nn.Module]
    critic: Callable[[tuple[int, ...], Style, int, int], Critic]


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda features: nn.Identity(),
    "batch": BatchNorm,
    "layer": nn.LayerNorm,
}


def _layers(sizes: Sequence[int], activation: str, norm: str) -> list[nn.Module]:
    """Linear → norm → activation for each step."""
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
    return Shaped(nn.Sequential(*layers, *output_layers(field)), field.shape)


def _mlp_critic(shape: tuple[int, ...], style: Style, condition_width: int, kernels: int) -> Critic:
    if style.critic_activation == "maxout":
        _no_norm(style, "a critic of maxout layers")
    sizes = [prod(shape), *(style.critic_hidden or style.hidden)]
    body = Flat(*_layers(sizes, style.critic_activation, style.critic_norm))
    return Critic(body, sizes[-1], condition_width, kernels)


def _ending_in_tanh(field: Field) -> tuple[int, ...]:
    """The shape of maps of levels: these generators end in tanh."""
    shape = maps(field)
    if field.support.end != "tanh":
        raise BestiaryError(f"this generator ends in tanh, and {field.name} holds {field.support.values}: network=mlp")
    return shape


def _dcgan_generator(field: Field, inputs: int, style: Style) -> nn.Module:
    return dcgan.Generator(inputs, _ending_in_tanh(field), style.width, style.norm, style.constant)


def _dcgan_critic(shape: tuple[int, ...], style: Style, condition_width: int, kernels: int) -> Critic:
    return dcgan.critic(shape, style.width, style.critic_norm, style.pool, style.constant, condition_width, kernels)


def _residual_generator(field: Field, inputs: int, style: Style) -> nn.Module:
    return residual.Generator(inputs, _ending_in_tanh(field), style.width, style.norm)


def _residual_critic(shape: tuple[int, ...], style: Style, condition_width: int, kernels: int) -> Critic:
    _no_norm(style, "the residual critic")
    return residual.critic(shape, style.width, condition_width, kernels)


def _no_norm(style: Style, what: str) -> None:
    if style.critic_norm != "none":
        raise BestiaryError(f"{what} has no norm between its layers: leave out critic_norm={style.critic_norm}")


GAN_NETWORKS: dict[str, GanPair] = {
    "mlp": GanPair(_mlp_generator, _mlp_critic),
    "dcgan": GanPair(_dcgan_generator, _dcgan_critic),
    "residual": GanPair(_residual_generator, _residual_critic),
}
