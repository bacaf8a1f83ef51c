r"""
Clipping against a penalty
==========================

A Wasserstein critic must be 1-Lipschitz. Clipped weights keep it so by force; a penalty asks for a slope of one between
real and fake,

.. math::

   \theta \leftarrow \operatorname{clip}(\theta, -c, c) \qquad\text{or}\qquad
   \lambda\, E\,(\|\nabla_{\hat x} C(\hat x)\| - 1)^2

(Arjovsky et al. 2017; Gulrajani et al. 2017).

The lesson: clipping drives most weights to the two ends and leaves a critic whose slope is nothing like one; the
penalty leaves weights free and slopes near one.
"""

# %%
# The same critic on the same data, eight Gaussians, fitted both ways.
import tempfile

import matplotlib.pyplot as plt
import torch
from common import full

import bestiary as bst
from bestiary.objectives.penalties import squared_slope

steps = 20_000 if full() else 150
base = {"latent": 2, "hidden": (64, 64, 64), "batch": 128, "steps": steps, "critic_turns": 5}
ways = {"clipping, c = 0.01": ("wgan", {"lr": 5e-4}), "penalty, λ = 1": ("wgan-gp", {"penalty": "gp(1)", "lr": 1e-3})}
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for name, (model, options) in ways.items():
    run = bst.fit("ring", model, root=tempfile.mkdtemp(), quiet=True, validate=0, save=0, **base, **options)
    critic = run.model.critic
    weights = torch.cat([p.detach().flatten() for p in critic.parameters() if p.ndim == 2])
    real, fake = run.part("train", 1000).x, run.sample_x(1000)
    torch.manual_seed(0)
    slopes = squared_slope(critic, torch.lerp(fake, real, torch.rand(1000, 1))).sqrt().detach()
    axes[0].hist((weights / weights.abs().max()).numpy(), 60, histtype="step", density=True, label=name)
    axes[1].hist(slopes.log10().clamp(-8, 2).numpy(), 60, histtype="step", label=name)
    ends = float((weights.abs() > 0.95 * weights.abs().max()).double().mean())
    print(
        f"{name:20s} {ends:.0%} of the weights at an end; slope {float(slopes.mean()):.2g} ± {float(slopes.std()):.2g}"
    )
axes[0].set(xlabel="weight / largest weight", title="Weights of the critic")
axes[1].set(xlabel="log₁₀ of the slope between real and fake", title="Slopes of the critic")
axes[1].axvline(0, color="grey", linewidth=0.8)
for ax in axes:
    ax.legend(fontsize=8)
plt.show()
