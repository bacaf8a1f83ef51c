"""Samples of a run, or walks from sample to sample in latent space: what `bestiary sample` writes.

    walk=…   row i goes from code z_i to code z_{i+1}, z_0, z_1, … ~ p(z): the last sample of a row is the first of the
             next

(Radford et al. 2016, arXiv 1511.06434, figure 4.)
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

__all__ = ["WALK_STEPS", "sample_or_walk"]

WALK_STEPS = 8  # points of a walk, which are one row of a picture

Walk = Literal["linear", "spherical"]


def sample_or_walk(
    run: FittedRun,
    *,
    n: int = 64,  # number of samples
    seed: int = 0,  # same seed, same samples
    truncation: float | None = None,  # the largest |z| in any dimension; smaller: more typical, less varied
    walk: Walk | None = None,  # between samples: linear or spherical
    condition: str | None = None,  # of a conditional run: cat, or cat,dog, or petal_length:1.2,species:setosa
) -> np.ndarray:
    """n samples as the data are stored; with a walk, rows of 8. Raises BestiaryError if n is not a multiple of 8."""
    if walk is None:
        return run.sample(n, seed, truncation, condition)
    if n < WALK_STEPS or n % WALK_STEPS:
        raise BestiaryError(f"n={n}: a walk is a row of {WALK_STEPS} samples: take a multiple of it, e.g. n=64")
    rows = n // WALK_STEPS
    conditions = run.condition_tensors(condition)
    z = run.sample_z(rows + 1, seed, truncation, condition)
    with seeded(derive_seed(seed, "walk"), run.device):  # some decoders draw
        x = torch.cat(  # row by row, since many at once take much memory
            [
                run.walk(a, b, WALK_STEPS, walk, cycle_rows(conditions, i, 1) or None)
                for i, (a, b) in enumerate(pairwise(z))
            ]
        )
    return run.spec.x.to_stored(x).numpy()
