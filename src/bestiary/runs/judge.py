"""Judging: a run, or samples of any program against real data. Every number with its protocol, interval and floor.

    judge(run)               bounds where the model has them; copied, fidelity and coverage of its samples
    judge(real=A, fake=B)    folders, arrays or names: fidelity and coverage of B against A

A run's judgement goes to judgement.json, and what the report draws — samples beside data, reconstructions, codes,
neighbours — to evidence.safetensors.
"""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from bestiary.data.batches import stored_units
from bestiary.errors import BestiaryError, unknown
from bestiary.measures.bound import bound_numbers
from bestiary.measures.neighbours import copying, nearest, two_sample_distances
from bestiary.measures.number import Judgement, Number, Reference
from bestiary.models.model import Model
from bestiary.runs.anatomy import anatomy, reading
from bestiary.runs.card import write_card
from bestiary.runs.compare import LEAST, judge_samples, sample_numbers, space_of
from bestiary.runs.fitted import Fitted
from bestiary.runs.folder import weights_hash
from bestiary.training.checkpoint import write_atomic
from bestiary.training.clock import mix
from bestiary.training.device import seeded

__all__ = ["judge", "judge_run", "judge_samples"]

NEIGHBOURS, SHOWN = 4, 64  # neighbours drawn, examples drawn
MOST_TRAIN, MOST_UNSEEN = 20_000, 2_500  # examples searched: of the training part, of each part that was held out

Space = Literal["pixels", "latent"]


def judge(run: str | Path | Fitted | None = None, *, real: Any = None, fake: Any = None, **options: Any) -> Judgement:
    """Judge a run, or `fake` samples against `real` data."""
    if (real is None) != (fake is None) or (run is None) == (real is None):
        raise BestiaryError(
            "judge a run, or samples against data: bestiary judge RUN, bestiary judge --real A --fake B"
        )
    if run is None:
        return judge_samples(real, fake, **options)
    return judge_run(run if isinstance(run, Fitted) else Fitted(run), **options)


def judge_run(
    run: Fitted,
    *,
    n: int = 1000,  # test examples, and samples
    k: int = 100,  # samples of z for the importance-weighted bound
    split: Literal["test", "validation", "train"] = "test",  # the part to judge on
    space: Space = "pixels",  # where distances are taken: pixels, or latent (posterior means)
    features: str = "auto",  # of statistics of two sets: pixels, random, mnist, or a file of weights
    seed: int = 0,  # of samples, noise and the choice of examples
    quiet: bool = True,
) -> Judgement:
    """Judge a run on one part of its data; write judgement.json, the evidence and the model card."""
    _check(run.model, n, k, space)
    x, labels = run.part(split, n, seed)
    protocol: dict[str, object] = {"split": split, "seed": seed}
    numbers: list[Number] = []
    notes: list[str] = []
    evidence: dict[str, Tensor] = {}
    able = run.model.abilities
    if "bound" in able:
        found, evidence["k_curve"] = _bounds(run, run.observe(x, seed), k, seed, protocol, quiet)
        numbers += found
    if "posterior" in able and len(x) > 1:
        found, dims, said = anatomy(run, run.observe(x, seed), seed, protocol)
        numbers, notes, evidence = numbers + found, notes + said, evidence | dims
    train, train_labels = run.part("train", MOST_TRAIN, seed)
    samples = run.sample_x(n, seed) if "sample" in able else None
    if samples is not None:
        numbers += _distances(run, samples, x, train, space, seed, protocol)
        h, other = (x[::2], x[1::2]) if split == "train" else (x, train[: len(x)])
        found, said = sample_numbers(
            samples, h, other, run.spec, features, seed, protocol, run.dataset.truth, run.device
        )
        numbers, notes = numbers + found, notes + said
    if "encode" in able:
        numbers += reading(run, (x, labels), (train, train_labels), seed, protocol)
    protocol |= {"weights": weights_hash(run.path)}
    judgement = Judgement(
        tuple(numbers), protocol, (*_notes(run, x, numbers), *notes), datetime.now().isoformat(timespec="seconds")
    )
    write_atomic(run.path / "judgement.json", json.dumps(judgement.to_dict(), indent=1, ensure_ascii=False))
    evidence |= _evidence(run, samples, x, labels, train)
    write_atomic(run.path / "evidence.safetensors", to_bytes(_apart(evidence)))
    write_card(run.path)
    return judgement


def _check(model: Model, n: int, k: int, space: Space) -> None:
    """What can be wrong with the options, before anything takes time."""
    if n < LEAST:
        raise BestiaryError(f"n={n}: judging needs at least {LEAST} examples")
    if k < 1:
        raise BestiaryError(f"k={k}: the importance-weighted bound needs at least one draw of z")
    if space not in get_args(Space):
        raise unknown("space", str(space), get_args(Space))
    if space == "latent" and "encode" not in model.abilities:
        raise BestiaryError("space=latent needs an encoder, and this model has none: use space=pixels")


def _bounds(
    run: Fitted, x: Tensor, k: int, seed: int, protocol: dict[str, object], quiet: bool
) -> tuple[list[Number], Tensor]:
    spec, model, truth = run.spec, run.model, run.dataset.truth
    floor = (
        None if truth is None else Reference(truth.entropy, says="the entropy of π: no model's −E log p(x) is lower")
    )
    options = run.config["model"]
    said = {**protocol, "of": "probability" if model.discrete else "density"}
    said |= {"likelihood": options["likelihood"]} if "likelihood" in options else {}
    if options.get("binarise", "none") != "none":
        said["binarised"] = {"dynamic": "once, by seed", "threshold": "at 1/2"}[options["binarise"]]
    elif spec.levels == 2:
        said["binarised"] = "statically: the data hold 0 and 1"
    with seeded(mix(seed, "bound"), run.device):
        return bound_numbers(
            lambda part, ks: model.bounds(part.to(run.device), ks),
            x,
            k,
            dimensions=spec.dimensions if model.discrete else 0,
            shift=spec.log_scale,
            floor=floor,
            protocol=said,
            progress=_show("bound", quiet),
        )


