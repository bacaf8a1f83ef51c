"""Draws of N(0, 1) by seed, for tests of measures."""

import torch
from torch import Tensor


def draws(n: int, seed: int, shape: tuple[int, ...] = (6,), scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))
