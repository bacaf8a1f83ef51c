"""Runs small enough to be fitted by the dozen."""

import numpy as np
from torch import nn

from bestiary.run import Run, fit

TINY = {"steps": 20, "batch": 16, "log": 5, "validate": 10, "save": 5}
SMALL = {
    "vae": {"latent": 2, "hidden": (8,)},
    "ae": {"latent": 2, "hidden": (8,)},
    "gan": {"latent": 2, "network": "mlp", "hidden": (8,)},
    "dcgan": {"latent": 2, "width": 2},
}
VECTORS = np.random.default_rng(0).normal(3, 2, (60, 3))
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
IMAGES = np.where(IMAGES % 8 > 0, 255 * (IMAGES > 127), IMAGES).astype(np.uint8)  # ink: few greys
TABLE = "age,town,paid\n" + "".join(f"{20 + i % 17},{('Rome', 'Köln', 'Oslo')[i % 3]},{i * 1.5}\n" for i in range(90))


def tiny(root, data="ring", model="vae", **options) -> Run:
    """A tiny fit."""
    points = {"n": 100} if isinstance(data, str) and data == "ring" else {}
    options = {**points, **TINY, **SMALL.get(model, {}), **options}
    return fit(data, model, root=root, quiet=True, device="cpu", **options)


def kept(path) -> list[bytes]:
    """What must be the same, bit by bit."""
    return [(path / name).read_bytes() for name in ("model.safetensors", "journal.jsonl")]


class Encoder(nn.Sequential):
    """A part of the user's own."""

    def __init__(self, inputs: int = 3, features: int = 5) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, features), nn.Tanh())
        nn.init.constant_(self[1].weight, 0.1)  # a part's first weights are the user's affair, not the seed's
        nn.init.zeros_(self[1].bias)
