r"""
One batch or two
================

BatchNorm takes its moments over what it is given. If real and fake pass through the critic in one batch, each logit
depends on how many of the other kind stand beside it, which at test time nobody knows; in batches of their own, each is
judged among its like. The two are different critics with different gradients.

The lesson: at a finite batch the gradient of the critic is biased, in both ways, against that of a large batch, and
noisy; joined batches, of twice as many examples, lose about half as much of it, but their limit is another altogether,
whatever the size.
"""

# %%
# A critic with BatchNorm and a generator, both fresh; the gradient of the critic's loss for many batches of 16, 64 and
# 256, against that of one batch of 20,000 taken the same way.
import matplotlib.pyplot as plt
import torch

from bestiary.data.batch import Batch
from bestiary.data.load import load
from bestiary.models.zoo import build
from bestiary.training.clock import Clock

data, clock = load("moons"), Clock(torch.tensor(0.0), 1)
x = torch.from_numpy(data.x)


def slope(joint: bool, rows: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)
    model = build("ns-gan", data.spec, latent=4, hidden=(32, 32), critic_norm="batch", joint=joint)
    torch.manual_seed(int(rows[0]))
    loss = model.critic_loss(Batch(x[rows]), clock)[0]["total"]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.critic.parameters()))])


sizes, draws = (16, 64, 256), 80
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
limits = {joint: slope(joint, torch.arange(20_000)) for joint in (False, True)}
for joint, name in ((False, "batches apart"), (True, "joined")):
    bias, noise = [], []
    for size in sizes:
        g = torch.Generator().manual_seed(1)
        found = torch.stack([slope(joint, torch.randint(len(x), (size,), generator=g)) for _ in range(draws)])
        # what chance alone leaves in the norm of a mean of so many is taken off
        chance = found.var(0).sum() / draws
        bias.append(float(((found.mean(0) - limits[joint]).square().sum() - chance).clamp_min(0).sqrt()))
        noise.append(float(found.var(0).sum().sqrt()))
    axes[0].plot(sizes, bias, "o-", label=name)
    axes[1].plot(sizes, noise, "o-", label=name)
    size = float(limits[joint].norm())
    biases, noises = (", ".join(f"{value / size:.2f}" for value in values) for values in (bias, noise))
    print(f"{name:14s} batches of 16, 64, 256: bias {biases}; noise {noises} of the gradient's norm")
apart = torch.nn.functional.cosine_similarity(limits[False], limits[True], dim=0)
print(f"cosine between the two limits: {float(apart):.2f}")
for ax, title in zip(axes, ("Bias of the gradient", "Its noise"), strict=True):
    ax.set(xlabel="batch", xscale="log", yscale="log", title=title)
    ax.legend(fontsize=8)
plt.show()
