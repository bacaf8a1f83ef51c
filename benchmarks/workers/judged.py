"""Our side of what follows training: the bound of test images, and drawing from a PixelCNN.

    bound          log p(x) ≥ L_k of 64 binary images, k = 5000, pythae's MLP; as the judge calls it
    pixel          16 images of 28×28 drawn by our `pixel-vae`, each layer's work kept from pixel to pixel
    pixel-naive    the twin that forgets: the whole network for each pixel. A step is the first of the 28 rows, since
                   every pixel costs the same

Weights are those of an untrained model: neither cost depends on them.
"""

import torch
from images import ink
from ours import dataset, pythae_mlp
from protocol import Prepare, serve
from settings import BOUND_IMAGES, BOUND_SAMPLES, DRAWN, IMAGES

from bestiary.data.batches import Batches
from bestiary.measures.bound import draw_counts
from bestiary.models.model import Model
from bestiary.models.zoo import build
from bestiary.training.device import tune_cpu


def bound() -> Prepare:
    tune_cpu()
    data = dataset(ink(IMAGES), 2)
    model, images = pythae_mlp(data.spec).eval(), Batches(data, BOUND_IMAGES)

    @torch.no_grad()
    def steps(n: int) -> None:
        for i in range(n):
            model.bounds(images.at(i), draw_counts(BOUND_SAMPLES))

    return lambda n: lambda: steps(n)


def _pixels() -> Model:
    tune_cpu()
    return build("pixel-vae", dataset(ink(DRAWN), 2).spec).eval()


def cached() -> Prepare:
    model = _pixels()

    @torch.no_grad()
    def steps(n: int) -> None:
        for _ in range(n):
            model.sample(DRAWN)

    return lambda n: lambda: steps(n)


def naive() -> Prepare:
    model = _pixels()

    @torch.no_grad()
    def steps(n: int) -> None:
        for _ in range(n):
            px = model.likelihood(model.decoder(model.codes(DRAWN)))
            x = torch.zeros(DRAWN, *model.spec.shape)
            for j in range(x.shape[3]):
                x[:, :, 0, j] = px._choose(px.net(x, px.context)[:, :, 0, j])

    return lambda n: lambda: steps(n)


if __name__ == "__main__":
    serve({"bound": bound, "pixel": cached, "pixel-naive": naive}, ("torch", "bestiary"))
