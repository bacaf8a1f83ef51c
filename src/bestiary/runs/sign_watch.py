"""Signs while a run is fitted and after it: told once when they appear and once when they are gone, kept in signs.json.

What is written at the end is read from the journal, so that a resumed run has the signs of its whole life.
"""

import shlex
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path

from bestiary.grammar.command_line import format_words
from bestiary.models.tricks.table import trick_options
from bestiary.runs.plan import Plan
from bestiary.signs.sign import RunHistory, read_history
from bestiary.signs.signs import diagnose
from bestiary.storage import run_files as storage
from bestiary.storage.run_files import JOURNAL, read_env

__all__ = ["watch_signs", "write_signs"]

Show = Callable[[Mapping[str, float]], None]


def remedy_command(plan: Plan, options: Mapping[str, str]) -> str:
    """The run's own command with a remedy's options in it."""
    if plan.needs_python:
        return f"bst.fit(…, {', '.join(f'{k}={v!r}' for k, v in options.items())})"
    options_so_far = {
        k: v for k, v in plan.command_options.items() if k != "precision" or k not in plan.inferred
    }  # of a model of this size
    return f"bestiary fit {shlex.quote(plan.data)} {plan.model} {format_words({**options_so_far, **options})}"


def watch_signs(path: Path, plan: Plan, rounds: int, show: Show, say: Callable[[str], None]) -> Show:
    """A function that shows a line of the journal and tells which signs it brought or took away."""
    history, present = _history(path, plan, rounds), set[str]()

    def watch(line: Mapping[str, float]) -> None:
        show(line)
        history.add(line)
        if not any(key.startswith("validation.") for key in line):
            return
        signs = {sign.name: sign for sign in diagnose(history)}
        for name in signs.keys() - present:
            remedy = signs[name].remedies[0]
            command = remedy_command(plan, remedy.options)
            say(f"round {history.round}: {signs[name].message}. Remedy: {remedy.advice}: {command}")
        for name in present - signs.keys():
            say(f"round {history.round}: {name} is gone")
        present.clear()
        present.update(signs)

    return watch


def write_signs(path: Path, plan: Plan, rounds: int, failure: str = "", until: float = inf) -> None:
    """signs.json: what the journal shows at its end, or at the round whose weights were kept; what made it fail."""
    history = _history(path, plan, rounds, failure, until)
    signs = [sign.to_dict(history.round, lambda options: remedy_command(plan, options)) for sign in diagnose(history)]
    storage.write_signs(path, signs)


def _history(path: Path, plan: Plan, rounds: int, failure: str = "", until: float = inf) -> RunHistory:
    """The history of a run up to the round `until`."""
    main = read_env(path).get("main", [])
    tricks = trick_options(plan.model_options.get("tricks"))
    options = {**plan.model_options, **tricks, **plan.recipe.to_dict(), "examples": len(plan.dataset.parts["train"])}
    return read_history(path / JOURNAL, rounds, options, failure, plan.dataset.spec.x.is_spatial, until, main)
