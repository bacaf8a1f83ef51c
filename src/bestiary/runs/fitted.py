"""A fitted run, loaded: its config, its data, its model; samples of it, and what one does with its codes.

    sample  sample_x  sample_z      x and z from nothing; within ±truncation in each dimension of z
    encode  decode                  x → z by the encoder, z → E[x|z]
    invert                          x → z by search, for any model that decodes
    codes                           x → z by the one or the other
    walk  arithmetic                paths between codes; x + mean(plus) − mean(minus), in codes and in pixels

A run whose parts were given from Python (an encoder, an array of data) is loaded by giving them again.
"""

import shlex
from collections.abc import Callable
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
from bestiary.data.load import named
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown
from bestiary.measures.number import Number
from bestiary.models.invert import Inversion, invert
from bestiary.models.model import Model
from bestiary.models.options import signature_options
from bestiary.models.values import coerce
from bestiary.models.walks import analogy, path
from bestiary.models.zoo import MODELS, build
from bestiary.runs.conditions import told as in_numbers
from bestiary.runs.folder import find, read_config
from bestiary.runs.latent import Analogy, again, codes, decoder, log_prior, reach, shown
from bestiary.runs.plan import GIVEN
from bestiary.runs.watch import read_signs
from bestiary.training.clock import mix
from bestiary.training.device import seeded
from bestiary.training.trainer import load_weights

__all__ = ["Fitted", "check_data", "data_options_of", "located", "options_of"]

TOGETHER = 256  # examples encoded at once


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
    return str(there) if "folder" in config["origin"] and not named(source) and there.exists() else source


