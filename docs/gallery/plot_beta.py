r"""
β too high and too low
======================

.. math::

   \mathbb{E}_q[-\log p(x|z)] + \beta\, \mathrm{KL}(q(z|x)\,\|\,p(z))

β sets the exchange rate between distortion and rate. Too low, and codes lie where the prior does not: reconstructions
are sharp, samples are not digits. Too high, and :math:`z` is pressed out: samples and reconstructions are one average.

The lesson: both ends can be read off rate and distortion before looking at any picture.
"""

# %%
import matplotlib.pyplot as plt
import torch
from common import images, quick

fig, axes = plt.subplots(2, 3, figsize=(8, 5.2), layout="constrained")
for column, beta in zip(axes.T, (0.02, 1.0, 30.0), strict=True):
    run = quick("vae", {"steps": 800}, {"steps": 20_000}, latent=10, beta=beta)
    with torch.no_grad():
        vitals = {k: float(v) for k, v in run.model.vitals(run.observe(run.part("test"))).items()}
    print("β = {:<5} rate {kl:.2f}, distortion {distortion:.2f} nats, active {active:.0%}".format(beta, **vitals))
    x = run.part("test", 32)
    with torch.no_grad():
        again = run.spec.x.to_stored(run.decode(run.encode(x))).numpy()
    for ax, pictures, name in zip(column, (again, run.sample(32)), ("reconstructions", "samples"), strict=True):
        ax.imshow(images(pictures, 8), cmap="gray")
        ax.set(title=f"β = {beta}: {name}", xticks=[], yticks=[])
plt.show()
