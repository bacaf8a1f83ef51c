r"""
A flow in the prior is a flow in the posterior
==============================================

Let the prior be an autoregressive flow, :math:`z = f(\varepsilon)` with :math:`\varepsilon \sim N(0, I)`. In terms of
:math:`\varepsilon` the same model has the prior :math:`N(0, I)`, the posterior :math:`f^{-1}(q)`, which is an inverse
autoregressive flow, and the decoder :math:`p(x|f(\varepsilon))`: for every draw

.. math::

   \log p(x|z) + \log p(z) - \log q(z|x)
   = \log p(x|f(\varepsilon)) + \log N(\varepsilon) - \log q(\varepsilon|x)

(Chen et al. 2017). The flow in the prior has the deeper decoder for nothing.

The lesson: equal bounds and equal gradients on one batch; and, trained, the flow as prior against the same kind of flow
as posterior.
"""

# %%
# One model read in both ways on one batch of digits.
import matplotlib.pyplot as plt
import torch
from common import quick

from bestiary.densities.diagonal_gaussian import StandardNormal
from bestiary.training.device import seeded

run = quick("flow-prior-vae", {"steps": 200}, {"steps": 20_000}, latent=8)
model, x = run.model, run.observe(run.part("test", 100))
parameters = [p for p in model.parameters() if p.requires_grad]


def reading(swapped: bool) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The bound of each example and its gradient, with the flow in the prior or in posterior and decoder."""
    with seeded(1):
        draw = model.draw(x)
        q, p, z = draw.q, draw.p, draw.z
    log_q = q.log_prob(z)
    if swapped:
        epsilon, log_det = p.backward(z)
        z = p.forward(epsilon)[0]  # the decoder begins with the flow
        log_p, log_q = StandardNormal(torch.zeros(1, 8)).log_prob(epsilon), log_q - log_det
    else:
        log_p = p.log_prob(z)
    log_px = model.px(model.embed(z[0])).log_prob(x.x)
    bound = log_px + (log_p - log_q)[0]
    return bound, torch.autograd.grad(bound.mean(), parameters)


(a, ga), (b, gb) = reading(False), reading(True)
gap = max(float((u - v).abs().max() / (u.abs().max() + 1e-6)) for u, v in zip(ga, gb, strict=True))
print(f"bounds differ by at most {float((a - b).detach().abs().max()):.1e} nats, gradients by a share of {gap:.1e}")

# %%
# Trained with equal budgets: no flow, the flow as posterior, the flow as prior.
names, runs = ["no flow", "posterior", "prior"], []
for model_name in ("vae", "iaf-vae", "flow-prior-vae"):
    runs.append(quick(model_name, {"steps": 800}, {"steps": 20_000}, latent=8))
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for i, (name, run) in enumerate(zip(names, runs, strict=True)):
    number = run.judge(n=180, k=100)["nll_iwae"]
    ax.errorbar(i, number.value, 0.5 * (number.high - number.low), marker="o", capsize=4, color="#168dd9")
    print(f"{name:9s} −L_100 {number.value:.2f} [{number.low:.2f}, {number.high:.2f}] nats")
ax.set_xticks(range(3), names)
ax.set(ylabel="−L$_{100}$, nats", title="Where the flow stands", xlim=(-0.5, 2.5))
plt.show()