def check_data(config: dict[str, Any], dataset: Dataset) -> None:
    """Refuse data of another shape, or in other units, than a run was fitted to."""
    was, now = Spec.from_dict(config["spec"]), dataset.spec
    if was.shape != now.shape or was.levels != now.levels or was.kind != now.kind:
        raise BestiaryError(
            f"the data are not what this run was fitted to: it was {was.kind} of shape {was.shape}, it is now"
            f" {now.kind} of shape {now.shape}"
        )
    if len(was.beside) != len(now.beside):
        raise BestiaryError(
            f"the data are not what this run was fitted to: {len(was.beside)} numbers came with each example, and now"
            f" {len(now.beside)} do"
        )
    for a, b in zip(was.columns + was.beside, now.columns + now.beside, strict=False):
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

    def sample_x(
        self, n: int, seed: int = 0, batch: int = 256, truncation: float | None = None, condition: Any = None
    ) -> Tensor:
        """n samples in model units; a function of (weights, n, seed, truncation, condition)."""
        _at_least_one(n)
        rows = self.told(condition)

        def draw(first: int, m: int) -> Tensor:
            c = None if rows is None else again(rows, first, m)
            if truncation is None:
                return self.model.sample(m) if c is None else self.model.sample(m, c)
            z = codes(self.model, m, self.device, truncation)
            return shown(self.model)(z) if c is None else self._decoder(c)(z)

        with torch.no_grad(), seeded(mix(seed, "sample"), self.device):
            return torch.cat([draw(i, min(batch, n - i)).float().cpu() for i in range(0, n, batch)])

    def sample(self, n: int = 64, seed: int = 0, truncation: float | None = None, condition: Any = None) -> np.ndarray:
        """n samples as the data is stored: images uint8 (n, H, W, C), numbers float32 (n, F) in model units.

        Of a run that was fitted with one, `condition` names a label or several, or the values of columns.
        """
        return stored_units(self.sample_x(n, seed, truncation=truncation, condition=condition), self.spec).numpy()

    def told(self, condition: Any) -> Tensor | None:
        """A condition in words as the model is told it."""
        if condition is None:
            return None
        return in_numbers(condition, self.spec, str(self.config["model"].get("condition", "none"))).to(self.device)

    def sample_z(self, n: int, seed: int = 0, truncation: float | None = None) -> Tensor:
        """n draws of z ~ p(z), (n, D), by noise of their own: not the codes of `sample`."""
        _at_least_one(n)
        with torch.no_grad(), seeded(mix(seed, "sample_z"), self.device):
            return codes(self.model, n, self.device, truncation).cpu()

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
            parts = torch.as_tensor(x).float().split(TOGETHER)
            return torch.cat([self.model.encode(part.to(self.device)).cpu() for part in parts])

    def decode(self, z: Tensor | np.ndarray) -> Tensor:
        """E[x|z] in model units."""
        with torch.no_grad():
            return self.model.decode(torch.as_tensor(z).float().to(self.device)).cpu()

    def invert(
        self, x: Tensor | np.ndarray, starts: int = 4, seed: int = 0, condition: Any = None,
        batch: int = 256, **how: Any,
    ) -> Inversion:  # fmt: skip
        """Codes of examples in model units by search from `starts` draws of z each; `how`: prior=, steps=, lr=.

        An encoder's code, where there is one, is among the starts; `condition`: a row for each example, or one for all.
        """
        _at_least_one(starts, "start")
        _at_least_one(len(x), "example")
        condition = self.told(condition)
        if condition is not None and len(condition) not in (1, len(x)):
            raise BestiaryError(f"condition= has {len(condition)} rows: give a row for each of {len(x)} examples, or 1")
        x = torch.as_tensor(x).float().to(self.device)
        first, log_pz = self._starts(x, starts, seed), log_prior(self.model)
        found = []
        for i in range(0, len(x), batch):
            decode = self._decoder(condition if condition is None or len(condition) == 1 else condition[i : i + batch])
            found.append(invert(decode, x[i : i + batch], first[:, i : i + batch], log_pz, **how))
        z, made, error = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
        return Inversion(z, made, error)

    def _starts(self, x: Tensor, n: int, seed: int) -> Tensor:
        """(n, B, D); a model without p(z) starts around 0."""
        shape = (n, len(x), self.model.latent)
        with torch.no_grad(), seeded(mix(seed, "invert"), self.device):
            if "sample" not in self.model.abilities:
                z = torch.randn(shape, device=self.device)
            else:
                z = codes(self.model, n * len(x), self.device).view(shape)
            if "encode" in self.model.abilities:
                z[0] = self.model.encode(self.model.observe(x))
        return z

    def _decoder(self, condition: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        return decoder(self.model, condition, str(self.config["model"].get("condition", "none")))

    def codes(self, x: Tensor | np.ndarray, **how: Any) -> Tensor:
        """Codes of examples in model units: the encoder's, or by inversion where there is none."""
        if "encode" in self.model.abilities:
            return self.encode(self.observe(torch.as_tensor(x).float()))
        return self.invert(x, **how).z

    def walk(self, a: Tensor, b: Tensor, n: int = 8, kind: str = "spherical", condition: Any = None) -> Tensor:
        """What lies on the way from code a to code b: (D,) → (n, …) in model units, (P, D) → (P, n, …).

        A condition holds for a whole way; of several, each way has the next.
        """
        z = path(torch.as_tensor(a).float(), torch.as_tensor(b).float(), n, kind)
        if z.shape[-1] != self.model.latent:
            raise BestiaryError(f"the codes of this run have {self.model.latent} dimensions; got {z.shape[-1]}")
        rows, ways = self.told(condition), z.flatten(0, -2)
        if rows is not None:
            rows = again(rows, 0, len(ways) // n).repeat_interleave(n, 0)
        with torch.no_grad():
            x = self._decoder(rows)(ways.to(self.device)).float().cpu()
        return x.unflatten(0, z.shape[:-1])

    def arithmetic(self, x: Tensor, minus: Tensor, plus: Tensor, **how: Any) -> Analogy:
        """Examples x with what tells those of `plus` from those of `minus`: man with glasses − man + woman.

        In codes and, beside it, in pixels. For Radford's mean of x too, take `run.decode(found.z.mean(0)[None])`.
        """
        z = analogy(*(self.codes(part, **how) for part in (x, minus, plus)))
        with torch.no_grad():
            made = self._decoder(self.told(how.get("condition")))(z.to(self.device)).cpu()
        return Analogy(z, made, analogy(x, minus, plus))

    def reach(self, n: int = 100, split: str = "test", seed: int = 0, **how: Any) -> Number:
        """How far held-out examples are from what the decoder can make, beside samples of its own."""
        held, protocol = self.part(split, n, seed)[0], {"split": split, "seed": seed, **how}
        own = self.sample_x(len(held), seed, condition=how.get("condition"))
        return reach(lambda x: self.invert(x, seed=seed, **how), held, own, protocol)


def _at_least_one(n: int, what: str = "sample") -> None:
    if n < 1:
        raise BestiaryError(f"n={n}: ask for at least one {what}")
