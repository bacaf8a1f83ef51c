r"""
The optimal prior, and its price
================================

For a given :math:`q(z|x)` the ELBO, averaged over the training examples, is largest where the prior is the aggregated
posterior,

.. math::

   p^*(z) = \frac1N \sum_n q(z|x_n),

for then the marginal KL of ELBO surgery is zero. It has :math:`N` terms, each of which costs a pass of the encoder at
every step; and it knows the training examples by name. The VampPrior (Tomczak and Welling 2018) keeps :math:`K` learned
pseudo-inputs instead.

The lesson: fitted to few examples, the mixture over all of them is by far the best on them, for it knows each by name,
and ruinous on others, at a higher cost; fewer, learned components are better than N(0, I) on both.
"""

# %%
# One network and four hundred digits; four priors: N(0, I), 50 learned pseudo-inputs, and 50 and all 320 of the
# training examples.
import tempfile
import time

import matplotlib.pyplot as plt
import torch
from common import full

import bestiary as bst
from bestiary.data.batch import Batch
from bestiary.data.load import load
from bestiary.training.device import seeded

x = load("digits").x[:400] * 15
priors = ["standard", "vamp(50)", "aggregated(50)", "aggregated(320)"]
small = {"latent": 8, "hidden": (256,), "batch": 64, "steps": 20_000 if full() else 1200, "binarise": "threshold"}
bounds = []
for prior in priors:
    begun = time.perf_counter()
    run = bst.fit(x, "vae", root=tempfile.mkdtemp(), quiet=True, validate=0, save=0, prior=prior, **small)
    seconds, rows = time.perf_counter() - begun, []
    for parts in (("train",), ("validation", "test")):
        seen = Batch.cat(run.observe(run.part(part)) for part in parts)
        with torch.no_grad(), seeded(0):
            rows.append(-run.model.bound(seen, 50))
    bounds.append(rows)
    mean, error = [float(r.mean()) for r in rows], [1.96 * float(r.std()) / len(r) ** 0.5 for r in rows]
    print(f"{prior:17s} −L_50 {mean[0]:.2f} ± {error[0]:.2f} train, {mean[1]:.2f} ± {error[1]:.2f} others", end="; ")
    print(f"{seconds:.1f} s")

# %%
# Bars are −L_50 on other examples with its interval; the mark is the same on training examples.
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for i, (train, test) in enumerate(bounds):
    ax.bar(i, float(test.mean()), yerr=1.96 * float(test.std()) / len(test) ** 0.5, color="#c9d6e2", capsize=4)
    ax.plot([i - 0.4, i + 0.4], [float(train.mean())] * 2, color="#d15c56")
ax.set_xticks(range(len(priors)), priors)
ax.set(ylabel="−L$_{50}$, nats", yscale="log", ylim=(5, None), title="Other (bars) and training examples (lines)")
plt.show()
