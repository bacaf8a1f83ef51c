"""Bounds on log p(x) of held-out examples, in nats and bits per dimension, by number of draws (measures/bound.py)."""

import sys

from bestiary.judging.case import Case
from bestiary.judging.chapter import Findings
from bestiary.judging.row_names import row_names
from bestiary.measures.bound import bound_numbers
from bestiary.measures.number import Reference
from bestiary.models.model import Bounds
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded

__all__ = ["bounds"]

BINARISED = {"dynamic": "once, by seed", "threshold": "at 1/2"}


def bounds(case: Case) -> Findings:
    """−ELBO and −L_k; evidence: the k-curve."""
    spec, model, truth = case.spec, case.model, case.truth
    assert isinstance(model, Bounds)  # the chapter needs it
    floor = None
    if truth is not None:
        floor = Reference(truth.entropy, says="the entropy of π: no model's −E log p(x) is lower")
    with seeded(derive_seed(case.seed, "bound"), case.device):
        numbers, curve = bound_numbers(
            lambda part, ks: model.bounds(part.to(case.device), ks),
            case.look,
            case.k,
            dimensions=spec.dimensions if model.discrete else 0,
            shift=spec.log_scale,
            floor=floor,
            protocol={**case.protocol, "of": "probability" if model.discrete else "density", **_likelihood(case)},
            progress=_silent if case.quiet else _show,
            row_name=row_names(spec, case.examples.x, "judged example"),
        )
    notes = ["Bounds are in the units of the file: −log p(raw) = −log p(x) + Σ log scale."] if spec.log_scale else []
    return Findings(numbers, notes, {"k_curve": curve})


def _likelihood(case: Case) -> dict[str, object]:
    """Of what the bound is: which likelihood, and how pixels were binarised."""
    chosen = {"likelihood": case.options["likelihood"]} if "likelihood" in case.options else {}
    if case.options.get("binarise", "none") != "none":
        return {**chosen, "binarised": BINARISED[case.options["binarise"]]}
    return {**chosen, "binarised": "statically: the data hold 0 and 1"} if case.spec.x.levels == 2 else chosen


def _silent(done: int, total: int) -> None:
    pass


def _show(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\rbound: {done}/{total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)
