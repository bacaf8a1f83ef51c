r"""
A bound that can be checked
===========================

For almost every latent-variable model :math:`\log p(x)` is out of reach and all that can be had is a lower bound,

.. math::

   \log p(x) \ge L_k = \mathbb{E} \log \frac1k \sum_{i=1}^k \frac{p(x|z_i)\, p(z_i)}{q(z_i|x)},
   \qquad L_1 = \log p(x) - \mathrm{KL}(q(z|x)\,\|\,p(z|x)),

so how would one know that it is right? Take a model whose :math:`\log p(x)` is known. With a linear decoder
:math:`x = Wz + b + \sigma\varepsilon` and :math:`z \sim N(0, I)`, the data is Gaussian, :math:`x \sim N(b, WW^\top +
\sigma^2 I)` (probabilistic PCA, Tipping and Bishop 1999).

The lesson: the ELBO lies below :math:`\log p(x)` by the divergence of :math:`q(z|x)` from the true posterior; the
importance-weighted bound closes the gap as :math:`k` grows, and never crosses it by more than its error.
"""

# %%
# Data with five numbers that two causes explain, and a VAE whose networks are linear. Any ``nn.Module`` can stand in
# the place of a part; the run below is the same as any other.
import tempfile

import matplotlib.pyplot as plt
import torch
from torch import nn

import bestiary as bst

torch.manual_seed(0)
w = torch.randn(2, 5)
x = (torch.randn(4000, 2) @ w + 0.3 * torch.randn(4000, 5)).numpy()


def fitted(steps: int) -> bst.Run:
    """The linear VAE after so many rounds."""
    parts = {"encoder": nn.Flatten(), "decoder": nn.Linear(2, 5)}
    return bst.fit(x, "vae", latent=2, lr=1e-2, steps=steps, root=tempfile.mkdtemp(), quiet=True, **parts)


# %%
# The exact log-density of the fitted model, and the bound at several k, on the same examples of the test part: early,
# while :math:`q(z|x)` is still far from the posterior, and late. (Late, even the ELBO is nearly exact: maximum
# likelihood turns the axes of :math:`z` until the true posterior is diagonal, as Lucas et al. 2019 prove.)
ks = [1, 2, 5, 10, 30, 100, 300, 1000]


def gap(run: bst.Run) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(x) − L_k for each k: the mean over test examples and its standard error."""
    model = run.model
    test = run.part("test")
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        cov = model.decoder.net.weight @ model.decoder.net.weight.T + model.likelihood.log_var.exp() * torch.eye(5)
        exact = torch.distributions.MultivariateNormal(model.decoder.net.bias, cov).log_prob(test.x).double()
        gaps = torch.stack([exact - model.bound(test, k) for k in ks])  # (k, n)
    return gaps.mean(1), gaps.std(1) / len(test) ** 0.5


fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for steps in (40, 100, 1500):
    mean, error = gap(fitted(steps))
    ax.errorbar(ks, mean, 1.96 * error, marker="o", capsize=3, label=f"after {steps} rounds")
    # The ends, with the 95% interval over test examples:
    print(f"{steps:5d} rounds: gap {mean[0]:.4f} ± {1.96 * error[0]:.4f} nats at k = 1,", end=" ")
    print(f"{mean[-1]:.4f} ± {1.96 * error[-1]:.4f} at k = 1000")
ax.axhline(0, color="grey", linewidth=1)
ax.set(xscale="log", xlabel="k", ylabel="log p(x) − L$_k$ (nats)", title="What the bound leaves out")
ax.legend()
