"""What `bestiary sample` writes: single samples, or walks through latent space in rows of pictures.

    walk=…   row i goes from code z_i to code z_{i+1}, z_0, z_1, … ~ p(z): a picture that ends a row starts the next

(Radford et al. 2016, arXiv 1511.06434, figure 4.) Legend: n samples.
"""

from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from bestiary.errors import BestiaryError
from bestiary.networks.conditioned import cycle_rows
from bestiary.runs.fitted_run import FittedRun
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded

__all__ = ["STEPS", "sample_pictures"]

STEPS = 8  # points of a walk, one row of a picture

Walk = Literal["linear", "spherical"]


def sample_pictures(
    run: FittedRun,
    *,
    n: int = 64,  # how many
    seed: int = 0,  # same seed, same samples
    truncation: float | None = None,  # the largest |z| in any dimension; smaller: more typical, less varied
    walk: Walk | None = None,  # between samples: linear or spherical
    condition: str | None = None,  # of a run that is told one: cat, or cat,dog, or petal_length:1.2,species:setosa
) -> np.ndarray:
    """n samples as the data is stored."""
    if walk is None:
        return run.sample(n, seed, truncation, condition)
    if n < STEPS or n % STEPS:
        raise BestiaryError(f"n={n}: a walk is a row of {STEPS} samples: take a multiple of it, e.g. n=64")
    conditions = run.condition_tensors(condition)
    z = run.sample_z(n // STEPS + 1, seed, truncation, condition)
    rows = [cycle_rows(conditions, i, 1) or None for i in range(n // STEPS)]  # each way has the next
    with seeded(derive_seed(seed, "walk"), run.device):  # some decoders draw
        x = torch.cat(
            [run.walk(a, b, STEPS, walk, c) for (a, b), c in zip(pairwise(z), rows, strict=True)]
        )  # row by row: many take little memory
    return run.spec.x.to_stored(x).numpy()
