"""What the report draws, as the data is stored: samples beside data, neighbours, reconstructions, codes, a density.

Legend: N examples, D latent.
"""

import numpy as np
import torch
from torch import Tensor

from bestiary.codes.encoding import decode, encode
from bestiary.judging.case import Case
from bestiary.judging.chapter import Evidence, Findings
from bestiary.judging.code_chapters import has_label
from bestiary.measures.neighbours import nearest
from bestiary.models.model import Shows

__all__ = ["codes_and_reconstructions", "density", "is_plane", "samples_and_data"]

NEIGHBOURS, DRAWN = 4, 64  # neighbours drawn, examples drawn


def samples_and_data(case: Case) -> Findings:
    """Examples, samples, and for the first samples their nearest training examples."""
    field, x = case.spec.x, case.examples.x
    evidence = {"data": field.to_stored(x[:DRAWN] if field.is_picture else x)}
    if case.samples is not None:
        samples = case.samples.x
        first, training = samples[:12], case.seen.x
        distance, index = nearest(first, training, NEIGHBOURS)
        evidence |= {
            "samples": field.to_stored(samples[:DRAWN] if field.is_picture else samples),
            "neighbour_of": field.to_stored(first),
            "neighbours": torch.stack([field.to_stored(training[i]) for i in index]),
            "neighbour_distances": distance,
        }
    return Findings(evidence=evidence)


def codes_and_reconstructions(case: Case) -> Findings:
    """Reconstructions, codes and their first two principal components, the manifold of a 2-D latent."""
    model, field, examples = case.model, case.spec.x, case.examples
    assert isinstance(model, Shows)  # the chapter needs it
    codes = encode(model, case.look, case.seed)
    c = model.condition.of(examples[:16].to(case.device))
    evidence = {
        "codes": codes,
        "reconstructed_from": field.to_stored(examples.x[:16]),
        "reconstructions": field.to_stored(decode(model, codes[:16].to(case.device), c)),
    }
    if has_label(case):
        assert case.spec.label is not None
        evidence["code_labels"] = examples.beside[case.spec.label.name]
    if codes.is_floating_point() and codes.ndim == 2:
        evidence["codes_2d"] = _plane(codes)
        if codes.shape[1] == 2 and field.is_picture and not model.condition.fields:
            evidence["manifold"] = field.to_stored(decode(model, _grid(15).to(case.device)))
    return Findings(evidence=evidence)


def _plane(codes: Tensor) -> Tensor:
    """(N, D) → (N, 2): the first two principal components, or the codes themselves."""
    if codes.shape[1] <= 2:
        return torch.cat([codes, torch.zeros(len(codes), 2 - codes.shape[1])], 1)
    centred = codes - codes.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2].T  # of one example there is one axis
    return centred @ torch.cat([axes, torch.zeros(len(axes), 2 - axes.shape[1])], 1)


def _grid(side: int) -> Tensor:
    """Codes (side², 2) at equal steps of probability under N(0, I)."""
    steps = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.03, 0.97, side))
    return torch.stack(torch.meshgrid(steps, -steps, indexing="xy"), -1).view(-1, 2)


def is_plane(case: Case) -> bool:
    """Whether x are points of a plane whose density is known."""
    return case.truth is not None and case.spec.x.shape == (2,)


def density(case: Case) -> Findings:
    """The true density of a toy on a grid; how it is scaled is left to the picture."""
    assert case.truth is not None  # the chapter asks for it
    x = torch.cat([case.seen.x, case.examples.x]).numpy()
    low, high = x.min(0), x.max(0)
    pad = 0.08 * (high - low)
    extent = np.array([low[0] - pad[0], high[0] + pad[0], low[1] - pad[1], high[1] + pad[1]], np.float32)
    gx, gy = np.meshgrid(np.linspace(extent[0], extent[1], 160), np.linspace(extent[2], extent[3], 160))
    points = np.stack([gx.ravel(), gy.ravel()], 1).astype(np.float32)
    p = np.exp(case.truth.log_prob(points)).reshape(160, 160).astype(np.float32)
    evidence: Evidence = {"truth_density": torch.from_numpy(p), "extent": torch.from_numpy(extent)}
    return Findings(evidence=evidence)
