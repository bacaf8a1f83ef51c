"""Our side: the project's own loop, as `bestiary fit` plays it, with the journal's lines but without checkpoints.

pythae's two networks are given as a user's own parts, `encoder=` and `decoder=`, out of our layers; the others are the
zoo's own. A case computes in fp32, as its rivals do; with `-auto` behind its name in what `precision=auto` takes; with
`-products` behind that it makes the matrix products and convolutions of a round alone (products.py).
"""

import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from images import greys, ink, photographs
from products import record_products
from protocol import Prepare, serve
from settings import (
    COMPONENTS,
    GAN_BATCH,
    GAN_LR,
    IMAGES,
    LATENT_CONV,
    LATENT_GAN,
    LATENT_MLP,
    SAMPLES,
    VAE_BATCH,
    VAE_LR,
    WIDTH,
)
from torch import nn

from bestiary.data.batches import Batches
from bestiary.data.dataset import Dataset
from bestiary.data.spec import Spec, pictures
from bestiary.models.model import Model
from bestiary.models.zoo import build
from bestiary.networks.batch_norm import BatchNorm
from bestiary.networks.fast_convolutions import Conv, ConvTranspose
from bestiary.networks.mlp import FlatInput, ShapedOutput
from bestiary.storage.journal import Journal
from bestiary.training.device import infer_precision, seeded, tune_cpu
from bestiary.training.recipe import Recipe
from bestiary.training.trainer import Trainer

__all__ = ["MODELS", "dataset", "pythae_mlp", "seated"]

CPU = torch.device("cpu")


def dataset(stored: np.ndarray, levels: int = 256) -> Dataset:
    """(N, H, W) or (N, H, W, C) as a data set that is all training part."""
    stored = stored if stored.ndim == 4 else stored[..., None]
    spec = pictures((stored.shape[3], *stored.shape[1:3]), levels)
    rows = np.arange(len(stored))
    return Dataset("benchmark", spec, {"x": stored}, {"train": rows, "validation": rows[:1], "test": rows[:1]})


def seated(
    model: Callable[[Spec], Model],
    data: Dataset,
    batch: int,
    device: torch.device = CPU,
    precision: str = "auto",
    graphs: bool = True,
    layout: torch.memory_format = torch.channels_last,
) -> Trainer:
    """A trainer as `bestiary fit` makes it."""
    tune_cpu()
    with seeded(0):
        module = model(data.spec)
    module.to(device).to(memory_format=layout)  # type: ignore[call-overload]
    module.train()
    batches = Batches(data, batch, device=device)
    recipe = Recipe(steps=10**9, batch=batch)
    if precision == "auto":
        precision, _ = infer_precision(device, data.spec.x, module.size)
    return Trainer(module, module.players(), batches, recipe, precision, graphs=graphs)


def play(model: Callable[[Spec], Model], data: Dataset, batch: int, precision: str) -> Prepare:
    """`bestiary fit` between two checkpoints."""
    trainer = seated(model, data, batch, precision=precision)
    journal = Journal(Path(tempfile.mkdtemp()) / "journal.jsonl")

    def rounds(n: int) -> None:
        for _ in range(n):
            trainer.play(trainer.round)
            if trainer.round % trainer.recipe.log == 0:
                journal.append(trainer.line())
        trainer.meter.check(trainer.names)

    return lambda n: lambda: rounds(n)


def play_products(model: Callable[[Spec], Model], data: Dataset, batch: int, precision: str) -> Prepare:
    """The products of a round that is well after the first ones, when the moments of the optimiser are there."""
    trainer = seated(model, data, batch, precision=precision)
    for _ in range(3):
        trainer.play(trainer.round)
    products = record_products(lambda: trainer.play(trainer.round))

    def rounds(n: int) -> None:
        for _ in range(n):
            products()

    return lambda n: lambda: rounds(n)


