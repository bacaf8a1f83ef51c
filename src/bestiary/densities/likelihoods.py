"""Likelihoods p(x|z): modules that turn the decoder's output h into a distribution over x.

    bernoulli   p(x|z) = Π_i p_i^{x_i} (1 − p_i)^{1 − x_i},  logit p = h                x_i ∈ {0, 1}
    gaussian    p(x|z) = Π_i N(x_i; h_i, σ²),  σ one learned number, a fixed one, or one of the decoder's for each i
    logistic    P(x|z) = Π_i F((x_i + ½δ − μ_i)/s_i) − F((x_i − ½δ − μ_i)/s_i),  F the logistic function, δ = 1/(L − 1)
                the spacing of the L levels, the outermost intervals open to ±∞          x_i ∈ {0, δ, 2δ, …, 1}
                (discretised logistic: Kingma et al. 2016, arXiv 1606.04934)
                mixtures=M: for each channel a mixture of M such logistics, whose μ are shifted by Σ_{c'<c} a_{cc'}
                (x_{c'} − ½), linear in the channels before it (PixelCNN++, Salimans et al. 2017, arXiv 1701.05517)
    categorical P(x|z) = Π_i softmax(h_i)_{x_i},  one logit for each of the L levels
    mixed       tables: gaussian for numbers (σ learned per column), categorical for each category's one-hot columns

`log_prob` is in nats, summed over all dimensions but the batch, in fp32 also if the network computes in bf16.
Bernoulli, logistic and categorical are probabilities, so nats convert to bits per dimension; the gaussian is a density.

With a = (x + ½δ − μ)/s and b = a − δ/s the probability of an interval of the logistic is
F(a) − F(b) = F(a) F(−b) (1 − e^{−δ/s}),  a product whose logarithm loses no digits even if x is far from μ.

Legend: B batch, C H W image shape, F columns, K draws of z for each x; h has `decoder_outputs` numbers for each number
of x, stacked in dimension 1.
"""

from collections.abc import Callable, Sequence
from math import log, pi
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.densities.bernoulli import log_bernoulli, vecdot
from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Positive, Size
from bestiary.training.noise import normal, uniform
from bestiary.training.part import Part

__all__ = ["Bernoulli", "Categorical", "DataDistribution", "DiscretisedLogistic", "Gaussian", "Likelihood", "Mixed"]


class DataDistribution(Protocol):
    """p(x|z) for a batch of z."""

    @property
    def repeats_x(self) -> bool: ...  # whether log_prob accepts x (B, …) for a distribution of K·B rows

    @property
    def mean(self) -> Tensor: ...

    def log_prob(self, x: Tensor) -> Tensor: ...

    def sample(self) -> Tensor: ...


class Likelihood(Part):
    """A family of distributions over x: calling it with outputs h of the decoder gives p(x|z).

    Raises BestiaryError when built for a field of another support.
    """

    decoder_outputs: int = 1  # numbers of h for each number of x
    discrete: bool = False  # log_prob is the logarithm of a probability, not of a density
    binary: bool = False  # needs x in {0, 1}: the model binarises greys
    autoregressive: bool = False  # the mean has no closed form, so a model shows draws instead
    cost: int = 1  # numbers in memory for each number of x while log_prob is computed

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field

    def _check_support(self, name: str, needs: str) -> None:
        """Raise BestiaryError unless the likelihood called `name`, which needs `needs`, fits the field's support."""
        field = self.field
        if name not in (fits := field.support.likelihoods(field.channels)):
            advice = f"use likelihood={fits[0]}" if fits else "no likelihood fits it"
            raise BestiaryError(
                f"likelihood={name} needs {needs}, and {field.noun}s hold {field.support.values}: {advice}"
            )

    def forward(self, h: Tensor) -> DataDistribution:
        raise NotImplementedError

    def check(self, x: Tensor) -> None:
        """Raise BestiaryError if values of x are outside the support."""
        if not bool(x.isfinite().all()):
            raise BestiaryError("x holds values that are NaN or infinite: leave those examples out, or fill them in")


