"""PixelCNN likelihood: p(x|z) = Π_i p(x_i | x_<i, h), pixels in raster order, h the decoder's maps.

    x_<i, h → gated convolutions of limited reach → the head: the distribution of one pixel

(PixelVAE: Gulrajani et al. 2017, arXiv 1611.05013; Chen et al. 2017, arXiv 1611.02731.) The convolutions model the
structure within `reach` pixels without z; only z can carry global structure. So the reach decides what z is used for.
The head is another likelihood, applied to the outputs at one pixel: bernoulli, a mixture of logistics that couples the
channels of the pixel, or categorical.

Legend: B batch, C channels, F channels of the context.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from bestiary.data.spec import Field
from bestiary.densities.likelihoods import Bernoulli, Categorical, DiscretisedLogistic, Likelihood
from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Repeats, Size
from bestiary.networks.pixelcnn import GatedPixels

__all__ = ["PixelCNN"]

HEADS: dict[str, Callable[[Field], Likelihood]] = {
    "bernoulli": Bernoulli,
    "logistic": lambda field: DiscretisedLogistic(field, mixtures=5),
    "categorical": Categorical,
}


class _Pixels:
    """p(x|z) for a batch of contexts (B, F, H, W)."""

    repeats_x = False

    def __init__(self, net: GatedPixels, head: Likelihood, context: Tensor) -> None:
        self.net, self.head, self.context = net, head, context

    @property
    def mean(self) -> Tensor:
        raise BestiaryError("likelihood=pixelcnn has no mean in closed form: use sample() instead of mean")

    def log_prob(self, x: Tensor) -> Tensor:
        x = x.expand(len(self.context), *x.shape[1:])
        return self.head(self.net(2 * x - 1, self.context)).log_prob(x)

    def _draw_pixel(self, outputs: Tensor) -> Tensor:
        """Draw one pixel in [−1, 1], the network's units, from the outputs at it."""
        return 2 * self.head(outputs[:, :, None, None]).sample()[:, :, 0, 0] - 1

    def sample(self) -> Tensor:
        with torch.no_grad():
            return (self.net.sample(self.context, self._draw_pixel) + 1) / 2

    def sample_naive(self) -> Tensor:
        """The same draws as `sample`, by the whole network for each pixel."""
        with torch.no_grad():
            return (self.net.sample_naive(self.context, self._draw_pixel) + 1) / 2


class PixelCNN(Likelihood):
    """Autoregressive over pixels, by gated convolutions of limited reach: 1 + layers·⌊kernel/2⌋."""

    discrete = True
    autoregressive = True

    def __init__(
        self,
        field: Field,
        *,
        layers: Repeats = 4,  # gated layers
        kernel: Size = 3,  # odd width of their windows; the reach is 1 + layers·⌊kernel/2⌋ pixels
        width: Size = 32,  # channels of a layer
        context: Size = 4,  # numbers of the decoder for each number of x
        head: Literal["auto", "bernoulli", "logistic", "categorical"] = "auto",  # the distribution of one pixel
    ) -> None:
        super().__init__(field)
        self._check_support("pixelcnn", "an image")
        if kernel % 2 == 0:
            raise BestiaryError(f"pixelcnn(kernel={kernel}): kernel must be odd, e.g. likelihood=pixelcnn(kernel=3)")
        channels, name = field.channels, field.likelihood.value if head == "auto" else head
        self.head = HEADS[name](field)
        self.decoder_outputs, self.binary, self.cost = context, self.head.binary, 4 * width
        self.net = GatedPixels(
            channels, self.head.decoder_outputs * channels, context * channels, width, layers, kernel
        )

    @property
    def reach(self) -> int:
        """How many pixels up and to the left each pixel depends on."""
        return self.net.reach

    def check(self, x: Tensor) -> None:
        self.head.check(x)

    def forward(self, h: Tensor) -> _Pixels:
        return _Pixels(self.net, self.head, h.float())
