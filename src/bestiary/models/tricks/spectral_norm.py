"""Spectral norm: every layer's weight is divided by its largest singular value (Miyato et al. 2018, arXiv 1802.05957).

A linear layer has slope 1 at most; a convolution's is bounded, but not by 1.
"""

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from bestiary.errors import BestiaryError
from bestiary.models.tricks.trick import Setting, Trick

__all__ = ["Spectral", "bounded"]


class Spectral(Trick):
    """A critic of bounded slope, layer by layer."""

    bounds_slope = True

    def refuse(self, setting: Setting) -> None:
        if setting.meets("weight_clip"):
            raise BestiaryError("spectral norm divides the weights that weight_clip= bounds: leave one of them out")

    def critic(self, net: nn.Module) -> nn.Module:
        return bounded(net)


def bounded(critic: nn.Module) -> nn.Module:
    """The critic with every linear layer and convolution divided."""
    found = [m for m in critic.modules() if isinstance(m, nn.Linear | _ConvNd)]
    if not found:
        raise BestiaryError("spectral norm divides linear layers and convolutions, and this critic has neither")
    for layer in found:
        if not is_parametrized(layer, "weight"):  # one's own critic is bounded once, however often it is given
            spectral_norm(layer)
    return critic
