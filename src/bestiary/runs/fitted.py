"""A fitted run, loaded: its config, its data, its model; samples, codes and decoded codes from it.

A run whose parts were given from Python (an encoder, an array of data) is loaded by giving them again.
"""

import shlex
from functools import cached_property
from math import isclose
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
from bestiary.errors import BestiaryError, unknown
from bestiary.models.model import Model
from bestiary.models.options import signature_options
from bestiary.models.values import coerce
from bestiary.models.zoo import MODELS, build
from bestiary.runs.folder import find, read_config
from bestiary.runs.plan import GIVEN
from bestiary.runs.watch import read_signs
from bestiary.training.clock import mix
from bestiary.training.device import seeded
from bestiary.training.trainer import load_weights

__all__ = ["Fitted", "check_data", "data_options_of", "located", "options_of"]


def options_of(config: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """The model's options as config.toml holds them, with the parts that cannot be written down put back."""
    saved = {k: v for k, v in config["model"].items() if k != "name"}
    known = signature_options(MODELS[config["model"]["name"]]) if config["model"]["name"] in MODELS else {}
    for key in parts:
        if key not in known and key not in config["data"]:
            raise unknown(f"part of {config['model']['name']}", key, known)
    _all_given(saved, parts, "load(run")
    return {
        k: coerce(tuple(v) if isinstance(v, list) else v, known[k][0], k)
        for k, v in (saved | parts).items()
        if k in known
    }


def data_options_of(config: dict[str, Any], data: Any, parts: dict[str, Any], call: str) -> dict[str, Any]:
    """The data's options as config.toml holds them, with what came from Python (labels) put back."""
    saved = {k: v for k, v in config["data"].items() if k != "source"}
    if config["data"]["source"] == "array" and data is None:
        full = f"bst.{call})" if "x" in call else f"bst.{call}, data=x)"
        raise BestiaryError(f"this run was fitted to an array given from Python: give it again, {full}")
    _all_given(saved, parts, call)
    return saved | {k: v for k, v in parts.items() if k in saved}


def _all_given(saved: dict[str, Any], parts: dict[str, Any], call: str) -> None:
    """What config.toml only names must be among the parts."""
    missing = {k: str(v) for k, v in saved.items() if str(v).startswith(GIVEN) and k not in parts}
    if missing:
        again = ", ".join(f"{k}={v.rpartition(': ')[2]}(…)" for k, v in missing.items())
        raise BestiaryError(
            f"this run was fitted with {', '.join(missing)} given from Python: give it again, bst.{call}, {again})"
        )


def located(config: dict[str, Any]) -> str:
    """Where the data of a run are: a relative path is first looked up where the fit was started."""
    source = str(config["data"]["source"])
    there = Path(config["origin"].get("folder", "")) / source
    return str(there) if "folder" in config["origin"] and there.exists() else source


def check_data(config: dict[str, Any], dataset: Dataset) -> None:
    """Refuse data of another shape, or in other units, than a run was fitted to."""
    was, now = Spec.from_dict(config["spec"]), dataset.spec
    if was.shape != now.shape or was.levels != now.levels or was.kind != now.kind:
        raise BestiaryError(
            f"the data are not what this run was fitted to: it was {was.kind} of shape {was.shape}, it is now"
            f" {now.kind} of shape {now.shape}"
        )
    for a, b in zip(was.columns, now.columns, strict=False):
        same = isclose(a.scale, b.scale, rel_tol=1e-4) and isclose(a.mean, b.mean, rel_tol=1e-4, abs_tol=1e-4 * a.scale)
        if (a.name, a.categories) != (b.name, b.categories) or not same:
            raise BestiaryError(
                f"the data are not what this run was fitted to: column {b.name} has changed. Fit a new run to them, or"
                " give back the old ones"
            )


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
        options = data_options_of(self.config, self._data, self._parts, "load(run")
        dataset = load_data(located(self.config) if self._data is None else self._data, **options)
        check_data(self.config, dataset)
        return dataset

    @property
    def data_changed(self) -> bool:
        """Whether the data are other than at the fit: what is test data now may then have been trained on."""
        return self.dataset.source.get("fingerprint") != self.config["origin"].get("fingerprint")

    @cached_property
    def model(self) -> Model:
        """The model with its fitted weights, in evaluation mode."""
        options = options_of(self.config, self._parts)
        with seeded(0):  # first weights take noise, and who asks for the model here may be in the midst of drawing some
            model = build(self.config["model"]["name"], self.spec, **options)
        file = self.path / "model.safetensors"
        resume = f"bestiary fit --resume {shlex.quote(str(self.path))}"
        if not file.is_file():
            raise BestiaryError(f"{self.path} holds no model yet: go on with {resume}")
        try:
            load_weights(model, load_file(file))
        except SafetensorError as error:
            raise BestiaryError(f"{file} is torn ({error}): make it again with {resume}") from error
        return model.to(self.device).eval()

    @property
    def signs(self) -> list[dict[str, Any]]:
        """Symptoms found while fitting, each with its remedies: what signs.json holds."""
        return read_signs(self.path)

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
        if name not in self.dataset.parts:
            raise unknown("part of the data", name, self.dataset.parts)
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
