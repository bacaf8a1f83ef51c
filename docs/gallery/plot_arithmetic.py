r"""
Arithmetic with codes, and walks between them
=============================================

Smiling woman − neutral woman + neutral man is a smiling man, if it is reckoned in codes averaged over examples, and a
ghost if it is reckoned in pixels (Radford et al. 2016, figures 4, 7 and 8):

.. math::

   G\big(z + E\,z(\text{plus}) - E\,z(\text{minus})\big)
   \quad\text{beside}\quad
   x + E\,x(\text{plus}) - E\,x(\text{minus}) .

The attribute here is whether a digit stands on the left or on the right, so that the true answer is known for every
digit. An encoder gives the codes of a VAE; those of a GAN are found by inversion, :math:`\min_z \|x - G(z)\|^2 +
\lambda \|z\|^2`.

The lesson: codes of both models move a digit they have not seen to where it should be, and pixels leave a hole and a
blur. Half-way between two digits lies something like a digit for codes, and two faint digits for pixels.
"""

# %%
# Every digit twice, left and right; the test digits are seen in neither place.
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
from common import full, images

import bestiary as bst
from bestiary.data.batches import stored_units
from bestiary.data.load import load
from bestiary.measures.neighbours import distances, two_sample_distances

digits = load("mnist" if full() else "digits")
cut, side, frame = (4, 20, 32) if full() else (0, 8, 12)  # MNIST has a margin of four pixels


def placed(part: str, n: int, right: bool) -> np.ndarray:
    """n digits as 8-bit greys, on the left or on the right of a frame."""
    x = (digits.part(part)[:n, cut:, cut:][:, :side, :side].astype(float) * 255 / (digits.spec.levels - 1)).round()
    left = frame - side if right else 0
    top = (frame - side) // 2
    return np.pad(x.astype(np.uint8), ((0, 0), (top, frame - side - top), (left, frame - side - left), (0, 0)))


def model_units(x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x).permute(0, 3, 1, 2).float() / 255


n = 50_000 if full() else 1500
both = np.concatenate([placed("train", n, right) for right in (False, True)])
quiet = {"root": tempfile.mkdtemp(), "quiet": True, "validate": 0, "save": 0, "batch": 64, "latent": 16}
small = {
    "VAE": ("vae", {"steps": 1000, "hidden": (128,)}),
    "GAN": ("ns-gan", {"steps": 3000, "hidden": (128, 128), "network": "mlp", "lr": 5e-4}),
}
large = {"VAE": ("vae", {"steps": 20_000}), "GAN": ("dcgan", {"steps": 20_000, "latent": 64})}
runs = {
    name: bst.fit(both, model, **(quiet | options)) for name, (model, options) in (large if full() else small).items()
}

# %%
# The attribute is the difference of two means over 100 training digits; it moves 100 digits of the test part.
left, right = (model_units(placed("train", 100, where)) for where in (False, True))
given, truth = (model_units(placed("test", 100, where)) for where in (False, True))
added = {name: run.arithmetic(given, left, right) for name, run in runs.items()}


def told(name: str, x: torch.Tensor) -> None:
    """The mean distance to the true pictures with its 95% interval."""
    error = (x - truth).square().flatten(1).mean(1).sqrt()
    print(f"{name:30s} {float(error.mean()):.3f} ± {1.96 * float(error.std()) / len(error) ** 0.5:.3f}")


for name, found in added.items():
    told(f"codes of the {name}", found.latent)
    told("  the truth, coded and decoded", runs[name].decode(runs[name].codes(truth)))
told("pixels", added["VAE"].pixels)

# %%
rows = {"given": given, "true": truth} | {name: found.latent for name, found in added.items()}
rows |= {"pixels": added["VAE"].pixels}
fig, axes = plt.subplots(len(rows), 1, figsize=(8, 4), layout="constrained")
for ax, (name, x) in zip(axes, rows.items(), strict=True):
    ax.imshow(images(x[:12].clamp(0, 1).permute(0, 2, 3, 1).numpy(), 12), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, rotation=0, ha="right", va="center")

# %%
# Walks from each test digit to the next, and the same in pixels; and how far the half-way point is from all digits.
real = model_units(both)
walks = {name: run.walk(*run.codes(given).unfold(0, 2, 1).unbind(2), n=9) for name, run in runs.items()}
t = torch.linspace(0, 1, 9).view(1, 9, 1, 1, 1)
walks["pixels"] = (1 - t) * given[:-1, None] + t * given[1:, None]
held = distances(given.flatten(1), real.flatten(1))
print(f"median distance to the nearest training example: of test digits {float(held.median()):.3f}")
fig, axes = plt.subplots(len(walks), 1, figsize=(7, 6), layout="constrained")
for ax, (name, x) in zip(axes, walks.items(), strict=True):
    half = distances(x[:, 4].flatten(1), real.flatten(1))
    print(f"  half-way by {name:8s} {float(half.median()):.3f}")
    ax.imshow(images(x[:3].flatten(0, 1).permute(0, 2, 3, 1).numpy(), 9), cmap="gray_r")
    ax.set(title=name, xticks=[], yticks=[])

# %%
# Truncation: codes within ±t make samples that are nearer to the data and leave more of it out. And how far unseen
# digits are from what the generator can make, beside its own samples.
fresh, other = (real[torch.randperm(len(real), generator=torch.Generator().manual_seed(s))[:500]] for s in (0, 1))
fig, axes = plt.subplots(1, 3, figsize=(8, 2.4), layout="constrained")
for ax, limit in zip(axes, (None, 1.0, 0.3), strict=True):
    x = runs["GAN"].sample_x(500, truncation=limit)
    near, covered = two_sample_distances(x.flatten(1), fresh.flatten(1), other.flatten(1))
    print(f"truncation={limit}: {near.title} {near.value:.3f}, {covered.title} {covered.value:.3f}")
    ax.imshow(images(stored_units(x[:24], runs["GAN"].spec).numpy(), 8), cmap="gray_r")
    ax.set(title=f"truncation={limit}", xticks=[], yticks=[])
number = runs["GAN"].reach(50)
print(f"{number.title}: {number.value:.3f} [{number.low:.3f}, {number.high:.3f}], own samples {number.floor.value:.3f}")
plt.show()