class _Bernoulli:
    repeats_x = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, x: Tensor) -> Tensor:
        """Σ_i x_i l_i − softplus(l_i) for logits of K·B rows; x may have B rows and is then repeated without a copy."""
        if not 1 < len(x) < len(self.logits):
            x = x.expand_as(self.logits)
            return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none").flatten(1).sum(1)
        flat = x.flatten(1)  # (B, F)
        logits = self.logits.flatten(1).view(-1, *flat.shape)  # (K, B, F)
        if logits.device.type == "cpu":
            return log_bernoulli(logits, flat).flatten()
        return (vecdot(logits, flat) - F.softplus(logits).sum(-1)).flatten()

    def sample(self) -> Tensor:
        return (uniform(self.logits.shape, self.logits.device) < self.mean).float()


class Bernoulli(Likelihood):
    """Independent x_i ∈ {0, 1}. The model binarises greys first."""

    discrete = True
    binary = True

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self._check_support("bernoulli", "x in {0, 1}")

    def check(self, x: Tensor) -> None:
        super().check(x)
        if not bool(((x == 0) | (x == 1)).all()):
            raise BestiaryError(
                f"likelihood=bernoulli needs x in {{0, 1}}; got {_range_text(x)}:"
                " use binarise=dynamic, or another likelihood"
            )

    def forward(self, h: Tensor) -> _Bernoulli:
        return _Bernoulli(h.float())


class _Gaussian:
    repeats_x = False

    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        self.mean, self.log_var = mean, log_var

    def log_prob(self, x: Tensor) -> Tensor:
        terms = (x - self.mean).square() * (-self.log_var).exp() + self.log_var + log(2 * pi)
        return -0.5 * terms.flatten(1).sum(1)

    def sample(self) -> Tensor:
        return self.mean + (0.5 * self.log_var).exp() * normal(self.mean.shape, self.mean.device)


class Gaussian(Likelihood):
    """Independent x_i ∈ ℝ. For pixels this is a density, not a probability of their levels."""

    def __init__(
        self,
        field: Field,
        *,
        sigma: Positive | Literal["learned", "pixel"] = "learned",  # σ: one learned number, a fixed one, one per pixel
    ) -> None:
        super().__init__(field)
        self._check_support("gaussian", "numbers")
        self.sigma, self.decoder_outputs = sigma, 2 if sigma == "pixel" else 1
        if isinstance(sigma, float | int):
            self.register_buffer("log_var", torch.full((1,), 2 * log(sigma)), persistent=False)
        elif sigma == "learned":
            self.log_var = nn.Parameter(torch.zeros(1))  # FSDP2 shards no 0-d parameters

    def forward(self, h: Tensor) -> _Gaussian:
        if self.decoder_outputs == 1:
            return _Gaussian(h.float(), self.log_var)
        mean, log_var = h.float().chunk(2, dim=1)
        # σ ≥ e^{−3.5}: otherwise a pixel that never changes would raise the density without bound
        return _Gaussian(mean, log_var.clamp(-7, 7))


