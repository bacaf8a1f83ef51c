"""What a classifier says of samples: are they clear, are all classes there, and as often as in the data?

    score      exp(E_x KL(p(y|x) ‖ p(y))): 1 to the number of classes                     arXiv 1606.03498
    classes    how many classes the samples reach
    class KL   Σ_y p̂(y) log(p̂(y)/π̂(y)), p̂ and π̂ the shares of predicted classes among n samples and m real examples;
               π̂(y) = (m_y + 1)/(m + Y), so that none is impossible. Floor: what n draws of π itself have on average,
               (R − 1)/2 · (1/n + 1/m) + (Y − R)/m, where R of the Y classes are in the data; of fewer than ten draws a
               class that is too much, and the floor is the mean where both sides are drawn from π̂

The score is called an Inception score only where the classifier is Inception. Its interval is over ten splits.

Stacked MNIST (arXiv 1611.02163) has 1000 modes: each channel is classified as a digit, and three digits are a class.

Legend: N examples, Y classes, C channels, H height, W width.
"""

from collections.abc import Mapping
from math import ceil, floor, sqrt

import torch
from torch import Tensor

from bestiary.data.spec import pictures
from bestiary.errors import BestiaryError
from bestiary.measures.features import extractor
from bestiary.measures.intervals import Z, student
from bestiary.measures.number import Number, Reference, feature_title

__all__ = ["class_kl", "class_numbers", "score", "score_numbers", "stacked_classes"]

SPLITS = 10
DRAWS = 200  # of what chance alone does to class shares
DIGITS = 10  # the shipped classifier's first classes


def score(logits: Tensor) -> float:
    """exp of the mutual information of sample and class."""
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    marginal = p.mean(0)
    # Σ p log p − Σ p log p̄, where 0 log 0 = 0
    inner = torch.special.xlogy(p, p).sum(1).mean() - torch.special.xlogy(marginal, marginal).sum()
    return float(inner.exp())


def class_kl(fake: Tensor, real: Tensor, classes: int) -> float:
    """Of predicted classes (N,)."""
    p = torch.bincount(fake, minlength=classes).double() / len(fake)
    q = (torch.bincount(real, minlength=classes).double() + 1) / (len(real) + classes)
    return float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())


def _split_scores(logits: Tensor) -> tuple[float, float | None, float | None]:
    if len(logits) < 10 * SPLITS:
        return score(logits), None, None
    each = torch.tensor([score(part) for part in logits.tensor_split(SPLITS)])
    middle, half = float(each.mean()), student(SPLITS - 1) * float(each.std()) / sqrt(SPLITS)
    return middle, middle - half, middle + half


def score_numbers(
    fake: Tensor, real: Tensor, features: str, protocol: Mapping[str, object] | None = None
) -> list[Number]:
    """Score and class KL, from the classifier's logits of samples and of real examples: these give the ceiling."""
    if fake.ndim != 2 or fake.shape[1:] != real.shape[1:] or min(len(fake), len(real)) < 2:
        raise BestiaryError("a score needs logits of the same classes for at least two samples and two real examples")
    if not bool(fake.isfinite().all() and real.isfinite().all()):
        raise BestiaryError("logits hold values that are not finite (NaN or inf): no score of them means anything")
    title = "Inception score" if features.startswith("inception") else "classifier score"
    result = Number(
        "score", feature_title(title, features), *_split_scores(fake), "classes", "higher",
        ceiling=Reference(*_split_scores(real), "real examples"),
        protocol={**(protocol or {}), "n": len(fake), "features": features, "splits": SPLITS,
                  "interval": "95%, Student, over splits"},
        says="High if every sample clearly belongs to a class and all classes occur. It measures nothing else.",
    )  # fmt: skip
    return [result, *class_numbers(fake.argmax(1), real.argmax(1), fake.shape[1], features, protocol)]


