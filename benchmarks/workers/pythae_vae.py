"""A rival: pythae's own trainer, models and networks (Chadebec, Vincent and Allassonnière 2022, arXiv 2206.08309).

Timed is `BaseTrainer.train_step(epoch)`, one pass over N·B images, with its callbacks (progress bars) taken away:
no evaluation, no disk. The images lie in memory as fp32, as its `BaseDataset` holds them. Of a bound, `VAE.get_nll`
with its own batch of 100 draws; it is called without gradients, which it does not turn off by itself.
"""

import logging
import tempfile
from collections.abc import Callable
from functools import partial

import torch
from images import ink
from protocol import Prepare, serve
from settings import (
    BOUND_PART,
    BOUND_SAMPLES,
    COMPONENTS,
    IMAGES,
    LATENT_CONV,
    LATENT_MLP,
    SAMPLES,
    VAE_BATCH,
    VAE_LR,
)


def networks() -> dict[str, tuple]:
    """case → (model, its configuration's class, options of that, networks)."""
    from pythae.models import IWAE, VAE, VAMP, IWAEConfig, VAEConfig, VAMPConfig
    from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST

    mlp = {"latent_dim": LATENT_MLP}
    return {
        "pythae-mlp": (VAE, VAEConfig, mlp, ()),
        "pythae-vamp": (VAMP, VAMPConfig, {**mlp, "number_components": COMPONENTS}, ()),
        "pythae-iwae": (IWAE, IWAEConfig, {**mlp, "number_samples": SAMPLES}, ()),
        "pythae-conv": (VAE, VAEConfig, {"latent_dim": LATENT_CONV}, (Encoder_Conv_VAE_MNIST, Decoder_Conv_AE_MNIST)),
    }


def build(case: str) -> torch.nn.Module:
    model, configuration, options, parts = networks()[case]
    config = configuration(input_dim=(1, 28, 28), reconstruction_loss="bce", **options)
    return model(config, *(part(config) for part in parts))


def trainer(case: str) -> Prepare:
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    x = torch.from_numpy(ink(IMAGES)).float()[:, None]  # (N, 1, 28, 28)
    how = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        no_cuda=True,
        per_device_train_batch_size=VAE_BATCH,
        learning_rate=VAE_LR,
        optimizer_cls="Adam",
    )
    play = BaseTrainer(build(case), BaseDataset(x[:VAE_BATCH], torch.zeros(VAE_BATCH)), None, how)
    play.prepare_training()
    play.callback_handler.callbacks = []

    def prepare(n: int) -> Callable[[], None]:
        size = n * VAE_BATCH
        images = x.repeat(-(-size // len(x)), 1, 1, 1)[:size] if size > len(x) else x[:size]
        play.train_loader = play.get_train_dataloader(BaseDataset(images, torch.zeros(size)))
        return lambda: play.train_step(1)

    return prepare


def bound() -> Prepare:
    model, x = build("pythae-mlp").eval(), torch.from_numpy(ink(IMAGES)).float()[:, None]

    @torch.no_grad()
    def steps(n: int) -> None:
        model.get_nll(x[: n * BOUND_PART], n_samples=BOUND_SAMPLES)

    return lambda n: lambda: steps(n)


if __name__ == "__main__":
    cases = ("pythae-mlp", "pythae-vamp", "pythae-iwae", "pythae-conv")
    serve({**{case: partial(trainer, case) for case in cases}, "bound": bound}, ("torch", "pythae"))
