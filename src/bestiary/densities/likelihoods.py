"""Likelihoods p(x|z): modules that turn the decoder's output h into a distribution over x.

    bernoulli   p(x|z) = Π_i p_i^{x_i} (1 − p_i)^{1 − x_i},  logit p = h                x_i ∈ {0, 1}
    gaussian    p(x|z) = Π_i N(x_i; h_i, σ²),  σ one learned number                      x_i ∈ ℝ
    logistic    P(x|z) = Π_i F((x_i + ½δ − μ_i)/s_i) − F((x_i − ½δ − μ_i)/s_i),  F the logistic function, δ = 1/(L − 1)
                the spacing of the L levels, the outermost intervals open to ±∞          x_i ∈ {0, δ, 2δ, …, 1}
                (discretised logistic: Kingma et al. 2016, arXiv 1606.04934)
    mixed       tables: gaussian for numbers (σ learned per column), categorical for each category's one-hot columns

`log_prob` is in nats, summed over all but the batch, in fp32 whatever the network computed in. The first and third are
probabilities of data with levels, so that nats turn into bits per dimension; the gaussian is a density.

For a = (x + ½δ − μ)/s and b = a − δ/s the logistic's interval is  F(a) − F(b) = F(a) F(−b) (1 − e^{−δ/s}),  a product
whose logarithm loses no digits however far x lies from μ.

Legend: B batch, C H W image shape, F columns; h has `per` numbers for each number of x, stacked in dimension 1.
"""

from collections.abc import Callable
from math import log, pi
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.densities.noise import normal, uniform
from bestiary.errors import BestiaryError

__all__ = ["LIKELIHOODS", "Bernoulli", "DiscretisedLogistic", "Gaussian", "Likelihood", "Mixed", "Observed"]


class Observed(Protocol):
    """p(x|z) for a batch of z."""

    @property
    def mean(self) -> Tensor: ...

    def log_prob(self, x: Tensor) -> Tensor: ...

    def sample(self) -> Tensor: ...


class Likelihood(nn.Module):
    """A family of distributions over x. `per`: how many numbers it wants from the decoder for each number of x."""

    per: int = 1
    discrete: bool = False  # log_prob is the logarithm of a probability, not of a density
    binary: bool = False  # wants x in {0, 1}: greys are binarised by the model
    autoregressive: bool = False  # the mean has no closed form: a model shows a draw
    cost: int = 1  # numbers held in memory for each number of x while log_prob is computed

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, h: Tensor) -> Observed:
        raise NotImplementedError

    def check(self, x: Tensor) -> None:
        """Refuse data outside the support."""


class _Bernoulli:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, x: Tensor) -> Tensor:
        x = x.expand_as(self.logits)
        return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none").flatten(1).sum(1)

    def sample(self) -> Tensor:
        return (uniform(self.logits.shape, self.logits.device) < self.mean).float()


class Bernoulli(Likelihood):
    """x ∈ {0, 1}; greys are binarised by the model before they come here."""

    discrete = True
    binary = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if spec.kind != "image":
            raise BestiaryError(
                f"likelihood=bernoulli needs x in {{0, 1}}, and a {spec.kind} holds numbers: use likelihood=gaussian"
            )

    def forward(self, h: Tensor) -> _Bernoulli:
        return _Bernoulli(h.float())


class _Gaussian:
    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        self.mean, self.log_var = mean, log_var

    def log_prob(self, x: Tensor) -> Tensor:
        each = (x - self.mean).square() * (-self.log_var).exp() + self.log_var + log(2 * pi)
        return -0.5 * each.flatten(1).sum(1)

    def sample(self) -> Tensor:
        return self.mean + (0.5 * self.log_var).exp() * normal(self.mean.shape, self.mean.device)


