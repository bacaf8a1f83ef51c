r"""
Covering the modes, or seeking one
==================================

One Gaussian :math:`p` cannot be a :math:`\pi` of two modes. What it becomes depends on the divergence:

.. math::

   \mathrm{KL}(\pi\,\|\,p) \text{ pays where } \pi > 0, p \approx 0 \quad\text{(covers)}, \qquad
   \mathrm{KL}(p\,\|\,\pi) \text{ pays where } p > 0, \pi \approx 0 \quad\text{(seeks)}.

The Jensen-Shannon divergence lies between, and so does what a GAN does, whose generator never sees :math:`\pi` where it
puts no samples (Theis et al. 2016; Nowozin et al. 2016).

The lesson: maximum likelihood spreads over both modes and the space between; the reverse takes one and is sharp.
"""

# %%
# By quadrature: the best mean and width for each divergence, from a start near the right mode.
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


def kl(a: Tensor, b: Tensor) -> Tensor:
    return (torch.special.xlogy(a, a) - a * b.clamp_min(1e-300).log()).sum() * step


divergences = {
    "KL(π‖p)": lambda p: kl(pi, p),
    "JSD": lambda p: (kl(pi, (pi + p) / 2) + kl(p, (pi + p) / 2)) / 2,
    "KL(p‖π)": lambda p: kl(p, pi),
}
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained", sharey=True)
for ax in axes:
    ax.fill_between(x, pi, color="#dddddd")
for name, divergence in divergences.items():
    m, s = torch.tensor(1.5).double().requires_grad_(), torch.tensor(-0.5).double().requires_grad_()
    adam = torch.optim.Adam([m, s], lr=0.02)
    for _ in range(400):
        adam.zero_grad()
        loss = divergence(normal(m, s.exp()).log_prob(x).exp())
        loss.backward()
        adam.step()
    axes[0].plot(x, normal(m, s.exp()).log_prob(x).exp().detach(), label=name)
    print(f"{name:8s} N({float(m.detach()):.2f}, {float(s.exp().detach()):.2f}²)")
axes[0].set(xlim=(-5, 5), title="By quadrature")
axes[0].legend(fontsize=8)

# %%
# By games: the generator is x = a z + b, the critic a network. Columns are standardised, as with every vector.
data = np.random.default_rng(0).choice([-2.0, 2.0], 20_000) + 0.5 * np.random.default_rng(1).standard_normal(20_000)
steps = 20_000 if full() else 600
for game in ("f(kl)", "f(jsd)", "f(reverse_kl)"):
    torch.manual_seed(1)
    generator = nn.Linear(1, 1)
    run = bst.fit(
        data[:, None].astype(np.float32), "f-gan", game=game, latent=1, generator=generator, hidden=(64, 64), lr=1e-3,
        critic_turns=3, steps=steps, batch=256, root=tempfile.mkdtemp(), quiet=True, validate=0, save=0,
    )  # fmt: skip
    scale = run.spec.columns[0].scale if run.spec.columns else 1.0
    a, b = (float(p.detach().flatten()[0]) * scale for p in generator.parameters())
    axes[1].plot(x, normal(b, abs(a)).log_prob(x).exp(), label=game)
    print(f"{game:14s} N({b:.2f}, {abs(a):.2f}²)")
axes[1].set(xlim=(-5, 5), title="By games")
axes[1].legend(fontsize=8)
plt.show()
