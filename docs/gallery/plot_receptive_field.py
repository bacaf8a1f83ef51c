r"""
What the decoder sees and what z is for
=======================================

In :math:`p(x|z) = \prod_i p(x_i | x_{<i}, z)` the reach of the PixelCNN is a parameter. What lies within it the decoder
models by itself; only what is wider has to come from :math:`z` (Chen et al. 2017).

The lesson: a decoder that sees one pixel far leaves more nats to :math:`z` than one that sees five; and what varies
among samples of one code is local.
"""

# %%
# PixelVAEs of reach 1 to 5, with a few free bits so that none collapses; and samples that share one code in each row:
# what is common to a row is in z, what varies is local.
import matplotlib.pyplot as plt
import numpy as np
import torch
from common import full, images, quick

likelihoods = ["pixelcnn(layers=1,kernel=1,width=8)"] + [f"pixelcnn(layers={n},width=8)" for n in (1, 4)]
steps, rates, rows = 10_000 if full() else 300, [], []
for likelihood in likelihoods:
    small = {"steps": steps, "latent": 8, "likelihood": likelihood, "lr": 3e-3, "batch": 64}
    run = quick("vae", small, small, objective="free_bits(2)")
    with torch.no_grad():
        vitals = run.model.vitals(run.observe(run.part("test", 180)))
    rates.append((run.model.likelihood.reach, float(vitals["kl"]), float(vitals["swapped"] - vitals["distortion"])))
    print("reach {}: KL {:.2f} nats; the z of another example costs {:.2f} nats".format(*rates[-1]))
    torch.manual_seed(0)
    z = run.encode(run.part("test", 4)).repeat_interleave(6, 0)
    with torch.no_grad():
        rows.append(images(run.spec.x.to_stored(run.model.show(z)).numpy(), 6))

fig, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
reach = np.array(rates)
axes[0].plot(reach[:, 0], reach[:, 1], "o-", label="KL")
axes[0].plot(reach[:, 0], reach[:, 2], "s-", label="cost of a wrong z")
axes[0].set(xlabel="reach, pixels", ylabel="nats")
axes[0].legend(fontsize=8)
for ax, picture, (r, *_) in zip(axes[1:], rows, rates, strict=True):
    ax.imshow(picture, cmap="gray")
    ax.set(title=f"reach {r}: one z a row", xticks=[], yticks=[])
plt.show()
