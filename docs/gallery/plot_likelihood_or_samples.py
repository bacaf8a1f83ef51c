r"""
Likelihood and samples are two things
=====================================

In many dimensions a model can have one without the other (Theis et al. 2016):

.. math::

   p_1 = \tfrac1N \textstyle\sum_n \mathcal N(x; x_n, \varepsilon^2 I), \qquad
   p_2 = 0.01\,\pi + 0.99\,\text{noise}, \quad \log p_2(x) \ge \log \pi(x) - \ln 100 .

:math:`p_1` repeats its training examples: its samples pass for data and its likelihood of others is ruinous.
:math:`p_2` gives noise ninety-nine times in a hundred, and loses at most 4.6 nats, which in a hundred dimensions nobody
sees.

The lesson: neither number alone judges a model. The judge gives both, and says which samples are copies.
"""

# %%
# π is a correlated Gaussian in 100 dimensions, whose entropy is known.
from math import log

import numpy as np
import torch

from bestiary.data.load import load
from bestiary.measures.copies import copy_share
from bestiary.measures.two_sample import two_sample_test

data = load("gaussian", dimensions=100, n=6000)
truth, (train, test) = data.truth, (data.part("train")[:2000], data.part("test"))
width, rng = 0.3, np.random.default_rng(0)
wide = 3.0  # deviation of the noise


def log_p1(x: np.ndarray) -> np.ndarray:
    d = ((x[:, None] - train[None]) ** 2).sum(2)
    each = -d / (2 * width**2) - 50 * log(2 * np.pi * width**2)
    return np.logaddexp.reduce(each, axis=1) - log(len(train))


def log_p2(x: np.ndarray) -> np.ndarray:
    noise = -(x**2).sum(1) / (2 * wide**2) - 50 * log(2 * np.pi * wide**2)
    return np.logaddexp(truth.log_prob(x) + log(0.01), noise + log(0.99))


n = 600
noisy = rng.random(n) < 0.99
samples = {
    "π": truth.sample(n, 5),
    "p₁": train[rng.integers(len(train), size=n)] + width * rng.standard_normal((n, 100)),
    "p₂": np.where(noisy[:, None], wide * rng.standard_normal((n, 100)), truth.sample(n, 7)),
}
densities = {"π": truth.log_prob, "p₁": log_p1, "p₂": log_p2}
real, other = (torch.from_numpy(part) for part in (test[:n], data.part("validation")[:n]))
for name, x in samples.items():
    fake = torch.from_numpy(x).float()
    (accuracy, *_), _ = two_sample_test(fake, real, other, "columns")
    copied = copy_share(fake, torch.from_numpy(train), torch.cat([real, other]))
    nll = -densities[name](test)
    spread = 1.96 * nll.std() / len(nll) ** 0.5
    print(f"{name:2s} −log p of test data {nll.mean():8.1f} ± {spread:.1f} nats", end="; ")
    print(f"told from data {accuracy.value:.0%}; copied {copied.value:.0%}, {copied.low:.0%} to {copied.high:.0%}")

# %%
# One in twenty intervals at 95% leaves out what is true, and that of π's copies, of which there are none, is one.
#
# The first two columns look the same under the likelihood's best and worst model.
import matplotlib.pyplot as plt

fig, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained", sharex=True, sharey=True)
for ax, (name, x) in zip(axes, samples.items(), strict=True):
    ax.plot(*x[:, :2].T, ".", markersize=2)
    ax.set(title=name, xlim=(-6, 6), ylim=(-6, 6), aspect="equal")
plt.show()
