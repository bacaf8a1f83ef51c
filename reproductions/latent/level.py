"""The level on all test images, from k samples on a part of them and few samples on all.

    −L_k(all) ≈ −L_j(all) + [L_j − L_k](part),   j ≪ k

What makes one image harder than another is in L_j already, and cancels: the mean of a thousand images is uncertain by
over a nat, that of L_j − L_k over the same thousand by hundredths. (Two-phase sampling; j = k on all would cost N/n
times as much.) Published values are means over all test images.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["level"]

Bounds = Callable[[Tensor, Sequence[int]], Tensor]  # examples (B, …), k_1 … k_R → L_k (R, B)


def level(bounds: Bounds, x: Tensor, curve: list[list[float]], j: int, batch: int = 100) -> float:
    """−L_k of all x; `curve` holds a row (k, −L_k, …) of the part for each k, and one of them is j."""
    few = {int(k): value for k, value, *_ in curve}
    with torch.no_grad():
        parts = [bounds(x[first : first + batch], [j])[0].double().cpu() for first in range(0, len(x), batch)]
    return -float(torch.cat(parts).mean()) + few[max(few)] - few[j]
