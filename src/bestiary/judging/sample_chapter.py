"""Samples against real data: every number that needs no likelihood, for a run's samples or anyone's.

    features → two-sample classifier, Fréchet and kernel distances, precision and coverage, MMD, sliced Wasserstein,
               classifier score
    columns  → statistics of marginals and pairs            known modes → how many are reached

Each stands beside what other real examples get in the place of samples. What the examples do not allow is left out and
said in a note, never given as a silent number.

Legend: N examples, F features, C channels, H height, W width, M of N on which odds are calibrated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.data.dataset import Density
from bestiary.data.spec import Spec
from bestiary.data.toys import Mixture
from bestiary.errors import BestiaryError, unknown
from bestiary.measures.discrepancy import sliced
from bestiary.measures.features import Extractor, extractor, fitting
from bestiary.measures.frechet import fid, kid
from bestiary.measures.manifold import manifold_numbers
from bestiary.measures.modes import mode_numbers
from bestiary.measures.number import Number
from bestiary.measures.score import class_numbers, score_numbers, stacked_classes
from bestiary.measures.statistics import statistics
from bestiary.measures.two_sample import FOLDS, calibrated, two_sample_test
from bestiary.training.clock import mix

__all__ = ["Sides", "Tests", "chosen_features", "columns_of", "sample_numbers"]

MOST_COLUMNS = 256  # beyond which pictures are averaged, and statistics of other examples left out
NEIGHBOURS = 5  # k of precision and coverage
SLOW = ("classifier", "fid")  # what `fast` leaves out

Tests = Literal["all", "fast", "none"]
Evidence = dict[str, Tensor]


class Sides(NamedTuple):
    """Equally many examples of each: x in model units, or features."""

    fake: Tensor
    real: Tensor
    other: Tensor  # more real examples, in the place of samples


@dataclass(frozen=True)
class Setting:
    """What the tests share."""

    x: Sides
    features: Sides
    extract: Extractor
    spec: Spec
    truth: Density | None
    seed: int
    protocol: Mapping[str, object]
    modes: str = ""  # how modes are counted: Dataset.modes

    @property
    def said(self) -> dict[str, object]:
        """The protocol of numbers that are of features."""
        return {**self.protocol, **({"prepared": self.extract.about} if self.extract.about else {})}


def chosen_features(name: str, spec: Spec, seed: int, device: str | torch.device = "cpu") -> Extractor:
    """By name, by a file of weights, or what fits the data."""
    return extractor(fitting(spec).value if name == "auto" else name, spec, seed, device)


def sample_numbers(
    x: tuple[Tensor, Tensor, Tensor], spec: Spec, extract: Extractor, tests: Tests = "all", seed: int = 0,
    protocol: Mapping[str, object] | None = None, truth: Density | None = None, modes: str = "",
) -> tuple[list[Number], list[str], Evidence]:  # fmt: skip
    """All that samples tell of a generator, from fake, real and other real examples in model units.

    Also notes on what could not be told, and for the report what the two-sample classifier said.
    """
    if tests not in get_args(Tests):
        raise unknown("tests", str(tests), get_args(Tests))
    if tests == "none":
        return [], [], {}
    n = min(map(len, x))
    if n < 2 * FOLDS:
        return [], [f"Only {n} examples of a kind to compare: too few for any statistic of two sets."], {}
    sides = Sides(*(part[:n] for part in x))
    how = Setting(sides, Sides(*map(extract, sides)), extract, spec, truth, seed, protocol or {}, modes)
    numbers: list[Number] = []
    evidence: Evidence = {}
    notes = _remarks(how)
    for name, test in TESTS.items():
        if tests == "fast" and name in SLOW:
            continue
        try:
            found, drawn = test(how)
        except BestiaryError as error:  # one that the examples do not allow leaves the others alone
            notes.append(f"Left out: {name}. {error}.")
            continue
        numbers, evidence = numbers + found, evidence | drawn
    if tests == "fast":
        notes.append(f"Left out by tests=fast: {', '.join(SLOW)}.")
    return numbers, notes, evidence


def _classifier(how: Setting) -> tuple[list[Number], Evidence]:
    numbers, found = two_sample_test(*how.features, how.extract.says, how.seed, protocol=how.said)
    p, rest = calibrated(found, how.seed)
    told = torch.stack([found.logits, found.real.float()], 1)
    odds = torch.stack([p.logit().float(), found.real[rest].float()], 1)
    return numbers, {"two_sample": told, "density_ratio": odds}


def _score(how: Setting) -> tuple[list[Number], Evidence]:
    if how.extract.logits is None:
        return [], {}
    fake, real = (how.extract.classes(x) for x in (how.x.fake, how.x.real))
    return score_numbers(fake, real, how.extract.says, how.said), {}


def _triples(how: Setting) -> tuple[list[Number], Evidence]:
    """The 1000 modes of stacked MNIST."""
    if how.modes != "digits":
        return [], {}
    fake, real = (stacked_classes(x) for x in (how.x.fake, how.x.real))
    names = ("digit_triples", "digit_triples_kl")
    return class_numbers(fake, real, 10 ** how.spec.shape[0], "digits of the channels", how.protocol, names), {}


def _statistics(how: Setting) -> tuple[list[Number], Evidence]:
    (fake, real, other), names, averaged = columns_of(how.x, how.spec)
    if len(names) > MOST_COLUMNS:
        raise BestiaryError(f"they are of at most {MOST_COLUMNS} columns, and there are {len(names)}")
    said = {**how.protocol, **({"averaged": averaged} if averaged else {})}
    return statistics(fake, real, other, names, said), {}


def _modes(how: Setting) -> tuple[list[Number], Evidence]:
    truth = how.truth
    if not (isinstance(truth, Mixture) and truth.separate):
        return [], {}
    perfect = torch.from_numpy(truth.sample(len(how.x.fake), mix(how.seed, "perfect") % 2**32))
    return mode_numbers(how.x.fake, torch.from_numpy(truth.means), truth.sigma, perfect, how.seed, how.protocol), {}


TESTS: dict[str, Callable[[Setting], tuple[list[Number], Evidence]]] = {
    "classifier": _classifier,
    "fid": lambda how: ([fid(*how.features, how.extract.says, how.said)], {}),
    "kid": lambda how: ([kid(*how.features, how.extract.says, how.said)], {}),
    "precision and coverage": lambda how: (
        manifold_numbers(*how.features, how.extract.says, NEIGHBOURS, how.said),
        {},
    ),
    "MMD and sliced Wasserstein": lambda how: (
        sliced(*how.features, how.extract.says, how.seed, protocol=how.said),
        {},
    ),
    "score": _score,
    "statistics by column": _statistics,
    "modes": _modes,
    "stacked digits": _triples,
}


def columns_of(x: Sides, spec: Spec) -> tuple[Sides, list[str], str]:
    """Columns (N, F), a name for each, and over what pictures were averaged to have few of them."""
    if not spec.x.maps:
        return Sides(*(part.flatten(1) for part in x)), spec.x.component_names, ""
    channels, height, width = spec.shape
    side = max(1, ceil(sqrt(channels * height * width / MOST_COLUMNS)))
    while channels * ceil(height / side) * ceil(width / side) > MOST_COLUMNS and side < max(height, width):
        side += 1
    small = Sides(*(F.avg_pool2d(part, side, ceil_mode=True) for part in x))
    rows, columns = small.real.shape[2:]
    names = [
        f"row {i + 1}, column {j + 1}{f', channel {c + 1}' if channels > 1 else ''}"
        for c in range(channels) for i in range(rows) for j in range(columns)
    ]  # fmt: skip
    averaged = f"over {side}×{side} pixels, to {rows}×{columns}" if side > 1 else ""
    return Sides(*(part.flatten(1) for part in small)), names, averaged


def _remarks(how: Setting) -> list[str]:
    """What a reader of the numbers must know about the examples."""
    real, (x_fake, x_real, _), features = how.features.real, how.x, how.extract.says
    notes = []
    if flat := int((real == real[0]).all(0).sum()):
        notes.append(f"{flat} of {real.shape[1]} features ({features}) are constant among the real examples.")
    for what, x in (("samples", x_fake), ("real examples", x_real)):
        copies = len(x) - len(x.flatten(1).unique(dim=0))
        if copies > 0.01 * len(x):
            notes.append(f"{copies} of {len(x)} {what} repeat another one exactly.")
    if len(real) <= real.shape[1]:
        notes.append(
            f"{len(real)} examples of {real.shape[1]} features ({features}): the Fréchet distance is of singular"
            " covariances, and far from its value for many examples. Its floor says how far."
        )
    return notes
