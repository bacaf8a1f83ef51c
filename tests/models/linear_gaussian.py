"""The linear-Gaussian model, in which everything is known, as a VAE of the house's own parts.

    z ~ N(0, I_D),   x = W z + b + σ ε     ⇒     x ~ N(b, C),  C = W Wᵀ + σ² I
                                                 z|x ~ N(M⁻¹ Wᵀ (x − b), σ² M⁻¹),  M = Wᵀ W + σ² I

(Tipping and Bishop 1999; as a VAE: Lucas, Tucker, Grosse and Norouzi 2019, arXiv 1911.02469.) With orthogonal columns
of W the posterior is diagonal, and the VAE can have it exactly. Otherwise the best diagonal Gaussian has the same mean
and the inverse of the precision's diagonal as its variance; it loses  KL = ½ (Σ_d log P_dd − log |P|),  P = M/σ².

Legend: B examples, F numbers in x, D latent.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from bestiary.data.dataset import Dataset
from bestiary.data.spec import rows
from bestiary.models.vae import VAE
from bestiary.models.zoo import build
from bestiary.training.clock import Clock

F, D = 5, 3
CLOCK = Clock(torch.tensor(0.0), 1)


def truth(orthogonal: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """W (F, D), b (F,), log σ²."""
    generator = torch.Generator().manual_seed(3)
    columns = torch.linalg.qr(torch.randn(F, D, generator=generator))[0] * torch.tensor([2.0, 1.2, 0.7])
    w = columns if orthogonal else columns @ torch.tensor([[1.0, 0.8, 0.3], [0.0, 1.0, -0.9], [0.0, 0.0, 1.0]])
    return w, torch.randn(F, generator=generator), torch.tensor(-1.2)


def log_p(x: Tensor, w: Tensor, b: Tensor, log_var: Tensor) -> Tensor:
    """The exact log p(x): (B,)."""
    return MultivariateNormal(b, w @ w.T + log_var.exp() * torch.eye(len(b), dtype=w.dtype)).log_prob(x)


def data(n: int, w: Tensor, b: Tensor, log_var: Tensor, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    z, e = torch.randn(n, w.shape[1], generator=generator), torch.randn(n, len(b), generator=generator)
    return z @ w.T + b + (0.5 * log_var).exp() * e


def posterior(w: Tensor, b: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean's matrix and shift, and the precision P: μ(x) = A x + a, Σ = P⁻¹."""
    precision = torch.eye(w.shape[1]) + w.T @ w / log_var.exp()
    a = torch.linalg.solve(precision, w.T / log_var.exp())
    return a, -a @ b, precision


def untrained(latent: int = D, features: int = F, **options: object) -> VAE:
    """A VAE with a linear decoder and a posterior that is linear in x."""
    spec = rows(features)
    parts = {"encoder": nn.Flatten(), "decoder": nn.Linear(latent, features), "likelihood": "gaussian"}
    model = build("vae", spec, latent=latent, **{**parts, **options})
    assert isinstance(model, VAE)
    return model


@torch.no_grad()
def best(w: Tensor, b: Tensor, log_var: Tensor, **options: object) -> VAE:
    """The VAE of these weights with the best diagonal posterior: the exact one where W has orthogonal columns."""
    model, d = untrained(w.shape[1], len(b), **options), w.shape[1]
    model.decoder.net.weight.copy_(w)
    model.decoder.net.bias.copy_(b)
    model.likelihood.log_var.copy_(log_var)
    a, shift, precision = posterior(w, b, log_var)
    head = model.posterior.head
    head.weight.zero_()
    head.weight[:d].copy_(a)
    head.bias.copy_(torch.cat([shift, -precision.diagonal().log()]))
    return model


def dataset(x: Tensor) -> Dataset:
    """All of x as training data."""
    every = np.arange(len(x))
    parts = {"train": every, "validation": every, "test": every}
    return Dataset("linear", rows(x.shape[1]), {"x": x.numpy()}, parts)