class _DiscretisedLogistic:
    repeats_x = False

    def __init__(self, mu: Tensor, log_scale: Tensor, levels: int) -> None:
        self.mu, self.log_scale, self.levels = mu, log_scale, levels

    @property
    def mean(self) -> Tensor:
        """E clip(X, 0, 1) = ∫₀¹ σ((μ − t)/s) dt for the logistic X; equals E x to within half a level."""
        s = self.log_scale.exp()
        tails = F.softplus(-self.mu.abs() / s) - F.softplus(-(self.mu - 1).abs() / s)
        return (self.mu.clamp(0, 1) + s * tails).clamp(0, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_prob_each(x).flatten(1).sum(1)

    def log_prob_each(self, x: Tensor) -> Tensor:
        """log P of each number of x, in the shape of x."""
        width = 1 / (self.levels - 1)
        precision = (-self.log_scale).exp()
        a, delta = (x + width / 2 - self.mu) * precision, width * precision
        below, above = F.logsigmoid(a), F.logsigmoid(delta - a)  # log F(a), log F(−b)
        inside = below + above + (-torch.expm1(-delta)).clamp_min(1e-38).log()
        return torch.where(x < width / 2, below, torch.where(x > 1 - width / 2, above, inside))

    def sample(self) -> Tensor:
        u = uniform(self.mu.shape, self.mu.device).clamp(1e-6, 1 - 1e-6)
        x = self.mu + self.log_scale.exp() * (u.log() - (-u).log1p())
        return (x.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)


class _LogisticMixture:
    """For each channel a mixture of discretised logistics, whose μ depend on the channels before it."""

    repeats_x = False

    def __init__(self, h: Tensor, mixtures: int, channels: int, levels: int) -> None:
        h = h.unflatten(1, (channels, -1))  # (B, C, 3M + C − 1, H, W)
        logits, mu, log_scale, self.coupling = h.split([mixtures] * 3 + [channels - 1], 2)
        self.log_w, self.levels = logits.log_softmax(2), levels
        self.mu, self.log_scale = 0.5 + 0.5 * mu, (log_scale - 2).clamp(min=-7)

    def _channel(self, c: int, before: Sequence[Tensor]) -> _DiscretisedLogistic:
        """The M logistics (B, M, H, W) of channel c, given the channels before it, each (B, H, W)."""
        mu = self.mu[:, c]
        for i, x in enumerate(before):
            mu = mu + (self.coupling[:, c, i] * (x - 0.5))[:, None]
        return _DiscretisedLogistic(mu, self.log_scale[:, c], self.levels)

    def log_prob(self, x: Tensor) -> Tensor:
        total = x.new_zeros(len(self.mu))
        channels = list(x.expand(len(self.mu), *x.shape[1:]).unbind(1))
        for c, xc in enumerate(channels):
            log_prob = self._channel(c, channels[:c]).log_prob_each(xc[:, None])  # (B, M, H, W)
            total = total + (self.log_w[:, c] + log_prob).logsumexp(1).flatten(1).sum(1)
        return total

    def _by_channel(self, value: Callable[[_DiscretisedLogistic, Tensor], Tensor]) -> Tensor:
        """x (B, C, H, W), channel by channel: value(logistics, log_w) gives one channel, and the next depends on it."""
        channels: list[Tensor] = []
        for c in range(self.mu.shape[1]):
            channels.append(value(self._channel(c, channels), self.log_w[:, c]))
        return torch.stack(channels, 1)

    @property
    def mean(self) -> Tensor:
        """E x of each channel, given the means of the channels before it."""
        return self._by_channel(lambda logistics, log_w: (log_w.exp() * logistics.mean).sum(1))

    def sample(self) -> Tensor:
        def draw(logistics: _DiscretisedLogistic, log_w: Tensor) -> Tensor:
            return logistics.sample().gather(1, _draw_category(log_w, 1)[:, None])[:, 0]

        return self._by_channel(draw)


class DiscretisedLogistic(Likelihood):
    """Pixels with L levels; the decoder gives μ and log s for every channel of every pixel."""

    discrete = True

    def __init__(
        self,
        field: Field,
        *,
        mixtures: Size = 1,  # logistics for each channel; with more than one the channels of a pixel are coupled too
    ) -> None:
        super().__init__(field)
        self.mixtures = mixtures
        self.decoder_outputs = self.cost = 2 if mixtures == 1 else 3 * mixtures + field.channels - 1
        self._check_support("logistic", "pixels with levels")

    def check(self, x: Tensor) -> None:
        super().check(x)
        _check_levels(x, self.field.levels, "logistic")

    def forward(self, h: Tensor) -> DataDistribution:
        if self.mixtures > 1:
            return _LogisticMixture(h.float(), self.mixtures, self.field.channels, self.field.levels)
        mean, log_scale = h.float().chunk(2, dim=1)
        # Centred so that h = 0 means grey with s = e^{-2}. The clamp keeps s > 0 for pixels that never change.
        return _DiscretisedLogistic(0.5 + 0.5 * mean, (log_scale - 2).clamp(min=-7), self.field.levels)


class _Categorical:
    repeats_x = False

    def __init__(self, log_p: Tensor) -> None:
        self.log_p = log_p  # (B, C, L, H, W)

    @property
    def mean(self) -> Tensor:
        levels = torch.linspace(0, 1, self.log_p.shape[2], device=self.log_p.device)
        return torch.einsum("bclhw,l->bchw", self.log_p.exp(), levels)

    def log_prob(self, x: Tensor) -> Tensor:
        index = (x * (self.log_p.shape[2] - 1)).round().long().expand(len(self.log_p), *x.shape[1:])
        return self.log_p.gather(2, index.unsqueeze(2)).flatten(1).sum(1)

    def sample(self) -> Tensor:
        return _draw_category(self.log_p, 2).float() / (self.log_p.shape[2] - 1)


class Categorical(Likelihood):
    """Pixels with L levels without an order: one logit for each level."""

    discrete = True

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self._check_support("categorical", "pixels with levels")
        self.decoder_outputs = self.cost = field.levels

    def check(self, x: Tensor) -> None:
        super().check(x)
        _check_levels(x, self.field.levels, "categorical")

    def forward(self, h: Tensor) -> _Categorical:
        return _Categorical(h.float().unflatten(1, (self.field.channels, -1)).log_softmax(2))


def _draw_category(log_p: Tensor, dim: int) -> Tensor:
    """A draw of the category's index along `dim`: argmax of log p plus Gumbel noise."""
    return (log_p - (-uniform(log_p.shape, log_p.device).clamp_min(1e-20).log()).log()).argmax(dim)


def _range_text(x: Tensor) -> str:
    return f"values from {float(x.min()):.3g} to {float(x.max()):.3g}"


def _check_levels(x: Tensor, levels: int, name: str) -> None:
    level = x * (levels - 1)
    if bool((x < 0).any()) or bool((x > 1).any()) or bool(((level - level.round()).abs() > 1e-2).any()):
        raise BestiaryError(
            f"likelihood={name} needs x on the {levels} levels 0, 1/{levels - 1} … 1; got {_range_text(x)}:"
            " give images as uint8, or use likelihood=gaussian"
        )


class _Mixed:
    repeats_x = False

    def __init__(self, h: Tensor, log_var: Tensor, field: Field) -> None:
        self.h, self.log_var, self.field = h, log_var, field

    def _columns(self) -> list[tuple[slice, int]]:
        """For each column its place in a row, and its index in log_var; −1 for a category."""
        columns, start = [], 0
        for i, column in enumerate(self.field.columns):
            columns.append((slice(start, start + column.width), i if not column.words else -1))
            start += column.width
        return columns

    @property
    def mean(self) -> Tensor:
        return torch.cat([self.h[:, s] if i >= 0 else self.h[:, s].softmax(1) for s, i in self._columns()], 1)

    def log_prob(self, x: Tensor) -> Tensor:
        total = torch.zeros((), device=x.device)
        for s, i in self._columns():
            if i >= 0:
                total = total + _Gaussian(self.h[:, s], self.log_var[i]).log_prob(x[:, s])
            else:
                total = total + (x[:, s] * self.h[:, s].log_softmax(1)).sum(1)
        return total

    def sample(self) -> Tensor:
        columns = []
        for s, i in self._columns():
            if i >= 0:
                columns.append(_Gaussian(self.h[:, s], self.log_var[i]).sample())
            else:
                columns.append(F.one_hot(_draw_category(self.h[:, s], 1), s.stop - s.start).float())
        return torch.cat(columns, 1)


class Mixed(Likelihood):
    """Rows of a table: a Gaussian for each number, a categorical distribution for each category."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self._check_support("mixed", "a table with columns")
        self.log_var = nn.Parameter(torch.zeros(len(field.columns)))

    def forward(self, h: Tensor) -> _Mixed:
        # σ ≥ e^{−3.5} standard deviations of the column: otherwise a column that z determines would raise the density
        # without bound
        return _Mixed(h.float(), self.log_var.clamp(-7, 7), self.field)
