"""Differentiable augmentation: the critic sees real and fake through the same random lens T, and so does the generator.

    critic  C(T(x_real)), C(T(G(z)))       generator  C(T(G(z))), differentiated through T

(Zhao et al. 2020, arXiv 2006.10738.)

With little data a critic learns the examples by heart; T makes more of them, and since fake ones pass through it too
the generator does not learn to make augmented images. Images lie in [−1, 1]; each example has a lens of its own.

    colour        brightness ± ½, saturation × [0, 2), contrast × [½, 3/2)
    translation   by at most an eighth of the side, each shift as likely as any other, zeros come in
    cutout        a square of half the side is set to zero

Legend: B batch, C channels, H height, W width; x (B, C, H, W).
"""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

from bestiary.errors import unknown
from bestiary.training.noise import uniform

__all__ = ["AUGMENTATIONS", "Lens", "colour", "composed", "cutout", "translation"]

Lens = Callable[[Tensor], Tensor]


def _draw(x: Tensor, low: float, high: float) -> Tensor:
    """One number for each example, (B, 1, 1, 1)."""
    return low + (high - low) * uniform((len(x), 1, 1, 1), x.device)


def colour(x: Tensor) -> Tensor:
    """Brightness, saturation (of images in colour), contrast."""
    x = x + _draw(x, -0.5, 0.5)
    if x.shape[1] > 1:
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * _draw(x, 0, 2)
    middle = x.mean((1, 2, 3), keepdim=True)
    return middle + (x - middle) * _draw(x, 0.5, 1.5)


def _places(x: Tensor, shift: Tensor, axis: int) -> Tensor:
    """The coordinate of every pixel along an axis minus the example's shift: (B, 1, H or 1, 1 or W)."""
    n = x.shape[axis]
    shape = [1] * 4
    shape[axis] = n
    return torch.arange(n, device=x.device).view(shape) - shift


def translation(x: Tensor, share: float = 0.125) -> Tensor:
    """Whole pixels, so that nothing is blurred."""
    for axis in (2, 3):
        most = int(x.shape[axis] * share + 0.5)
        shift = torch.floor(_draw(x, -most, most + 1)).clamp(max=most)  # the sum may round up to most + 1
        place = _places(x, shift.long(), axis)
        inside = (place >= 0) & (place < x.shape[axis])
        index = place.clamp(0, x.shape[axis] - 1).expand(x.shape)
        x = x.gather(axis, index) * inside
    return x


def cutout(x: Tensor, share: float = 0.5) -> Tensor:
    """The square may lie partly outside."""
    hidden = torch.ones((), dtype=torch.bool, device=x.device)
    for axis in (2, 3):
        n = x.shape[axis]
        size = int(n * share + 0.5)
        start = torch.floor(_draw(x, 0, n + (1 - size % 2))).long() - size // 2
        place = _places(x, start, axis)
        hidden = hidden & (place >= 0) & (place < size)
    return x * ~hidden


AUGMENTATIONS: dict[str, Lens] = {"colour": colour, "translation": translation, "cutout": cutout}


def composed(names: Sequence[str]) -> Lens:
    """One lens after the other, in the order given."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
    return lambda x: reduce(lambda seen, name: AUGMENTATIONS[name](seen), names, x)
