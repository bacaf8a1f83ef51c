"""Fit: from a line of words to a run folder that nothing can take away.

    plan → run folder → trainer → the loop → weights, model card

A new run never touches an old one. `resume` goes on with an old one, from its own config, where its newest whole
checkpoint stands. Under torchrun every process comes through here; the first writes, all play.
"""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes

from bestiary.data.batches import Batches, model_units, stored_units
from bestiary.data.dataset import Dataset
from bestiary.data.picture import write_picture
from bestiary.errors import BestiaryError
from bestiary.models.model import Model
from bestiary.models.zoo import build
from bestiary.runs.card import write_card
from bestiary.runs.fitted import options_of
from bestiary.runs.folder import create, find, note, read_config, update_env, write_config
from bestiary.runs.limits import seconds_of
from bestiary.runs.plan import Plan, is_part, plan
from bestiary.runs.progress import progress
from bestiary.runs.run import Run
from bestiary.training.checkpoint import write_atomic
from bestiary.training.clock import mix
from bestiary.training.device import choose_device, choose_precision, keep_memory, seeded
from bestiary.training.fit import Ending, RunFailed
from bestiary.training.fit import fit as play
from bestiary.training.fit import resume as go_back
from bestiary.training.parallel import Team, join, under_torchrun
from bestiary.training.recipe import Recipe
from bestiary.training.trainer import Trainer
from bestiary.version import __version__

__all__ = ["Interrupted", "fit"]

VALIDATION_EXAMPLES = 1000  # of the validation part, for the bound that is watched while fitting


class Interrupted(BestiaryError):
    """A run that a person stopped; it can go on."""


def fit(
    data: Any = None,
    model: str | None = None,
    *,
    name: str | None = None,
    root: str | Path = "runs",
    resume: str | Path | None = None,
    device: str = "auto",
    nproc: int = 1,
    parallel: str = "ddp",
    time_limit: str | float | None = None,
    quiet: bool = False,
    graphs: bool = True,
    **options: Any,
) -> Run:
    """Fit a model to data; the run, with its folder.

    `data`: a name, a path, an array, or a whole `Plan`; `model`: a name of the zoo; `options`: keys of the data, the
    model and the recipe. `graphs=False` plays eagerly on CUDA. `nproc` belongs to the command line: under torchrun it is the world's.
    """
    if nproc > 1 and not under_torchrun():
        raise BestiaryError(
            f"nproc={nproc}: several processes are started from the command line, bestiary fit … --nproc {nproc}"
        )
    limit = seconds_of(time_limit)
    where, kind = choose_device(device), parallel
    team, where = join(where, kind)
    if resume is not None:
        path = find(resume, root)
        what = _planned(path, data, model, options)
    else:
        what = data if isinstance(data, Plan) else _asked(data, model, options)
        path = _folder(what, Path(root), name, team)
    return _run(
        what,
        path,
        where,
        team,
        limit,
        quiet or team.rank > 0,
        graphs,
        data if what.data == "array" else None,
    )


