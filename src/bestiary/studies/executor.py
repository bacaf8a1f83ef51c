"""Executor: hands work to processes, and keeps each result in a JSON file of its own.

    write_results(function, {file: arguments})      file is there → nothing;  else file ← function(*arguments) as JSON

The work goes to anything that speaks `concurrent.futures.Executor`. A result file is whole or absent, and work that
fails leaves the rest alone, so that the same call made again does what is left. For work that fits, see `run_job`,
which goes on with a run that was killed.
"""

import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

from bestiary.errors import BestiaryError
from bestiary.storage.atomic import atomic

__all__ = ["Failure", "ResultsMissing", "WorkerKilled", "Workers", "write_results"]

T = TypeVar("T")
Result = Mapping[str, Any]

# Libraries read these when they are loaded: they must be set before a process starts.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Failure:
    """Why work gave no result."""

    kind: str  # the type of the exception
    message: str
    traceback: str = ""  # empty where the message says what to mend

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" + (f"\n{self.traceback}" if self.traceback else "")


class ResultsMissing(BestiaryError):
    """Some work failed; the results of all other work are kept. `failures`: the file that is missing → why."""

    def __init__(self, failures: Mapping[Path, Failure], count: int) -> None:
        reasons = "; ".join(f"{file.stem}: {failure.kind}: {failure.message}" for file, failure in failures.items())
        super().__init__(f"{len(failures)} of {count} results could not be made, the others are kept. {reasons}")
        self.failures = failures


class WorkerKilled(BestiaryError):
    """The process that did the work ended before the work did."""


def write_results(
    function: Callable[..., Result],
    cases: Mapping[Path, tuple[Any, ...]],
    executor: Executor | None = None,
    *,
    progress: Callable[[str], object] = partial(print, flush=True),
) -> None:
    """Make the result files that are missing.

    `cases`: file → arguments of `function`, which is defined at the top of a module and returns what JSON holds.
    `executor`: none is `Workers()`. `progress` is given a line for each result and each failure.
    Raises ResultsMissing, after all other work is done, where some failed.
    """
    missing = {file: arguments for file, arguments in cases.items() if not file.is_file()}
    progress(f"{len(cases) - len(missing)} of {len(cases)} results are there")
    failures: dict[Path, Failure] = {}
    with Workers() if executor is None else nullcontext(executor) as workers:
        futures = {workers.submit(_attempt, function, arguments): file for file, arguments in missing.items()}
        try:
            for count, future in enumerate(as_completed(futures), 1):
                file = futures[future]
                outcome = _keep(future, file)
                if isinstance(outcome, Failure):
                    failures[file] = outcome
                progress(f"{count}/{len(missing)} {file.stem} {_line(outcome)}")
        finally:  # when a person stops it, what has not begun is not begun
            for future in futures:
                future.cancel()
    if failures:
        raise ResultsMissing(failures, len(missing))


def _attempt(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result | Failure:
    """The result, or why there is none: as text, since not every exception can be sent from process to process."""
    try:
        return function(*arguments)
    except Exception as error:
        return _failure(error)


def _failure(error: BaseException) -> Failure:
    mendable = isinstance(error, BestiaryError)
    return Failure(type(error).__name__, str(error), "" if mendable else "".join(traceback.format_exception(error)))


def _keep(future: "Future[Result | Failure]", file: Path) -> Result | Failure:
    """The result, once its file is written."""
    refusal = future.exception()
    if refusal is not None:  # of the executor: the worker was killed, or could not be reached
        return _failure(refusal)
    outcome = future.result()
    if isinstance(outcome, Failure):
        return outcome
    try:
        text = json.dumps(outcome, indent=1) + "\n"
        with atomic(file) as stream:
            stream.write(text.encode())
    except Exception as error:  # what JSON does not hold, a full disk: other results may still be kept
        return _failure(error)
    return outcome


def _line(outcome: Result | Failure) -> str:
    """A result's numbers, or that it failed and why."""
    if isinstance(outcome, Failure):
        return f"failed: {outcome}"
    return " ".join(f"{key} {value:.4g}" for key, value in outcome.items() if isinstance(value, float))


class Workers(Executor):
    """Processes of one thread each, as many as asked for or as there are cores; none outlives the one that uses it.

    A `ProcessPoolExecutor` breaks as a whole when one of its processes is killed. So each worker is a pool of one
    process: a kill fails the work in hand, whose future raises `WorkerKilled`, and the next work gets a new process.
    """

    def __init__(self, count: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(count or os.cpu_count() or 1)  # each waits for one process
        self._idle: list[ProcessPoolExecutor] = []

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """The future of `function(*arguments, **options)` in one of the processes."""
        return self._threads.submit(self._run, partial(function, *arguments, **options))

    def _run(self, call: Callable[[], T]) -> T:
        process, future = self._begin(call)
        if isinstance(death := future.exception(), BrokenProcessPool):
            raise WorkerKilled(
                "its process ended before its work did. If it was killed, do it again, with fewer workers where memory"
                " is short: a run goes on from its checkpoint. If it could not import the function (what it printed"
                " says so), define that at the top of a module"
            ) from death
        self._idle.append(process)
        return future.result()

    def _begin(self, call: Callable[[], T]) -> tuple[ProcessPoolExecutor, "Future[T]"]:
        """An idle process, or else a new one, and what it will answer."""
        while self._idle:
            with suppress(IndexError, BrokenProcessPool):  # another thread took the last one; it was killed while idle
                process = self._idle.pop()
                return process, process.submit(call)
        process = _process()
        return process, process.submit(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have done their work; with `cancel_futures` only what they have begun."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        while self._idle:
            self._idle.pop().shutdown(wait)


_starting = Lock()


def _process() -> ProcessPoolExecutor:
    """A pool of one process, started in an environment of one thread."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), _end_with_parent)
    with _starting, _environment(ONE_THREAD):
        pool.submit(int)  # the first piece of work starts the process
    return pool


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within: these variables of the environment, which processes that are started inherit."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """End this process when the one that started it does, however that ends: its work would be nobody's."""
    parent = parent_process()
    assert parent is not None  # it was started by `multiprocessing`

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
