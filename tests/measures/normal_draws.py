"""Draws of N(0, 1) by seed, for tests of measures."""

import torch
from torch import Tensor


def draws(n: int, seed: int, shape: tuple[int, ...] = (6,), scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def normal(n: int, f: int, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def mixed(n: int, f: int, seed: int) -> Tensor:
    """Correlated features."""
    return normal(n, f, seed) @ normal(f, f, 99) + 3
