"""Numbers of codes: active units, a linear probe for the label, and bits of the rounded code.

    active     dimensions d with Var_x E[z_d|x] > 0.01                       (Burda et al. 2016, arXiv 1509.00519)
    probe      accuracy of logistic regression from the code to the label, on examples that it has not seen. C, the
               weight of its data against its prior, is chosen by accuracy on a fifth of the training examples
    bits       Σ_d H(round(z_d / s_d)),  s_d = σ_d / 4: the entropy of codes rounded to a quarter of their deviation

Legend: N examples, D latent.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import quantile_ends, wilson
from bestiary.measures.number import Number, Reference, percent

__all__ = ["active_dimensions", "active_units", "code_bits", "probe", "round_codes"]

ACTIVE = 0.01  # variance of the posterior mean above which a unit counts as active
STEPS = 4  # steps of the quantiser in a standard deviation
WEIGHTS = (0.01, 0.1, 1.0)  # C of the probe; larger ones change little, since codes are standardised


def active_dimensions(mean: Tensor) -> Tensor:
    """Whether each dimension of the posterior means (N, D) varies with x: (D,) bool."""
    return mean.double().var(0) > ACTIVE


def active_units(mean: Tensor, protocol: Mapping[str, object] | None = None, seed: int = 0, draws: int = 200) -> Number:
    """The number of active dimensions, with an interval from bootstrap samples of the examples."""
    if len(mean) < 2:
        raise BestiaryError("active units need at least two examples: they are defined by variance over examples")
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(mean), (draws, len(mean)), generator=generator)
    counts = torch.stack([active_dimensions(mean[i]).sum() for i in rows])
    low, high = quantile_ends(counts.double())
    full_protocol = {
        **(protocol or {}),
        "n": len(mean),
        "threshold": ACTIVE,
        "interval": f"95%, {draws} bootstrap samples",
    }
    all_dimensions = Reference(mean.shape[1], says="all dimensions of z")
    return Number(
        "active_units", "active units", int(active_dimensions(mean).sum()), low, high, "dimensions", "higher",
        ceiling=all_dimensions, protocol=full_protocol,
        says="Dimensions of z that vary with x. The others carry nothing.",
    )  # fmt: skip


def probe(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    raw: tuple[Tensor, Tensor] | None = None,
    protocol: Mapping[str, object] | None = None,
) -> Number:
    """The accuracy of a linear classifier of codes, from codes and labels of training and test examples.

    `raw`: x of the same training and test examples; the accuracy of a classifier of x is then the ceiling.
    """
    y_train, y_test = train[1].numpy(), test[1].numpy()
    if len(np.unique(y_train)) < 2:
        raise BestiaryError("a linear probe needs training examples of at least two classes")
    (hits, weight), n = _hits(train[0], test[0], y_train, y_test), len(y_test)
    commonest = np.bincount(y_train).argmax()
    majority = Reference(float((y_test == commonest).mean()), says="always naming the commonest label")
    raw_accuracy = None
    if raw is not None:
        raw_hits = _hits(*raw, y_train, y_test)[0]
        raw_accuracy = Reference(raw_hits / n, *wilson(raw_hits, n), says="the same classifier of x itself")
    full_protocol = {**(protocol or {}), "n": n, "train": len(y_train), "C": weight, "interval": "95%, Wilson"}
    return Number(
        "probe", "accuracy of a linear classifier of codes", hits / n, *wilson(hits, n), "accuracy", "higher", majority,
        raw_accuracy, full_protocol,
        "How often a linear classifier finds the label from the code alone.",
        plain=f"A linear classifier finds the class of {percent(hits / n)} of the examples from their codes alone.",
        weight=20,
    )  # fmt: skip


def _hits(train: Tensor, test: Tensor, y_train: np.ndarray, y_test: np.ndarray) -> tuple[int, float]:
    """The number of test examples whose label the classifier finds, and its C."""
    a, b = (part.flatten(1).double().numpy() for part in (train, test))
    n_fit = len(a) - max(1, len(a) // 5)

    def count_hits(weight: float, n: int, x: np.ndarray, y: np.ndarray) -> int:
        return int((_fit_classifier(weight, a[:n], y_train[:n]).predict(x) == y).sum())

    has_two_classes = len(np.unique(y_train[:n_fit])) > 1
    best_weight = WEIGHTS[-1]
    if has_two_classes:
        best_weight = max(WEIGHTS, key=lambda c: count_hits(c, n_fit, a[n_fit:], y_train[n_fit:]))
    return count_hits(best_weight, len(a), b, y_test), best_weight


def _fit_classifier(weight: float, x: np.ndarray, y: np.ndarray) -> Any:
    """Logistic regression on standardised x, with C = `weight`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():  # after 100 steps the accuracy no longer changes, though the loss may
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), LogisticRegression(C=weight, max_iter=100)).fit(x, y)


def round_codes(z: Tensor) -> Tensor:
    """Codes rounded to steps of a quarter of each dimension's standard deviation."""
    step = (z.std(0) / STEPS).clamp_min(1e-12)
    return (z / step).round() * step


def code_bits(z: Tensor, protocol: Mapping[str, object] | None = None) -> Number:
    """Bits of the rounded codes (N, D). Each dimension is coded by itself, by the frequencies of its values."""
    step, total = (z.std(0) / STEPS).clamp_min(1e-12), 0.0
    for values in (z / step).round().long().T:
        shares = values.unique(return_counts=True)[1].double() / len(z)
        total -= float((shares * shares.log2()).sum())
    full_protocol = {**(protocol or {}), "n": len(z), "step": "a quarter of each dimension's standard deviation"}
    return Number(
        "code_bits", "bits of the rounded code", total, unit="bits", better="lower", protocol=full_protocol,
        says="Bits for one code whose dimensions are rounded and coded one by one. Too low for few examples.",
    )  # fmt: skip
