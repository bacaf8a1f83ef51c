r"""
Gradients that vanish, and gradients that shake
===============================================

The better the critic, the worse the teacher, in the game as it was first written:

.. math::

   \nabla \log(1 - D(G(z))) \propto D \to 0, \qquad \nabla\,[-\log D(G(z))] \propto 1 - D \to 1 .

The second does not vanish; but where the critic is nearly perfect its slope is that of a ratio of two small numbers,
and varies from critic to critic (Arjovsky and Bottou 2017).

The lesson: against a critic trained for longer and longer the saturating gradient dies out by more than an order of
magnitude, and the non-saturating one grows, and with it its spread.
"""

# %%
# Data and generator are Gaussians ten apart. Critics of several seeds are trained against the fixed generator; at each
# stage we look at the gradient that the generator would get.
import matplotlib.pyplot as plt
import torch

from bestiary.networks.mlp import mlp
from bestiary.objectives.games import nonsaturating, saturating

stages, seeds = [0, 10, 30, 100, 300], 5
games = {"saturating": saturating(), "non-saturating": nonsaturating()}
found = {name: torch.zeros(len(stages), seeds, 2) for name in games}
for seed in range(seeds):
    torch.manual_seed(seed)
    critic, shift = mlp([2, 64, 64, 1], "relu"), torch.tensor([10.0, 0.0])
    adam = torch.optim.Adam(critic.parameters(), lr=1e-3)
    for step in range(stages[-1] + 1):
        if step in stages:
            for name, game in games.items():
                mean = shift.clone().requires_grad_()
                logits = critic(torch.randn(1024, 2) + mean)[:, 0]
                (slope,) = torch.autograd.grad(game.generator(logits, logits).mean(), mean)
                found[name][stages.index(step), seed] = slope
        loss = games["saturating"].critic(critic(torch.randn(256, 2)), critic(torch.randn(256, 2) + shift)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()

# %%
# The norm of the mean gradient over critics, and the spread between them.
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for name, slopes in found.items():
    size, spread = slopes.mean(1).norm(dim=1), slopes.std(1).norm(dim=1)
    axes[0].plot(stages, size, "o-", label=name)
    axes[1].plot(stages, spread, "o-", label=name)
    print(f"{name:15s} norm {', '.join(f'{v:.1e}' for v in size)}; spread {', '.join(f'{v:.1e}' for v in spread)}")
for ax, title in zip(axes, ("Norm of the generator's gradient", "Its spread over critics"), strict=True):
    ax.set(xscale="symlog", yscale="log", xlabel="steps of the critic", title=title)
    ax.legend(fontsize=8)
plt.show()
