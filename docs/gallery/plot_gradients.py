r"""
Two gradients of one expectation
================================

The ELBO is an expectation over :math:`z \sim q_\phi(z)`, and its gradient with respect to :math:`\phi` can be
written in two ways,

.. math::

   \nabla_\phi \mathbb{E}_{q_\phi}[f(z)]
   = \mathbb{E}_{q_\phi}[f(z)\,\nabla_\phi \log q_\phi(z)]
   = \mathbb{E}_{\varepsilon}[\nabla_\phi f(\mu + \sigma\varepsilon)],

the score function (Williams 1992) and the reparameterisation (Kingma and Welling 2014). Both are unbiased. The first
knows only values of :math:`f`, the second its slope.

The lesson: the same mean. In one dimension either may vary less; then the variance of the score function grows with
the dimensions, to orders of magnitude above that of the other.
"""

# %%
# :math:`f` is the integrand of an ELBO: the log-density of a linear-Gaussian model less :math:`\log q`. The exact
# gradient is known in closed form, since :math:`\mathbb{E}[f]` is a quadratic.
import matplotlib.pyplot as plt
import torch

from bestiary.densities.diagonal_gaussian import DiagonalNormal, StandardNormal

n, sizes = 20_000, [1, 2, 5, 10, 20, 50]


def gradients(d: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """∂/∂μ of E[−½|x − z|² + log p(z) − log q(z)]: n draws of either estimate (n, D), and the exact one (D,)."""
    torch.manual_seed(d)
    x, mean = torch.randn(d), torch.randn(d).expand(n, d).clone().requires_grad_()
    q, p = DiagonalNormal(mean, torch.full((n, d), -1.0)), StandardNormal(torch.zeros(1, d))

    def f(z: torch.Tensor, q: DiagonalNormal) -> torch.Tensor:
        return -0.5 * (x - z).square().sum(-1) + p.log_prob(z) - q.log_prob(z)

    z = q.rsample()
    (slope,) = torch.autograd.grad(f(z, q).sum(), mean, retain_graph=True)
    fixed = z.detach()
    (score,) = torch.autograd.grad(q.log_prob(fixed).sum(), mean)
    values = f(fixed, DiagonalNormal(mean.detach(), q.log_var))
    return slope, values[:, None] * score, x - 2 * mean[0].detach()


# %%
# Means agree with the exact gradient within a few of their standard errors, the worst coordinate being told. The
# variances do not agree at all.
ratios = []
for d in sizes:
    slope, score, exact = gradients(d)
    misses = [float(((g.mean(0) - exact).abs() / (g.std(0) / n**0.5)).max()) for g in (slope, score)]
    ratios.append(float(score.var(0).mean() / slope.var(0).mean()))
    print(
        f"D = {d:2d}: off by at most {misses[0]:.1f} and {misses[1]:.1f} standard errors; variance × {ratios[-1]:.2g}"
    )

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.plot(sizes, ratios, "o-", color="#d15c56")
ax.set(xscale="log", yscale="log", xlabel="dimensions of z", ylabel="variance: score / reparameterised")
ax.set_title("What knowing the slope saves")
ax.grid(alpha=0.2)
plt.show()
