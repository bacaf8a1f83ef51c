"""The bare loop: the same networks and the least that must be done to train them, by hand, in one function a model.

Images lie in memory as uint8, a batch is an index; channels-last, fused Adam, in-place activations, gradients set to
None, no gradient for the critic's weights in the generator's turn; no seeds, no clock, no terms, no journal, no watch
over NaN. Each turn of the GAN draws fresh noise, as Algorithm 1 of Goodfellow et al. (2014) and our loop do;
`-shared` feeds the fakes of the critic's turn to the generator's, as the tutorials do, which saves one pass.

Legend: B batch, N images.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from ours import MODELS
from protocol import Prepare, serve
from torch import Tensor
from torch.optim import Adam

from bestiary.training.device import tune_cpu


def _set_up(name: str) -> tuple[Any, Iterator[Tensor]]:
    """The model of our side's case, and its batches (B, C, H, W) in [0, 1]."""
    tune_cpu()
    model, data, batch = MODELS[name]
    stored = torch.from_numpy(data().stored["x"])  # (N, H, W, C) uint8
    module = model(data().spec).to(memory_format=torch.channels_last)
    scale = data().spec.x.levels - 1

    def batches() -> Iterator[Tensor]:
        while True:
            for rows in torch.randperm(len(stored)).split(batch):
                if len(rows) == batch:
                    yield stored[rows].permute(0, 3, 1, 2).float().div_(scale)

    return module.train(), batches()


def vae(name: str) -> Prepare:
    module, batches = _set_up(name)
    encoder, head, decoder = module.encoder, module.posterior.head, module.decoder
    optimiser = Adam(module.parameters(), module.optimiser.lr, fused=True)

    def steps(n: int) -> None:
        for _ in range(n):
            x = next(batches)
            x = (torch.rand_like(x) < x).float()
            mean, log_var = head(encoder(x)).chunk(2, 1)
            z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
            nll = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
            kl = 0.5 * (log_var.exp() + mean.square() - 1 - log_var).sum()
            optimiser.zero_grad(set_to_none=True)
            ((nll + kl) / len(x)).backward()
            optimiser.step()

    return lambda n: lambda: steps(n)


def gan(name: str, share: bool) -> Prepare:
    module, batches = _set_up(name)
    G, C = module.generator, module.critic
    ours, theirs = (Adam(p.parameters(), 2e-4, (0.5, 0.999), fused=True) for p in (C, G))
    own = list(G.parameters())

    def steps(n: int) -> None:
        for _ in range(n):
            x = next(batches).mul_(2).sub_(1)
            with torch.set_grad_enabled(share):
                fake = G(torch.randn(len(x), module.latent))
            ours.zero_grad(set_to_none=True)
            (F.softplus(-C(x)).mean() + F.softplus(C(fake.detach())).mean()).backward()
            ours.step()
            if not share:
                fake = G(torch.randn(len(x), module.latent))
            theirs.zero_grad(set_to_none=True)
            F.softplus(-C(fake)).mean().backward(inputs=own)
            theirs.step()

    return lambda n: lambda: steps(n)


CASES: dict[str, Callable[[], Prepare]] = {
    "vae-mlp": lambda: vae("vae-mlp"),
    "vae-conv": lambda: vae("vae-conv"),
    "dcgan-28": lambda: gan("dcgan-28", share=False),
    "dcgan-28-shared": lambda: gan("dcgan-28", share=True),
}

if __name__ == "__main__":
    serve(CASES)
