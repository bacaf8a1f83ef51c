"""The signs of a run: printed when they appear or disappear while it is fitted, and written to signs.json at its end.

The signs at the end are read from the journal, so that a resumed run has those of all its rounds.
"""

import shlex
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path

from bestiary.grammar.command_line import format_words
from bestiary.models.tricks.table import trick_options
from bestiary.runs.plan import MACHINE_OPTIONS, Plan
from bestiary.signs.sign import RunHistory, read_history
from bestiary.signs.signs import diagnose
from bestiary.storage import run_files
from bestiary.storage.run_files import JOURNAL, read_env

__all__ = ["load_history", "remedy_command", "watch_signs", "write_signs"]

Show = Callable[[Mapping[str, float]], None]


def remedy_command(plan: Plan, options: Mapping[str, str]) -> str:
    """The command of the run with a remedy's options in it."""
    if plan.needs_python:
        return f"bst.fit(…, {', '.join(f'{k}={v!r}' for k, v in options.items())})"
    # what the machine decides depends on the size of the model too, which the remedy may change
    kept = {k: v for k, v in plan.command_options.items() if k not in MACHINE_OPTIONS or k not in plan.inferred}
    return f"bestiary fit {shlex.quote(plan.data)} {plan.model} {format_words({**kept, **options})}"


def watch_signs(run: Path, plan: Plan, rounds: int, show: Show, warn: Callable[[str], None]) -> Show:
    """A function of a journal line that shows it, and after a validation warns of signs that are new or gone."""
    history, present = load_history(run, plan, rounds), set[str]()

    def watch(line: Mapping[str, float]) -> None:
        show(line)
        history.add(line)
        if not any(key.startswith("validation.") for key in line):
            return
        signs = {sign.name: sign for sign in diagnose(history)}
        for name in signs.keys() - present:
            remedy = signs[name].remedies[0]
            command = f": {remedy_command(plan, remedy.options)}" if remedy.options else ""
            warn(f"round {history.round}: {signs[name].message}. Remedy: {remedy.advice}{command}")
        for name in present - signs.keys():
            warn(f"round {history.round}: {name} is gone")
        present.clear()
        present.update(signs)

    return watch


def write_signs(run: Path, plan: Plan, rounds: int, failure: str = "", until: float = inf) -> None:
    """Write signs.json. failure: why the run failed, if it did. until: the round of the weights that are kept."""
    history = load_history(run, plan, rounds, failure, until)
    signs = [sign.to_dict(history.round, lambda options: remedy_command(plan, options)) for sign in diagnose(history)]
    run_files.write_signs(run, signs)


def load_history(run: Path, plan: Plan, rounds: int, failure: str = "", until: float = inf) -> RunHistory:
    """The history of a run from its journal, up to the round `until`."""
    main = read_env(run).get("main", [])
    tricks = trick_options(plan.model_options.get("tricks"))
    options = {**plan.model_options, **tricks, **plan.recipe.to_dict(), "examples": len(plan.dataset.parts["train"])}
    return read_history(run / JOURNAL, rounds, options, failure, plan.dataset.spec.x.is_spatial, until, main)
