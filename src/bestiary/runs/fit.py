"""Fit: from a line of words to a run folder that nothing can take away.

    plan → run folder → trainer → the loop → weights, model card

A new run never touches an old one. `resume` goes on with an old one, from its own config, where its newest whole
checkpoint stands. Under torchrun every process comes through here; the first writes, all play.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.data.spec import Inferred
from bestiary.errors import BestiaryError
from bestiary.grammar.durations import parse_duration
from bestiary.models.model import Bounds, Drawn, Model
from bestiary.models.zoo import build
from bestiary.runs.data_check import check_data
from bestiary.runs.environment import describe_environment, update_recipe, warn_of_changes
from bestiary.runs.fitted import Fitted, data_location, data_options_of, options_of
from bestiary.runs.model_card import write_card
from bestiary.runs.plan import GIVEN, Plan, fits_training, is_part, with_precision
from bestiary.runs.plan import plan as make_plan
from bestiary.runs.progress import progress
from bestiary.runs.run_folder import create, find, locked, point_latest_at
from bestiary.runs.sign_watch import watch_signs, write_signs
from bestiary.runs.start_weights import load_fitting_weights, read_start, read_weights, write_start
from bestiary.runs.validation import validator
from bestiary.storage.atomic import write_atomic
from bestiary.storage.run_files import MODEL, note, read_config, read_env, update_env, write_config
from bestiary.training.clock import derive_seed
from bestiary.training.device import choose_device, has_native_bf16, seeded, threads_for, tune_cpu
from bestiary.training.driver import Ending, RunFailed
from bestiary.training.driver import fit as play
from bestiary.training.driver import resume as load_checkpoint
from bestiary.training.parallel import Team, join, under_torchrun
from bestiary.training.part import TrainingData
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
        plan = _resumed_plan(path, data, model, options)
        network = _model(plan)
        _check_sharding(network, team)
    else:
        plan = data if isinstance(data, Plan) else _new_plan(data, model, options)
        plan = plan if start is None else _plan_from_weights(plan, start, root)
        network = _model(plan)  # before there is a folder: a model that cannot be built leaves none behind
        _check_sharding(network, team)
        plan = _with_one_precision(plan, where, network, team)
        path = _shared_folder(plan, Path(root), name, team)
    how = _How(where, team, limit, quiet or team.rank > 0, graphs)
    lock = locked(path) if how.writes else nullcontext()
    with lock, threads_for(plan.recipe.batch * plan.dataset.spec.dimensions):
        _play_run(plan, network, path, how)
    return Fitted(path, data if plan.data == "array" else None, str(where), **plan.parts)


def _plan_from_weights(plan: Plan, start: str | Path | Fitted, root: str | Path) -> Plan:
    """The plan of a run that begins from another one's weights."""
    path = start.path if isinstance(start, Fitted) else find(start, root)
    weights, digest = read_weights(path)
    return replace(plan, weights={**weights, **plan.weights}, start={"run": str(path), "weights": digest})


def _check_sharding(model: Model, team: Team) -> None:
    if team.sharded and (why := model.sharding_obstacle()):
        raise BestiaryError(f"{why}, and FSDP2 cannot shard borrowed weights: use --parallel ddp")


