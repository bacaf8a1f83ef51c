"""A fitted run, loaded from its folder: its config, data and model; samples; what one does with its codes.

    sample  sample_x  sample_z      draws of x and of z, also within ±truncation in each dimension of z
    encode  decode  bound           x → z by the encoder, z → E[x|z], a lower bound on log p(x)
    invert  codes                   x → z by search, for any model that decodes; x → z by encoder or search
    walk  arithmetic  reach         paths between codes; x + mean(plus) − mean(minus); the error of inversion

Examples are in model units, as `part` returns them. A model may see them at random, such as binarised; that is drawn
once by seed, the same for `encode`, `codes` and `bound`. A model with a condition takes it from the fields beside the
examples; `decode`, `walk` and `arithmetic`, which have codes alone, need it as an argument.

If the run was fitted with objects from Python (an encoder, an array of data), it is loaded with the same objects.
"""

import shlex
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bestiary.codes.analogies import Analogy, analogy
from bestiary.codes.encoding import BLOCK as ENCODING_BLOCK
from bestiary.codes.encoding import decode, encode, observe
from bestiary.codes.inversion import Inversion, inversion_number
from bestiary.codes.model_inversion import invert_examples
from bestiary.codes.paths import walk
from bestiary.codes.prior_codes import draw_codes
from bestiary.data.batch import Batch
from bestiary.data.dataset import Dataset
from bestiary.data.load import load as load_data
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown_name
from bestiary.measures.number import Number
from bestiary.models.model import Bounds, Coded, Encodes, Model, Samples
from bestiary.models.zoo import build
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, cycle_rows
from bestiary.runs.config_options import data_location, data_options, model_options
from bestiary.runs.data_check import check_data
from bestiary.runs.run_folder import find_run
from bestiary.storage.run_files import MODEL, parsing_config, read_config, read_signs
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded
from bestiary.training.trainer import load_weights

__all__ = ["FittedRun", "as_batch"]

SAMPLE_BLOCK = 64  # samples drawn at once: always as many, so that the first samples do not depend on n

Examples = Batch | Tensor | np.ndarray  # in model units


