"""Fit: from data, a model and options to a finished run folder.

    plan → run folder → trainer → the loop → weights, signs, model card

A new run never touches an old one. `resume` continues an old one from its own config and its newest whole checkpoint.
Under torchrun every process runs this code: all of them train, and the first one writes the files.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.grammar.durations import parse_duration
from bestiary.models.model import Model
from bestiary.runs.environment import describe_environment, warn_of_changes
from bestiary.runs.fitted_run import FittedRun
from bestiary.runs.model_and_trainer import build_model, make_trainer
from bestiary.runs.model_card import write_card
from bestiary.runs.plan import Plan, with_machine_options
from bestiary.runs.plan import plan as make_plan
from bestiary.runs.progress import progress
from bestiary.runs.resumed_plan import resumed_plan, update_recipe
from bestiary.runs.run_folder import create_run_folder, find_run, locked, point_latest_at
from bestiary.runs.run_signs import watch_signs, write_signs
from bestiary.runs.start_weights import read_weights, write_start_weights
from bestiary.runs.validation import Validation
from bestiary.storage.atomic import write_atomic
from bestiary.storage.run_files import MODEL, note, update_env, write_config
from bestiary.training import driver
from bestiary.training.device import choose_device, has_native_bf16, seeded, tune_cpu, use_threads
from bestiary.training.driver import Ending, RunFailed
from bestiary.training.memory import memory_errors
from bestiary.training.parallel import Team, join, under_torchrun
from bestiary.training.trainer import Trainer
from bestiary.version import __version__

__all__ = ["Interrupted", "fit"]


class Interrupted(BestiaryError):
    """A person stopped the run; it can be resumed."""


@dataclass(frozen=True)
class _Session:
    """How a run is played this time: where, by which processes, how long."""

    device: torch.device
    team: Team
    limit: float | None  # seconds after which the run pauses
    quiet: bool
    graphs: bool  # whether turns are captured as CUDA graphs

    @property
    def is_writer(self) -> bool:
        """Whether this process writes the run's files."""
        return self.team.rank == 0


@contextmanager
def _denormals_restored() -> Iterator[None]:
    """After the block denormal numbers are kept again, as the caller's code expects; `tune_cpu` flushes them."""
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_denormals_restored()
def fit(
    data: Any = None,
    model: str | None = None,
    *,
    name: str | None = None,
    root: str | Path = "runs",
    resume: str | Path | FittedRun | None = None,
    start: str | Path | FittedRun | None = None,
    device: str = "auto",
    nproc: int = 1,
    parallel: str = "ddp",
    time_limit: str | float | None = None,
    quiet: bool = False,
    graphs: bool = True,
    **options: Any,
) -> FittedRun:
    """Fit a model to data, and return the run.

    data: a name, a path, an array, or a `Plan`. model: a name of the zoo. options: keys of the data, the model and the
    training. resume: a run to continue; data and model are its own. start: a run whose weights are copied where they
    fit by name and shape (--from). graphs: whether turns are captured as CUDA graphs. nproc: see the command line.

    Raises BestiaryError for a mistake in the arguments, before there is a folder; RunFailed if numbers are not finite;
    Interrupted on Ctrl-C.
    """
    tune_cpu()
    if nproc > 1 and not under_torchrun():
        raise BestiaryError(f"nproc={nproc} works on the command line only: bestiary fit … --nproc {nproc}")
    session = _open_session(device, parallel, parse_duration(time_limit), quiet, graphs)
    if resume is None:
        plan = data if isinstance(data, Plan) else _new_plan(data, model, options)
        plan = plan if start is None else _start_from(_run_path(start, root), plan)
        plan, network, path = _begin_run(plan, Path(root), name, session)
    else:
        _check_resume(name, start)
        path = _run_path(resume, root)
        plan = resumed_plan(path, data, model, options)
        network = _shardable_model(plan, session.team)
        plan = _with_shared_options(plan, network, session)
    lock = locked(path) if session.is_writer else nullcontext()
    with lock, use_threads(plan.recipe.threads):
        _play_run(plan, network, path, session)
    array = data if plan.data == "array" else None
    return FittedRun(path, array, str(session.device), **plan.python_objects)


