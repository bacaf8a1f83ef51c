"""The driver of a run: rounds, and between them the journal, validation, checkpoints, and the reasons to stop.

Everything it decides is a function of the round, save what a person asks for (Ctrl-C, a time limit), and that only
chooses where a run pauses: going on from there gives the run that was never stopped.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import FrameType

from bestiary.errors import BestiaryError
from bestiary.storage.journal import Journal
from bestiary.storage.run_files import JOURNAL
from bestiary.training.checkpoint import checkpoints, load_latest, save_checkpoint
from bestiary.training.meter import NonFinite
from bestiary.training.trainer import Trainer

__all__ = ["Ending", "RunFailed", "fit", "resume"]

AGREED = 5  # rounds between two agreements of several processes on whether to pause

Validate = Callable[[], Mapping[str, float]]
Watch = Callable[[Mapping[str, float]], None]


class RunFailed(BestiaryError):
    """A run that went wrong by itself: numbers that are not finite. `symptom`: what was seen, in a sentence."""

    def __init__(self, message: str, symptom: str) -> None:
        super().__init__(message)
        self.symptom = symptom


@dataclass(frozen=True)
class Ending:
    """Why and where a run ended."""

    why: str
    round: int
    finished: bool  # nothing is left to play
    seconds: float  # over all of its parts


@dataclass
class _Asked:
    """What a person has asked for."""

    stop: str = ""


@contextmanager
def _listening() -> Iterator[_Asked]:
    """Within: Ctrl-C and SIGTERM ask the run to stop after this round; a second Ctrl-C stops it at once."""
    asked = _Asked()

    def heard(number: int, frame: FrameType | None) -> None:
        if asked.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.stop = "interrupted"

    try:
        before = {s: signal.signal(s, heard) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: nobody sends us signals
        yield asked
        return
    try:
        yield asked
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def resume(trainer: Trainer, folder: Path, warn: Callable[[str], None]) -> None:
    """Put a trainer where the newest whole checkpoint of `folder` stands, and cut the journal back to there."""
    found = load_latest(folder / "checkpoints", warn)
    if found is not None:
        trainer.restore(*found)
    if trainer.team.rank == 0:
        Journal(folder / JOURNAL).cut(trainer.facts.get("journal", 0))


def fit(
    trainer: Trainer,
    folder: Path,
    validate: Validate | None = None,
    watch: Watch | None = None,
    limit: float | None = None,
) -> Ending:
    """Play from where the trainer stands to the end, or until there is a reason to stop."""
    recipe, journal, begun = trainer.recipe, Journal(folder / JOURNAL), time.monotonic()
    before = float(trainer.facts.get("seconds", 0))
    first = trainer.team.rank == 0

    def save() -> None:
        trainer.facts["seconds"] = before + time.monotonic() - begun
        state = trainer.state()  # gathered on every process
        if first:
            trainer.facts["journal"] = journal.sync()
            facts = {"names": trainer.names, "driver": trainer.facts}
            save_checkpoint(folder / "checkpoints", trainer.round, state, facts, recipe.keep)

    def write(line: Mapping[str, float]) -> None:
        if first:
            journal.append(line)
        if watch is not None:
            watch(line)

    trainer.train_mode()
    if trainer.facts.get("misses", 0) < recipe.patience or not recipe.patience:
        trainer.facts.pop("stopped", None)  # a resumed run may be more patient than it was
    why = str(trainer.facts.get("stopped", ""))
    with _listening() as asked:
        try:
            while trainer.time < trainer.rounds and not why:
                trainer.play(trainer.round)
                done, ends = trainer.round, any(trainer.time == stage.rounds.stop for stage in trainer.stages)
                if logs := done % recipe.log == 0 or ends:
                    write(trainer.line())
                if validate is not None and recipe.validate and (done % recipe.validate == 0 or ends):
                    numbers = trainer.team.mean(dict(validate()))
                    if not isfinite(numbers.get("bound", 0.0)):
                        raise NonFinite("validation", "bound", done, numbers["bound"])
                    if numbers:
                        write({"round": done, **{f"validation.{k}": v for k, v in numbers.items()}})
                    why = _patience(trainer, numbers)
                    if why and trainer.end_stage():  # patience ends a stage, and the next one begins
                        why, ends = "", True
                if trainer.team.world == 1 or done % AGREED == 0 or logs:  # several processes agree on a pause
                    late = limit is not None and time.monotonic() - begun > limit
                    why = why or _pause(trainer, "time limit" if late else asked.stop)
                if why or (recipe.save and done % recipe.save == 0) or ends:
                    save()
        except NonFinite as error:
            last = checkpoints(folder / "checkpoints")
            where = f"the last good checkpoint is {last[-1]}" if last else "no checkpoint was made before it"
            symptom = f"the run has failed: {error}"
            raise RunFailed(f"{symptom}; {where}. Try a smaller lr, or clip=1.", symptom) from error
    finished = trainer.time >= trainer.rounds or bool(trainer.facts.get("stopped"))
    seconds = before + time.monotonic() - begun
    return Ending(why or "all rounds played", trainer.round, finished, seconds)


def _pause(trainer: Trainer, wish: str) -> str:
    """A wish to pause, agreed on by all processes."""
    return (wish or "another process paused") if trainer.team.any(bool(wish)) else ""


def _patience(trainer: Trainer, numbers: Mapping[str, float]) -> str:
    """Keep the best weights; a reason to stop once the bound has not improved for `patience` validations."""
    patience, facts = trainer.recipe.patience, trainer.facts
    if not patience or "bound" not in numbers:
        return ""
    if numbers["bound"] > facts.get("best", float("-inf")):
        facts["best"], facts["best_round"], facts["misses"] = numbers["bound"], trainer.round, 0
        trainer.remember()
        return ""
    facts["misses"] += 1
    if facts["misses"] < patience:
        return ""
    facts["stopped"] = f"early stop: no better validation bound since round {facts['best_round']}"
    return str(facts["stopped"])
