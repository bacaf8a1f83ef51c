"""What a code holds: a linear probe for the label, and what a code costs and loses where there is no bound.

Measures: measures/code_numbers.py. Legend: N examples.
"""

import torch

from bestiary.codes.encoding import encode
from bestiary.judging.case import Case
from bestiary.judging.chapter import Findings
from bestiary.measures.code_numbers import code_bits, probe, round_codes
from bestiary.measures.intervals import student_interval
from bestiary.measures.number import Number
from bestiary.models.model import Encodes, Reconstructs

__all__ = ["compression", "has_label", "linear_probe"]

PROBED = 2000  # training examples that a linear probe is fitted to
WIDEST = 4096  # numbers of x beyond which no probe of x itself is fitted for comparison: it would take minutes
TOGETHER = 64  # examples decoded at once


def has_label(case: Case) -> bool:
    """Whether each example has one label."""
    label = case.spec.label
    return label is not None and not label.optional


def linear_probe(case: Case) -> Findings:
    """The accuracy of a linear reader of codes, beside one of x itself."""
    label, fitted, examples = case.spec.label, case.spare[:PROBED], case.look
    assert label is not None  # the chapter needs one
    if not len(fitted):
        missing = "No linear probe: all training examples are compared, none is left to fit it to. Give a smaller n."
        return Findings(notes=[missing])
    assert isinstance(case.model, Encodes)
    codes = encode(case.model, examples, case.seed)
    y, y_fitted = examples.beside[label.name], fitted.beside[label.name]
    if not codes.is_floating_point() or len(y_fitted.unique()) < 2:
        return Findings()
    raw = (fitted.x, case.examples.x) if case.spec.dimensions <= WIDEST else None
    protocol = {**case.protocol, "codes": "posterior means"}
    return Findings([probe((encode(case.model, fitted, case.seed), y_fitted), (codes, y), raw, protocol)])


def compression(case: Case) -> Findings:
    """An autoencoder's point on the rate–distortion plane."""
    model, look = case.model, case.look
    assert isinstance(model, Reconstructs)  # the chapter needs it
    codes = encode(case.model, look, case.seed)
    if not codes.is_floating_point() or len(look) < 2:
        return Findings()
    protocol = {**case.protocol, "n": len(look), "interval": "95%, Student, over examples"}
    numbers = [code_bits(codes, case.protocol)]
    for name, title, z, says in (
        ("distortion", "reconstruction loss, −E log p(x|z)", codes, "What the code loses of x."),
        ("distortion_quantised", "reconstruction loss of the rounded code", round_codes(codes),
         "What a code rounded to the bits above loses of x."),
    ):  # fmt: skip
        parts = zip(look.split(TOGETHER), z.split(TOGETHER), strict=True)
        with torch.no_grad():
            losses = [model.distortion(x.to(case.device), code.to(case.device)).cpu().double() for x, code in parts]
        loss = case.spec.log_scale + torch.cat(losses)
        numbers.append(Number(name, title, *student_interval(loss), "nats", "lower", protocol=protocol, says=says))
    return Findings(numbers)
