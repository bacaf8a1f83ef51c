"""Inception-v3 (Szegedy et al. 2016, arXiv 1512.00567), the network of the Fréchet distance FID, for weights on disk.

    stem      conv 3/2, 3, 3 → max pool → conv 1, 3 → max pool                                     299 → 35
    blocks    y = [path₁(x), …, pathₖ(x), path of pool(x)]; a path is a sequence of convolutions
              5b 5c 5d at 35, 6a … 6e at 17, 7a 7b 7c at 8; 6a and 7a halve the grid
    features  means over the grid: 2048                 logits    one linear map of the features

A convolution is conv → BatchNorm (ε = 10⁻³, running moments) → ReLU. It keeps the size, except in the stem and where it
halves the grid. The parameters have the names of torchvision's `inception_v3` and of pytorch-fid, whose files hold the
same shapes; `torchvision_names` renames the files of pytorch-fid's wrapper, which numbers its blocks. The two versions
differ in pooling, and the number of classes in a file tells which version it is:

    FID          1008 classes, or no head: average pooling leaves the padding out, and 7c pools by the maximum; the
                 logits have no bias, as in the published Inception scores
    torchvision  1000 classes: average pooling counts the padding as zeros

Legend: B batch, H height, W width.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FEATURES", "SIDE", "Inception", "torchvision_names"]

SIDE, FEATURES = 299, 2048
FID_CLASSES = 1008

Kernel = tuple[int, int]
Step = tuple[int, *tuple[Kernel, ...]]  # channels, and the kernels of the convolutions that run in parallel
Paths = dict[str, list[Step]]
ONE, THREE, FIVE, WIDE, TALL = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)
FORK: Step = (384, (1, 3), (3, 1))


def _a(pool_width: int) -> Paths:
    return {
        "branch1x1": [(64, ONE)],
        "branch5x5": [(48, ONE), (64, FIVE)],
        "branch3x3dbl": [(64, ONE), (96, THREE), (96, THREE)],
        "branch_pool": [(pool_width, ONE)],
    }


def _c(w: int) -> Paths:
    return {
        "branch1x1": [(192, ONE)],
        "branch7x7": [(w, ONE), (w, WIDE), (192, TALL)],
        "branch7x7dbl": [(w, ONE), (w, TALL), (w, WIDE), (w, TALL), (192, WIDE)],
        "branch_pool": [(192, ONE)],
    }


_B: Paths = {"branch3x3": [(384, THREE)], "branch3x3dbl": [(64, ONE), (96, THREE), (96, THREE)]}
_D: Paths = {
    "branch3x3": [(192, ONE), (320, THREE)],
    "branch7x7x3": [(192, ONE), (192, WIDE), (192, TALL), (192, THREE)],
}
_E: Paths = {
    "branch1x1": [(320, ONE)],
    "branch3x3": [(384, ONE), FORK],
    "branch3x3dbl": [(448, ONE), (384, THREE), FORK],
    "branch_pool": [(192, ONE)],
}
BLOCKS = {
    "Mixed_5b": _a(32), "Mixed_5c": _a(64), "Mixed_5d": _a(64),
    "Mixed_6a": _B, "Mixed_6b": _c(128), "Mixed_6c": _c(160), "Mixed_6d": _c(160), "Mixed_6e": _c(192),
    "Mixed_7a": _D, "Mixed_7b": _E, "Mixed_7c": _E,
}  # fmt: skip
# name → channels in, out, kernel, stride, padding
STEM = {
    "Conv2d_1a_3x3": (3, 32, THREE, 2, (0, 0)),
    "Conv2d_2a_3x3": (32, 32, THREE, 1, (0, 0)),
    "Conv2d_2b_3x3": (32, 64, THREE, 1, (1, 1)),
    "Conv2d_3b_1x1": (64, 80, ONE, 1, (0, 0)),
    "Conv2d_4a_3x3": (80, 192, THREE, 1, (0, 0)),
}
POOLED = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")  # max pooling follows these

Pool = Callable[[Tensor], Tensor]
_mean_pool: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1)
_mean_pool_inside: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
_max_pool: Pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
_max_pool_half: Pool = partial(F.max_pool2d, kernel_size=3, stride=2)


class _Conv(nn.Module):
    """conv → BatchNorm → ReLU."""

    def __init__(self, a: int, b: int, kernel: Kernel, stride: int, padding: Kernel) -> None:
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(b, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _Mixed(nn.ModuleDict):
    """A block: (B, a, H, W) → (B, `width`, H, W), or half of H and W if it has no path `branch_pool`."""

    def __init__(self, a: int, paths: Paths, pool: Pool) -> None:
        super().__init__()
        self.pool, self.halves = pool, "branch_pool" not in paths
        self.paths = [self._path(a, name, steps) for name, steps in paths.items()]
        self.width = sum(step[0] * (len(step) - 1) for *_, step in paths.values()) + a * self.halves

    def _path(self, a: int, path: str, steps: list[Step]) -> list[list[str]]:
        """Add the convolutions of a path to this module; returns their names, step by step."""
        step_names: list[list[str]] = []
        for i, (width, *kernels) in enumerate(steps, 1):
            halves = self.halves and i == len(steps)
            name = f"{path}_{i}" if len(steps) > 1 else path
            names = [name + side for side in "ab"] if len(kernels) > 1 else [name]
            for key, (h, w) in zip(names, kernels, strict=True):
                self[key] = _Conv(a, width, (h, w), 2 if halves else 1, (0, 0) if halves else (h // 2, w // 2))
            step_names.append(names)
            a = width * len(names)
        return step_names

    def forward(self, x: Tensor) -> Tensor:
        outputs = [_max_pool_half(x)] if self.halves else []
        for path in reversed(self.paths):  # the pooled channels come last in the result
            h = self.pool(x) if path[0] == ["branch_pool"] else x
            for names in path:
                h = torch.cat([self[name](h) for name in names], 1)
            outputs.append(h)
        return torch.cat(outputs[::-1], 1)


class Inception(nn.Module):
    """(B, 3, 299, 299) in [−1, 1] → (B, 2048) features; and logits, unless `classes` is 0."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.is_fid_version = classes in (0, FID_CLASSES)
        for name, layer in STEM.items():
            self.add_module(name, _Conv(*layer))
        a = 192
        for name, paths in BLOCKS.items():
            pool = _mean_pool if not self.is_fid_version else _max_pool if name == "Mixed_7c" else _mean_pool_inside
            block = _Mixed(a, paths, pool)
            self.add_module(name, block)
            a = block.width
        self.fc = nn.Linear(FEATURES, classes) if classes else None

    def maps(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The output of every layer in turn, with the layer's name."""
        for name in (*STEM, *BLOCKS):
            x = self.get_submodule(name)(x)
            yield name, x
            x = _max_pool_half(x) if name in POOLED else x

    def features(self, x: Tensor) -> Tensor:
        """The means of the last block over the grid, (B, 2048)."""
        for _, h in self.maps(x):
            x = h
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        assert self.fc is not None  # callers ask for logits only of a file with a head
        return F.linear(self.features(x), self.fc.weight, None if self.is_fid_version else self.fc.bias)


# pytorch-fid's wrapper: blocks.i.j is layer j of the part before its i-th output
_WRAPPER_NAMES = {
    f"blocks.{i}.{j}.": f"{name}."
    for i, names in enumerate(
        ([*STEM][:3], [*STEM][3:], [*BLOCKS][:8], [*BLOCKS][8:]),
    )
    for j, name in enumerate(names)
}


def torchvision_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under torchvision's names, without the auxiliary head `AuxLogits`."""
    renamed = {}
    for key, value in weights.items():
        start = ".".join(key.split(".")[:3]) + "."
        if not key.startswith("AuxLogits."):
            renamed[_WRAPPER_NAMES[start] + key.removeprefix(start) if start in _WRAPPER_NAMES else key] = value
    return renamed
