"""Classifier two-sample test: accuracy, p-value, AUC, density ratio and JSD of a classifier of samples and data.

    accuracy   of a classifier on examples that it has not seen; ½ if the two sets have one distribution
    p          of one more classifier, fitted to one half of the examples: the share of random labellings of the other
               half for which its predictions are as accurate
    AUC        the probability that a real example ranks above a sample: ½ if the classifier cannot tell them apart
    ratio      r(x) = π(x)/p(x), from the classifier's odds after isotonic calibration on half of the examples
    JSD        (ln 2 − BCE)/ln 2 of the calibrated odds on the other half: 0 to 1; up to noise a lower bound

(Lopez-Paz and Oquab 2017, arXiv 1610.06545.) Inputs are standardised over both sets, which needs no label. Before,
values are clipped: at most as far outside the middle 99% of their column as these are wide, so that one outlier does
not shrink all other values. Constant columns become 0. The classifier is a network with two hidden layers, since a
linear one would see differences of means only. Each of K folds is judged by one that was fitted to the other folds.

Hits of different folds are not independent: example i is in the fit that judges j, and j is in the fit that judges i.
If both have one label, both gain; if not, both lose. If an example moves the logit of another by a symmetric k_ij, the
two sets have one distribution, and K is large, the variance of the accuracy is 1 + 2/π times that of as many coin
flips, and the variance of the AUC is doubled. Intervals are widened by these factors. Permuted labels would miss this
and find too much significant; p therefore comes from one half, judged by a fit to the other half, without such pairs.

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
from bestiary.measures.intervals import error_interval, wilson
from bestiary.measures.number import OTHER_REAL, Number, Reference, feature_title, percent
from bestiary.measures.set_checks import check_same_features
from bestiary.networks.mlp import mlp
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded, use_threads

__all__ = ["HeldOutLogits", "auc", "calibrate", "classify", "two_sample_test"]

FOLDS, WIDTH, BATCH, LR, DECAY = 5, 64, 128, 1e-2, 1e-2
PASSES, LEAST_STEPS, MOST_STEPS = 40, 400, 800  # steps of a fold's classifier follow the number of examples
ACCURACY_FACTOR, AUC_FACTOR = 1 + 2 / pi, 2.0  # of the variances, since fits of different folds share examples
JSD_FACTOR = 2 * ACCURACY_FACTOR  # half of the examples are judged by a calibration to the other half, which varies too


@dataclass(frozen=True)
class HeldOutLogits:
    """The logits of the classifier for examples that it was not fitted to."""

    logits: Tensor  # (N,), above 0: called real
    real: Tensor  # (N,), bool: whether the example is real
    half: "HeldOutLogits | None" = None  # half of the examples, by a classifier that was fitted to the other half

    @property
    def accuracy(self) -> float:
        """The share of examples that the classifier calls rightly."""
        return float(((self.logits > 0) == self.real).double().mean())


def classify(fake: Tensor, real: Tensor, seed: int = 0, folds: int = FOLDS) -> HeldOutLogits:
    """Logits of all examples of both sets, which must have equal sizes."""
    x = _standardise(torch.cat([fake.flatten(1), real.flatten(1)]).float())
    y = torch.cat([x.new_zeros(len(fake)), x.new_ones(len(real))])
    g = torch.Generator().manual_seed(seed)
    # both sets have the same share of every fold: a classifier gains nothing by knowing which one is rarer
    fold, half = (torch.cat([torch.randperm(len(s), generator=g) % k for s in (fake, real)]) for k in (folds, 2))
    # with matrices this small, two threads of a busy machine wait for each other, and take fifty times as long
    with seeded(seed), use_threads(1):
        logits = _fit_classifiers(x, y, torch.stack([*(fold == k for k in range(folds)), half == 0])).cpu()
    y = y.cpu()
    by_half = HeldOutLogits(logits[folds, half == 0], y[half == 0] > 0.5)
    return HeldOutLogits(logits[fold, torch.arange(len(x))], y > 0.5, by_half)


def _fit_classifiers(x: Tensor, y: Tensor, held_out: Tensor) -> Tensor:
    """Fit K classifiers, each to the examples that are not in its row of `held_out` (K, N); their logits of all (K, N).

    They are trained at once, with their weights stacked: for small networks the number of calls is the cost.
    """
    train_rows = [(~row).nonzero()[:, 0] for row in held_out]
    networks = [mlp([x.shape[1], WIDTH, WIDTH, 1], "relu").to(x.device) for _ in held_out]
    weights = [torch.stack(p).detach().requires_grad_() for p in zip(*(n.parameters() for n in networks), strict=True)]
    least, most = min(map(len, train_rows)), max(map(len, train_rows))
    steps, batch = min(MOST_STEPS, max(LEAST_STEPS, PASSES * most // BATCH)), min(BATCH, least)
    optimiser = torch.optim.AdamW(weights, lr=LR, weight_decay=DECAY, fused=True)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = LR * (1 - step / steps)
        rows = torch.stack([r[torch.randint(len(r), (batch,))] for r in train_rows])
        with torch.enable_grad():
            losses = F.binary_cross_entropy_with_logits(_logits(x[rows], weights), y[rows], reduction="none")
            loss = losses.mean(1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return torch.cat([_logits(part.expand(len(held_out), -1, -1), weights) for part in x.split(4096)], 1)


def _standardise(x: Tensor) -> Tensor:
    """Columns with mean 0 and standard deviation 1, clipped before. A constant column becomes 0."""
    x = _clip_outliers(x)
    centre, scale = x.mean(0), x.std(0)
    varies = scale > 1e-8 * (1 + centre.abs())
    return torch.where(
        varies, (x - centre) / torch.where(varies, scale, torch.ones_like(scale)), torch.zeros_like(scale)
    )


def _clip_outliers(x: Tensor) -> Tensor:
    """Values clipped to the middle 99% of their column, extended by its width. A width of 0 clips nothing."""
    k = max(2, len(x) // 200)
    parts = []
    for columns in x.split(64, 1):
        rows = columns.T.contiguous()  # contiguous along memory
        low, high = (rows.kthvalue(i, 1).values for i in (k, len(x) + 1 - k))
        width = high - low
        parts.append(torch.where(width > 0, columns.clamp(low - width, high + width), columns))
    return torch.cat(parts, 1)


def _logits(x: Tensor, weights: list[Tensor]) -> Tensor:
    """The logits of K networks, (K, B, F) → (K, B); weights as in `nn.Linear`, K of each stacked."""
    for i in range(0, len(weights), 2):
        x = torch.baddbmm(weights[i + 1][:, None], x if i == 0 else x.relu(), weights[i].transpose(1, 2))
    return x[:, :, 0]


def auc(test: HeldOutLogits) -> float:
    """The probability that a real example has a higher logit than a sample, from ranks. Ties count half."""
    _, index, count = test.logits.unique(return_inverse=True, return_counts=True)
    last_rank = count.cumsum(0).double()
    ranks = (last_rank - (count - 1).double() / 2)[index]
    n, m = int(test.real.sum()), int((~test.real).sum())
    return float((ranks[test.real].sum() - n * (n + 1) / 2) / (n * m))


def calibrate(test: HeldOutLogits, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The probability of being real (M,) for half of the examples, and their rows (M,).

    It is an isotonic function of the logit, fitted to the other half.
    """
    from sklearn.isotonic import IsotonicRegression

    order = torch.randperm(len(test.logits), generator=torch.Generator().manual_seed(seed))
    fit_rows, rows = order[: len(order) // 2], order[len(order) // 2 :]
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    curve.fit(test.logits[fit_rows].numpy(), test.real[fit_rows].numpy().astype(np.float64))
    # a step with k real ones of m examples has the probability (k + ½)/(m + 1), never 0 or 1
    levels, sizes = np.unique(curve.predict(test.logits[fit_rows].numpy()), return_counts=True)
    p = np.interp(curve.predict(test.logits[rows].numpy()), levels, (levels * sizes + 0.5) / (sizes + 1))
    return torch.from_numpy(p).double(), rows


def _permutation_p(test: HeldOutLogits, permutations: int, seed: int) -> float:
    """p of the accuracy. Under a random labelling, hits have a hypergeometric distribution: they are drawn from it."""
    called_real, real = int((test.logits > 0).sum()), int(test.real.sum())
    n = len(test.real)
    draws = (
        np.random.default_rng(derive_seed(seed, "permuted")).hypergeometric(real, n - real, called_real, permutations)
        if called_real
        else np.zeros(1)
    )
    hits = 2 * draws + (n - real) - called_real  # real called real, and fake called fake
    return (1 + int((hits >= round(test.accuracy * n)).sum())) / (1 + len(draws))


def two_sample_test(
    fake: Tensor, real: Tensor, other: Tensor, features: str, seed: int = 0, most: int = 5000,
    protocol: Mapping[str, object] | None = None,
) -> tuple[list[Number], HeldOutLogits]:  # fmt: skip
    """Accuracy with its p-value, AUC and JSD as numbers, and the logits. Floors: those of `other` real examples."""
    fake, real, other = (x.flatten(1).float() for x in (fake, real, other))
    check_same_features(fake, real, other)
    n = min(len(fake), len(real), len(other), most)
    if n < 2 * FOLDS:
        raise BestiaryError(f"the two-sample test needs at least {2 * FOLDS} examples of each kind; there are {n}")
    test, null = classify(fake[:n], real[:n], seed), classify(other[:n], real[:n], seed)
    full_protocol = {**(protocol or {}), "n": n, "features": features, "folds": FOLDS, "classifier": f"mlp 2×{WIDTH}"}
    numbers = [
        _accuracy_number(test, null, features, seed, full_protocol),
        _auc_number(test, null, features, full_protocol),
        _jsd_number(test, null, features, seed, full_protocol),
    ]
    return numbers, test


def _accuracy_number(
    test: HeldOutLogits, null: HeldOutLogits, features: str, seed: int, protocol: Mapping[str, object]
) -> Number:
    """The accuracy with its p-value; `null`: real examples in place of samples."""
    assert test.half is not None  # classify gives it
    p = _permutation_p(test.half, 10_000, seed)
    independent = len(test.logits) / ACCURACY_FACTOR
    return Number(
        "c2st", feature_title("accuracy of a classifier that sorts samples from real examples", features),
        test.accuracy, *wilson(test.accuracy * independent, independent), "share", "lower",
        Reference(null.accuracy, *wilson(null.accuracy * independent, independent), OTHER_REAL),
        protocol={
            **protocol, "p": round(p, 5), "p_of": "one half, by a fit to the other",
            "interval": "95%, Wilson, for folds that share examples",
        },
        says="0.5: the classifier cannot tell samples from real examples; 1: it always can."
        f" If it could not, so high an accuracy would have the probability p = {p:.3g}.",
        plain=_plain(test.accuracy, p), weight=90, equals_at_best=True,
    )  # fmt: skip


def _plain(accuracy: float, p: float) -> str:
    """The accuracy in a sentence; p says whether chance explains it."""
    right = f"is right {percent(accuracy)} of the time"
    if p < 0.05 and accuracy > 0.5:
        return f"A classifier that sorts samples from real examples {right} (50% would be perfect)."
    return f"A classifier finds no clear difference between samples and real examples: it {right} (guessing: 50%)."


def _auc_number(test: HeldOutLogits, null: HeldOutLogits, features: str, protocol: Mapping[str, object]) -> Number:
    """The AUC; `null`: real examples in place of samples."""
    (value, low, high), floor = (error_interval(auc(t), sqrt(AUC_FACTOR) * _auc_error(t)) for t in (test, null))
    return Number(
        "c2st_auc", feature_title("AUC of the same classifier", features), value, max(0.0, low), min(1.0, high),
        "share", "lower", Reference(*floor, OTHER_REAL),
        protocol={**protocol, "interval": "95%, Hanley and McNeil, for folds that share examples"},
        says="The probability that it ranks a real example above a sample. 0.5: it cannot tell them apart.",
        detail=True, equals_at_best=True,
    )  # fmt: skip


def _auc_error(test: HeldOutLogits) -> float:
    """The standard error of the AUC (Hanley and McNeil 1982), taken at least half an example away from 0 and 1."""
    n, m = int(test.real.sum()), int((~test.real).sum())
    edge = 1 / (2 * min(n, m))
    a = min(max(auc(test), edge), 1 - edge)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    return sqrt(max(0.0, (a * (1 - a) + (n - 1) * (q1 - a * a) + (m - 1) * (q2 - a * a)) / (n * m)))


def _jsd_number(
    test: HeldOutLogits, null: HeldOutLogits, features: str, seed: int, protocol: Mapping[str, object]
) -> Number:
    """The Jensen-Shannon divergence with medians of the density ratio; `null`: real examples in place of samples."""
    on_samples, on_data = _median_ratios(test, seed)
    return Number(
        "c2st_jsd", feature_title("Jensen-Shannon divergence by the same classifier", features),
        *_jsd_interval(test, seed), "of ln 2", "lower", Reference(*_jsd_interval(null, seed), OTHER_REAL),
        protocol={
            **protocol, "calibration": "isotonic, on half",
            "interval": "95%, normal, for folds that share examples and for the calibration; of 80 examples rather 80%",
            "ratio_on_samples": on_samples, "ratio_on_data": on_data, "ratio_is": "of densities, data's over samples'",
        },
        says="0: samples and real examples have one distribution; 1: they never overlap. Chance can make it negative."
        f" Real examples are {_ratio_text(on_samples)} times as dense as samples at the median sample, and"
        f" {_ratio_text(on_data)} times at the median real example.",
        detail=True, equals_at_best=True,
    )  # fmt: skip


def _ratio_text(ratio: float) -> str:
    """A ratio with two digits, or whole from 100 on."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}"


def _median_ratios(test: HeldOutLogits, seed: int) -> tuple[float, float]:
    """The medians of π/p over samples and over data, by the calibrated odds."""
    p, rows = calibrate(test, seed)
    odds, real = p / (1 - p), test.real[rows]
    return float(odds[~real].median()), float(odds[real].median())


def _jsd_interval(test: HeldOutLogits, seed: int) -> tuple[float, float, float]:
    """The Jensen-Shannon divergence with its ends."""
    p, rows = calibrate(test, seed)
    real = test.real[rows].double()
    loss = -(real * p.log() + (1 - real) * (1 - p).log())
    error = sqrt(JSD_FACTOR / len(loss)) * float(loss.std()) / log(2)
    return error_interval(float(1 - loss.mean() / log(2)), error)
