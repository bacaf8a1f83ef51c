r"""
Two, five, ten, twenty dimensions
=================================

How many dimensions should :math:`z` have? More carry more of :math:`x`, at a price in KL; those that do not pay for
themselves are switched off, :math:`q(z_d|x) = p(z_d)`.

The lesson: from two dimensions to five the bound gains more than from five to twenty, though the rate goes on rising.
"""

# %%
import matplotlib.pyplot as plt
from common import full, images, quick

sizes, figures = [2, 5, 10, 20], []
fig, axes = plt.subplots(1, 4, figsize=(9, 2.7), layout="constrained")
for ax, latent in zip(axes, sizes, strict=True):
    run = quick("vae", {"steps": 800}, {"steps": 40_000}, latent=latent)
    judged = {number.name: number for number in run.judge(n=180, k=50).numbers}
    bound, active = judged["nll_iwae"], judged["active_units"]
    print(f"{latent:2d} dimensions: −L_50 {bound.value:.2f} [{bound.low:.2f}, {bound.high:.2f}] nats", end=", ")
    print(f"{active.value:g} active; rate {judged['rate'].value:.2f}, distortion {judged['distortion'].value:.2f}")
    ax.imshow(images(run.sample(64), 8), cmap="gray")
    ax.set(title=f"{latent} dimensions\n{bound.value:.1f} nats", xticks=[], yticks=[])
print("MNIST, 40,000 rounds" if full() else "scikit-learn's digits, 800 rounds")
plt.show()
