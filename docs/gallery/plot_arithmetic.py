r"""
Arithmetic with codes, and walks between them
=============================================

Smiling woman − neutral woman + neutral man is a smiling man, if it is reckoned in codes averaged over examples, and a
ghost if it is reckoned in pixels (Radford et al. 2016, figures 4, 7 and 8):

.. math::

   G\big(z + E\,z(\text{plus}) - E\,z(\text{minus})\big)
   \quad\text{beside}\quad
   x + E\,x(\text{plus}) - E\,x(\text{minus}) .

The attribute here is boldness: each digit is drawn thin and bold, so that the true answer is known for every one. An
encoder gives the codes of a VAE; those of a GAN are found by inversion, :math:`\min_z \|x - G(z)\|^2 + \lambda
\|z\|^2`.

The lesson: codes of both models embolden a digit that they have not seen, and come nearer to its true bold form than
pixels, which lay the same grey blot over every digit, and than the mean of bold digits. Walks between codes are
smooth, where a look-up of training examples would jump.
"""

# %%
# Every digit twice, thin and bold: a pixel becomes the darkest of itself, its left, its upper and its upper left one.
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
from common import full, images

import bestiary as bst
from bestiary.data.load import load
from bestiary.measures.neighbours import distances, nearest

digits = load("mnist" if full() else "digits")


def drawn(part: str, n: int, bold: bool) -> np.ndarray:
    """n digits as 8-bit greys (n, H, W, 1)."""
    x = (digits.part(part)[:n] * (255.0 / (digits.spec.x.levels - 1))).round().astype(np.uint8)
    x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for _ in range((2 if full() else 1) if bold else 0):
        x = np.maximum(x, np.roll(x, 1, 2))
        x = np.maximum(x, np.roll(x, 1, 1))
    return x


def model_units(x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x).permute(0, 3, 1, 2).float() / 255


both = np.concatenate([drawn("train", 50_000, bold) for bold in (False, True)])
quiet = {"root": tempfile.mkdtemp(), "quiet": True, "validate": 0, "save": 0, "batch": 64}
small = {
    "VAE": ("vae", {"steps": 800, "latent": 16, "hidden": (128,), "lr": 3e-3}),
    "GAN": ("dcgan", {"steps": 1200, "latent": 16, "width": 24, "lr": 1e-3, "average": 0.99}),
}
large = {
    "VAE": ("vae", {"steps": 20_000, "latent": 32}),
    "GAN": ("dcgan", {"steps": 20_000, "latent": 64}),
}
runs = {
    name: bst.fit(both, model, **quiet, **options) for name, (model, options) in (large if full() else small).items()
}

# %%
# The attribute is the difference of two means over 100 training digits, and is added to 100 digits of the test part.
thin, bold = (model_units(drawn("train", 100, which)) for which in (False, True))
given, truth = (model_units(drawn("test", 100, which)) for which in (False, True))
added = {name: run.arithmetic(given, thin, bold) for name, run in runs.items()}


def told(name: str, x: torch.Tensor) -> None:
    """The mean distance to the true pictures with its 95% interval."""
    error = (x - truth).square().flatten(1).mean(1).sqrt()
    print(f"{name:30s} {float(error.mean()):.3f} ± {1.96 * float(error.std()) / len(error) ** 0.5:.3f}")


for name, found in added.items():
    told(f"codes of the {name}", found.latent)
    told("  the truth, coded and decoded", runs[name].decode(runs[name].codes(truth)))
told("pixels", added["VAE"].pixels)
told("the mean of bold digits", bold.mean(0).expand_as(truth))

# %%
rows = {"given": given, "true": truth} | {name: found.latent for name, found in added.items()}
rows |= {"pixels": added["VAE"].pixels}
fig, axes = plt.subplots(len(rows), 1, figsize=(8, 4), layout="constrained")
for ax, (name, x) in zip(axes, rows.items(), strict=True):
    ax.imshow(images(x[:12].clamp(0, 1).permute(0, 2, 3, 1).numpy(), 12), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, rotation=0, ha="right", va="center")

# %%
# Walks from each test digit to the next. A generator that only knew its training examples would jump from one to
# another: beside the walks stands such a look-up, of the training example nearest to a cross-fade.
real = model_units(both)


def roughness(x: torch.Tensor) -> float:
    """The longest step of a walk (P, n, …) over its mean step, the median over walks: 1 for a cross-fade."""
    steps = x.flatten(2).diff(dim=1).norm(dim=2)
    return float((steps.amax(1) / steps.mean(1)).median())


ends = {name: run.codes(given[:40]) for name, run in runs.items()}
walks = {name: run.walk(ends[name][:-1], ends[name][1:], n=33) for name, run in runs.items()}
t = torch.linspace(0, 1, 33).view(1, 33, 1, 1, 1)
walks["cross-fade"] = (1 - t) * given[:39, None] + t * given[1:40, None]
walks["look-up"] = real[nearest(walks["cross-fade"].flatten(0, 1), real)[1][:, 0]].view_as(walks["cross-fade"])
fig, axes = plt.subplots(len(walks), 1, figsize=(6, 7), layout="constrained")
for ax, (name, x) in zip(axes, walks.items(), strict=True):
    print(f"longest step over mean step: {name:10s} {roughness(x):6.2f}")
    ax.imshow(images(x[:3, ::4].flatten(0, 1).permute(0, 2, 3, 1).numpy(), 9), cmap="gray_r")
    ax.set(title=name, xticks=[], yticks=[])

# %%
# Truncation to ±t makes samples less varied. A little of it may bring them nearer to the data; a lot leads where few
# codes were drawn in training, and this generator makes a mean of many digits there.
fresh = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:500]]
fig, axes = plt.subplots(1, 3, figsize=(8, 2.4), layout="constrained")
for ax, limit in zip(axes, (None, 1.0, 0.3), strict=True):
    x = runs["GAN"].sample_x(500, truncation=limit)
    near, variety = float(distances(x, fresh).median()), float(x.var(0).sum() / fresh.var(0).sum())
    print(f"truncation={limit}: distance to the nearest digit {near:.3f}, variance {variety:.2f} of the data's")
    ax.imshow(images(runs["GAN"].spec.x.to_stored(x[:24]).numpy(), 8), cmap="gray_r")
    ax.set(title=f"truncation={limit}", xticks=[], yticks=[])

# %%
# How far unseen digits are from what the generator can make, beside samples of its own, which it can:
number = runs["GAN"].reach(50)
print(f"{number.title}: {number.value:.3f} [{number.low:.3f}, {number.high:.3f}], own samples {number.floor.value:.3f}")
plt.show()
