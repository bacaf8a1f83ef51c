"""Fit: from a line of words to a run folder that nothing can take away.

    plan → run folder → trainer → the loop → weights, model card

A new run never touches an old one. `resume` goes on with an old one, from its own config, where its newest whole
checkpoint stands. Under torchrun every process comes through here; the first writes, all play.
"""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.data.spec import Inferred
from bestiary.errors import BestiaryError
from bestiary.grammar.durations import parse_duration
from bestiary.models.model import Bounds, Drawn, Model
from bestiary.models.zoo import build
from bestiary.runs.data_check import check_data
from bestiary.runs.environment import agree, compare, facts_of
from bestiary.runs.fitted import Fitted, data_options_of, located, options_of
from bestiary.runs.model_card import write_card
from bestiary.runs.plan import GIVEN, Plan, fits_training, is_part, plan, settled
from bestiary.runs.progress import progress
from bestiary.runs.run_folder import create, find, held, point
from bestiary.runs.sign_watch import watching, write_signs
from bestiary.runs.start_weights import adopt, read_start, weights_of, write_start
from bestiary.runs.validation import validator
from bestiary.storage.atomic import write_atomic
from bestiary.storage.run_files import note, read_config, read_env, update_env, write_config
from bestiary.training.clock import derive_seed
from bestiary.training.device import choose_device, has_native_bf16, seeded, threads_for, tune_cpu
from bestiary.training.driver import Ending, RunFailed
from bestiary.training.driver import fit as play
from bestiary.training.driver import resume as go_back
from bestiary.training.parallel import Team, join, under_torchrun
from bestiary.training.part import TrainingData
from bestiary.training.recipe import Recipe
from bestiary.training.trainer import Trainer
from bestiary.version import __version__

__all__ = ["Interrupted", "fit"]

MAY_CHANGE = {"steps", "patience", "log", "validate", "save", "keep"}  # when a run is resumed


class Interrupted(BestiaryError):
    """A run that a person stopped; it can go on."""


@contextmanager
def _callers_arithmetic() -> Iterator[None]:
    """After: denormal numbers are kept again, as the caller's own code and a judge in a process of its own have it."""
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_callers_arithmetic()
def fit(
    data: Any = None,
    model: str | None = None,
    *,
    name: str | None = None,
    root: str | Path = "runs",
    resume: str | Path | Fitted | None = None,
    start: str | Path | Fitted | None = None,
    device: str = "auto",
    nproc: int = 1,
    parallel: str = "ddp",
    time_limit: str | float | None = None,
    quiet: bool = False,
    graphs: bool = True,
    **options: Any,
) -> Fitted:
    """Fit a model to data; the run, with its folder.

    `data`: a name, a path, an array, or a whole `Plan`; `model`: a name of the zoo; `options`: keys of the data, the
    model and the recipe; `start`: a run from whose weights it begins, as far as they fit by name and shape (--from).
    `graphs=False` plays eagerly on CUDA. `nproc` belongs to the command line.
    """
    tune_cpu()
    if nproc > 1 and not under_torchrun():
        raise BestiaryError(
            f"nproc={nproc}: several processes are started from the command line, bestiary fit … --nproc {nproc}"
        )
    limit = parse_duration(time_limit)
    where, kind = choose_device(device), parallel
    team, where = join(where, kind)
    if resume is not None:
        if name is not None:
            raise BestiaryError(f"--name {name} is for a new run; one that is resumed keeps its name")
        path = resume.path if isinstance(resume, Fitted) else find(resume, root)
        if start is not None:
            raise BestiaryError("a run that is resumed goes on from its own weights: leave out --from")
        what = _planned(path, data, model, options)
        beast = _model(what)
        _may_be_sharded(beast, team)
    else:
        what = data if isinstance(data, Plan) else _asked(data, model, options)
        what = what if start is None else _started(what, start, root)
        beast = _model(what)  # before there is a folder: what cannot be built leaves none behind
        _may_be_sharded(beast, team)
        what = _settled(what, where, beast, team)
        path = _folder(what, Path(root), name, team)
    alone = held(path) if team.rank == 0 else nullcontext()
    with alone, threads_for(what.recipe.batch * what.dataset.spec.dimensions):
        return _run(
            what,
            beast,
            path,
            where,
            team,
            limit,
            quiet or team.rank > 0,
            graphs,
            data if what.data == "array" else None,
        )