def _new_plan(data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    if data is None or model is None:
        raise BestiaryError("fit needs data and a model: bestiary fit digits vae")
    return make_plan(data, model, options)


def _resumed_plan(path: Path, data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    """The plan of a run that is to go on: its own config; only how long it goes on may change."""
    config = read_config(path)
    source = config["data"]["source"]
    from_python = {k for k, v in {**config["data"], **config["model"]}.items() if str(v).startswith(GIVEN)}
    parts = {k: v for k, v in options.items() if is_part(v) or k in from_python}
    changes = {k: v for k, v in options.items() if k not in parts}
    unchangeable = sorted(set(changes) - MAY_CHANGE)
    unchangeable += [str(model)] if model not in (None, config["model"]["name"]) else []
    unchangeable += [str(data)] if source != "array" and data is not None and str(data) != source else []
    if unchangeable:
        raise BestiaryError(
            f"--resume goes on with the run's own config: {', '.join(unchangeable)} cannot change, only"
            f" {', '.join(sorted(MAY_CHANGE))} can. Start a new run"
        )
    training = {**config["training"], **changes}
    keys = {f"data.{k}": v for k, v in data_options_of(config, data, parts, "fit(x, resume=run").items()}
    keys |= {f"model.{k}": v for k, v in options_of(config, parts).items()}  # earlier models as the config has them
    keys |= {f"training.{k}": v for k, v in training.items()}
    plan = make_plan(data if source == "array" else data_location(config), config["model"]["name"], keys, resumed=True)
    check_data(config, plan.dataset)
    inferred = {k: Inferred(**result) for k, result in config["inferred"].items()}
    plan = replace(plan, data=source, inferred=inferred, weights=read_start(path), start=config.get("start", {}))
    if plan.recipe.precision == "auto":  # an older config: it was chosen when the run began
        return plan.at(read_env(path).get("precision", "fp32"), "as the run began")
    return plan


def _with_one_precision(plan: Plan, device: torch.device, model: Model, team: Team) -> Plan:
    """With a precision, which is one for all processes."""
    plan = with_precision(plan, device, model.size)
    narrow = plan.recipe.precision == "bf16"
    if "precision" in plan.inferred and team.any(not narrow) and narrow:
        return plan.at("fp32", "not every process multiplies bf16 itself")
    return plan


def _shared_folder(plan: Plan, root: Path, name: str | None, team: Team) -> Path:
    """A new folder; under torchrun the one this launch has made already, if a worker was restarted."""
    mark = _launch_file(root)
    if team.world == 1 and not under_torchrun():
        return _create_run(plan, root, name)
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"  # an older file may be another launch's
    if team.rank == 0 and not (restarted and mark.exists()):
        write_atomic(mark, _create_run(plan, root, name).name)
    team.wait()
    return root / mark.read_text("utf-8")


def _launch_file(root: Path) -> Path:
    """Where a launch of torchrun keeps the name of its run."""
    return root / f".launch-{os.environ.get('TORCHELASTIC_RUN_ID', '')}"


def _create_run(plan: Plan, root: Path, name: str | None) -> Path:
    path = create(root, plan.data, plan.model, name)
    write_start(path, plan.weights)  # before the config: a run with a config is whole
    write_config(path, plan.config())
    point_latest_at(path)
    return path


@dataclass(frozen=True)
class _How:
    """How a run is played: where, by whom, how long."""

    device: torch.device
    team: Team
    limit: float | None  # seconds
    quiet: bool
    graphs: bool

    @property
    def writes(self) -> bool:
        """Whether this process writes the run's files: the first one does."""
        return self.team.rank == 0


def _play_run(plan: Plan, model: Model, path: Path, how: _How) -> None:
    """Play the rounds that are left, then write down what there is to keep."""

    def warn(message: str) -> None:
        note(path, message)
        if not how.quiet:
            print(message, file=sys.stderr)

    trainer = _trainer(plan, model, how)
    load_checkpoint(trainer, path, warn)
    if trainer.time > trainer.rounds:
        raise BestiaryError(f"steps={trainer.rounds}: the run stands at round {trainer.time} already; ask for more")
    if how.writes:
        _note_start(plan, trainer, path, warn)
    validate = validator(trainer, plan.dataset, path)
    bits = plan.dataset.spec.dimensions if model.discrete else 0
    try:
        # seeded: the caller's noise is left alone
        with seeded(0, how.device), progress(trainer.rounds, trainer.round, how.quiet, bits) as show:
            watch = watch_signs(path, plan, trainer.rounds, show, warn) if how.writes else show
            ending = play(trainer, path, validate, watch, how.limit)
    except RunFailed as error:
        if how.writes:
            note(path, str(error))
            update_env(path, why=str(error), round=trainer.round)
            write_signs(path, plan, trainer.rounds, error.symptom)
        raise
    weights = trainer.weights()  # every process takes part in gathering them
    if how.writes:
        _write_result(plan, trainer, weights, path, ending)
    how.team.wait()
    if ending.reason == "interrupted":
        raise Interrupted(_advice_to_resume(plan, path, ending, trainer.rounds))
    if not how.quiet and not ending.finished:
        warn(_advice_to_resume(plan, path, ending, trainer.rounds))


def _note_start(plan: Plan, trainer: Trainer, path: Path, warn: Callable[[str], None]) -> None:
    """Write down where and with what a run begins or goes on; warn of what has changed since it began."""
    precision = plan.recipe.precision
    if precision == "bf16" and not has_native_bf16(trainer.device):
        warn(f"precision=bf16 is slower than fp32 here: {trainer.device} does not multiply bf16 itself")
    environment = describe_environment(trainer, precision)
    update_recipe(path, plan)
    warn_of_changes(path, environment, plan.dataset, warn)
    update_env(path, bestiary=__version__, **environment, finished=False)
    note(path, f"begins at round {trainer.round} of {trainer.rounds}: {plan.command}")


def _write_result(plan: Plan, trainer: Trainer, weights: Mapping[str, Tensor], path: Path, ending: Ending) -> None:
    """Write the weights, why the fit ended, the signs and the model card."""
    write_atomic(path / MODEL, to_bytes({k: v.to("cpu", copy=True).contiguous() for k, v in weights.items()}))
    seconds = round(ending.seconds, 1)
    update_env(path, seconds=seconds, finished=ending.finished, round=ending.round, why=ending.reason)
    kept = trainer.facts.get("best_round", inf) if plan.recipe.patience else inf
    write_signs(path, plan, trainer.rounds, kept=kept)
    write_card(path)
    note(path, f"ends at round {ending.round}: {ending.reason}")
    _launch_file(path.parent).unlink(missing_ok=True)


def _advice_to_resume(plan: Plan, path: Path, ending: Ending, rounds: int) -> str:
    how = f"bestiary fit --resume {shlex.quote(str(path))}"
    if plan.data == "array" or plan.parts:  # which a command line cannot give again
        parts = "".join(f", {k}={type(v).__name__}(…)" for k, v in plan.parts.items())
        how = f"bst.fit({'x, ' if plan.data == 'array' else ''}resume={str(path)!r}{parts})"
    return f"{ending.reason} at round {ending.round} of {rounds}; everything is saved. Go on: {how}"


def _model(plan: Plan) -> Model:
    """The model with its first weights, a function of the seed."""
    with seeded(derive_seed(plan.recipe.seed, "weights")):
        model = build(plan.model, plan.dataset.spec, **plan.model_options)
    fits_training(model, plan.recipe)
    taken, left = load_fitting_weights(model, plan.weights)  # parts that look at the data look through these weights
    with seeded(derive_seed(plan.recipe.seed, "begin")), torch.no_grad():
        model.begin(_look(plan, model))
    load_fitting_weights(model, plan.weights)
    if plan.weights and not taken:
        raise BestiaryError(f"--from {plan.start.get('run', '')}: none of its weights fits this model; leave it out")
    if left:
        print(_unfitting_weights(plan, left), file=sys.stderr)
    if plan.recipe.patience and not isinstance(model, Bounds):
        raise BestiaryError(f"patience={plan.recipe.patience} waits for a better bound, and {plan.model} has none")
    return model


def _unfitting_weights(plan: Plan, left: list[str]) -> str:
    shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
    return f"begins from {plan.start.get('run', '')}; {len(left)} of {len(plan.weights)} tensors do not fit: {shown}"


def _look(plan: Plan, model: Model) -> TrainingData:
    """Training examples as the model observes them; the same ones at every call."""
    rows = plan.dataset.parts["train"]
    order = np.random.Generator(np.random.PCG64(derive_seed(plan.recipe.seed, "begin"))).permutation(len(rows))

    def some(n: int) -> Batch:
        return model.observe(plan.dataset.rows(np.sort(rows[order[:n]]), model.reads()))

    return TrainingData(
        len(rows), some, lambda batch: model.draw(batch, exact=False) if isinstance(model, Drawn) else None
    )


def _trainer(plan: Plan, model: Model, how: _How) -> Trainer:
    """Batches and players on the device."""
    recipe, team = plan.recipe, how.team
    assert recipe.precision != "auto"  # `fit` has chosen one
    maps = plan.dataset.spec.x.is_spatial and not team.sharded  # FSDP2 takes contiguous weights only
    layout = torch.channels_last if maps else torch.contiguous_format
    model.to(how.device)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    team.shard(model)
    reads = model.reads()
    batches = Batches(plan.dataset, recipe.batch, recipe.seed, how.device, team.rank, team.world, reads=reads)
    return Trainer(model, model.players(), batches, recipe, recipe.precision, team, how.graphs)
