"""What the report draws of a run, as the data is stored: samples beside data, neighbours, reconstructions, codes.

Legend: N examples, D latent.
"""

import numpy as np
import torch
from torch import Tensor

from bestiary.data.batches import stored_units
from bestiary.measures.neighbours import nearest
from bestiary.runs.fitted import Fitted

__all__ = ["apart", "evidence"]

NEIGHBOURS, SHOWN = 4, 64  # neighbours drawn, examples drawn


def apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own, as safetensors wants them: some are slices of others."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def evidence(run: Fitted, samples: Tensor | None, x: Tensor, labels: Tensor | None, train: Tensor) -> dict[str, Tensor]:
    """What the report draws, as the data is stored."""
    spec = run.spec
    found = {"data": stored_units(x[:SHOWN] if spec.kind == "image" else x, spec)}
    if samples is not None:
        shown = samples[:SHOWN]
        distance, index = nearest(shown[:12], train, NEIGHBOURS)
        found |= {
            "samples": stored_units(samples if spec.kind != "image" else shown, spec),
            "neighbour_of": stored_units(shown[:12], spec),
            "neighbours": torch.stack([stored_units(train[i], spec) for i in index]),
            "neighbour_distances": distance,
        }
    if {"encode", "decode"} <= run.model.abilities:
        found |= _latent(run, x, labels)
    if run.dataset.truth is not None and spec.shape == (2,):
        found |= _truth(run)
    return found


def _latent(run: Fitted, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
    """Reconstructions, posterior means and their first two principal components, the manifold of a 2-D latent."""
    codes = run.encode(run.observe(x))
    found = {
        "codes": codes,
        "reconstructed_from": stored_units(x[:16], run.spec),
        "reconstructions": stored_units(run.decode(codes[:16]), run.spec),
    }
    if labels is not None and not labels.is_floating_point():
        found["code_labels"] = labels
    if codes.shape[1] <= 2:
        found["codes_2d"] = torch.cat([codes, torch.zeros(len(codes), 2 - codes.shape[1])], 1)
    else:
        centred = codes - codes.mean(0)
        axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2].T  # of one example there is one axis
        found["codes_2d"] = centred @ torch.cat([axes, torch.zeros(len(axes), 2 - axes.shape[1])], 1)
    if codes.shape[1] == 2 and run.spec.kind == "image":
        side = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.03, 0.97, 15))
        z = torch.stack(torch.meshgrid(side, -side, indexing="xy"), -1).view(-1, 2)
        found["manifold"] = stored_units(run.decode(z), run.spec)
    return found


def _truth(run: Fitted) -> dict[str, Tensor]:
    """The true density of a toy on a grid, log scale left to the reader of the picture."""
    truth = run.dataset.truth
    assert truth is not None  # the caller has looked
    data = run.dataset.stored
    low, high = data.min(0), data.max(0)
    pad = 0.08 * (high - low)
    extent = np.array([low[0] - pad[0], high[0] + pad[0], low[1] - pad[1], high[1] + pad[1]], np.float32)
    gx, gy = np.meshgrid(np.linspace(extent[0], extent[1], 160), np.linspace(extent[2], extent[3], 160))
    points = np.stack([gx.ravel(), gy.ravel()], 1).astype(np.float32)
    density = np.exp(truth.log_prob(points)).reshape(160, 160).astype(np.float32)
    return {"truth_density": torch.from_numpy(density), "extent": torch.from_numpy(extent)}
