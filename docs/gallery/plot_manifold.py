r"""
Manifolds in two dimensions
===========================

With :math:`z` in the plane, :math:`\mathbb{E}[x|z]` can be drawn for a grid of :math:`z` at the quantiles of
:math:`N(0, I)`: the surface on which the model believes the data to lie (Kingma and Welling 2014, figure 4).

The lesson: neighbours in the plane look alike, and classes that look alike are neighbours.
"""

# %%
# Drawn digits in eight styles, MNIST at the real size; and Frey's faces, as in the paper, where the data is at hand
# (``BESTIARY_DATA``).
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from common import full, images

import bestiary as bst

if full():
    runs = [bst.fit("mnist", "vae", root=tempfile.mkdtemp(), quiet=True, validate=0, save=0, latent=2, steps=40_000)]
else:
    glyphs = {"n": 3000, "characters": "digits", "vary": "family,weight,size"}
    how = {"latent": 2, "hidden": (256, 256), "steps": 1500, "validate": 0, "save": 0}
    runs = [bst.fit("glyphs", "vae", root=tempfile.mkdtemp(), quiet=True, **glyphs, **how)]
if (Path(os.environ.get("BESTIARY_DATA", "none")) / "frey").is_dir():
    steps = 20_000 if full() else 1500
    faces = {"latent": 2, "hidden": (200,), "likelihood": "gaussian", "batch": 100, "steps": steps}
    runs.append(bst.fit("frey", "vae", root=tempfile.mkdtemp(), quiet=True, validate=0, save=0, **faces))

fig, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
side = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.03, 0.97, 16))
grid = torch.stack(torch.meshgrid(side, -side, indexing="xy"), -1).view(-1, 2)
for ax, run in zip(axes, runs, strict=False):
    ax.imshow(images(run.spec.x.to_stored(run.decode(grid)).numpy(), 16), cmap="gray")
    ax.set(title=f"{run.config['data']['source']}: E[x|z] over the plane", xticks=[], yticks=[])
if len(runs) == 1:
    test = runs[0].part("test")
    codes = runs[0].encode(test)
    axes[1].scatter(*codes.T, c=test.beside["label"], cmap="tab10", s=12)
    axes[1].set(title="where test examples lie, by class", aspect="equal")

# %%
# How often the nearest test example in the plane is of the same class, where a tenth would be chance:
test = runs[0].part("test")
codes = runs[0].encode(test)
near = torch.cdist(codes, codes).fill_diagonal_(torch.inf).argmin(1)
labels = test.beside["label"]
same = (labels[near] == labels).float()
error = 1.96 * float(same.std()) / len(same) ** 0.5
print(f"same class as the nearest in the plane: {float(same.mean()):.2f} ± {error:.2f}")
plt.show()
