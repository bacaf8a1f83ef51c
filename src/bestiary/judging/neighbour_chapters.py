"""Distances to nearest neighbours: exact copies and near ones (measures/exact_copies.py), the share of copies where
examples are held out (measures/copies.py), how far samples lie from data and data from samples (measures/fidelity.py).
"""

from bestiary.judging.case import LEAST, Case
from bestiary.judging.chapter import Findings
from bestiary.measures.copies import copy_share, distance_ratio
from bestiary.measures.exact_copies import exact_copies, near_copies
from bestiary.measures.fidelity import fidelity_and_coverage
from bestiary.measures.number import Number

__all__ = ["copies", "distances", "may_copy"]


def copies(case: Case) -> Findings:
    """Exact copies; then the share of copies, or of near copies where no examples are held out. Or why not."""
    if not may_copy(case):
        identified = "Copies are not counted: samples have the conditions of training examples, which identify these."
        return Findings(notes=[identified])
    numbers = _exact(case)
    samples, _, _, training, held = case.points
    if len(held) >= LEAST:
        return Findings(
            [
                *numbers,
                copy_share(samples, training, held, case.where, case.protocol, case.seen_of),
                distance_ratio(samples, training, held, case.where, case.protocol),
            ]
        )
    few = f"Of copies only exact and near ones are counted: too few examples are held out, and others need {LEAST}."
    notes = [few] if case.model is not None else []
    if len(training) >= LEAST:
        numbers.append(near_copies(samples, training, case.where, case.protocol))
    return Findings(numbers, notes)


def _exact(case: Case) -> list[Number]:
    """Exact copies, as data is stored."""
    assert case.samples is not None  # the chapter needs them
    held = None if case.held is None else case.held.x
    noun = "real" if case.model is None else "training"
    return exact_copies(
        case.samples.x, case.seen.x, held, pictures=case.spec.x.is_picture, noun=noun, protocol=case.protocol
    )


def may_copy(case: Case) -> bool:
    """Not where a sample takes from a training example what may tell it from all others: it lies beside it."""
    return case.model is None or not case.model.condition.identifies_examples


def distances(case: Case) -> Findings:
    """Fidelity and coverage."""
    samples, real, other, _, _ = case.points
    return Findings(fidelity_and_coverage(samples, real, other, case.where, case.protocol))
