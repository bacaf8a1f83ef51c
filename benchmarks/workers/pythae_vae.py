"""A rival: pythae's own trainer and networks (Chadebec, Vincent and Allassonnière 2022, arXiv 2206.08309).

Timed is `BaseTrainer.train_step(epoch)`, one pass over N·B images, with its callbacks (progress bars) taken away:
no evaluation, no disk. The images lie in memory as fp32, as its `BaseDataset` holds them.
"""

import logging
import tempfile
from collections.abc import Callable

import torch
from images import ink
from protocol import Prepare, serve
from settings import IMAGES, LATENT_CONV, LATENT_MLP, VAE_BATCH, VAE_LR


def trainer(latent: int, conv: bool) -> Prepare:
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    x = torch.from_numpy(ink(IMAGES)).float()[:, None]  # (N, 1, 28, 28)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=latent, reconstruction_loss="bce")
    networks = (Encoder_Conv_VAE_MNIST(config), Decoder_Conv_AE_MNIST(config)) if conv else ()
    how = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        no_cuda=True,
        per_device_train_batch_size=VAE_BATCH,
        learning_rate=VAE_LR,
        optimizer_cls="Adam",
    )
    play = BaseTrainer(VAE(config, *networks), BaseDataset(x[:VAE_BATCH], torch.zeros(VAE_BATCH)), None, how)
    play.prepare_training()
    play.callback_handler.callbacks = []

    def prepare(n: int) -> Callable[[], None]:
        size = n * VAE_BATCH
        images = x.repeat(-(-size // len(x)), 1, 1, 1)[:size] if size > len(x) else x[:size]
        play.train_loader = play.get_train_dataloader(BaseDataset(images, torch.zeros(size)))
        return lambda: play.train_step(1)

    return prepare


if __name__ == "__main__":
    serve(
        {"pythae-mlp": lambda: trainer(LATENT_MLP, False), "pythae-conv": lambda: trainer(LATENT_CONV, True)},
        ("torch", "pythae"),
    )