def pythae_mlp(spec: Spec, **parts: object) -> Model:
    """784 → 512 → ReLU → 40 and back, pythae's default networks."""
    return build(
        "vae",
        spec,
        latent=LATENT_MLP,
        lr=VAE_LR,
        encoder=FlatInput(nn.Linear(784, 512), nn.ReLU()),
        decoder=ShapedOutput(nn.Sequential(nn.Linear(LATENT_MLP, 512), nn.ReLU(), nn.Linear(512, 784)), spec.shape),
        **parts,
    )


def pythae_vamp(spec: Spec) -> Model:
    return pythae_mlp(spec, prior=f"vamp({COMPONENTS},free)")


def pythae_iwae(spec: Spec) -> Model:
    return pythae_mlp(spec, objective="iwae", samples=SAMPLES)


def pythae_conv(spec: Spec) -> Model:
    """pythae's `Encoder_Conv_VAE_MNIST` and `Decoder_Conv_AE_MNIST`."""

    def after(channels: int) -> Iterator[nn.Module]:
        yield from (BatchNorm(channels), nn.ReLU(inplace=True))

    down = [spec.shape[0], 128, 256, 512, 1024]
    encoder = [part for a, b in pairwise(down) for part in (Conv(a, b, 4, 2, 1), *after(b))]
    decoder = [
        ShapedOutput(nn.Sequential(nn.Linear(LATENT_CONV, 1024 * 16)), (1024, 4, 4)),
        *(ConvTranspose(1024, 512, 3, 2, 1), *after(512)),
        *(ConvTranspose(512, 256, 3, 2, 1, output_padding=1), *after(256)),
        ConvTranspose(256, 1, 3, 2, 1, output_padding=1),
    ]
    parts = {"encoder": nn.Sequential(*encoder, nn.Flatten()), "decoder": nn.Sequential(*decoder)}
    return build("vae", spec, latent=LATENT_CONV, lr=VAE_LR, **parts)


def vae_mlp(spec: Spec) -> Model:
    return build("vae", spec, latent=LATENT_MLP, network="mlp", hidden=(512,), lr=VAE_LR)


def vae_conv(spec: Spec) -> Model:
    return build("vae", spec, latent=LATENT_CONV, network="conv", lr=VAE_LR)


def dcgan(spec: Spec) -> Model:
    return build("dcgan", spec, latent=LATENT_GAN, width=WIDTH, lr=GAN_LR)


# name → (model, data, batch)
MODELS: dict[str, tuple[Callable[[Spec], Model], Callable[[], Dataset], int]] = {
    "vae-mlp": (vae_mlp, lambda: dataset(greys(IMAGES)), VAE_BATCH),
    "vae-conv": (vae_conv, lambda: dataset(greys(IMAGES)), VAE_BATCH),
    "pythae-mlp": (pythae_mlp, lambda: dataset(ink(IMAGES), 2), VAE_BATCH),
    "pythae-vamp": (pythae_vamp, lambda: dataset(ink(IMAGES), 2), VAE_BATCH),
    "pythae-iwae": (pythae_iwae, lambda: dataset(ink(IMAGES), 2), VAE_BATCH),
    "pythae-conv": (pythae_conv, lambda: dataset(ink(IMAGES), 2), VAE_BATCH),
    "dcgan-28": (dcgan, lambda: dataset(greys(IMAGES)), GAN_BATCH),
    "dcgan-64": (dcgan, lambda: dataset(photographs(512)), GAN_BATCH),
}


def _case(name: str, precision: str, play: Callable[..., Prepare]) -> Callable[[], Prepare]:
    model, data, batch = MODELS[name]
    return lambda: play(model, data(), batch, precision)


if __name__ == "__main__":
    precisions, works = {"": "fp32", "-auto": "auto"}, {"": play, "-products": play_products}
    cases = {
        name + end + what: _case(name, precision, work)
        for name in MODELS
        for end, precision in precisions.items()
        for what, work in works.items()
    }
    serve(cases, ("torch", "bestiary"))
