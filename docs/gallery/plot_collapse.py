r"""
A decoder that is too strong, and what keeps z alive
====================================================

An autoregressive decoder can model much of :math:`x` without help, and what it does not need from :math:`z` is not
worth its KL: the posterior moves towards the prior, in the worst case onto it (Bowman et al. 2016). Two remedies of the
lectures,

.. math::

   \text{annealing: } \beta_t \nearrow 1, \qquad \text{free bits: } \max(\lambda, \mathrm{KL}(q(z|x)\,\|\,p(z))).

The lesson: annealing, over the first quarter of the run, puts nats into z of which some are left at its end; free bits
hold the rate near λ.
"""

# %%
# The same PixelVAE three times. The last panel is how much the loss rises when a decoder is given the code of another
# example: nothing, where the decoder ignores z.
import json

import matplotlib.pyplot as plt
import torch
from common import full, quick

steps = 20_000 if full() else 300
remedies = {
    "nothing done": {},
    "annealing": {"beta": f"linear(0,1,{steps // 4})"},
    "free bits, λ = 4": {"objective": "free_bits(4)"},
}
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", width_ratios=(2, 1))
for i, (name, options) in enumerate(remedies.items()):
    small = {
        "steps": steps,
        "latent": 8,
        "likelihood": "pixelcnn(layers=4,width=8)",
        "lr": 3e-3,
        "log": 10,
        "batch": 64,
    }
    run = quick("pixel-vae", small, {**small, "likelihood": "pixelcnn"}, **options)
    lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
    axes[0].plot([line["round"] for line in lines], [line["vae.kl"] for line in lines], label=name)
    with torch.no_grad():
        vitals = run.model.vitals(run.observe(run.part("test", 180)))
    rise = float(vitals["swapped"] - vitals["distortion"])
    axes[1].bar(i, rise)
    print(f"{name:17s} KL {lines[-1]['vae.kl']:.2f} nats; with the z of another example the loss rises by {rise:.2f}")
axes[0].axhline(4, color="grey", linewidth=0.8)
axes[0].set(xlabel="round", ylabel="KL, nats", title="The rate while it is fitted")
axes[0].legend()
axes[1].set(xticks=[], ylabel="nats", title="What z is worth")
plt.show()
