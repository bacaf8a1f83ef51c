"""A fitted run, loaded: its config, its data, its model; samples of it, and what one does with its codes.

    sample  sample_x  sample_z      x and z from nothing; within ±truncation in each dimension of z
    encode  decode  bound           x → z by the encoder, z → E[x|z], a lower bound on log p(x)
    invert                          x → z by search, for any model that decodes
    codes                           x → z by the one or the other
    walk  arithmetic                paths between codes; x + mean(plus) − mean(minus), in codes and in pixels

Examples are in model units, as `part` gives them; what a model observes of them, such as a binarised image, is drawn
once by seed, the same for `encode`, `codes` and `bound`. A model that was fitted with a condition takes it from what
stands beside the examples; `decode`, `walk` and `arithmetic`, which have codes alone, need it as an argument.

A run whose parts were given from Python (an encoder, an array of data) is loaded by giving them again.
"""

import shlex
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bestiary.codes.encoding import TOGETHER, encode, observe
from bestiary.codes.inversion import Inversion, invert
from bestiary.codes.latent_space import Analogy, again, codes, log_prior, reach
from bestiary.codes.paths import analogy, path
from bestiary.data.batch import Batch
from bestiary.data.dataset import Dataset
from bestiary.data.load import load as load_data
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown_name
from bestiary.measures.number import Number
from bestiary.models.model import Bounds, Coded, Encodes, Model, Samples, Shows
from bestiary.models.zoo import build
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, select_rows
from bestiary.runs.config_options import data_location, data_options, model_options
from bestiary.runs.data_check import check_data
from bestiary.runs.run_folder import find
from bestiary.storage.run_files import read_config, read_signs
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded
from bestiary.training.trainer import load_weights

__all__ = ["Fitted", "as_batch"]

BLOCK = 64  # samples drawn at once: of fixed size, so that the first ones do not depend on how many are asked for

Examples = Batch | Tensor | np.ndarray  # in model units


