"""An autoregressive likelihood: p(x|z) = Π_i p(x_i | x_<i, h), pixels in raster order, h the decoder's maps.

    x_<i, h → gated convolutions of limited reach → parameters of the pixel's own distribution, the head

(PixelVAE: Gulrajani et al. 2017, arXiv 1611.05013; Chen et al. 2017, arXiv 1611.02731.) What lies within `reach` pixels
the decoder can model by itself; what is global only z can tell it, so that the reach decides what z is used for. The
head is a likelihood like any other, given the outputs at one pixel: bernoulli, a mixture of logistics whose channels
are coupled within the pixel, or categorical.

Legend: B batch, C channels, F channels of the context.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from bestiary.data.spec import Field
from bestiary.densities.likelihoods import Bernoulli, Categorical, DiscretisedLogistic, Likelihood
from bestiary.errors import BestiaryError
from bestiary.networks.pixelcnn import GatedPixels

__all__ = ["PixelCNN"]

HEADS: dict[str, Callable[[Field], Likelihood]] = {
    "bernoulli": Bernoulli,
    "logistic": lambda field: DiscretisedLogistic(field, mixtures=5),
    "categorical": Categorical,
}


class _Pixels:
    """p(x|z) for a batch of contexts (B, F, H, W)."""

    repeats = False

    def __init__(self, net: GatedPixels, head: Likelihood, context: Tensor) -> None:
        self.net, self.head, self.context = net, head, context

    @property
    def mean(self) -> Tensor:
        raise BestiaryError("likelihood=pixelcnn has no mean in closed form: draw from it")

    def log_prob(self, x: Tensor) -> Tensor:
        x = x.expand(len(self.context), *x.shape[1:])
        return self.head(self.net(2 * x - 1, self.context)).log_prob(x)

    def _choose(self, outputs: Tensor) -> Tensor:
        """A pixel, as the network sees it."""
        return 2 * self.head(outputs[:, :, None, None]).sample()[:, :, 0, 0] - 1

    def sample(self) -> Tensor:
        with torch.no_grad():
            return (self.net.sample(self.context, self._choose) + 1) / 2

    def sample_naive(self) -> Tensor:
        """The same by running the whole network for each pixel."""
        with torch.no_grad():
            return (self.net.sample_naive(self.context, self._choose) + 1) / 2


class PixelCNN(Likelihood):
    """Pixel after pixel by gated convolutions of limited reach, 1 + layers·⌊kernel/2⌋."""

    discrete = True
    autoregressive = True

    def __init__(
        self,
        field: Field,
        *,
        layers: int = 4,  # gated layers
        kernel: int = 3,  # odd width of their windows; the reach is 1 + layers·⌊kernel/2⌋ pixels
        width: int = 32,  # channels of a layer
        context: int = 4,  # numbers of the decoder for each number of x
        head: Literal["auto", "bernoulli", "logistic", "categorical"] = "auto",  # the distribution of one pixel
    ) -> None:
        super().__init__(field)
        self._must_fit("pixelcnn", "an image")
        if min(layers, width, context) < 1 or kernel < 1 or kernel % 2 == 0:
            raise BestiaryError(
                f"pixelcnn(layers={layers},kernel={kernel},width={width},context={context}): kernel must be odd, and"
                " none may be below 1"
            )
        channels, name = field.channels, field.likelihood.value if head == "auto" else head
        self.head = HEADS[name](field)
        self.per, self.binary, self.cost = context, self.head.binary, 4 * width
        self.net = GatedPixels(channels, self.head.per * channels, context * channels, width, layers, kernel)

    @property
    def reach(self) -> int:
        """How many pixels upwards and to the left a pixel sees."""
        return self.net.reach

    def check(self, x: Tensor) -> None:
        self.head.check(x)

    def forward(self, h: Tensor) -> _Pixels:
        return _Pixels(self.net, self.head, h.float())
