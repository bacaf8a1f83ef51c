"""What the report draws of a run, as the data is stored: samples beside data, neighbours, reconstructions, codes.

Legend: N examples, D latent.
"""

import numpy as np
import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.measures.neighbours import nearest
from bestiary.models.model import Encodes, Shows
from bestiary.networks.conditioned import rows_of
from bestiary.runs.fitted import Fitted

__all__ = ["apart", "evidence"]

NEIGHBOURS, SHOWN = 4, 64  # neighbours drawn, examples drawn


def apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own, as safetensors wants them: some are slices of others."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def evidence(run: Fitted, samples: Tensor | None, judged: Batch, train: Tensor) -> dict[str, Tensor]:
    """What the report draws, as the data is stored."""
    field, x = run.spec.x, judged.x
    found = {"data": field.back(x[:SHOWN] if field.pictured else x)}
    if samples is not None:
        shown = samples[:SHOWN]
        distance, index = nearest(shown[:12], train, NEIGHBOURS)
        found |= {
            "samples": field.back(shown if field.pictured else samples),
            "neighbour_of": field.back(shown[:12]),
            "neighbours": torch.stack([field.back(train[i]) for i in index]),
            "neighbour_distances": distance,
        }
    if isinstance(run.model, Encodes) and isinstance(run.model, Shows):
        found |= _latent(run, judged)
    if run.dataset.truth is not None and field.shape == (2,):
        found |= _truth(run)
    return found


def _latent(run: Fitted, judged: Batch) -> dict[str, Tensor]:
    """Reconstructions, codes and their first two principal components, the manifold of a 2-D latent."""
    codes, field, condition = run.encode(judged), run.spec.x, run.model.condition
    c = rows_of(condition.of(judged), slice(16)) if condition.fields else None
    found = {
        "codes": codes,
        "reconstructed_from": field.back(judged.x[:16]),
        "reconstructions": field.back(run.decode(codes[:16], c)),
    }
    label = run.spec.label
    if label is not None and not label.optional:
        found["code_labels"] = judged.beside[label.name]
    if not codes.is_floating_point() or codes.ndim != 2:
        return found
    if codes.shape[1] <= 2:
        found["codes_2d"] = torch.cat([codes, torch.zeros(len(codes), 2 - codes.shape[1])], 1)
    else:
        centred = codes - codes.mean(0)
        axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2].T  # of one example there is one axis
        found["codes_2d"] = centred @ torch.cat([axes, torch.zeros(len(axes), 2 - axes.shape[1])], 1)
    if codes.shape[1] == 2 and field.pictured and not condition.fields:
        side = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.03, 0.97, 15))
        z = torch.stack(torch.meshgrid(side, -side, indexing="xy"), -1).view(-1, 2)
        found["manifold"] = field.back(run.decode(z))
    return found


def _truth(run: Fitted) -> dict[str, Tensor]:
    """The true density of a toy on a grid, log scale left to the reader of the picture."""
    truth = run.dataset.truth
    assert truth is not None  # the caller has looked
    data = run.dataset.x
    low, high = data.min(0), data.max(0)
    pad = 0.08 * (high - low)
    extent = np.array([low[0] - pad[0], high[0] + pad[0], low[1] - pad[1], high[1] + pad[1]], np.float32)
    gx, gy = np.meshgrid(np.linspace(extent[0], extent[1], 160), np.linspace(extent[2], extent[3], 160))
    points = np.stack([gx.ravel(), gy.ravel()], 1).astype(np.float32)
    density = np.exp(truth.log_prob(points)).reshape(160, 160).astype(np.float32)
    return {"truth_density": torch.from_numpy(density), "extent": torch.from_numpy(extent)}
