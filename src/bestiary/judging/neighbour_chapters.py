"""Distances to nearest neighbours: copies of training examples (measures/copies.py), how far samples lie from data and
data from samples (measures/fidelity.py)."""

from bestiary.judging.case import LEAST, Case
from bestiary.judging.chapter import Findings
from bestiary.measures.copies import copy_share, distance_ratio
from bestiary.measures.fidelity import fidelity_and_coverage

__all__ = ["copies", "distances", "may_copy"]


def copies(case: Case) -> Findings:
    """The share of samples that copy training examples; why it is not told, where it is not."""
    if not may_copy(case):
        identified = "Copies are not counted: samples have the conditions of training examples, which identify these."
        return Findings(notes=[identified])
    if case.held is None or len(case.held) < LEAST:
        few = f"Copies are not counted: too few examples are held out, and at least {LEAST} are needed."
        return Findings(notes=[few] if case.model is not None else [])
    samples, _, _, training, held = case.points
    return Findings(
        [
            copy_share(samples, training, held, case.where, case.protocol, case.seen_of),
            distance_ratio(samples, training, held, case.where, case.seed, case.protocol),
        ]
    )


def may_copy(case: Case) -> bool:
    """Not where a sample takes from a training example what may tell it from all others: it lies beside it."""
    return case.model is None or not case.model.condition.identifies_examples


def distances(case: Case) -> Findings:
    """Fidelity and coverage."""
    samples, real, other, _, _ = case.points
    return Findings(fidelity_and_coverage(samples, real, other, case.where, case.seed, case.protocol))
