r"""
ELBO surgery
============

.. math::

   \mathrm{ELBO} = \mathbb{E}\log p(x|z) - I_q[x, z] - \mathrm{KL}(q(z)\,\|\,p(z)),
   \qquad q(z) = \frac1N \sum_n q(z|x_n)

(Hoffman and Johnson 2016). The second term is what the code tells of :math:`x`; the third is how far the codes of all
examples lie from the prior, the only part that a better prior can win.

The lesson: the parts add up, and β moves nats between them: a large β presses information out of :math:`z`. How far
the codes drift from the prior where β is small, few examples cannot tell: :math:`I_q` has the ceiling :math:`\ln N`,
and what lies above it stands in the other parts.
"""

# %%
# Three VAEs that differ by β, judged as any run is.
import matplotlib.pyplot as plt
from common import quick

betas, parts = [0.2, 1.0, 4.0], ["distortion", "mutual_information", "total_correlation", "dimension_kl"]
found = []
for beta in betas:
    run = quick("vae", {"steps": 800}, {"steps": 30_000}, latent=8, beta=beta)
    found.append({number.name: number for number in run.judge(n=180, k=20).numbers})

# %%
# On other draws than those of the bound itself, the parts add up to the ELBO within the Monte Carlo error.
for beta, numbers in zip(betas, found, strict=True):
    whole = sum(numbers[name].value for name in ("distortion", "mutual_information", "marginal_kl"))
    elbo = numbers["nll_elbo"]
    told = numbers["mutual_information"]
    print(
        f"β = {beta:3}: parts {whole:.2f}, −ELBO {elbo.value:.2f} [{elbo.low:.2f}, {elbo.high:.2f}] nats;"
        f" information {told.value:.2f} of {told.ceiling.value:.2f} at most"
    )

fig, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
left = [0.0] * len(betas)
for name, colour in zip(parts, ["#d15c56", "#168dd9", "#7fb8e0", "#c5dcee"], strict=True):
    values = [numbers[name].value for numbers in found]
    ax.barh([f"β = {b}" for b in betas], values, left=left, color=colour, label=name.replace("_", " "))
    left = [a + b for a, b in zip(left, values, strict=True)]
ax.set(xlabel="nats", title="What −ELBO is made of")
ax.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
plt.show()