def class_numbers(
    fake: Tensor, real: Tensor, classes: int, features: str, protocol: Mapping[str, object] | None = None,
    names: tuple[str, str] = ("classes", "class_kl"),
) -> list[Number]:  # fmt: skip
    """How many classes are reached, and the KL of their shares, from classes (N,) of samples and of real examples."""
    if min(len(fake), len(real)) < 1 or max(int(fake.max()), int(real.max())) >= classes or int(fake.min()) < 0:
        raise BestiaryError(f"class shares need samples and real examples of the classes 0 to {classes - 1}")
    (reached, fewest, most), (there, least, greatest) = _reached(fake, classes), _reached(real, classes)
    many = min(len(fake), len(real)) >= 10 * classes
    exact = (there - 1) / 2 * (1 / len(fake) + 1 / len(real)) + (classes - there) / len(real)
    null = _by_chance(real, len(fake), classes)
    chance = exact if many else float(null.mean())
    full_protocol = {**(protocol or {}), "n": len(fake), "n_real": len(real), "features": features}
    return [
        Number(
            names[0], feature_title("classes reached", features), reached, fewest, most, f"of {classes}", "higher",
            ceiling=Reference(there, least, greatest, "real examples"),
            protocol={**full_protocol,
                      "interval": f"95%, {DRAWS} bootstrap samples less their bias, or by Chao's variance"},
            says="Number of classes that the classifier sees in at least one sample.",
            plain=_plain(reached, most, there, least, min(len(fake), len(real))), weight=75,
        ),
        Number(
            names[1], feature_title("KL of predicted classes", features), *_with_interval(fake, real, classes), "nats",
            "lower", Reference(chance, *_ends(null), "its mean if the samples were real examples"),
            protocol={**full_protocol, "interval": f"95%, {DRAWS} bootstrap samples of both, less their bias"},
            says="0: samples have the classes as often as real examples do."
            f" The classifier sees {reached} classes in samples, {there} in real examples.",
            detail=True,
        ),
    ]  # fmt: skip


def _plain(reached: int, most: int, there: int, least: int, n: int) -> str:
    """Whether classes are missing: said where chance does not explain it, or where n is enough to find them all."""
    if most < least:
        return f"About {there - reached} of {there} classes are missing."
    return "No class is missing." if reached >= there and n >= 10 * there else ""


def _with_interval(fake: Tensor, real: Tensor, classes: int) -> tuple[float, float, float]:
    """Class KL with its ends. A divergence of shares is biased upwards, and of draws from draws twice: both ends move
    down by the bias of draws, and the lower end once more, by that of the value itself."""
    g, value = torch.Generator().manual_seed(0), class_kl(fake, real, classes)

    def redrawn(side: Tensor) -> Tensor:
        return side[torch.randint(len(side), (len(side),), generator=g)]

    again = [class_kl(redrawn(fake), redrawn(real), classes) for _ in range(DRAWS)]
    low, high = _ends(torch.tensor(again))
    bias = max(0.0, sum(again) / DRAWS - value)
    return value, max(0.0, low - 2 * bias), high - bias


def _reached(predicted: Tensor, classes: int) -> tuple[int, int, int]:
    """How many classes there are, with the ends of an interval of what as many samples find on average: the wider of a
    bootstrap, of which draws from draws find fewer, and of the variance S (1 − S/Ŝ), Ŝ = S + f₁²/2f₂ with f₁ classes
    found once and f₂ twice (Chao 1984; Colwell et al. 2012)."""
    counts, g = torch.bincount(predicted, minlength=classes).double().cpu(), torch.Generator().manual_seed(0)
    again = torch.multinomial(counts, DRAWS * len(predicted), replacement=True, generator=g).view(DRAWS, -1)
    reached_classes = torch.zeros(DRAWS, classes).scatter_(1, again, 1.0).sum(1)
    reached, (fewest, most) = int((counts > 0).sum()), _ends(reached_classes)
    lost = max(0.0, reached - (fewest + most) / 2)
    once, twice = (int((counts == k).sum()) for k in (1, 2))
    all_of_them = min(classes, reached + (once**2 / (2 * twice) if twice else once * (once - 1) / 2))
    half = Z * sqrt(reached * (1 - reached / all_of_them))
    fewest, most = min(fewest + lost, reached - half), max(most + lost, reached + half)
    return reached, max(1, floor(fewest)), min(classes, ceil(most))


def _ends(values: Tensor) -> tuple[float, float]:
    low, high = values.double().quantile(torch.tensor([0.025, 0.975]).double()).tolist()
    return low, high


def _by_chance(real: Tensor, n: int, classes: int) -> Tensor:
    """Class KL where both sides are drawn from π̂."""
    g = torch.Generator().manual_seed(0)
    pi = torch.bincount(real, minlength=classes).double().cpu() + 1
    drawn = [torch.multinomial(pi, DRAWS * size, replacement=True, generator=g) for size in (n, len(real))]
    return torch.tensor([class_kl(a, b, classes) for a, b in zip(*(d.view(DRAWS, -1) for d in drawn), strict=True)])


def stacked_classes(x: Tensor, device: str | torch.device = "cpu") -> Tensor:
    """Stacked MNIST (N, 3, H, W) in [0, 1] → the class (N,) of 1000: its channels' digits, hundreds first."""
    if x.ndim != 4 or x.shape[1] != 3:
        raise BestiaryError(f"stacked digits are images of three channels; these are {tuple(x.shape[1:])}")
    classify = extractor("mnist", pictures((1, *x.shape[2:])), device=device)
    digits = [classify.classes(x[:, c : c + 1])[:, :DIGITS].argmax(1) for c in range(3)]
    return DIGITS**2 * digits[0] + DIGITS * digits[1] + digits[2]
