"""Codes: which dimensions are used, what a linear reader finds in them, how many bits they take.

    active     dimensions d with Var_x E[z_d|x] > 0.01                       (Burda et al. 2016, arXiv 1509.00519)
    probe      accuracy of logistic regression from the code to the label, on examples it has not seen; the weight C of
               its data against its prior is chosen by accuracy on a fifth of the training examples
    bits       Σ_d H(round(z_d / s_d)),  s_d = σ_d / 4: the entropy of codes in steps of a quarter of their deviation

Legend: N examples, D latent.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.intervals import wilson
from bestiary.measures.number import Number, Reference, percent

__all__ = ["active", "active_units", "bits", "probe", "quantised"]

ACTIVE = 0.01  # variance of the posterior mean above which a unit counts as active
STEPS = 4  # steps of the quantiser in a standard deviation
WEIGHTS = (0.01, 0.1, 1.0)  # C of the probe; more of it changes codes that were standardised little


def active(mean: Tensor) -> Tensor:
    """Which dimensions of the posterior means (N, D) vary with x: (D,) bool."""
    return mean.double().var(0) > ACTIVE


def active_units(mean: Tensor, protocol: Mapping[str, object] | None = None, seed: int = 0, draws: int = 200) -> Number:
    """How many dimensions are active, with the 95% interval over bootstrap samples of the examples."""
    if len(mean) < 2:
        raise BestiaryError("active units need at least two examples: they are about variance over them")
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(mean), (draws, len(mean)), generator=generator)
    counts = np.array([int(active(mean[i]).sum()) for i in index])
    low, high = np.quantile(counts, [0.025, 0.975])
    full_protocol = {
        **(protocol or {}),
        "n": len(mean),
        "threshold": ACTIVE,
        "interval": f"95%, {draws} bootstrap samples",
    }
    whole = Reference(mean.shape[1], says="all dimensions of z")
    return Number(
        "active_units", "active units", int(active(mean).sum()), float(low), float(high), "dimensions", "higher",
        ceiling=whole, protocol=full_protocol, says="Dimensions of z that vary with x. The others carry nothing.",
    )  # fmt: skip


def probe(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    raw: tuple[Tensor, Tensor] | None = None,
    protocol: Mapping[str, object] | None = None,
) -> Number:
    """Accuracy of a linear probe; `raw`: the same examples (train, test) in pixels, for comparison."""
    y_train, y_test = train[1].numpy(), test[1].numpy()
    if len(np.unique(y_train)) < 2:
        raise BestiaryError("a linear probe needs labels of at least two kinds")
    (hits, weight), n = _right(train[0], test[0], y_train, y_test), len(y_test)
    common = np.bincount(y_train).argmax()
    majority = Reference(float((y_test == common).mean()), says="always naming the commonest label")
    pixels = None
    if raw is not None:
        there = _right(*raw, y_train, y_test)[0]
        pixels = Reference(there / n, *wilson(there, n), says="the same classifier of x itself")
    full_protocol = {**(protocol or {}), "n": n, "train": len(y_train), "C": weight, "interval": "95%, Wilson"}
    return Number(
        "probe", "accuracy of a linear classifier of codes", hits / n, *wilson(hits, n), "accuracy", "higher", majority,
        pixels, full_protocol,
        "How often a linear classifier finds the label from the code alone.",
        plain=f"A linear classifier finds the class of {percent(hits / n)} of the examples from their codes alone.",
        weight=20,
    )  # fmt: skip


def _right(train: Tensor, test: Tensor, y_train: np.ndarray, y_test: np.ndarray) -> tuple[int, float]:
    """How many labels of the test examples are told, and the C that was chosen."""
    a, b = (part.flatten(1).double().numpy() for part in (train, test))
    kept = len(a) - max(1, len(a) // 5)

    def told(weight: float, n: int, x: np.ndarray, y: np.ndarray) -> int:
        return int((_reader(weight, a[:n], y_train[:n]).predict(x) == y).sum())

    enough = len(np.unique(y_train[:kept])) > 1
    best = max(WEIGHTS, key=lambda c: told(c, kept, a[kept:], y_train[kept:])) if enough else WEIGHTS[-1]
    return told(best, len(a), b, y_test), best


def _reader(weight: float, x: np.ndarray, y: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():  # after 100 steps accuracy has long settled, though the loss may not have
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), LogisticRegression(C=weight, max_iter=100)).fit(x, y)


def quantised(z: Tensor) -> Tensor:
    """Codes in steps of a quarter of each dimension's standard deviation."""
    step = (z.std(0) / STEPS).clamp_min(1e-12)
    return (z / step).round() * step


def bits(z: Tensor, protocol: Mapping[str, object] | None = None) -> Number:
    """Bits of the quantised codes (N, D), each dimension coded by itself with its empirical frequencies."""
    step, total = (z.std(0) / STEPS).clamp_min(1e-12), 0.0
    for place in (z / step).round().long().T:
        share = place.unique(return_counts=True)[1].double() / len(z)
        total -= float((share * share.log2()).sum())
    full_protocol = {**(protocol or {}), "n": len(z), "step": "a quarter of each dimension's standard deviation"}
    return Number(
        "code_bits", "bits of the quantised code", total, unit="bits", better="lower", protocol=full_protocol,
        says="Bits for one code whose dimensions are rounded and coded one by one. Too low for few examples.",
    )  # fmt: skip
