"""Structure of data: whether the numbers of an example have anything to do with each other.

    structure   (1/k Σ_i≤k Var_h v_i·h) / (1/F Σ_f Var_h h_f)

v_1 … v_k are the main directions of training examples, h are held-out examples, and each number is standardised. It is
1 if the numbers are independent noise, since the main directions of one part of the noise are any directions for the
other, and F/k if k directions are all that there is.

Legend: N examples, F numbers of one.
"""

import torch
from torch import Tensor

__all__ = ["structure"]

DIRECTIONS = 8
LIMIT = 3.0  # standard deviations at which numbers are cut: one that is nearly constant has none but outliers


def structure(training: Tensor, held_out: Tensor) -> float:
    """The variance of held-out examples (N, …) along the main directions of training examples, 1 for noise."""
    both = [each.flatten(1).double() for each in (training, held_out)]
    varies = (both[0].std(0) > 0) & (both[1].std(0) > 0)
    if not varies.any():
        return 1.0
    x, h = (_standardise(each[:, varies]) for each in both)
    k = max(1, min(DIRECTIONS, len(x), x.shape[1] // 4))  # along all directions any data would have 1
    _, vectors = torch.linalg.eigh(x @ x.T)  # (N, N), since images have more numbers than there are examples
    main = torch.linalg.qr(x.T @ vectors[:, -k:]).Q  # (F, k)
    return float((h @ main).var(0).mean() / h.var(0).mean())


def _standardise(x: Tensor) -> Tensor:
    return ((x - x.mean(0)) / x.std(0)).clamp(-LIMIT, LIMIT)