def _distances(
    run: Fitted, samples: Tensor, x: Tensor, train: Tensor, space: Space, seed: int, protocol: dict[str, object]
) -> list[Number]:
    """Numbers from nearest neighbours, in pixels or among posterior means: those for which there are examples."""
    into: Callable[[Tensor], Tensor] = (
        (lambda a: run.encode(run.observe(a, seed))) if space == "latent" else lambda a: a
    )
    s, h, t = into(samples), into(x), into(train)
    unseen = into(torch.cat([run.part(name, MOST_UNSEEN, seed)[0] for name in ("validation", "test")]))
    # the floor is of real examples that are not the ones judged on
    h, other = (h[::2], h[1::2]) if protocol["split"] == "train" else (h, t[: len(h)])
    where, enough = space_of(run.spec, space), min(len(h), len(other)) > 1
    numbers = [copying(s, t, unseen, where, protocol)] if len(unseen) >= LEAST else []
    return numbers + (two_sample_distances(s, h, other, where, seed, protocol) if enough else [])


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own, as safetensors wants them: some are slices of others."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def _evidence(
    run: Fitted, samples: Tensor | None, x: Tensor, labels: Tensor | None, train: Tensor
) -> dict[str, Tensor]:
    """What the report draws, as the data is stored."""
    spec = run.spec
    found = {"data": stored_units(x[:SHOWN] if spec.kind == "image" else x, spec)}
    if samples is not None:
        shown = samples[:SHOWN]
        distance, index = nearest(shown[:12], train, NEIGHBOURS)
        found |= {
            "samples": stored_units(samples if spec.kind != "image" else shown, spec),
            "neighbour_of": stored_units(shown[:12], spec),
            "neighbours": torch.stack([stored_units(train[i], spec) for i in index]),
            "neighbour_distances": distance,
        }
    if {"encode", "decode"} <= run.model.abilities:
        found |= _latent(run, x, labels)
    if run.dataset.truth is not None and spec.shape == (2,):
        found |= _truth(run)
    return found


def _latent(run: Fitted, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
    """Reconstructions, posterior means and their first two principal components, the manifold of a 2-D latent."""
    codes = run.encode(run.observe(x))
    found = {
        "codes": codes,
        "reconstructed_from": stored_units(x[:16], run.spec),
        "reconstructions": stored_units(run.decode(codes[:16]), run.spec),
    }
    if labels is not None:
        found["code_labels"] = labels
    if codes.shape[1] <= 2:
        found["codes_2d"] = torch.cat([codes, torch.zeros(len(codes), 2 - codes.shape[1])], 1)
    else:
        centred = codes - codes.mean(0)
        axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2].T  # of one example there is one axis
        found["codes_2d"] = centred @ torch.cat([axes, torch.zeros(len(axes), 2 - axes.shape[1])], 1)
    if codes.shape[1] == 2 and run.spec.kind == "image":
        side = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.03, 0.97, 15))
        z = torch.stack(torch.meshgrid(side, -side, indexing="xy"), -1).view(-1, 2)
        found["manifold"] = stored_units(run.decode(z), run.spec)
    return found


def _truth(run: Fitted) -> dict[str, Tensor]:
    """The true density of a toy on a grid, log scale left to the reader of the picture."""
    truth = run.dataset.truth
    assert truth is not None  # the caller has looked
    data = run.dataset.stored
    low, high = data.min(0), data.max(0)
    pad = 0.08 * (high - low)
    extent = np.array([low[0] - pad[0], high[0] + pad[0], low[1] - pad[1], high[1] + pad[1]], np.float32)
    gx, gy = np.meshgrid(np.linspace(extent[0], extent[1], 160), np.linspace(extent[2], extent[3], 160))
    points = np.stack([gx.ravel(), gy.ravel()], 1).astype(np.float32)
    density = np.exp(truth.log_prob(points)).reshape(160, 160).astype(np.float32)
    return {"truth_density": torch.from_numpy(density), "extent": torch.from_numpy(extent)}


def _notes(run: Fitted, x: Tensor, numbers: list[Number]) -> list[str]:
    notes = []
    if run.data_changed:
        notes.append("The data have changed since the fit: examples judged on may have been trained on.")
    if "sample" not in run.model.abilities:
        notes.append("This model has no p(z) and does not sample: it is judged on what its codes keep.")
    elif "copied" not in {number.name for number in numbers}:
        notes.append(f"Too few examples were held out to tell whether any was copied: at least {LEAST} are needed.")
    if run.spec.log_scale and "bound" in run.model.abilities:
        notes.append("Bounds are in the units of the file: −log p(raw) = −log p(x) + Σ log scale.")
    if len(x) < 100:
        notes.append(f"Judged on only {len(x)} examples: intervals are wide.")
    return notes


def _show(what: str, quiet: bool) -> Callable[[int, int], None]:
    def show(done: int, of: int) -> None:
        import sys

        if not quiet and sys.stderr.isatty():
            print(f"\r{what}: {done}/{of} ", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return show