def _started(what: Plan, start: str | Path | Fitted, root: str | Path) -> Plan:
    """The plan of a run that begins from another one's weights."""
    path = start.path if isinstance(start, Fitted) else find(start, root)
    weights, digest = weights_of(path)
    return replace(what, weights={**weights, **what.weights}, start={"run": str(path), "weights": digest})


def _may_be_sharded(model: Model, team: Team) -> None:
    if team.sharded and (why := model.sharding_obstacle()):
        raise BestiaryError(f"{why}, and FSDP2 cannot shard what is borrowed: use --parallel ddp")


def _asked(data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    if data is None or model is None:
        raise BestiaryError("fit needs data and a model: bestiary fit digits vae")
    return plan(data, model, options)


def _planned(path: Path, data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    """The plan of a run that is to go on: its own config; only how long it goes on may change."""
    config = read_config(path)
    source = config["data"]["source"]
    again = {k for k, v in {**config["data"], **config["model"]}.items() if str(v).startswith(GIVEN)}
    parts = {k: v for k, v in options.items() if is_part(v) or k in again}
    asked = {k: v for k, v in options.items() if k not in parts}
    fixed = sorted(set(asked) - MAY_CHANGE)
    fixed += [str(model)] if model not in (None, config["model"]["name"]) else []
    fixed += [str(data)] if source != "array" and data is not None and str(data) != source else []
    if fixed:
        raise BestiaryError(
            f"--resume goes on with the run's own config: {', '.join(fixed)} cannot change, only"
            f" {', '.join(sorted(MAY_CHANGE))} can. Start a new run"
        )
    training = {**config["training"], **asked}
    keys = {f"data.{k}": v for k, v in data_options_of(config, data, parts, "fit(x, resume=run").items()}
    keys |= {f"model.{k}": v for k, v in options_of(config, parts).items()}  # earlier models as the config has them
    keys |= {f"training.{k}": v for k, v in training.items()}
    what = plan(data if source == "array" else located(config), config["model"]["name"], keys, resumed=True)
    check_data(config, what.dataset)
    inferred = {k: Inferred(**found) for k, found in config["inferred"].items()}
    what = replace(what, data=source, inferred=inferred, weights=read_start(path), start=config.get("start", {}))
    if what.recipe.precision == "auto":  # which configs kept until it was settled when a run began
        return what.at(read_env(path).get("precision", "fp32"), "as the run began")
    return what


def _settled(what: Plan, device: torch.device, model: Model, team: Team) -> Plan:
    """With a precision, which is one for all processes."""
    what = settled(what, device, model.size)
    narrow = what.recipe.precision == "bf16"
    if "precision" in what.inferred and team.any(not narrow) and narrow:
        return what.at("fp32", "not every process multiplies bf16 itself")
    return what


def _folder(what: Plan, root: Path, name: str | None, team: Team) -> Path:
    """A new folder; under torchrun the one this launch has made already, if a worker was restarted."""
    mark = _mark(root)
    if team.world == 1 and not under_torchrun():
        return _made(what, root, name)
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"  # a mark of before may be another launch's
    if team.rank == 0 and not (again and mark.exists()):
        write_atomic(mark, _made(what, root, name).name)
    team.wait()
    return root / mark.read_text("utf-8")


def _mark(root: Path) -> Path:
    """Where a launch of torchrun keeps the name of its run."""
    return root / f".launch-{os.environ.get('TORCHELASTIC_RUN_ID', '')}"


def _made(what: Plan, root: Path, name: str | None) -> Path:
    path = create(root, what.data, what.model, name)
    write_start(path, what.weights)  # before the config: what has one is whole
    write_config(path, what.config())
    point(path)
    return path


def _run(
    what: Plan, model: Model, path: Path, device: torch.device, team: Team, limit: float | None,
    quiet: bool, graphs: bool, data: Any,
) -> Fitted:  # fmt: skip
    """Play, then write down what there is to keep."""

    def warn(message: str) -> None:
        note(path, message)
        if not quiet:
            print(message, file=sys.stderr)

    precision = what.recipe.precision
    assert precision != "auto"  # it is settled
    trainer = _trainer(what, model, device, precision, team, graphs)
    first = team.rank == 0
    if first and precision == "bf16" and not has_native_bf16(device):
        warn(f"precision=bf16 is slower than fp32 here: {device} does not multiply bf16 itself")
    go_back(trainer, path, warn)
    if trainer.time > trainer.rounds:
        raise BestiaryError(f"steps={trainer.rounds}: the run stands at round {trainer.time} already; ask for more")
    facts = facts_of(trainer, precision)
    if first:
        agree(path, what)
        compare(path, facts, what.dataset, warn)
        update_env(path, bestiary=__version__, **facts, finished=False)
        note(path, f"begins at round {trainer.round} of {trainer.rounds}: {what.command}")
    validate = validator(trainer, what.dataset, path)
    bits = what.dataset.spec.dimensions if model.discrete else 0
    try:
        # seeded: the caller's noise is left alone
        with seeded(0, device), progress(trainer.rounds, trainer.round, quiet, bits) as show:
            watch = watching(path, what, trainer.rounds, show, warn) if first else show
            ending = play(trainer, path, validate, watch, limit)
    except RunFailed as error:
        if first:
            note(path, str(error))
            update_env(path, why=str(error), round=trainer.round)
            write_signs(path, what, trainer.rounds, error.symptom)
        raise
    weights = trainer.weights()
    if first:
        write_atomic(
            path / "model.safetensors", to_bytes({k: v.to("cpu", copy=True).contiguous() for k, v in weights.items()})
        )
        update_env(
            path,
            seconds=round(ending.seconds, 1),
            finished=ending.finished,
            round=ending.round,
            why=ending.reason,
        )
        kept = trainer.facts.get("best_round", inf) if what.recipe.patience else inf
        write_signs(path, what, trainer.rounds, kept=kept)
        write_card(path)
        note(path, f"ends at round {ending.round}: {ending.reason}")
        _mark(path.parent).unlink(missing_ok=True)
    team.wait()
    if ending.reason == "interrupted":
        raise Interrupted(_how_to_go_on(what, path, ending, trainer.rounds))
    if not quiet and not ending.finished:
        warn(_how_to_go_on(what, path, ending, trainer.rounds))
    return Fitted(path, data, str(device), **what.parts)


def _how_to_go_on(what: Plan, path: Path, ending: Ending, rounds: int) -> str:
    how = f"bestiary fit --resume {shlex.quote(str(path))}"
    if what.data == "array" or what.parts:  # which a command line cannot give again
        again = "".join(f", {k}={type(v).__name__}(…)" for k, v in what.parts.items())
        how = f"bst.fit({'x, ' if what.data == 'array' else ''}resume={str(path)!r}{again})"
    return f"{ending.reason} at round {ending.round} of {rounds}; everything is saved. Go on: {how}"


def _model(what: Plan) -> Model:
    """The model with its first weights, a function of the seed."""
    with seeded(derive_seed(what.recipe.seed, "weights")):
        model = build(what.model, what.dataset.spec, **what.model_options)
    fits_training(model, what.recipe)
    taken, left = adopt(model, what.weights)  # parts that look at the data look through these weights
    with seeded(derive_seed(what.recipe.seed, "begin")), torch.no_grad():
        model.begin(_look(what, model))
    adopt(model, what.weights)
    if what.weights and not taken:
        raise BestiaryError(f"--from {what.start.get('run', '')}: none of its weights fits this model; leave it out")
    if left:
        print(_left(what, left), file=sys.stderr)
    if what.recipe.patience and not isinstance(model, Bounds):
        raise BestiaryError(f"patience={what.recipe.patience} waits for a better bound, and {what.model} has none")
    return model


def _left(what: Plan, left: list[str]) -> str:
    shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
    return f"begins from {what.start.get('run', '')}; {len(left)} of {len(what.weights)} tensors do not fit: {shown}"


def _look(what: Plan, model: Model) -> TrainingData:
    """Training examples as the model observes them; the same ones at every call."""
    rows = what.dataset.parts["train"]
    order = np.random.Generator(np.random.PCG64(derive_seed(what.recipe.seed, "begin"))).permutation(len(rows))

    def some(n: int) -> Batch:
        return model.observe(what.dataset.rows(np.sort(rows[order[:n]]), model.reads()))

    return TrainingData(
        len(rows), some, lambda batch: model.draw(batch, exact=False) if isinstance(model, Drawn) else None
    )


def _trainer(what: Plan, model: Model, device: torch.device, precision: str, team: Team, graphs: bool) -> Trainer:
    """Batches and players on the device."""
    recipe: Recipe = what.recipe
    maps = what.dataset.spec.x.maps and not team.sharded  # FSDP2 takes contiguous weights only
    layout = torch.channels_last if maps else torch.contiguous_format
    model.to(device)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    team.shard(model)
    reads = model.reads()
    batches = Batches(what.dataset, recipe.batch, recipe.seed, device, team.rank, team.world, reads=reads)
    return Trainer(model, model.players(), batches, recipe, precision, team, graphs)