class Fitted:
    """A run folder and, when first needed, its model and data."""

    def __init__(self, path: str | Path, data: Any = None, device: str = "cpu", **objects: Any) -> None:
        self.path = find(path)
        self.config = read_config(self.path)
        self.spec = Spec.from_dict(self.config["spec"])
        self.device = torch.device(device)
        self._data, self._objects = data, objects

    @classmethod
    def of(cls, run: "Fitted") -> Self:
        """The same run as one of this class."""
        return cls(run.path, run._data, str(run.device), **run._objects)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def dataset(self) -> Dataset:
        """The data the run was fitted to, loaded again."""
        options = data_options(self.config, self._data, self._objects, "load(run")
        dataset = load_data(data_location(self.config) if self._data is None else self._data, **options)
        check_data(self.config, dataset)
        return dataset

    @property
    def data_changed(self) -> bool:
        """Whether the data are other than at the fit: what is test data now may then have been trained on."""
        return self.dataset.source.get("fingerprint") != self.config["origin"].get("fingerprint")

    @cached_property
    def model(self) -> Model:
        """The model with its fitted weights, in evaluation mode."""
        options = model_options(self.config, self._objects)
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

    def sample_x(self, n: int, seed: int = 0, truncation: float | None = None, condition: Any = None) -> Tensor:
        """n samples in model units, (n, …): a function of (weights, seed, truncation, condition) whose row i does not
        depend on n. A condition that is not given is drawn as the data have them."""
        at_least_one(n)
        model = self.model
        if not isinstance(model, Samples):
            raise BestiaryError(f"{type(model).__name__} does not sample: show codes of examples, run.decode(z)")
        rows = self._conditions(n, seed) if condition is None else self.condition_tensors(condition)

        def draw(block: int) -> Tensor:
            """Blocks of one size, each with noise of its own: the first rows do not know how many follow."""
            with seeded(derive_seed(seed, "sample", block), self.device):
                c = None if rows is None else again(rows, block * BLOCK, BLOCK)
                if truncation is None:
                    return model.sample(BLOCK, c)
                c = model.condition.draw(BLOCK) if c is None else c
                return model.make(codes(model, BLOCK, c, truncation), c)  # type: ignore[operator]

        with torch.no_grad():
            return torch.cat([draw(block).float().cpu() for block in range(-(-n // BLOCK))])[:n]

    def _conditions(self, n: int, seed: int) -> ConditionTensors | None:
        """Of training examples, where the model keeps none."""
        if self.model.condition.stores_examples:
            return None
        rows = self.dataset.parts["train"]
        order = np.random.Generator(np.random.PCG64(derive_seed(seed, "conditions"))).permutation(len(rows))
        chosen = rows[order[np.arange(-(-n // BLOCK) * BLOCK) % len(rows)]]
        return self.model.condition.of(self.dataset.rows(chosen, self.model.reads()).to(self.device))

    def sample(self, n: int = 64, seed: int = 0, truncation: float | None = None, condition: Any = None) -> np.ndarray:
        """n samples as the data is stored: images uint8 (n, H, W, C), numbers float32 (n, F) in model units.

        Of a run that was fitted with one, `condition` names a label or several, numbers, or the values of columns.
        """
        return self.spec.x.to_stored(self.sample_x(n, seed, truncation, condition)).numpy()

    def condition_tensors(self, condition: Any) -> ConditionTensors:
        """Parse a condition into the tensors that the model takes; none for a model without a condition."""
        if condition is None:
            if self.model.condition.fields:
                names = ", ".join(self.model.condition.names)
                raise BestiaryError(f"this run needs a condition, {names}: give condition=…")
            return NO_CONDITION
        return {name: values.to(self.device) for name, values in self.model.condition.read(condition).items()}

    def sample_z(self, n: int, seed: int = 0, truncation: float | None = None, condition: Any = None) -> Tensor:
        """n draws of z ~ p(z|c), (n, …), by noise of their own: not the codes of `sample`."""
        at_least_one(n)
        with torch.no_grad(), seeded(derive_seed(seed, "sample_z"), self.device):
            c = self.model.condition.draw(n) if condition is None else again(self.condition_tensors(condition), 0, n)
            return codes(self.model, n, c, truncation).cpu()

    def part(self, name: str, most: int | None = None, seed: int = 0) -> Batch:
        """Examples of one part in model units, shuffled by seed, with what stands beside them."""
        if name not in self.dataset.parts:
            raise unknown_name("part of the data", name, self.dataset.parts)
        rows = self.dataset.parts[name]
        order = np.random.Generator(np.random.PCG64(derive_seed(seed, "part", name))).permutation(len(rows))[:most]
        return self.dataset.rows(rows[order])

    def observe(self, examples: Examples, seed: int = 0) -> Batch:
        """What the model takes examples to be: greys binarised, once and by seed, where it wants 0 or 1."""
        return observe(self.model, as_batch(examples), seed)

    def encode(self, examples: Examples, seed: int = 0) -> Tensor:
        """The code of each example in model units: of a Gaussian posterior its mean."""
        return encode(self.model, as_batch(examples), seed)

    def bound(self, examples: Examples, k: int = 1, seed: int = 0) -> Tensor:
        """A lower bound on log p(x) of each example, (B,) in nats and in the units of the file; it rises with k."""
        model = self.model
        if not isinstance(model, Bounds):
            raise BestiaryError(f"{type(model).__name__} bounds no likelihood: judge its samples, run.judge()")
        batch = self.observe(examples, seed)
        with torch.no_grad(), seeded(derive_seed(seed, "bound"), self.device):
            parts = [model.bound(part.to(self.device), k).cpu() for part in batch.split(TOGETHER)]
        return torch.cat(parts) - self.spec.log_scale

    def decode(self, z: Tensor | np.ndarray, condition: Any = None) -> Tensor:
        """E[x|z, c] in model units."""
        codes_ = torch.as_tensor(z).to(self.device)
        with torch.no_grad():
            return self._show(again(self.condition_tensors(condition), 0, len(codes_)))(codes_).float().cpu()

    def _show(self, c: ConditionTensors) -> Callable[[Tensor], Tensor]:
        """z → x without noise; the rows of c go with those of z, again and again."""
        model = self.model
        if not isinstance(model, Shows):
            raise BestiaryError(f"{type(model).__name__} has no codes")
        return lambda z: model.show(z, again(c, 0, len(z)))

    def invert(
        self, x: Examples, starts: int = 4, seed: int = 0, condition: Any = None, batch: int = 256, **how: Any
    ) -> Inversion:
        """Codes of examples in model units by search from `starts` draws of z each; `how`: prior=, steps=, lr=.

        An encoder's code, where there is one, is among the starts; `condition`: a row for each example, or one for all.
        """
        at_least_one(starts, "start")
        at_least_one(len(x), "example")
        examples = as_batch(x)
        c = self._own_conditions(examples) if condition is None else self.condition_tensors(condition)
        rows = len(next(iter(c.values()))) if c else 1
        if rows not in (1, len(examples)):
            raise BestiaryError(f"condition= has {rows} rows: give a row for each of {len(examples)} examples, or 1")
        x, result = examples.x.to(self.device), []
        first = self._starts(examples, c, starts, seed)
        for i in range(0, len(x), batch):
            part = c if rows == 1 else select_rows(c, slice(i, i + batch))
            log_pz = log_prior(self.model, part)
            result.append(invert(self._show(part), x[i : i + batch], first[:, i : i + batch], log_pz, **how))
        z, output, error = (torch.cat(parts).cpu() for parts in zip(*result, strict=True))
        return Inversion(z, output, error)

    def _own_conditions(self, examples: Batch) -> ConditionTensors:
        """Those that stand beside the examples; without them, which, is to be said."""
        condition = self.model.condition
        if not condition.fields or not condition.reads() <= examples.beside.keys():
            return self.condition_tensors(None)
        return {name: values.to(self.device) for name, values in condition.of(examples).items()}

    def _starts(self, examples: Batch, c: ConditionTensors, n: int, seed: int) -> Tensor:
        """(n, B, …); a model without p(z) starts around 0."""
        model = self.model
        assert isinstance(model, Shows)  # what shows nothing cannot be inverted
        shape = (n, len(examples), *model.code.shape)
        with torch.no_grad(), seeded(derive_seed(seed, "invert"), self.device):
            if isinstance(model, Coded):
                z = codes(model, n * len(examples), again(c, 0, n * len(examples))).view(shape)
            else:
                z = torch.randn(shape, device=self.device)
            if isinstance(model, Encodes) and model.reads() <= examples.beside.keys():
                z[0] = self.encode(examples, seed).to(self.device)
        return z

    def codes(self, x: Examples, **how: Any) -> Tensor:
        """Codes of examples in model units: the encoder's, or by inversion where there is none."""
        if isinstance(self.model, Encodes):
            return self.encode(x, how.get("seed", 0))
        return self.invert(x, **how).z

    def walk(self, a: Tensor, b: Tensor, n: int = 8, kind: str = "spherical", condition: Any = None) -> Tensor:
        """What lies on the way from code a to code b: (D,) → (n, …) in model units, (P, D) → (P, n, …).

        A condition holds for a whole way; of several, each way has the next.
        """
        z = path(torch.as_tensor(a).float(), torch.as_tensor(b).float(), n, kind)
        model = self.model
        if not isinstance(model, Shows) or z.shape[-1:] != model.code.shape:
            shape = model.code.shape if isinstance(model, Shows) else ()
            raise BestiaryError(f"the codes of this run have {shape[0] if shape else 0} dimensions; got {z.shape[-1]}")
        c, ways = self.condition_tensors(condition), z.flatten(0, -2)
        each = torch.arange(len(ways) // n, device=self.device).repeat_interleave(n)
        rows = select_rows(again(c, 0, len(ways) // n), each)
        with torch.no_grad():
            x = self._show(rows)(ways.to(self.device)).float().cpu()
        return x.unflatten(0, z.shape[:-1])

    def arithmetic(self, x: Examples, minus: Examples, plus: Examples, **how: Any) -> Analogy:
        """Examples x with what tells those of `plus` from those of `minus`: man with glasses − man + woman.

        In codes and, beside it, in pixels. For Radford's mean of x too, take `run.decode(found.z.mean(0)[None])`.
        """
        z = analogy(*(self.codes(part, **how) for part in (x, minus, plus)))
        pixels = analogy(*(as_batch(part).x for part in (x, minus, plus)))
        return Analogy(z, self.decode(z, how.get("condition")), pixels)

    def reach(self, n: int = 100, split: str = "test", seed: int = 0, **how: Any) -> Number:
        """How far held-out examples are from what the decoder can make, beside samples of its own."""
        held, protocol = self.part(split, n, seed), {"split": split, "seed": seed, **how}
        own = self.sample_x(len(held), seed, condition=how.get("condition"))
        return reach(lambda x: self.invert(x, seed=seed, **how), held.x, own, protocol)


def as_batch(examples: Examples) -> Batch:
    """Examples in model units as a batch: with what stands beside them, or x alone."""
    return examples if isinstance(examples, Batch) else Batch(torch.as_tensor(examples).float())


def at_least_one(n: int, what: str = "sample") -> None:
    if n < 1:
        raise BestiaryError(f"n={n}: ask for at least one {what}")
