r"""
A two-sample test as a teacher
==============================

Whatever tells two samples apart and has a derivative can train a generator. The kernel statistic needs no critic,

.. math::

   \mathrm{MMD}^2 = E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y),

(Gretton et al. 2012; Li et al. 2015); a GAN's critic is the same with a learned test.

The lesson: a generator that descends the statistic ends where the test, on fresh samples, no longer rejects.
"""

# %%
# A small network from noise to the two moons.
import matplotlib.pyplot as plt
import torch
from common import full

from bestiary.data.load import load
from bestiary.measures.discrepancy import mmd_test
from bestiary.networks.mlp import mlp

torch.manual_seed(0)
data = torch.from_numpy(load("moons").x)
generator = mlp([4, 64, 64, 2], "silu")
adam = torch.optim.Adam(generator.parameters(), lr=3e-3)
steps, shown = 10_000 if full() else 450, []


def statistic(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """MMD² by three widths; with its bias, which is the same at every step."""
    both = torch.cat([x, y])
    d = torch.cdist(both, both).square()
    k = sum(torch.exp(-d / (2 * w * w)) for w in (0.1, 0.3, 1.0))
    n = len(x)
    return k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()


for step in range(steps + 1):
    if step in (0, steps // 9, steps):
        with torch.no_grad():
            x = generator(torch.randn(500, 4))
        value, p, _ = mmd_test(x, data[-500:], 300)
        shown.append((step, x, p))
        print(f"step {step:5d}: MMD² {value:+.4f}, p = {p:.3f}")
    adam.param_groups[0]["lr"] = 3e-3 * (1 - step / (steps + 1))
    loss = statistic(generator(torch.randn(200, 4)), data[torch.randint(len(data) - 500, (200,))])
    adam.zero_grad()
    loss.backward()
    adam.step()

# %%
# p is of the test on 500 fresh samples against 500 examples that were not trained on.
fig, axes = plt.subplots(1, len(shown), figsize=(8, 2.8), layout="constrained", sharex=True, sharey=True)
for ax, (step, x, p) in zip(axes, shown, strict=True):
    ax.plot(*data[:1000].T, ".", markersize=1, color="#dddddd")
    ax.plot(*x.T, ".", markersize=2)
    ax.set(title=f"step {step}, p = {p:.3f}")
plt.show()
