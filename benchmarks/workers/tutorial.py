"""Two rivals: the DCGAN loop as tutorials write it, and as the library torchgan does.

tutorial: after PyTorch's "DCGAN Tutorial" (N. Inkawhich). A DataLoader of two workers; for each item PIL → transforms
in Python; batches of real and of fake through the discriminator with a backward pass each; sigmoid and BCELoss; the
fakes of the discriminator's turn reused for the generator's, whose backward pass also fills the discriminator's
gradients; `.item()` on five numbers at each step, a printed line every 50.

torchgan: the same data and networks, played as its Trainer plays a GeneratorLoss and a DiscriminatorLoss: the generator
first, fakes drawn anew by each, losses on logits, one backward pass for each; the sum of squares of each gradient read
with `.item()` after each turn, for its log.

The transforms do, with PIL and torch, what torchvision's Resize, CenterCrop, ToTensor
and Normalize do (torchvision itself has no build that stands beside the CPU's torch).

28×28: one grey channel, an image made of an array for each item, as torchvision's MNIST does it.
64×64: colour, a JPEG of 178×218 (CelebA's size) decoded for each item, from memory: no disk is waited for.

The networks are those of our `dcgan` at the same size, written as the tutorial writes them: the projection of z is a
transposed convolution of a 1×1 image, the last layer of the discriminator a convolution of its whole input.
"""

import io
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from images import greys, photographs
from PIL import Image
from protocol import Prepare, serve
from settings import GAN_BATCH, GAN_LR, IMAGES, LATENT_GAN, WIDTH
from torch.utils.data import DataLoader, Dataset


class Compose:
    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, img):
        for t in self.transforms:
            img = t(img)
        return img


