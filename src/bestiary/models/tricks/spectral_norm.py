"""Trick `spectral`: spectral norm, each layer's weight is divided by its largest singular value.

(Miyato et al. 2018, arXiv 1802.05957.) The slope of a linear layer is then at most 1; that of a convolution is bounded,
but not by 1.
"""

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from bestiary.errors import BestiaryError
from bestiary.models.tricks.trick import Setting, Trick

__all__ = ["SpectralNorm", "add_spectral_norm"]


class SpectralNorm(Trick):
    """Spectral norm in every layer of the critic, which bounds its slope."""

    bounds_slope = True

    def refuse(self, setting: Setting) -> None:
        if setting.has_tricks("weight_clip"):
            raise BestiaryError("spectral=yes and weight_clip= both bound the critic's weights: leave one of them out")

    def critic(self, net: nn.Module) -> nn.Module:
        return add_spectral_norm(net)


def add_spectral_norm(critic: nn.Module) -> nn.Module:
    """The critic with spectral norm on all linear layers and convolutions. Raises BestiaryError if it has none."""
    layers = [m for m in critic.modules() if isinstance(m, nn.Linear | _ConvNd)]
    if not layers:
        raise BestiaryError(
            "spectral=yes needs linear layers or convolutions, and this critic has neither: leave it out"
        )
    for layer in layers:
        if not is_parametrized(layer, "weight"):  # a user's critic may be passed to several models
            spectral_norm(layer)
    return critic
