"""Samples against data: every number that needs no likelihood, for a run's samples or anyone's.

    features → two-sample classifier, Fréchet and kernel distances, precision and coverage, MMD, sliced Wasserstein,
               classifier score
    columns  → statistics of marginals and pairs            known modes → how many are reached

Each stands beside what other real examples get in the place of samples. What the examples do not allow is left out and
said in a note, never given as a silent number.

Legend: N examples, F features, C channels, H height, W width, M of N on which odds are calibrated.
"""

from math import ceil, sqrt

import torch
import torch.nn.functional as F

from bestiary.data.spec import Spec
from bestiary.data.toys import Mixture
from bestiary.errors import BestiaryError
from bestiary.judging.case import Case, Sides
from bestiary.judging.chapter import Findings
from bestiary.judging.row_names import row_names
from bestiary.measures.discrepancy import discrepancy_numbers
from bestiary.measures.frechet import SIDES, fid_numbers
from bestiary.measures.kernel_distance import kid
from bestiary.measures.manifold import manifold_numbers
from bestiary.measures.modes import mode_numbers
from bestiary.measures.score import class_numbers, score_numbers, stacked_classes
from bestiary.measures.statistics import statistics
from bestiary.measures.two_sample import FOLDS, calibrate, two_sample_test
from bestiary.training.clock import derive_seed

__all__ = [
    "classifier", "columns_of", "enough", "examples_compared", "fid_of", "has_classes", "has_modes", "kid_of",
    "lines", "modes", "prdc", "score", "stacked", "stacked_digits", "statistics_by_column",
]  # fmt: skip

MOST_COLUMNS = 256  # beyond which pictures are averaged, and statistics of other examples left out
NEIGHBOURS = 5  # k of precision and coverage
LEAST_COMPARED = 2 * FOLDS  # examples of each side, for any statistic of two sets


def compared(case: Case) -> int:
    """How many examples of each side are compared."""
    return 0 if case.samples is None else min(len(case.samples), len(case.real), len(case.other))


def enough(case: Case) -> bool:
    """Whether samples and data are enough for statistics of two sets, and these are asked for."""
    return case.features is not None and compared(case) >= LEAST_COMPARED


def examples_compared(case: Case) -> Findings:
    """Notes on the examples that a reader of the numbers must know."""
    n = compared(case)
    if n < LEAST_COMPARED:
        return Findings(notes=[f"Only {n} examples of each side: a comparison needs at least {LEAST_COMPARED}."])
    assert case.features is not None  # the chapter asks for it
    real, name = case.feature_sides.real, case.features.says
    notes = []
    if constant := int((real == real[0]).all(0).sum()):
        notes.append(
            f"{constant} of {real.shape[1]} features ({name}) measure nothing: they are constant over real examples."
        )
    for kind, x in (("samples", case.sides.fake), ("real examples", case.sides.real)):
        repeats = len(x) - len(x.flatten(1).unique(dim=0))
        if repeats > 0.01 * len(x):
            notes.append(f"{repeats} of {len(x)} {kind} are exact repetitions of another one.")
    if len(real) <= real.shape[1]:
        notes.append(
            f"The Fréchet distance is too large, with only {len(real)} examples for {real.shape[1]} features ({name}):"
            " compare it with its floor only."
        )
    return Findings(notes=notes)


def _name(case: Case) -> str:
    assert case.features is not None  # chapters of features ask for it
    return case.features.says


def classifier(case: Case) -> Findings:
    """The two-sample classifier; evidence: its logits and the odds that are calibrated on half of them."""
    numbers, test = two_sample_test(*case.feature_sides, _name(case), case.seed, protocol=case.feature_protocol)
    p, rows = calibrate(test, case.seed)
    logits = torch.stack([test.logits, test.real.float()], 1)
    odds = torch.stack([p.logit().float(), test.real[rows].float()], 1)
    return Findings(numbers, evidence={"two_sample": logits, "density_ratio": odds})


def fid_of(case: Case) -> Findings:
    """The Fréchet distance of features, and without outliers if these dominate it."""
    x = dict(zip(SIDES, (case.sides.real, case.sides.fake, case.sides.other), strict=True))
    names = {side: row_names(case.spec, rows, side) for side, rows in x.items()}
    return Findings(fid_numbers(*case.feature_sides, _name(case), case.feature_protocol, names))


def kid_of(case: Case) -> Findings:
    """The kernel distance of features."""
    return Findings([kid(*case.feature_sides, _name(case), case.feature_protocol)])


def prdc(case: Case) -> Findings:
    """Precision, recall, density and coverage."""
    return Findings(manifold_numbers(*case.feature_sides, _name(case), NEIGHBOURS, case.feature_protocol))


def lines(case: Case) -> Findings:
    """MMD and the sliced Wasserstein distance."""
    return Findings(discrepancy_numbers(*case.feature_sides, _name(case), case.seed, protocol=case.feature_protocol))


def has_classes(case: Case) -> bool:
    """Whether the features are those of a classifier."""
    return enough(case) and case.features is not None and case.features.logits is not None


def score(case: Case) -> Findings:
    """The classifier score, and how many classes are reached."""
    assert case.features is not None  # the chapter asks for it
    fake, real = (case.features.classes(x) for x in (case.sides.fake, case.sides.real))
    return Findings(score_numbers(fake, real, _name(case), case.feature_protocol))


def statistics_by_column(case: Case) -> Findings:
    """Marginals and pairs of columns; of pictures, of their averages over squares."""
    (fake, real, other), names, averaged = columns_of(case.sides, case.spec)
    if len(names) > MOST_COLUMNS:
        raise BestiaryError(f"there are {len(names)} columns, and at most {MOST_COLUMNS} are allowed")
    protocol = {**case.protocol, **({"averaged": averaged} if averaged else {})}
    columns = case.spec.x.columns
    owners = [column.name for column in columns for _ in column.names] if columns else None
    return Findings(statistics(fake, real, other, names, protocol, owners))


def has_modes(case: Case) -> bool:
    """Whether the data are a mixture whose modes lie apart."""
    return enough(case) and isinstance(case.truth, Mixture) and case.truth.is_separate


def modes(case: Case) -> Findings:
    """How many modes of a known mixture are reached."""
    truth, fake = case.truth, case.sides.fake
    assert isinstance(truth, Mixture)  # the chapter asks for it
    perfect = torch.from_numpy(truth.sample(len(fake), derive_seed(case.seed, "perfect") % 2**32))
    return Findings(mode_numbers(fake, torch.from_numpy(truth.means), truth.sigma, perfect, case.seed, case.protocol))


def stacked(case: Case) -> bool:
    """Whether the channels are digits: 1000 modes."""
    return enough(case) and case.modes == "digits"


def stacked_digits(case: Case) -> Findings:
    """How many triples of digits are reached."""
    fake, real = (stacked_classes(x) for x in (case.sides.fake, case.sides.real))
    names, classes = ("digit_triples", "digit_triples_kl"), 10 ** case.spec.shape[0]
    return Findings(class_numbers(fake, real, classes, "digits of the channels", case.protocol, names))


def columns_of(x: Sides, spec: Spec) -> tuple[Sides, list[str], str]:
    """Columns (N, F), a name for each, and over what pictures were averaged to have few of them."""
    if not spec.x.is_spatial:
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
