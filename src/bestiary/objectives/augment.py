"""Differentiable augmentation: real and fake images pass through a random transform T before the critic sees them.

    critic  C(T(x_real)), C(T(G(z)))       generator  C(T(G(z))), differentiated through T

(Zhao et al. 2020, arXiv 2006.10738.)

With little data a critic memorises the examples. T gives it more of them; and since fake images pass through T too, the
generator does not learn to generate augmented images. Images are in [−1, 1]; each example has its own random T, called
its lens.

    colour        brightness ± ½, saturation × [0, 2), contrast × [½, 3/2)
    translation   uniform over shifts of at most an eighth of the side; zeros fill the gap
    cutout        a square of half the side is set to zero

Legend: B batch, C channels, H height, W width; x (B, C, H, W).
"""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

from bestiary.errors import unknown_name
from bestiary.training.noise import uniform

__all__ = ["AUGMENTATIONS", "Lens", "colour", "compose", "cutout", "translation"]

Lens = Callable[[Tensor], Tensor]  # images (B, C, H, W) → images of the same shape


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """One random number in [low, high) for each example, (B, 1, 1, 1)."""
    return low + (high - low) * uniform((len(x), 1, 1, 1), x.device)


def colour(x: Tensor) -> Tensor:
    """Random brightness, saturation (for images with several channels) and contrast."""
    x = x + _uniform(x, -0.5, 0.5)
    if x.shape[1] > 1:
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * _uniform(x, 0, 2)
    middle = x.mean((1, 2, 3), keepdim=True)
    return middle + (x - middle) * _uniform(x, 0.5, 1.5)


def _coordinates(x: Tensor, shift: Tensor, axis: int) -> Tensor:
    """The coordinate of every pixel along an axis, minus the shift of the example: (B, 1, H or 1, 1 or W)."""
    n = x.shape[axis]
    shape = [1] * 4
    shape[axis] = n
    return torch.arange(n, device=x.device).view(shape) - shift


def translation(x: Tensor, share: float = 0.125) -> Tensor:
    """Random shifts by whole pixels, which blur nothing; at most `share` of the side."""
    for axis in (2, 3):
        limit = int(x.shape[axis] * share + 0.5)
        shift = torch.floor(_uniform(x, -limit, limit + 1)).clamp(max=limit)  # rounding may give limit + 1
        position = _coordinates(x, shift.long(), axis)
        inside = (position >= 0) & (position < x.shape[axis])
        index = position.clamp(0, x.shape[axis] - 1).expand(x.shape)
        x = x.gather(axis, index) * inside
    return x


def cutout(x: Tensor, share: float = 0.5) -> Tensor:
    """A random square, `share` of the side long, set to zero. It may lie partly outside the image."""
    hidden = torch.ones((), dtype=torch.bool, device=x.device)
    for axis in (2, 3):
        n = x.shape[axis]
        size = int(n * share + 0.5)
        start = torch.floor(_uniform(x, 0, n + (1 - size % 2))).long() - size // 2
        position = _coordinates(x, start, axis)
        hidden = hidden & (position >= 0) & (position < size)
    return x * ~hidden


AUGMENTATIONS: dict[str, Lens] = {"colour": colour, "translation": translation, "cutout": cutout}


def compose(names: Sequence[str]) -> Lens:
    """The lens that applies these augmentations one after the other. Raises BestiaryError for an unknown name."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown_name("augmentation", name, AUGMENTATIONS)
    return lambda x: reduce(lambda image, name: AUGMENTATIONS[name](image), names, x)