class Resize:
    """The shorter side becomes `size`."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, img: Image.Image) -> Image.Image:
        w, h = img.size
        if min(w, h) == self.size:
            return img
        scale = self.size / min(w, h)
        return img.resize((max(self.size, int(w * scale)), max(self.size, int(h * scale))), Image.Resampling.BILINEAR)


class CenterCrop:
    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, img: Image.Image) -> Image.Image:
        w, h = img.size
        left, top = round((w - self.size) / 2), round((h - self.size) / 2)
        return img.crop((left, top, left + self.size, top + self.size))


class ToTensor:
    def __call__(self, img: Image.Image) -> torch.Tensor:
        a = torch.from_numpy(np.array(img, np.uint8, copy=True)).view(img.size[1], img.size[0], len(img.getbands()))
        return a.permute((2, 0, 1)).contiguous().to(dtype=torch.get_default_dtype()).div(255)


class Normalize:
    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        mean, std = torch.as_tensor(self.mean).view(-1, 1, 1), torch.as_tensor(self.std).view(-1, 1, 1)
        return tensor.sub_(mean).div_(std)


class Images(Dataset):
    """`n` items, which repeat the images there are; `load` makes a PIL image of what is stored."""

    def __init__(self, stored: Sequence, load: Callable, transform: Callable) -> None:
        self.stored, self.load, self.transform, self.n = stored, load, transform, GAN_BATCH

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int):
        return self.transform(self.load(self.stored[index % len(self.stored)])), 0


def weights_init(m: nn.Module) -> None:
    name = m.__class__.__name__
    if name.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif name.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


def networks(nc: int, stages: int, small: int) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator with `stages` halvings between the image and small×small."""
    widths = [WIDTH * 2**i for i in range(stages)]
    top = widths[-1]
    g: list[nn.Module] = [
        nn.ConvTranspose2d(LATENT_GAN, top, small, 1, 0, bias=False),
        nn.BatchNorm2d(top),
        nn.ReLU(True),
    ]
    for a, b in pairwise(widths[::-1]):
        g += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
    g += [nn.ConvTranspose2d(widths[0], nc, 4, 2, 1, bias=False), nn.Tanh()]
    d: list[nn.Module] = [nn.Conv2d(nc, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for a, b in pairwise(widths):
        d += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2, inplace=True)]
    d += [nn.Conv2d(top, 1, small, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*g).apply(weights_init), nn.Sequential(*d).apply(weights_init)


Epoch = Callable[[DataLoader], None]


def tutorial(netG: nn.Module, netD: nn.Module) -> Epoch:
    criterion = nn.BCELoss()
    optimizerD = optim.Adam(netD.parameters(), lr=GAN_LR, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=GAN_LR, betas=(0.5, 0.999))
    real_label, fake_label = 1.0, 0.0
    G_losses, D_losses = [], []

    def epoch(dataloader: DataLoader) -> None:
        for i, data in enumerate(dataloader, 0):
            netD.zero_grad()
            real = data[0]
            b_size = real.size(0)
            label = torch.full((b_size,), real_label, dtype=torch.float)
            output = netD(real).view(-1)
            errD_real = criterion(output, label)
            errD_real.backward()
            D_x = output.mean().item()

            noise = torch.randn(b_size, LATENT_GAN, 1, 1)
            fake = netG(noise)
            label.fill_(fake_label)
            output = netD(fake.detach()).view(-1)
            errD_fake = criterion(output, label)
            errD_fake.backward()
            D_G_z1 = output.mean().item()
            errD = errD_real + errD_fake
            optimizerD.step()

            netG.zero_grad()
            label.fill_(real_label)
            output = netD(fake).view(-1)
            errG = criterion(output, label)
            errG.backward()
            D_G_z2 = output.mean().item()
            optimizerG.step()

            if i % 50 == 0:
                print(
                    f"[{i}] D {errD.item():.4f} G {errG.item():.4f} D(x) {D_x:.4f} D(G(z)) {D_G_z1:.4f} / {D_G_z2:.4f}"
                )
            G_losses.append(errG.item())
            D_losses.append(errD.item())

    return epoch


def torchgan(netG: nn.Module, netD: nn.Sequential) -> Epoch:
    logits = netD[:-1]  # without the sigmoid; the same parameters
    players = {"generator": netG, "discriminator": logits}
    optimizers = {k: optim.Adam(m.parameters(), lr=GAN_LR, betas=(0.5, 0.999)) for k, m in players.items()}
    logs: dict[str, list[float]] = {name: [] for name in players}

    def loss(output: torch.Tensor, target: float) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(output, torch.full_like(output, target))

    def generator_loss(real: torch.Tensor) -> torch.Tensor:
        return loss(logits(netG(torch.randn(len(real), LATENT_GAN, 1, 1))), 1.0)

    def discriminator_loss(real: torch.Tensor) -> torch.Tensor:
        fake = netG(torch.randn(len(real), LATENT_GAN, 1, 1)).detach()
        return loss(logits(real), 1.0) + loss(logits(fake), 0.0)

    losses = {"generator": generator_loss, "discriminator": discriminator_loss}

    def epoch(dataloader: DataLoader) -> None:
        for real, _ in dataloader:
            for name, train in losses.items():
                optimizers[name].zero_grad()
                value = train(real)
                value.backward()
                optimizers[name].step()
                logs[name].append(value.item())
                squares = sum((p.grad**2).sum().item() for p in players[name].parameters() if p.grad is not None)
                logs[name].append(squares)

    return epoch


def played(loop: Callable[..., Epoch], size: int) -> Prepare:
    """Steps of one of the loops on images of this size."""
    if size == 28:
        stored: Sequence = greys(IMAGES)
        load, shape, nets = (lambda a: Image.fromarray(a)), (0.5,), networks(nc=1, stages=2, small=7)
    else:
        stored = [jpeg(a) for a in photographs(512, (218, 178))]
        load, shape, nets = (lambda d: Image.open(io.BytesIO(d)).convert("RGB")), (0.5,) * 3, networks(3, 4, 4)
    images = Images(stored, load, Compose([Resize(size), CenterCrop(size), ToTensor(), Normalize(shape, shape)]))
    dataloader = DataLoader(images, batch_size=GAN_BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    epoch = loop(*nets)

    def prepare(n: int) -> Callable[[], None]:
        images.n = n * GAN_BATCH  # an epoch is N steps; the workers live on, idle, from one to the next
        return lambda: epoch(dataloader)

    return prepare


def jpeg(a: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(a).save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    loops = {"dcgan": tutorial, "torchgan": torchgan}
    serve(
        {f"{k}-{size}": partial(played, loop, size) for k, loop in loops.items() for size in (28, 64)},
        ("torch", "Pillow"),
    )
