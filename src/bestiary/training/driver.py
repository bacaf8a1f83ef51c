"""The driver of a run: plays rounds; writes journal and checkpoints, validates, and stops in between.

All of its decisions are functions of the round, except for Ctrl-C and time limits. These only decide where a run
pauses: a resumed run continues as if it had never stopped.
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
from bestiary.storage.journal import EMPTY, Journal
from bestiary.storage.run_files import JOURNAL
from bestiary.training.checkpoint import checkpoints, load_latest, save_checkpoint
from bestiary.training.meter import NonFinite
from bestiary.training.trainer import Trainer

__all__ = ["Ending", "RunFailed", "fit", "resume"]

AGREE_EVERY = 5  # rounds between the points where several processes agree whether to pause

Validate = Callable[[], Mapping[str, float]]  # → validation numbers by name
Watch = Callable[[Mapping[str, float]], None]  # called with every line of the journal


class RunFailed(BestiaryError):
    """A run failed because numbers are not finite. `symptom`: the failure in a sentence."""

    def __init__(self, message: str, symptom: str) -> None:
        super().__init__(message)
        self.symptom = symptom


@dataclass(frozen=True)
class Ending:
    """The reason why, and the round in which, a run ended."""

    reason: str
    round: int
    finished: bool  # whether no rounds are left to play
    seconds: float  # in total, including the time before a resume


@dataclass
class _StopRequest:
    """A request to stop, with its reason; empty if there is none."""

    reason: str = ""


@contextmanager
def _stop_on_signals() -> Iterator[_StopRequest]:
    """Within the block Ctrl-C and SIGTERM request a stop after the round; a second Ctrl-C raises KeyboardInterrupt."""
    request = _StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.reason and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.reason = "interrupted"

    try:
        previous = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # only the main thread receives signals
        yield request
        return
    try:
        yield request
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)


def resume(trainer: Trainer, folder: Path, warn: Callable[[str], None]) -> None:
    """Restore a trainer from the newest usable checkpoint of a run's folder, and truncate the journal to it.

    Without a checkpoint the trainer stays at its start, and the journal is emptied. Calls `warn` for a torn checkpoint,
    and for a journal that has lost lines, which is marked in the journal too.
    """
    checkpoint = load_latest(folder / "checkpoints", warn)
    if checkpoint is not None:
        trainer.restore(*checkpoint)
    if trainer.team.rank == 0:
        journal = Journal(folder / JOURNAL)
        if gap := journal.rewind(trainer.facts.get("journal", EMPTY)):
            warn(f"{gap}: the run continues at round {trainer.round}, and its curves have a gap before that round")
            journal.append({"round": trainer.round, "gap": gap})


def fit(
    trainer: Trainer,
    folder: Path,
    validate: Validate | None = None,
    watch: Watch | None = None,
    limit: float | None = None,
    tick: Callable[[int], None] = lambda round: None,
) -> Ending:
    """Play the remaining rounds, or until there is a reason to stop.

    validate: called every `recipe.validate` rounds; patience needs its number `bound`. watch: called with each line of
    the journal. limit: seconds after which the run pauses. tick: called with the round after each round. Raises
    RunFailed if numbers are not finite.
    """
    recipe, journal, start = trainer.recipe, Journal(folder / JOURNAL), time.monotonic()
    earlier_seconds = float(trainer.facts.get("seconds", 0))
    is_writer = trainer.team.rank == 0

    def save() -> None:
        trainer.facts["seconds"] = earlier_seconds + time.monotonic() - start
        state = trainer.state()  # every process takes part in gathering it
        if is_writer:
            trainer.facts["journal"] = journal.sync()
            facts = {"names": trainer.names, "driver": trainer.facts}
            save_checkpoint(folder / "checkpoints", trainer.round, state, facts, recipe.keep)

    def write(line: Mapping[str, float]) -> None:
        if is_writer:
            journal.append(line)
        if watch is not None:
            watch(line)

    trainer.train_mode()
    reason = _earlier_stop(trainer)
    with _stop_on_signals() as request:
        try:
            while trainer.time < trainer.rounds and not reason:
                trainer.play(trainer.round)
                round, stage_ends = trainer.round, any(trainer.time == s.rounds.stop for s in trainer.stages)
                tick(round)
                if logs := round % recipe.log == 0 or stage_ends:
                    write(trainer.line())
                if validate is not None and recipe.validate and (round % recipe.validate == 0 or stage_ends):
                    numbers = _validation_numbers(trainer, validate)
                    if numbers:
                        write({"round": round, **{f"validation.{k}": v for k, v in numbers.items()}})
                    reason = _early_stop(trainer, numbers)
                    if reason and trainer.end_stage():  # patience ends the stage, and the next stage begins
                        reason, stage_ends = "", True
                if trainer.team.world == 1 or round % AGREE_EVERY == 0 or logs:
                    late = limit is not None and time.monotonic() - start > limit
                    reason = reason or _agree_to_pause(trainer, "time limit" if late else request.reason)
                if reason or (recipe.save and round % recipe.save == 0) or stage_ends:
                    save()
        except NonFinite as error:
            raise _failure(error, folder) from error
    finished = trainer.time >= trainer.rounds or bool(trainer.facts.get("stopped"))
    seconds = earlier_seconds + time.monotonic() - start
    return Ending(reason or "all rounds played", trainer.round, finished, seconds)


def _earlier_stop(trainer: Trainer) -> str:
    """The reason why an earlier session stopped early; empty if the resumed run has more patience."""
    patience = trainer.recipe.patience
    if trainer.facts.get("misses", 0) < patience or not patience:
        trainer.facts.pop("stopped", None)
    return str(trainer.facts.get("stopped", ""))


def _failure(error: NonFinite, folder: Path) -> RunFailed:
    """What has failed, where the last good checkpoint is, and what to try."""
    last = checkpoints(folder / "checkpoints")
    where = f"the last good checkpoint is {last[-1]}" if last else "there is no checkpoint"
    symptom = f"the run has failed: {error}"
    return RunFailed(f"{symptom}; {where}. Try a smaller lr, or clip=1.", symptom)


def _validation_numbers(trainer: Trainer, validate: Validate) -> dict[str, float]:
    """The validation numbers, averaged over all processes. Raises NonFinite if the bound is not finite."""
    numbers = trainer.team.mean(dict(validate()))
    if not isfinite(numbers.get("bound", 0.0)):
        raise NonFinite("validation", "bound", trainer.round, numbers["bound"])
    return numbers


def _agree_to_pause(trainer: Trainer, reason: str) -> str:
    """The reason to pause, if any process has one; the same answer, empty or not, on all processes."""
    return (reason or "another process paused") if trainer.team.any(bool(reason)) else ""


def _early_stop(trainer: Trainer, numbers: Mapping[str, float]) -> str:
    """Keep the weights of the best bound; return a reason to stop if `patience` validations in a row are no better."""
    patience, facts = trainer.recipe.patience, trainer.facts
    if not patience or "bound" not in numbers:
        return ""
    if numbers["bound"] > facts.get("best", float("-inf")):
        facts["best"], facts["best_round"], facts["misses"] = numbers["bound"], trainer.round, 0
        trainer.keep_best()
        return ""
    facts["misses"] += 1
    if facts["misses"] < patience:
        return ""
    facts["stopped"] = f"early stop: no better validation bound since round {facts['best_round']}"
    return str(facts["stopped"])
