"""A fitted run, loaded: its config, its data, its model; samples, codes and decoded codes from it.

A run whose parts were given from Python (an encoder, an array of data) is loaded by giving them again.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bestiary.data.batches import model_units, stored_units
from bestiary.data.dataset import Dataset
from bestiary.data.load import load as load_data
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError
from bestiary.models.model import Model
from bestiary.models.zoo import MODELS, build
from bestiary.runs.folder import find, read_config
from bestiary.runs.grammar import signature_options
from bestiary.runs.values import coerce
from bestiary.training.clock import mix
from bestiary.training.device import seeded
from bestiary.training.trainer import load_weights

__all__ = ["Fitted", "options_of"]

_GIVEN = "given from Python"


def options_of(config: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """The model's options as config.toml holds them, with the parts that cannot be written down put back."""
    saved = {k: v for k, v in config["model"].items() if k != "name"}
    known = signature_options(MODELS[config["model"]["name"]]) if config["model"]["name"] in MODELS else {}
    for key in parts:
        if key not in known:
            raise BestiaryError(f"`{key}` is not a part of {config['model']['name']}")
    missing = [k for k, v in saved.items() if isinstance(v, str) and v.startswith(_GIVEN) and k not in parts]
    if missing:
        again = ", ".join(f"{k}={saved[k].rpartition(': ')[2]}(…)" for k in missing)
        raise BestiaryError(
            f"this run was fitted with {', '.join(missing)} given from Python: give it again, bst.load(run, {again})"
        )
    return {
        k: coerce(tuple(v) if isinstance(v, list) else v, known[k][0], k)
        for k, v in (saved | parts).items()
        if k in known
    }


class Fitted:
    """A run folder and, when first needed, its model and data."""

    def __init__(self, path: str | Path, data: Any = None, device: str = "cpu", **parts: Any) -> None:
        self.path = find(path)
        self.config = read_config(self.path)
        self.spec = Spec.from_dict(self.config["spec"])
        self.device = torch.device(device)
        self._data, self._parts = data, parts

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def dataset(self) -> Dataset:
        """The data the run was fitted to, loaded again."""
        options = {k: v for k, v in self.config["data"].items() if k != "source"}
        source = self.config["data"]["source"]
        if source == "array" and self._data is None:
            raise BestiaryError(
                "this run was fitted to an array given from Python: give it again, bst.load(run, data=x)"
            )
        dataset = load_data(source if self._data is None else self._data, **options)
        if dataset.spec.shape != self.spec.shape or dataset.spec.levels != self.spec.levels:
            raise BestiaryError(
                f"the data is not what this run was fitted to: it was {self.spec.kind} of shape {self.spec.shape},"
                f" it is now {dataset.spec.kind} of shape {dataset.spec.shape}"
            )
        return dataset

    @cached_property
    def model(self) -> Model:
        """The model with its fitted weights, in evaluation mode."""
        model = build(self.config["model"]["name"], self.spec, **options_of(self.config, self._parts))
        file = self.path / "model.safetensors"
        if not file.is_file():
            raise BestiaryError(f"{self.path} holds no model yet: go on with bestiary fit --resume {self.path}")
        try:
            load_weights(model, load_file(file))
        except SafetensorError as error:
            raise BestiaryError(
                f"{file} is torn ({error}): make it again with bestiary fit --resume {self.path}"
            ) from error
        return model.to(self.device).eval()

    def sample_x(self, n: int, seed: int = 0, batch: int = 256) -> Tensor:
        """n samples in model units; a function of (weights, n, seed)."""
        if n < 1:
            raise BestiaryError(f"n={n}: ask for at least one sample")
        with torch.no_grad(), seeded(mix(seed, "sample"), self.device):
            return torch.cat([self.model.sample(min(batch, n - i)).float().cpu() for i in range(0, n, batch)])

    def sample(self, n: int = 64, seed: int = 0) -> np.ndarray:
        """n samples as the data is stored: images uint8 (n, H, W, C), numbers float32 (n, F) in model units."""
        return stored_units(self.sample_x(n, seed), self.spec).numpy()

    def part(self, name: str, most: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Examples of one part in model units, shuffled by seed, and their labels."""
        rows = self.dataset.parts[name]
        order = np.random.Generator(np.random.PCG64(mix(seed, "part", name))).permutation(len(rows))[:most]
        x = model_units(torch.as_tensor(np.ascontiguousarray(self.dataset.stored[rows[order]])), self.spec)
        labels = self.dataset.labels
        return x, None if labels is None else torch.as_tensor(labels[rows[order]])

    def observe(self, x: Tensor, seed: int = 0) -> Tensor:
        """What the model takes examples to be: greys binarised, once and by seed, where it wants 0 or 1."""
        with seeded(mix(seed, "observe")):
            return self.model.observe(x)

    def encode(self, x: Tensor | np.ndarray) -> Tensor:
        """Posterior means of examples in model units."""
        with torch.no_grad():
            return self.model.encode(torch.as_tensor(x).float().to(self.device)).cpu()

    def decode(self, z: Tensor | np.ndarray) -> Tensor:
        """E[x|z] in model units."""
        with torch.no_grad():
            return self.model.decode(torch.as_tensor(z).float().to(self.device)).cpu()
