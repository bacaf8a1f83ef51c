"""A rival: the DCGAN loop as tutorials write it, after PyTorch's "DCGAN Tutorial" (N. Inkawhich).

The loop is its: a DataLoader of two workers; for each item PIL → transforms in Python; batches of real and of fake
through the discriminator with a backward pass each; sigmoid and BCELoss; the fakes of the discriminator's turn reused
for the generator's, whose backward pass also fills the discriminator's gradients; `.item()` on five numbers at each
step, a printed line every 50. The transforms do, with PIL and torch, what torchvision's Resize, CenterCrop, ToTensor
and Normalize do (torchvision itself has no build that stands beside the CPU's torch).

28×28: one grey channel, an image made of an array for each item, as torchvision's MNIST does it.
64×64: colour, a JPEG of 178×218 (CelebA's size) decoded for each item, from memory: no disk is waited for.

The networks are those of our `dcgan` at the same size, written as the tutorial writes them: the projection of z is a
transposed convolution of a 1×1 image, the last layer of the discriminator a convolution of its whole input.
"""

import io
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn as nn
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


def tutorial(stored: Sequence, load: Callable, transform: Callable, nc: int, stages: int, small: int) -> Prepare:
    netG, netD = networks(nc, stages, small)
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

    images = Images(stored, load, transform)
    dataloader = DataLoader(images, batch_size=GAN_BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    def prepare(n: int) -> Callable[[], None]:
        images.n = n * GAN_BATCH  # an epoch is N steps; the workers live on, idle, from one to the next
        return lambda: epoch(dataloader)

    return prepare


def at_28() -> Prepare:
    transform = Compose([Resize(28), CenterCrop(28), ToTensor(), Normalize((0.5,), (0.5,))])
    return tutorial(greys(IMAGES), lambda a: Image.fromarray(a), transform, nc=1, stages=2, small=7)


def at_64() -> Prepare:
    transform = Compose([Resize(64), CenterCrop(64), ToTensor(), Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])

    def jpeg(a: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(a).save(file, "JPEG", quality=90)
        return file.getvalue()

    files = [jpeg(a) for a in photographs(512, (218, 178))]
    load = lambda data: Image.open(io.BytesIO(data)).convert("RGB")  # noqa: E731
    return tutorial(files, load, transform, nc=3, stages=4, small=4)


if __name__ == "__main__":
    serve({"dcgan-28": at_28, "dcgan-64": at_64}, ("torch", "Pillow"))