class FittedRun:
    """A run folder, with its model and data, which are loaded on first use."""

    def __init__(self, path: str | Path, data: Any = None, device: str = "cpu", **objects: Any) -> None:
        """data: the array that the run was fitted to, if it was one. objects: other options from Python, by option."""
        self.path = find_run(path)
        self.config = read_config(self.path)
        with parsing_config(self.path):
            self.spec = Spec.from_dict(self.config["spec"])
        self.device = torch.device(device)
        self._data, self._objects = data, objects

    @classmethod
    def of(cls, run: "FittedRun") -> Self:
        """The same run as one of this class."""
        return cls(run.path, run._data, str(run.device), **run._objects)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def dataset(self) -> Dataset:
        """The data that the run was fitted to, loaded again."""
        with parsing_config(self.path):
            options = data_options(self.config, self._data, self._objects, "load(run")
        dataset = load_data(data_location(self.config) if self._data is None else self._data, **options)
        check_data(self.config, dataset)
        return dataset

    @property
    def data_changed(self) -> bool:
        """Whether the data have changed since the fit: examples of the test part may then have been trained on."""
        return self.dataset.source.get("fingerprint") != self.config["origin"].get("fingerprint")

    @cached_property
    def model(self) -> Model:
        """The model with its fitted weights, in evaluation mode."""
        with parsing_config(self.path):
            options = model_options(self.config, self._objects)
        with seeded(0):  # first weights are random: leave the caller's random numbers as they are
            model = build(self.config["model"]["name"], self.spec, **options)
        file = self.path / MODEL
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
        """The signs of failures while fitting, each with its remedies, as signs.json holds them."""
        return read_signs(self.path)

    # ------------------------------------------------------------------------- data and conditions

    def part(self, name: str, most: int | None = None, seed: int = 0) -> Batch:
        """Examples of one part of the data in model units, shuffled by seed, with the fields beside them."""
        if name not in self.dataset.parts:
            raise unknown_name("part of the data", name, self.dataset.parts)
        rows = self.dataset.parts[name]
        order = np.random.Generator(np.random.PCG64(derive_seed(seed, "part", name))).permutation(len(rows))[:most]
        return self.dataset.rows(rows[order])

    def condition_tensors(self, condition: Any) -> ConditionTensors:
        """Parse a condition into the tensors that the model takes; none for a model without a condition."""
        if condition is None:
            if self.model.condition.fields:
                names = ", ".join(self.model.condition.names)
                raise BestiaryError(f"this run needs a condition, {names}: give condition=…")
            return NO_CONDITION
        return {name: values.to(self.device) for name, values in self.model.condition.read(condition).items()}

    def _conditions_of(self, examples: Batch) -> ConditionTensors:
        """The conditions beside the examples. Raises BestiaryError if the model needs one and they have none."""
        condition = self.model.condition
        if not condition.fields or not condition.reads() <= examples.beside.keys():
            return self.condition_tensors(None)
        return {name: values.to(self.device) for name, values in condition.of(examples).items()}

    def _training_conditions(self, n: int, seed: int) -> ConditionTensors | None:
        """The conditions of n or more random training examples; None if the model stores conditions itself."""
        if self.model.condition.stores_examples:
            return None
        rows = self.dataset.parts["train"]
        order = np.random.Generator(np.random.PCG64(derive_seed(seed, "conditions"))).permutation(len(rows))
        chosen = rows[order[np.arange(ceil(n / SAMPLE_BLOCK) * SAMPLE_BLOCK) % len(rows)]]
        return self.model.condition.of(self.dataset.rows(chosen, self.model.reads()).to(self.device))

    # ------------------------------------------------------------------------- samples

    def sample(self, n: int = 64, seed: int = 0, truncation: float | None = None, condition: Any = None) -> np.ndarray:
        """n samples as the data are stored: images uint8 (n, H, W, C), numbers float32 (n, F) in model units.

        truncation: the largest |z| in any dimension. condition: a label or several, numbers, or values of columns; if
        there is none, those of random training examples.
        """
        return self.spec.x.to_stored(self.sample_x(n, seed, truncation, condition)).numpy()

    def sample_x(self, n: int, seed: int = 0, truncation: float | None = None, condition: Any = None) -> Tensor:
        """n samples in model units, (n, …), a function of the arguments; row i does not depend on n.

        The arguments are those of `sample`. Raises BestiaryError for a model that does not sample.
        """
        check_count(n, "n", "sample")
        model = self.model
        if not isinstance(model, Samples):
            raise BestiaryError(f"{type(model).__name__} does not sample: show codes of examples, run.decode(z)")
        rows = self._training_conditions(n, seed) if condition is None else self.condition_tensors(condition)

        def draw(block: int) -> Tensor:
            with seeded(derive_seed(seed, "sample", block), self.device):
                c = None if rows is None else cycle_rows(rows, block * SAMPLE_BLOCK, SAMPLE_BLOCK)
                if truncation is None:
                    return model.sample(SAMPLE_BLOCK, c)
                c = model.condition.draw(SAMPLE_BLOCK) if c is None else c
                z = draw_codes(model, SAMPLE_BLOCK, c, truncation)
                assert isinstance(model, Coded)  # `draw_codes` has checked it
                return model.make(z, c)

        with torch.no_grad():
            return torch.cat([draw(block).float().cpu() for block in range(ceil(n / SAMPLE_BLOCK))])[:n]

    def sample_z(self, n: int, seed: int = 0, truncation: float | None = None, condition: Any = None) -> Tensor:
        """n draws of z ~ p(z|c), (n, …); for the same seed they are not the codes of `sample`."""
        check_count(n, "n", "sample")
        with torch.no_grad(), seeded(derive_seed(seed, "sample_z"), self.device):
            if condition is None:
                c = self.model.condition.draw(n)
            else:
                c = cycle_rows(self.condition_tensors(condition), 0, n)
            return draw_codes(self.model, n, c, truncation).cpu()

    # ------------------------------------------------------------------------- codes

    def observe(self, examples: Examples, seed: int = 0) -> Batch:
        """Examples as the model sees them: grey images binarised, if the model takes binary ones."""
        return observe(self.model, as_batch(examples), seed)

    def encode(self, examples: Examples, seed: int = 0) -> Tensor:
        """The code of each example in model units; of a Gaussian posterior its mean."""
        return encode(self.model, as_batch(examples), seed)

    def bound(self, examples: Examples, k: int = 1, seed: int = 0) -> Tensor:
        """A lower bound on log p(x) of each example, (B,), in nats and in the units of the data's file.

        It rises with k, the number of codes for each example. Raises BestiaryError for a model without a bound.
        """
        model = self.model
        if not isinstance(model, Bounds):
            raise BestiaryError(f"{type(model).__name__} bounds no likelihood: judge its samples, run.judge()")
        batch = self.observe(examples, seed)
        with torch.no_grad(), seeded(derive_seed(seed, "bound"), self.device):
            blocks = [model.bound(block.to(self.device), k).cpu() for block in batch.split(ENCODING_BLOCK)]
        return torch.cat(blocks) - self.spec.log_scale

    def decode(self, z: Tensor | np.ndarray, condition: Any = None) -> Tensor:
        """E[x|z, c] of codes z, in model units."""
        return decode(self.model, torch.as_tensor(z), self.condition_tensors(condition))

    def invert(
        self, x: Examples, starts: int = 4, seed: int = 0, condition: Any = None, batch: int = 256, **options: Any
    ) -> Inversion:
        """Search for the codes of examples in model units, from `starts` draws of z for each.

        If there is an encoder, its code is one of the starts. condition: a row for each example, or one for all.
        options: prior, steps, lr (codes/inversion.py).
        """
        check_count(starts, "starts", "start")
        check_count(len(x), "len(x)", "example")
        examples = as_batch(x)
        c = self._conditions_of(examples) if condition is None else self.condition_tensors(condition)
        return invert_examples(self.model, examples, c, starts, seed, batch, **options)

    def codes(self, x: Examples, **options: Any) -> Tensor:
        """The codes of examples in model units, by the encoder, or without one by `invert` with these options."""
        if isinstance(self.model, Encodes):
            return self.encode(x, options.get("seed", 0))
        return self.invert(x, **options).z

    def walk(self, a: Tensor, b: Tensor, n: int = 8, kind: str = "spherical", condition: Any = None) -> Tensor:
        """The decoded points of a path from code a to code b: (D,) → (n, …) in model units, (P, D) → (P, n, …).

        kind: linear or spherical. condition: one for all paths, or one for each.
        """
        a, b = torch.as_tensor(a).float(), torch.as_tensor(b).float()
        return walk(self.model, a, b, n, kind, self.condition_tensors(condition))

    def arithmetic(self, x: Examples, minus: Examples, plus: Examples, **options: Any) -> Analogy:
        """x − mean(minus) + mean(plus), with codes and with the examples: man with glasses − man + woman.

        options: those of `codes`. For Radford's mean over x too, decode `result.z.mean(0)[None]`.
        """
        z = analogy(*(self.codes(group, **options) for group in (x, minus, plus)))
        pixels = analogy(*(as_batch(group).x for group in (x, minus, plus)))
        return Analogy(z, self.decode(z, options.get("condition")), pixels)

    def reach(self, n: int = 100, split: str = "test", seed: int = 0, **options: Any) -> Number:
        """The mean distance of n held-out examples to what the decoder can make. options: those of `invert`."""
        held_out, protocol = self.part(split, n, seed), {"split": split, "seed": seed, **options}
        samples = self.sample_x(len(held_out), seed, condition=options.get("condition"))
        return inversion_number(lambda x: self.invert(x, seed=seed, **options), held_out.x, samples, protocol)


def as_batch(examples: Examples) -> Batch:
    """Examples in model units as a batch; an array has no fields beside x."""
    return examples if isinstance(examples, Batch) else Batch(torch.as_tensor(examples).float())


def check_count(n: int, option: str, noun: str) -> None:
    """Raise BestiaryError if n is below 1."""
    if n < 1:
        raise BestiaryError(f"{option}={n}: ask for at least one {noun}")
