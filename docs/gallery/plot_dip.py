r"""
Moments of the aggregated posterior
===================================

DIP-VAE (Kumar et al. 2018) adds to −ELBO the distance of a covariance from the identity,

.. math::

   \lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2,
   \qquad C = \mathrm{Cov}_x[\mu(x)] \text{ (I)}, \quad \mathrm{Cov}_x[\mu(x)] + \mathbb{E}_x \sigma^2(x) \text{ (II)}.

The lesson: the moments approach the identity, where a VAE leaves some directions of :math:`z` unused.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from common import quick

objectives = {"VAE": "elbo", "DIP-VAE I": "dip(i)", "DIP-VAE II": "dip(ii)"}
fig, axes = plt.subplots(1, 3, figsize=(8, 2.9), layout="constrained")
for ax, (name, objective) in zip(axes, objectives.items(), strict=True):
    run = quick("vae", {"steps": 1200}, {"steps": 20_000}, latent=8, objective=objective)
    x = run.observe(run.part("train", 1000))
    c = np.cov(run.encode(x).T.numpy())
    if name.endswith("II"):
        c = c + np.diag(run.model.look(x).q.variance.mean(0).detach().numpy())
    off, on = (c - np.diag(np.diag(c))), np.diag(c) - 1
    print(f"{name:10s} root mean square off the diagonal {np.sqrt((off**2).sum() / 56):.3f}, on it less 1 ", end="")
    print(f"{np.sqrt((on**2).mean()):.3f}")
    shown = ax.imshow(c, cmap="RdBu_r", vmin=-1.2, vmax=1.2)
    ax.set(title=name, xticks=[], yticks=[])
fig.colorbar(shown, ax=axes, label="C", shrink=0.8)
plt.show()
