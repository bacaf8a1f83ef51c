"""The classifier two-sample test: can anything tell samples from data?

    accuracy   of a classifier on examples that it has not seen; ½ where the two are of one distribution
    p          of one more classifier, fitted to one half of the examples: the share of random labellings of its
               predictions for the other half that are as accurate
    AUC        the chance that a real example ranks above a sample: ½ where nothing tells them apart
    ratio      r(x) = π(x)/p(x), from the classifier's odds after isotonic calibration on half of the examples
    JSD        (ln 2 − BCE)/ln 2 of the calibrated odds on the other half: 0 to 1, a lower bound but for its noise

(Lopez-Paz and Oquab 2017, arXiv 1610.06545.) Inputs are z-scored over both sets, for which no label is needed, and what
lies farther out than the middle 99% are wide is drawn in to there, lest one value shrink all others to nothing; columns
that are constant say nothing. The classifier is a network with two hidden layers, each of K folds judged by one fitted
to the others: a linear one would be blind to everything but means.

Hits of different folds are not independent: example i is in the fit that judges j, and j in the fit that judges i, so
that a pair of one label helps, and a pair of two misleads, both. Where an example moves the logit of another by a
symmetric k_ij, nothing can be told, and K is large, the variance of the accuracy is 1 + 2/π times that of as many
coins, and the AUC's twice; intervals are widened by these. Relabelled hits would miss it, and call too much
significant. One half judged by a fit to the other has no such pairs, and its p holds as it is.

Legend: N examples, F features, K folds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import Z, wilson
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title, percent
from bestiary.measures.set_checks import check_same_features
from bestiary.networks.mlp import mlp
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded, threads_for

__all__ = ["TwoSample", "auc", "calibrated", "classify", "two_sample_test"]

FOLDS, WIDTH, BATCH, LR, DECAY = 5, 64, 128, 1e-2, 1e-2
PASSES, LEAST_STEPS, MOST_STEPS = 40, 400, 800  # steps of a fold's classifier follow the number of examples
SHARED, SHARED_RANKS = 1 + 2 / pi, 2.0  # times the variance of an accuracy, of an AUC, for folds that share examples


@dataclass(frozen=True)
class TwoSample:
    """What the classifier said of every example while it was held out."""

    logits: Tensor  # (N,) above 0: real
    real: Tensor  # (N,) bool
    alone: "TwoSample | None" = None  # half of them, by a classifier fitted to the other half

    @property
    def accuracy(self) -> float:
        return float(((self.logits > 0) == self.real).double().mean())


def classify(fake: Tensor, real: Tensor, seed: int = 0, folds: int = FOLDS) -> TwoSample:
    """Held-out logits of all examples of both sets, which must be equally many."""
    x = _standardised(torch.cat([fake.flatten(1), real.flatten(1)]).float())
    y = torch.cat([x.new_zeros(len(fake)), x.new_ones(len(real))])
    g = torch.Generator().manual_seed(seed)
    # both sets in every fold alike, so that no classifier gains by knowing which was rarer
    fold, half = (torch.cat([torch.randperm(len(s), generator=g) % k for s in (fake, real)]) for k in (folds, 2))
    # matrices this small: two threads on a machine that has other work wait for each other, fifty times as long
    with seeded(seed), threads_for(0):
        logits = _fitted(x, y, torch.stack([*(fold == k for k in range(folds)), half == 0])).cpu()
    y = y.cpu()
    alone = TwoSample(logits[folds, half == 0], y[half == 0] > 0.5)
    return TwoSample(logits[fold, torch.arange(len(x))], y > 0.5, alone)


def _fitted(x: Tensor, y: Tensor, held: Tensor) -> Tensor:
    """Logits of all examples by classifiers, (K, N), each fitted to those that `held` (K, N) does not hold from it.

    They are trained side by side, as one network with one matrix for each: small ones cost their calls, not their sums.
    """
    kept = [(~h).nonzero()[:, 0] for h in held]
    layers = [mlp([x.shape[1], WIDTH, WIDTH, 1], "relu").to(x.device) for _ in held]
    weights = [torch.stack(p).detach().requires_grad_() for p in zip(*(n.parameters() for n in layers), strict=True)]
    least, most = min(map(len, kept)), max(map(len, kept))
    steps, batch = min(MOST_STEPS, max(LEAST_STEPS, PASSES * most // BATCH)), min(BATCH, least)
    optimiser = torch.optim.AdamW(weights, lr=LR, weight_decay=DECAY, fused=True)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = LR * (1 - step / steps)
        rows = torch.stack([own[torch.randint(len(own), (batch,))] for own in kept])
        with torch.enable_grad():
            losses = F.binary_cross_entropy_with_logits(_logits(x[rows], weights), y[rows], reduction="none")
            loss = losses.mean(1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return torch.cat([_logits(part.expand(len(held), -1, -1), weights) for part in x.split(4096)], 1)


def _standardised(x: Tensor) -> Tensor:
    """Columns of mean 0 and deviation 1, without what lies far out; one that is constant is 0."""
    x = _drawn_in(x)
    centre, scale = x.mean(0), x.std(0)
    varies = scale > 1e-8 * (1 + centre.abs())
    return torch.where(
        varies, (x - centre) / torch.where(varies, scale, torch.ones_like(scale)), torch.zeros_like(scale)
    )


def _drawn_in(x: Tensor) -> Tensor:
    """No value farther out than the middle 99% of its column are wide; as it is where these are all the same."""
    k = max(2, len(x) // 200)
    parts = []
    for columns in x.split(64, 1):
        rows = columns.T.contiguous()  # along memory
        low, high = (rows.kthvalue(i, 1).values for i in (k, len(x) + 1 - k))
        wide = high - low
        parts.append(torch.where(wide > 0, columns.clamp(low - wide, high + wide), columns))
    return torch.cat(parts, 1)


def _logits(x: Tensor, weights: list[Tensor]) -> Tensor:
    """(K, B, F) → (K, B), ReLU between the layers; weights as `nn.Linear` has them, K of each."""
    for i in range(0, len(weights), 2):
        x = torch.baddbmm(weights[i + 1][:, None], x if i == 0 else x.relu(), weights[i].transpose(1, 2))
    return x[:, :, 0]


def auc(found: TwoSample) -> float:
    """The chance that a real example has the higher logit, ties counting half: from the ranks."""
    _, place, count = found.logits.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    rank = (last - (count - 1).double() / 2)[place]
    n, m = int(found.real.sum()), int((~found.real).sum())
    return float((rank[found.real].sum() - n * (n + 1) / 2) / (n * m))


def calibrated(found: TwoSample, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The probability of being real, isotonic on half of the examples, for the others: p (M,), rows (M,)."""
    from sklearn.isotonic import IsotonicRegression

    order = torch.randperm(len(found.logits), generator=torch.Generator().manual_seed(seed))
    half, rest = order[: len(order) // 2], order[len(order) // 2 :]
    shape = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    shape.fit(found.logits[half].numpy(), found.real[half].numpy().astype(np.float64))
    # a step of m examples has the share (k + ½)/(m + 1): what was never seen is not impossible
    level, size = np.unique(shape.predict(found.logits[half].numpy()), return_counts=True)
    p = np.interp(shape.predict(found.logits[rest].numpy()), level, (level * size + 0.5) / (size + 1))
    return torch.from_numpy(p).double(), rest


def _permuted(found: TwoSample, permutations: int, seed: int) -> float:
    """p of the accuracy: hits under a random labelling are hypergeometric, drawn exactly."""
    called_real, real = int((found.logits > 0).sum()), int(found.real.sum())
    n = len(found.real)
    draws = (
        np.random.default_rng(derive_seed(seed, "permuted")).hypergeometric(real, n - real, called_real, permutations)
        if called_real
        else np.zeros(1)
    )
    hits = 2 * draws + (n - real) - called_real  # real told real, and fake told fake
    return (1 + int((hits >= round(found.accuracy * n)).sum())) / (1 + len(draws))


def two_sample_test(
    fake: Tensor, real: Tensor, other: Tensor, features: str, seed: int = 0, most: int = 5000,
    protocol: Mapping[str, object] | None = None,
) -> tuple[list[Number], TwoSample]:  # fmt: skip
    """Accuracy with its p-value, AUC and JSD; other real examples give the floors. And all that was said."""
    fake, real, other = (x.flatten(1).float() for x in (fake, real, other))
    check_same_features(fake, real, other)
    n = min(len(fake), len(real), len(other), most)
    if n < 2 * FOLDS:
        raise BestiaryError(f"the two-sample test needs at least {2 * FOLDS} examples of each kind; there are {n}")
    result, null = classify(fake[:n], real[:n], seed), classify(other[:n], real[:n], seed)
    assert result.alone is not None  # classify gives it
    p = _permuted(result.alone, 10_000, seed)
    full_protocol = {**(protocol or {}), "n": n, "features": features, "folds": FOLDS, "classifier": f"mlp 2×{WIDTH}"}
    independent = 2 * n / SHARED
    spread = Z * sqrt(1 / (4 * independent))  # of an accuracy where nothing can be told
    accuracy = Number(
        "c2st", feature_title("accuracy of a classifier that sorts samples from real examples", features),
        result.accuracy, *wilson(result.accuracy * independent, independent), "share", "lower",
        Reference(null.accuracy, 0.5 - spread, 0.5 + spread, OTHER_REAL),
        protocol={
            **full_protocol, "p": round(p, 5), "p_of": "one half, by a fit to the other",
            "interval": "95%, Wilson; the floor's N(½, 1/8n); for folds that share examples",
        },
        says="0.5: the classifier cannot tell samples from real examples; 1: it always can."
        f" If it could not, so high an accuracy would have the probability p = {p:.3g}.",
        plain=_plain(result.accuracy, p), weight=90,
    )  # fmt: skip
    value, half = auc(result), Z * sqrt(SHARED_RANKS) * _auc_error(result)
    ranked = Number(
        "c2st_auc", feature_title("AUC of the same classifier", features), value, max(0.0, value - half),
        min(1.0, value + half), "share", "lower",
        Reference(auc(null), *_around(0.5, Z * sqrt(SHARED_RANKS * (2 * n + 1) / (12 * n * n))), OTHER_REAL),
        protocol={**full_protocol, "interval": "95%, Hanley and McNeil, for folds that share examples"},
        says="The probability that it ranks a real example above a sample. 0.5: it cannot tell them apart.",
        detail=True,
    )  # fmt: skip
    return [accuracy, ranked, _divergence(result, null, features, seed, full_protocol)], result


def _plain(accuracy: float, p: float) -> str:
    """The accuracy in a sentence; p says whether chance explains it."""
    right = f"is right {percent(accuracy)} of the time"
    if p < 0.05 and accuracy > 0.5:
        return f"A classifier that sorts samples from real examples {right} (50% would be perfect)."
    return f"A classifier finds no clear difference between samples and real examples: it {right} (guessing: 50%)."


def _around(middle: float, half: float) -> tuple[float, float]:
    return middle - half, middle + half


def _auc_error(found: TwoSample) -> float:
    """Standard error after Hanley and McNeil (1982), at half an example from certainty at least."""
    n, m = int(found.real.sum()), int((~found.real).sum())
    edge = 1 / (2 * min(n, m))
    a = min(max(auc(found), edge), 1 - edge)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    return sqrt(max(0.0, (a * (1 - a) + (n - 1) * (q1 - a * a) + (m - 1) * (q2 - a * a)) / (n * m)))


def _divergence(found: TwoSample, null: TwoSample, features: str, seed: int, said: Mapping[str, object]) -> Number:
    value, half = _jsd(found, seed)
    floor, floor_half = _jsd(null, seed)
    on_samples, on_data = _ratios(found, seed)
    return Number(
        "c2st_jsd", feature_title("Jensen-Shannon divergence by the same classifier", features),
        value, value - half, value + half, "of ln 2", "lower",
        Reference(floor, floor - floor_half, floor + floor_half, OTHER_REAL),
        protocol={
            **said, "calibration": "isotonic, on half", "interval": "95%, normal, for folds that share examples",
            "ratio_on_samples": on_samples, "ratio_on_data": on_data, "ratio_is": "of densities, data's over samples'",
        },
        says="0: samples and real examples have one distribution; 1: they never overlap. Chance can make it negative."
        f" Real examples are {_times(on_samples)} times as dense as samples at the median sample, and"
        f" {_times(on_data)} times at the median real example.",
        detail=True,
    )  # fmt: skip


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}"


def _ratios(found: TwoSample, seed: int) -> tuple[float, float]:
    """π/p by the calibrated odds: the medians over samples and over data."""
    p, rest = calibrated(found, seed)
    odds, real = p / (1 - p), found.real[rest]
    return float(odds[~real].median()), float(odds[real].median())


def _jsd(found: TwoSample, seed: int) -> tuple[float, float]:
    p, rest = calibrated(found, seed)
    real = found.real[rest].double()
    loss = -(real * p.log() + (1 - real) * (1 - p).log())
    return float(1 - loss.mean() / log(2)), Z * sqrt(SHARED / len(loss)) * float(loss.std()) / log(2)