def _asked(data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    if data is None or model is None:
        raise BestiaryError("fit needs data and a model: bestiary fit digits vae")
    return plan(data, model, options)


def _planned(path: Path, data: Any, model: str | None, options: Mapping[str, Any]) -> Plan:
    """The plan of a run that is to go on: its own config; only how long it goes on may change."""
    config = read_config(path)
    asked = {k: v for k, v in options.items() if not is_part(v)}
    parts = {k: v for k, v in options.items() if is_part(v)}
    fixed = set(asked) - {"steps", "patience", "log", "validate", "save", "keep"}
    if fixed or model not in (None, config["model"]["name"]):
        what = sorted(fixed) or [str(model)]
        raise BestiaryError(
            f"--resume goes on with the run's own config; {', '.join(what)} cannot change. Start a new run"
        )
    source = config["data"].pop("source")
    if source == "array" and data is None:
        raise BestiaryError("this run was fitted to an array given from Python: give it again, bst.fit(x, resume=run)")
    training = {**config["training"], **asked}
    training.pop("seed"), training.pop("epochs", None)
    keys = {f"data.{k}": v for k, v in config["data"].items()}
    keys |= {f"model.{k}": v for k, v in options_of(config, parts).items()} | {
        f"training.{k}": v for k, v in training.items()
    }
    keys["training.seed"] = config["training"]["seed"]
    return plan(data if source == "array" else source, config["model"]["name"], keys)


def _folder(what: Plan, root: Path, name: str | None, team: Team) -> Path:
    """A new folder; under torchrun the one this launch has made already, if a worker was restarted."""
    import os

    mark = root / f".launch-{os.environ.get('TORCHELASTIC_RUN_ID', '')}"
    if team.world == 1 and not under_torchrun():
        path = create(root, what.data, what.model, name)
        write_config(path, what.config())
        return path
    if team.rank == 0 and not mark.exists():
        path = create(root, what.data, what.model, name)
        write_config(path, what.config())
        write_atomic(mark, path.name)
    team.wait()
    return root / mark.read_text()


def _run(
    what: Plan, path: Path, device: torch.device, team: Team, limit: float | None,
    quiet: bool, graphs: bool, data: Any,
) -> Run:  # fmt: skip
    """Play, then write down what there is to keep."""

    def warn(message: str) -> None:
        note(path, message)
        if not quiet:
            import sys

            print(message, file=sys.stderr)

    keep_memory()
    precision = choose_precision(what.recipe.precision, device)
    trainer = _trainer(what, device, precision, team, graphs, warn)
    first = team.rank == 0
    go_back(trainer, path, warn)
    facts = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "precision": precision,
        "processes": team.world,
        "rounds": trainer.rounds,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
    }
    if first:
        _same_threads(path, facts, warn)
        update_env(path, bestiary=__version__, **facts, finished=False)
        note(path, f"begins at round {trainer.round} of {trainer.rounds}: {what.command}")
    validate = _validator(trainer, what.dataset, path)
    bits = what.dataset.spec.dimensions if what.dataset.spec.levels else 0
    try:
        with progress(trainer.rounds, trainer.round, quiet, bits) as show:
            ending = play(trainer, path, validate, show, limit)
    except RunFailed as error:
        if first:
            note(path, str(error))
            update_env(path, why=str(error), round=trainer.round)
        raise
    weights = trainer.weights()
    if first:
        write_atomic(path / "model.safetensors", to_bytes({k: v.cpu().contiguous() for k, v in weights.items()}))
        update_env(
            path,
            seconds=round(ending.seconds, 1),
            finished=ending.finished,
            round=ending.round,
            why=ending.why,
        )
        write_card(path)
        note(path, f"ends at round {ending.round}: {ending.why}")
    team.wait()
    if ending.why == "interrupted":
        raise Interrupted(_how_to_go_on(path, ending, trainer.rounds))
    if not quiet and not ending.finished:
        warn(_how_to_go_on(path, ending, trainer.rounds))
    return Run(path, data, str(device), **{k: what.model_options[k] for k in what.parts})


def _how_to_go_on(path: Path, ending: Ending, rounds: int) -> str:
    return f"{ending.why} at round {ending.round} of {rounds}; everything is saved. Go on: bestiary fit --resume {path}"


def _trainer(
    what: Plan, device: torch.device, precision: str, team: Team, graphs: bool, warn: Callable[[str], None]
) -> Trainer:
    """Model, batches and players, seeded."""
    recipe: Recipe = what.recipe
    with seeded(mix(recipe.seed, "weights")):
        model: Model = build(what.model, what.dataset.spec, **what.model_options)
    layout = torch.channels_last if what.dataset.spec.kind == "image" else torch.contiguous_format
    model.to(device)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    team.shard(model)
    batches = Batches(what.dataset, recipe.batch, recipe.seed, device, team.rank, team.world)
    return Trainer(model, model.players(), batches, recipe, precision, team, graphs, warn)


def _validator(trainer: Trainer, dataset: Dataset, path: Path) -> Callable[[], dict[str, float]]:
    """What happens at a validation: a picture of samples, and the bound where the model has one."""
    seed, device, spec = trainer.recipe.seed, trainer.device, dataset.spec
    rows = dataset.parts["validation"][:VALIDATION_EXAMPLES]
    stored = torch.as_tensor(dataset.stored[rows].copy())

    def validate() -> dict[str, float]:
        with trainer.judged() as judged:
            model: Any = judged
            with seeded(mix(seed, "picture"), device):
                samples = stored_units(model.sample(64), spec).cpu().numpy()
            numbers: dict[str, float] = {}
            if "bound" in model.abilities:
                with seeded(mix(seed, "validation"), device):
                    bounds = [model.bound(model.observe(model_units(s.to(device), spec)), 1) for s in stored.split(250)]
                values = torch.cat(bounds)
                half = 1.96 * float(values.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0
                bound = float(values.mean())
                numbers = {"bound": bound, "low": bound - half, "high": bound + half}
        if trainer.team.rank == 0:
            (path / "samples").mkdir(exist_ok=True)
            write_picture(path / "samples" / f"round-{trainer.round:08d}.png", samples, spec)
        return numbers

    return validate


def _processor() -> str:
    return str(torch.cpu.get_capabilities().get("cpu_name", "")) or platform.processor()


def _same_threads(path: Path, facts: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Sums are added up in another order with another number of threads: say so when a run goes on."""
    import json

    file = path / "env.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    changed = [
        k for k in ("threads", "torch", "device", "precision", "processes") if k in before and before[k] != facts[k]
    ]
    if changed:
        what = ", ".join(f"{k} was {before[k]}, is {facts[k]}" for k in changed)
        warn(f"goes on where it stood, but not bit by bit as if never stopped: {what}")