def _open_session(device: str, parallel: str, limit: float | None, quiet: bool, graphs: bool) -> _Session:
    team, torch_device = join(choose_device(device), parallel)
    return _Session(torch_device, team, limit, quiet or team.rank > 0, graphs)


# ------------------------------------------------------------------------- plan and model


def _new_plan(data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    if data is None or model is None:
        raise BestiaryError("fit needs data and a model: bestiary fit digits vae")
    return make_plan(data, model, options)


def _start_from(run: Path, plan: Plan) -> Plan:
    """The plan with the weights of another run to start from."""
    weights, digest = read_weights(run)
    return replace(plan, weights={**weights, **plan.weights}, start={"run": str(run), "weights": digest})


def _check_resume(name: str | None, start: object) -> None:
    """Raise BestiaryError for options of a new run beside --resume."""
    if name is not None:
        raise BestiaryError(f"--resume keeps the name of the run: leave out --name {name}")
    if start is not None:
        raise BestiaryError("--resume continues with the run's own weights: leave out --from")


def _run_path(run: str | Path | FittedRun, root: str | Path) -> Path:
    return run.path if isinstance(run, FittedRun) else find_run(run, root)


def _shardable_model(plan: Plan, team: Team) -> Model:
    """The model of a plan. Raises BestiaryError if its weights are to be sharded and cannot be."""
    model = build_model(plan)
    if team.sharded and (obstacle := model.sharding_obstacle()):
        raise BestiaryError(f"{obstacle}, and FSDP2 cannot shard borrowed weights: use --parallel ddp")
    return model


def _begin_run(plan: Plan, root: Path, name: str | None, session: _Session) -> tuple[Plan, Model, Path]:
    """The complete plan, the model, and a new folder. If the model cannot be built, there is no folder."""
    model = _shardable_model(plan, session.team)
    plan = _with_shared_options(plan, model, session)
    return plan, model, _shared_folder(plan, root, name, session.team)


def _with_shared_options(plan: Plan, model: Model, session: _Session) -> Plan:
    """The plan with the options of the machine, and a precision that is the same for all processes."""
    plan = with_machine_options(plan, session.device, model.size, session.team.world)
    is_bf16 = plan.recipe.precision == "bf16"
    if "precision" in plan.inferred and session.team.any(not is_bf16) and is_bf16:
        return plan.with_inferred("precision", "fp32", "not every process multiplies bf16 natively")
    return plan


# ------------------------------------------------------------------------- folder


def _shared_folder(plan: Plan, root: Path, name: str | None, team: Team) -> Path:
    """A new folder, the same for all processes.

    If torchrun has restarted a worker, it is the folder that this launch of torchrun has made already.
    """
    if team.world == 1 and not under_torchrun():
        return _create_folder(plan, root, name)
    file = _launch_file(root)
    is_restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"  # else the file may be of another launch
    if team.rank == 0 and not (is_restart and file.exists()):
        write_atomic(file, _create_folder(plan, root, name).name)
    team.wait()
    return root / file.read_text("utf-8")


def _launch_file(root: Path) -> Path:
    """The file with the name of the run that a launch of torchrun is fitting."""
    return root / f".launch-{os.environ.get('TORCHELASTIC_RUN_ID', '')}"


def _create_folder(plan: Plan, root: Path, name: str | None) -> Path:
    path = create_run_folder(root, plan.data, plan.model, name)
    write_start_weights(path, plan.weights)  # before the config: a folder with a config is a run
    write_config(path, plan.config())
    point_latest_at(path)
    return path


# ------------------------------------------------------------------------- the loop and its results


def _play_run(plan: Plan, model: Model, path: Path, session: _Session) -> None:
    """Play the rounds that are left, and write the results into the run's folder."""

    def warn(message: str) -> None:
        note(path, message)
        if not session.quiet:
            print(message, file=sys.stderr)

    trainer = make_trainer(plan, model, session.device, session.team, session.graphs)
    driver.resume(trainer, path, warn)
    if trainer.time > trainer.rounds:
        raise BestiaryError(f"steps={trainer.rounds}: the run stands at round {trainer.time} already; give more steps")
    if session.is_writer:
        if trainer.round:
            warn(_position(plan, path, trainer))
        _note_start(plan, trainer, path, warn)
    ending = _play_rounds(plan, trainer, path, session, warn)
    weights = trainer.weights()  # every process takes part in gathering them
    if session.is_writer:
        _write_result(plan, trainer, weights, path, ending)
    session.team.wait()
    if ending.reason == "interrupted":
        raise Interrupted(_resume_advice(plan, path, ending, trainer.rounds))
    if not session.quiet and not ending.finished:
        warn(_resume_advice(plan, path, ending, trainer.rounds))


def _position(plan: Plan, path: Path, trainer: Trainer) -> str:
    """Where a resumed run stands; of one that is finished, how to give it more rounds."""
    run = f"{path} ({plan.model} fitted to {plan.data})"
    patience = plan.recipe.patience  # of a resumed run it may be more, or none
    stopped = patience > 0 and "stopped" in trainer.facts and trainer.facts.get("misses", 0) >= patience
    if trainer.time < trainer.rounds and not stopped:
        return f"resumes {run} at round {trainer.round} of {trainer.rounds}"
    more = f"steps={2 * trainer.rounds}" if not stopped else f"patience={2 * patience}"
    reason = trainer.facts["stopped"] if stopped else f"all {trainer.rounds} rounds are played"
    return f"{run} is finished, {reason}: to go on, bestiary fit --resume {shlex.quote(str(path))} {more}"


def _note_start(plan: Plan, trainer: Trainer, path: Path, warn: Callable[[str], None]) -> None:
    """Write the environment and the recipe, and warn of what has changed since the run began."""
    precision = plan.recipe.precision
    if precision == "bf16" and not has_native_bf16(trainer.device):
        warn(f"precision=bf16 is slower than fp32 here: {trainer.device} does not multiply bf16 natively")
    environment = describe_environment(trainer, precision)
    update_recipe(path, plan)
    warn_of_changes(path, environment, plan.dataset, warn)
    update_env(path, bestiary=__version__, **environment, finished=False)
    note(path, f"begins at round {trainer.round} of {trainer.rounds}: {plan.command}")


def _play_rounds(plan: Plan, trainer: Trainer, path: Path, session: _Session, warn: Callable[[str], None]) -> Ending:
    """Play the rounds, with progress, validations and signs. If the run fails, its folder says why."""
    dimensions = plan.dataset.spec.dimensions if trainer.model.discrete else 0  # bounds in bits per dimension
    validation = Validation(trainer, plan.dataset, path)
    log = partial(note, path) if session.is_writer else lambda text: None
    try:
        # seeded: the caller's random numbers are not changed
        with (
            memory_errors(),
            seeded(0, session.device),
            progress(trainer.rounds, trainer.round, session.quiet, log, session.limit, dimensions) as shown,
        ):
            watch = watch_signs(path, plan, trainer.rounds, shown.show, warn) if session.is_writer else None
            return driver.fit(trainer, path, validation, watch, session.limit, shown.tick)
    except RunFailed as error:
        if session.is_writer:
            note(path, str(error))
            update_env(path, why=str(error), round=trainer.round)
            write_signs(path, plan, trainer.rounds, error.symptom)
        raise


def _write_result(plan: Plan, trainer: Trainer, weights: Mapping[str, Tensor], path: Path, ending: Ending) -> None:
    """Write the weights, the reason of the ending, the signs and the model card."""
    write_atomic(path / MODEL, to_bytes({k: v.to("cpu", copy=True).contiguous() for k, v in weights.items()}))
    seconds = round(ending.seconds, 1)
    update_env(path, seconds=seconds, finished=ending.finished, round=ending.round, why=ending.reason)
    best_round = trainer.facts.get("best_round", inf) if plan.recipe.patience else inf
    write_signs(path, plan, trainer.rounds, until=best_round)
    write_card(path)
    note(path, f"ends at round {ending.round}: {ending.reason}")
    _launch_file(path.parent).unlink(missing_ok=True)


def _resume_advice(plan: Plan, path: Path, ending: Ending, rounds: int) -> str:
    command = f"bestiary fit --resume {shlex.quote(str(path))}"
    if plan.needs_python:
        objects = "".join(f", {k}={type(v).__name__}(…)" for k, v in plan.python_objects.items())
        command = f"bst.fit({'x, ' if plan.data == 'array' else ''}resume={str(path)!r}{objects})"
    return f"{ending.reason} at round {ending.round} of {rounds}; everything is saved. Go on: {command}"
