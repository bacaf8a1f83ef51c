"""The chapters of a judgement, in the order in which their numbers are read. A new one is a line here."""

from bestiary.judging import code_chapters as code
from bestiary.judging import neighbour_chapters as neighbours
from bestiary.judging import picture_chapters as pictures
from bestiary.judging import sample_chapters as sample
from bestiary.judging.bound_chapter import bounds
from bestiary.judging.case import Case
from bestiary.judging.chapter import Chapter
from bestiary.judging.latent_chapter import has_rows_of_codes, latent
from bestiary.models.model import Bounds, Drawn, Encodes, Reconstructs, Shows

__all__ = ["CHAPTERS"]


def _sampled(case: Case) -> bool:
    return case.samples is not None


def _comparable(case: Case) -> bool:
    return _sampled(case) and min(len(case.real), len(case.other)) > 1


def _tested(case: Case) -> bool:
    return _sampled(case) and case.features is not None


CHAPTERS = (
    Chapter("bounds", bounds, needs=(Bounds,)),
    Chapter("parts of the bound", latent, needs=(Drawn,), applies=has_rows_of_codes),
    Chapter("copies", neighbours.copies, applies=_sampled),
    Chapter("fidelity and coverage", neighbours.distances, applies=_comparable),
    Chapter("examples compared", sample.examples_compared, applies=_tested),
    Chapter("classifier", sample.classifier, applies=sample.enough, slow=True),
    Chapter("fid", sample.fid_of, applies=sample.enough, slow=True),
    Chapter("kid", sample.kid_of, applies=sample.enough),
    Chapter("precision and coverage", sample.prdc, applies=sample.enough),
    Chapter("MMD and sliced Wasserstein", sample.lines, applies=sample.enough),
    Chapter("score", sample.score, applies=sample.has_classes),
    Chapter("statistics by column", sample.statistics_by_column, applies=sample.enough),
    Chapter("modes", sample.modes, applies=sample.has_modes),
    Chapter("stacked digits", sample.stacked_digits, applies=sample.stacked),
    Chapter("compression", code.compression, needs=(Encodes, Reconstructs)),
    Chapter("linear probe", code.linear_probe, needs=(Encodes,), applies=code.has_label),
    Chapter("pictures of samples", pictures.samples_and_data),
    Chapter("pictures of codes", pictures.codes_and_reconstructions, needs=(Encodes, Shows)),
    Chapter("density", pictures.density, applies=pictures.is_plane),
)
