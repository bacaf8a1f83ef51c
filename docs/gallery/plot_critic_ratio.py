r"""
The best critic is a ratio of densities
=======================================

For a fixed generator with density :math:`p` the critic that minimises :math:`-E_\pi \log D - E_p \log(1 - D)` is

.. math::

   D^*(x) = \frac{\pi(x)}{\pi(x) + p(x)}, \qquad \operatorname{logit} D^* = \log\frac{\pi}{p}, \qquad
   V(G, D^*) = 2\,\mathrm{JSD}(\pi, p) - 2\ln 2,

and where the two agree nothing is left but :math:`-2\ln 2` (Goodfellow et al. 2014).

The lesson: a critic trained on samples alone finds the log-ratio wherever there are samples, and its loss is the
divergence; so it is a two-sample test, and a generator that descends it makes the samples alike.
"""

# %%
# Data N(1, 1) against generators N(m, 1) that come nearer. The critic is a small network, trained by the game itself.
from math import log

import matplotlib.pyplot as plt
import torch

from bestiary.networks.mlp import mlp
from bestiary.objectives.games import nonsaturating

torch.manual_seed(0)
game, x = nonsaturating(), torch.linspace(-6, 6, 601)


def trained(m: float, steps: int = 300) -> torch.nn.Module:
    critic = mlp([1, 32, 32, 1])
    adam = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        loss = game.critic(critic(torch.randn(2048, 1) + 1), critic(torch.randn(2048, 1) + m)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return critic


def jsd(m: float) -> float:
    a, b = (torch.distributions.Normal(c, 1.0).log_prob(x.double()).exp() for c in (1.0, m))
    mid = (a + b) / 2
    return float((a * (a / mid).log() + b * (b / mid).log()).sum() / 2 * (x[1] - x[0]))


fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
means, values = [-2.0, -1.0, 0.0, 1.0], []
for m in means:
    critic = trained(m)
    with torch.no_grad():
        axes[0].plot(x, critic(x[:, None])[:, 0], label=f"p = N({m:g}, 1)")
        values.append(
            -float(game.critic(critic(torch.randn(20_000, 1) + 1), critic(torch.randn(20_000, 1) + m)).mean())
        )
    axes[0].plot(x, (1 - m) * x - (1 - m * m) / 2, color="grey", linewidth=0.8, linestyle="--")
    print(f"N({m:g}, 1): V = {values[-1]:.3f}; 2 JSD − 2 ln 2 = {2 * jsd(m) - 2 * log(2):.3f}")
axes[0].set(xlim=(-4, 4), ylim=(-8, 8), xlabel="x", title="Logits, and log π/p (dashed)")
axes[0].legend(fontsize=8)
axes[1].plot(means, values, "o", label="V of the trained critic")
axes[1].plot(means, [2 * jsd(m) - 2 * log(2) for m in means], color="grey", label="2 JSD − 2 ln 2")
axes[1].set(xlabel="mean of p", title="The value of the game")
axes[1].legend(fontsize=8)
plt.show()
