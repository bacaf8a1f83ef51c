r"""
Covering the modes, or seeking one
==================================

One Gaussian :math:`p` cannot be a :math:`\pi` of two modes. What it becomes depends on the divergence:

.. math::

   \mathrm{KL}(\pi\,\|\,p) \text{ pays where } \pi > 0, p \approx 0 \quad\text{(covers)}, \qquad
   \mathrm{KL}(p\,\|\,\pi) \text{ pays where } p > 0, \pi \approx 0 \quad\text{(seeks)}.

The Jensen-Shannon divergence, :math:`\frac12 \mathrm{KL}(\pi\,\|\,m) + \frac12 \mathrm{KL}(p\,\|\,m)` with
:math:`m = (\pi + p)/2`, lies between (Theis et al. 2016; Nowozin et al. 2016).

The lesson: maximum likelihood has one answer, over both modes and the space between, wherever it starts; the reverse
is best by far at one of them, and sharp. Jensen-Shannon holds both answers, nearly as good as each other, and a game
that descends it ends at the one it started from: a generator within one mode has no reason to leave.
"""

# %%
# By quadrature, from two starts: wide over both modes, and narrow beside the right one.
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
from common import full
from torch import Tensor, nn

import bestiary as bst

x = torch.linspace(-9, 9, 1801, dtype=torch.float64)
step = x[1] - x[0]
normal = torch.distributions.Normal
pi = 0.5 * normal(-2.0, 0.5).log_prob(x).exp() + 0.5 * normal(2.0, 0.5).log_prob(x).exp()
starts = {"over both": (0.3, 1.6), "beside one": (1.5, 0.6)}  # mean and deviation


def kl(a: Tensor, b: Tensor) -> Tensor:
    return (torch.special.xlogy(a, a) - a * b.clamp_min(1e-300).log()).sum() * step


divergences = {
    "KL(π‖p)": lambda p: kl(pi, p),
    "JSD": lambda p: (kl(pi, (pi + p) / 2) + kl(p, (pi + p) / 2)) / 2,
    "KL(p‖π)": lambda p: kl(p, pi),
}
colours = dict(zip(divergences, ("#33608c", "#3a7d44", "#d15c56"), strict=True))
lines = dict(zip(divergences, ("-", "--", ":"), strict=True))
fig, axes = plt.subplots(2, 2, figsize=(8.4, 5), layout="constrained", sharey=True, sharex=True)
for row, (start, (mean, deviation)) in zip(axes, starts.items(), strict=True):
    for ax in row:
        ax.fill_between(x, pi, color="#dddddd")
    for name, divergence in divergences.items():
        m, s = (torch.tensor(v).double().requires_grad_() for v in (mean, np.log(deviation)))
        adam = torch.optim.Adam([m, s], lr=0.03)
        for _ in range(400):
            adam.zero_grad()
            loss = divergence(normal(m, s.exp()).log_prob(x).exp())
            loss.backward()
            adam.step()
        row[0].plot(x, normal(m, s.exp()).log_prob(x).exp().detach(), color=colours[name], ls=lines[name], label=name)
        found = f"N({float(m.detach()):.2f}, {float(s.exp().detach()):.2f}²)"
        print(f"{name:8s} from {start:10s} {found}, {float(loss.detach()):.3f} nats")
    row[0].set(xlim=(-5, 5), title=f"By quadrature, from {start}")
axes[0, 0].legend(fontsize=8)

# %%
# By games: the generator is x = a z + b, the critic a network; f(kl) from one mode is on its way to both. Columns are
# standardised, as with every vector.
rng = np.random.default_rng(0)
data = (rng.choice([-2.0, 2.0], 20_000) + 0.5 * rng.standard_normal(20_000)).astype(np.float32)[:, None]
rounds = 20_000 if full() else 600
games = {"f(kl)": "KL(π‖p)", "f(jsd)": "JSD", "f(reverse_kl)": "KL(p‖π)"}
for row, (start, (mean, deviation)) in zip(axes, starts.items(), strict=True):
    for game, name in games.items():
        generator = nn.Linear(1, 1)
        with torch.no_grad():  # in standardised columns
            generator.weight.fill_(deviation / data.std())
            generator.bias.fill_(mean / data.std())
        steps = 2 * rounds if game == "f(kl)" else rounds  # it has the longest way from one mode
        run = bst.fit(
            data, "f-gan", game=game, latent=1, generator=generator, critic_hidden=(64, 64), critic_turns=3, batch=256,
            lr=f"linear(0.006,0.001,{steps})", critic_lr=2e-3, steps=steps, root=tempfile.mkdtemp(), quiet=True,
            validate=0, save=0,
        )  # fmt: skip
        a, b = (float(p.detach().flatten()[0]) * float(data.std()) for p in generator.parameters())
        row[1].plot(x, normal(b, abs(a)).log_prob(x).exp(), color=colours[name], ls=lines[name], label=game)
        print(f"{game:14s} from {start:10s} N({b:.2f}, {abs(a):.2f}²)")
    row[1].set(xlim=(-5, 5), title=f"By games, from {start}")
axes[0, 1].legend(fontsize=8)
plt.show()