class Gaussian(Likelihood):
    """x ∈ ℝ with one learned σ; on pixels a density over [0, 1], not a probability of their levels."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.log_var = nn.Parameter(torch.zeros(1))  # FSDP2 shards no 0-d parameters

    def forward(self, h: Tensor) -> _Gaussian:
        return _Gaussian(h.float(), self.log_var)


class _DiscretisedLogistic:
    def __init__(self, mu: Tensor, log_scale: Tensor, levels: int) -> None:
        self.mu, self.log_scale, self.levels = mu, log_scale, levels

    @property
    def mean(self) -> Tensor:
        """E clip(X, 0, 1) = ∫₀¹ σ((μ − t)/s) dt of the logistic X: E x to within half a level."""
        s = self.log_scale.exp()
        tails = F.softplus(-self.mu.abs() / s) - F.softplus(-(self.mu - 1).abs() / s)
        return (self.mu.clamp(0, 1) + s * tails).clamp(0, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        width = 1 / (self.levels - 1)
        precision = (-self.log_scale).exp()
        a, delta = (x + width / 2 - self.mu) * precision, width * precision
        below, above = F.logsigmoid(a), F.logsigmoid(delta - a)  # log F(a), log F(−b)
        inside = below + above + (-torch.expm1(-delta)).clamp_min(1e-38).log()
        each = torch.where(x < width / 2, below, torch.where(x > 1 - width / 2, above, inside))
        return each.flatten(1).sum(1)

    def sample(self) -> Tensor:
        u = uniform(self.mu.shape, self.mu.device).clamp(1e-6, 1 - 1e-6)
        x = self.mu + self.log_scale.exp() * (u.log() - (-u).log1p())
        return (x.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)


class DiscretisedLogistic(Likelihood):
    """x with L levels; μ and log s from the decoder for every channel of every pixel."""

    per = 2
    discrete = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if spec.kind != "image":
            raise BestiaryError(
                f"likelihood=logistic needs pixels with levels, not a {spec.kind}: use likelihood=gaussian"
            )

    def forward(self, h: Tensor) -> _DiscretisedLogistic:
        mean, log_scale = h.float().chunk(2, dim=1)
        # Centred so that h = 0 means grey with s = e^{-2}; s is kept from vanishing on pixels that never change.
        return _DiscretisedLogistic(0.5 + 0.5 * mean, (log_scale - 2).clamp(min=-7), self.spec.levels)


class _Mixed:
    def __init__(self, h: Tensor, log_var: Tensor, spec: Spec) -> None:
        self.h, self.log_var, self.spec = h, log_var, spec

    def _parts(self) -> list[tuple[slice, int]]:
        parts, at = [], 0
        for i, column in enumerate(self.spec.columns):
            parts.append((slice(at, at + column.width), i if not column.categories else -1))
            at += column.width
        return parts

    @property
    def mean(self) -> Tensor:
        return torch.cat([self.h[:, s] if i >= 0 else self.h[:, s].softmax(1) for s, i in self._parts()], 1)

    def log_prob(self, x: Tensor) -> Tensor:
        total = torch.zeros((), device=x.device)
        for s, i in self._parts():
            if i >= 0:
                total = total + _Gaussian(self.h[:, s], self.log_var[i]).log_prob(x[:, s])
            else:
                total = total + (x[:, s] * self.h[:, s].log_softmax(1)).sum(1)
        return total

    def sample(self) -> Tensor:
        columns = []
        for s, i in self._parts():
            if i >= 0:
                columns.append(_Gaussian(self.h[:, s], self.log_var[i]).sample())
            else:
                gumbel = -(-uniform(self.h[:, s].shape, self.h.device).clamp_min(1e-20).log()).log()
                columns.append(F.one_hot((self.h[:, s] + gumbel).argmax(1), s.stop - s.start).float())
        return torch.cat(columns, 1)


class Mixed(Likelihood):
    """A table's row: numbers and categories."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not spec.columns:
            raise BestiaryError("likelihood=mixed needs a table with columns: use likelihood=gaussian")
        self.log_var = nn.Parameter(torch.zeros(len(spec.columns)))

    def forward(self, h: Tensor) -> _Mixed:
        return _Mixed(h.float(), self.log_var, self.spec)


LIKELIHOODS: dict[str, Callable[[Spec], Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "logistic": DiscretisedLogistic,
    "mixed": Mixed,
}
