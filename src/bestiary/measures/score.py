"""What a classifier says of samples: are they clear, are all classes there, and as often as in the data?

    score      exp(E_x KL(p(y|x) ‖ p(y))): 1 to the number of classes                     arXiv 1606.03498
    classes    how many classes the samples reach
    class KL   Σ_y p̂(y) log(p̂(y)/π̂(y)), p̂ and π̂ the shares of predicted classes among samples and data

The score is called an Inception score only where the classifier is Inception. Its interval is over ten splits.

Legend: N examples, Y classes.
"""

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.number import Number, Reference

__all__ = ["class_kl", "score", "score_numbers"]

SPLITS = 10


def score(logits: Tensor) -> float:
    """exp of the mutual information of sample and class."""
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    marginal = p.mean(0)
    # Σ p log p − Σ p log p̄, where 0 log 0 = 0
    inner = torch.special.xlogy(p, p).sum(1).mean() - torch.special.xlogy(marginal, marginal).sum()
    return float(inner.exp())


def class_kl(fake: Tensor, real: Tensor, classes: int) -> float:
    """Of predicted classes (N,); one more is added to each class of the data, so that none is impossible."""
    p = torch.bincount(fake, minlength=classes).double() / len(fake)
    q = (torch.bincount(real, minlength=classes).double() + 1) / (len(real) + classes)
    return float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())


def _split_scores(logits: Tensor) -> tuple[float, float | None, float | None]:
    if len(logits) < 10 * SPLITS:
        return score(logits), None, None
    each = torch.tensor([score(part) for part in logits.tensor_split(SPLITS)])
    middle, half = float(each.mean()), 2.262 * float(each.std()) / sqrt(SPLITS)
    return middle, middle - half, middle + half


def score_numbers(
    fake: Tensor, real: Tensor, features: str, protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """From the classifier's logits of samples and of real examples, which give what can be reached."""
    if fake.shape[1:] != real.shape[1:] or min(len(fake), len(real)) < 2:
        raise BestiaryError("a score needs logits of the same classes for at least two samples and two real examples")
    said = {**(protocol or {}), "n": len(fake), "features": features, "splits": SPLITS}
    told, there = fake.argmax(1), real.argmax(1)
    return [
        Number(
            "score", f"classifier score, {features}", *_split_scores(fake), "classes", "higher",
            ceiling=Reference(*_split_scores(real), "real examples"),
            protocol={**said, "interval": "95%, Student, over splits"},
            says="High where every sample is clearly of a class and all classes are there; blind to all else.",
        ),
        Number(
            "class_kl", f"KL of predicted classes, {features}", class_kl(told, there, fake.shape[1]), unit="nats",
            better="lower", protocol=said,
            says=f"Samples are of {len(told.unique())} classes, the real examples of {len(there.unique())}.",
        ),
    ]  # fmt: skip
