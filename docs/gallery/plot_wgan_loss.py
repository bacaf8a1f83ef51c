r"""
A loss that means something, and networks that fail
===================================================

The loss of a standard GAN's critic says how well it tells the two apart today, not how good the samples are. That of a
Wasserstein critic near its optimum estimates a distance (Arjovsky et al. 2017, figures 3 to 7),

.. math::

   -L = E_\pi C(x) - E_p C(x) \approx W_1(\pi, p),

and falls as the samples improve, also for generators on which the standard game fails: without BatchNorm and with a
constant number of filters, or a plain MLP.

The lesson: along a fit the Wasserstein critic's estimate goes with a distance that knows nothing of it, and the
standard critic's loss does not, or against it.
"""

# %%
# Both are fitted in stages; after each, samples are held against the data by the sliced Wasserstein distance.
import json
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
from common import full, images

import bestiary as bst
from bestiary.measures.discrepancy import sliced_distances

data, stages = ("mnist", range(500, 20_001, 500)) if full() else ("digits", range(20, 181, 20))
ways = {
    "Wasserstein": ("wgan-gp", {"penalty": "gp(1)", "lr": 1e-3}),
    "standard": ("ns-gan", {"lr": 1e-3}),
}
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for ax, (name, (model, options)) in zip(axes, ways.items(), strict=True):
    run, losses, distances = None, [], []
    for steps in stages:
        how = {"steps": steps, "validate": 0, "save": 0, "log": stages.step, "quiet": True, "precision": "fp32"}
        if run is None:
            common = {"network": "mlp", "batch": 64, "root": tempfile.mkdtemp()}
            run = bst.fit(data, model, **how, **common, **options)
        else:
            run = bst.fit(resume=run, quiet=True, steps=steps, log=stages.step)
        lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
        last = [line for line in lines if "critic.real" in line][-1]
        losses.append(last["critic.real"] - last["critic.fake"] if name == "Wasserstein" else -last["critic.total"])
        real, fake = run.part("test").x.flatten(1), run.sample_x(1000).flatten(1)
        distances.append(float(sliced_distances(fake, real).mean()))
    rank = np.corrcoef(np.argsort(np.argsort(losses)), np.argsort(np.argsort(distances)))[0, 1]
    print(f"{name:12s} rank correlation of −loss and sliced distance: {rank:+.2f}")
    ax.plot(stages, losses, color="#1f6f8b", label="−loss of the critic")
    twin = ax.twinx()
    twin.plot(stages, distances, color="#d15c56", label="sliced distance")
    ax.set(xlabel="round", title=f"{name}: {rank:+.2f}")
    ax.legend(fontsize=8, loc="upper center")
    twin.legend(fontsize=8, loc="upper right")
plt.show()

# %%
# Figures 5 to 7: the generator is a DCGAN, one without BatchNorm and with constant filters, or an MLP of four layers of
# 512; the critic is the same DCGAN throughout (with BatchNorm in the standard game, whose critic has no penalty), and
# both games have equally many turns. `covered` is the share of the data that is reached: by the DCGAN much the same in
# both games, by the other two far more in the Wasserstein game.
from bestiary.measures.manifold import prdc
from bestiary.networks import dcgan

rounds = 20_000 if full() else 200
nets = {
    "DCGAN": {"network": "dcgan", "width": 16},
    "no BatchNorm, constant": {"network": "dcgan", "width": 16, "norm": "none", "constant": True},
    "MLP 4×512": {"network": "mlp", "hidden": (512, 512, 512, 512)},
}
games = {"Wasserstein": ("none", rounds), "standard": ("batch", 3 * rounds)}  # six turns a round, and two
fig, axes = plt.subplots(2, 3, figsize=(8, 3.2), layout="constrained")
for row, (game, (norm, steps)) in enumerate(games.items()):
    for ax, (name, net) in zip(axes[row], nets.items(), strict=True):
        torch.manual_seed(0)
        model, options = ways[game]
        run = bst.fit(
            data, model, root=tempfile.mkdtemp(), quiet=True, validate=0, save=0, steps=steps, batch=64,
            precision="fp32", critic=dcgan.critic(run.spec.shape, 16, norm), **(options | net),
        )  # fmt: skip
        real = run.part("test", 1000).x.flatten(1)
        fake = run.sample_x(len(real)).flatten(1)
        told, reached = float(sliced_distances(fake, real).mean()), prdc(real, fake).covered
        print(f"{game:12s} {name:24s} sliced distance {told:.3f}, covered {reached:.0%}")
        ax.imshow(images(run.sample(32), 8), cmap="gray_r")
        ax.set(xticks=[], yticks=[], ylabel=game if ax is axes[row][0] else "")
        ax.set_title(f"{name}: {reached:.0%}", fontsize=9)
plt.show()
