r"""
Alike in all statistics
=======================

Two distributions agree if and only if all their statistics do,

.. math::

   \pi = p \iff E_\pi f = E_p f \text{ for every bounded } f ,

and no finite list of them is enough. The Fréchet distance looks at means and covariances, the polynomial kernel at
three moments; a classifier looks for whatever statistic tells the two apart.

The lesson: a cloud of signs and a Gaussian share their first three moments. Both distances stand at their floors, and
the classifier is nearly always right.
"""

# %%
# Data: points of {−1, 1}⁸ with a little noise; samples: N(0, I) of the same variance.
import matplotlib.pyplot as plt
import torch

from bestiary.measures.frechet import fid
from bestiary.measures.kernel_distance import kid
from bestiary.measures.two_sample import two_sample_test

g, width = torch.Generator().manual_seed(0), 0.2


def signs(n: int) -> torch.Tensor:
    return torch.randn(n, 8, generator=g).sign() + width * torch.randn(n, 8, generator=g)


n = 3000
real, other = signs(n), signs(n)
fake = (1 + width**2) ** 0.5 * torch.randn(n, 8, generator=g)
numbers = [fid(fake, real, other, "x"), kid(fake, real, other, "x"), *two_sample_test(fake, real, other, "x")[0]]
for number in numbers:
    print(f"{number.title:52s} {number.value:8.4f}, real against real {number.floor.value:8.4f}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained", sharex=True, sharey=True)
for ax, x, title in zip(axes, (real, fake), ("data", "samples"), strict=True):
    ax.plot(*x[:1500, :2].T, ".", markersize=2)
    ax.set(title=title, aspect="equal")
plt.show()
