"""The executor: what is there is not made again, results are whole or absent, and no work harms other work."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from math import isnan, nan, sqrt
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from bestiary.errors import BestiaryError
from bestiary.studies.executor import Failure, ResultsMissing, Workers, write_results

EXECUTORS: dict[str, Callable[[], Executor]] = {
    "a thread": lambda: ThreadPoolExecutor(1),
    "a pool of processes": lambda: ProcessPoolExecutor(2, get_context("spawn")),
    "workers": lambda: Workers(2),
}


def silent(line: str) -> None:
    pass


def root(x: float) -> dict[str, Any]:
    return {"root": sqrt(x), "pid": os.getpid()}


def fail(kind: str) -> dict[str, Any]:
    if kind == "user":
        raise BestiaryError("steps=0 must be positive")
    if kind == "exit":
        sys.exit("stopped")
    if kind == "unsendable":
        raise Unsendable(1, 2)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"result": object()}  # which JSON does not hold


class Unsendable(Exception):
    """An exception that `pickle` cannot make again from its message."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def play(x: float, kind: str = "") -> dict[str, Any]:
    return fail(kind) if kind else root(x)


def holds(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


@pytest.mark.parametrize("name", EXECUTORS)
def test_what_is_missing_is_made_and_what_is_there_is_left(tmp_path: Path, name: str) -> None:
    cases = {tmp_path / f"{x}.json": (x,) for x in (0, 1, 4, 9)}
    there = tmp_path / "4.json"
    there.write_text("by hand")
    with EXECUTORS[name]() as executor:
        write_results(play, cases, executor, progress=silent)
        assert there.read_text() == "by hand"
        assert [holds(tmp_path / f"{x}.json")["root"] for x in (0, 1, 9)] == [0, 1, 3]
        before = {file: file.stat().st_mtime_ns for file in cases}
        write_results(play, cases, executor, progress=silent)
    assert {file: file.stat().st_mtime_ns for file in cases} == before
    assert set(tmp_path.iterdir()) == set(cases)


@pytest.mark.parametrize("name", EXECUTORS)
def test_work_that_fails_is_told_and_leaves_the_rest_alone(tmp_path: Path, name: str) -> None:
    kinds = {"user": "BestiaryError", "exit": "SystemExit", "unsendable": "Unsendable", "object": "TypeError"}
    bad = {tmp_path / f"{kind}.json": (0, kind) for kind in kinds}
    good = {tmp_path / f"{x}.json": (x,) for x in (1, 4, 9, 16)}
    lines: list[str] = []
    with (
        EXECUTORS[name]() as executor,
        pytest.raises(ResultsMissing, match="4 of 8 results could not be made") as raised,
    ):
        write_results(play, bad | good, executor, progress=lines.append)
    failures = raised.value.failures
    assert {file.stem: failure.kind for file, failure in failures.items()} == kinds
    assert set(tmp_path.iterdir()) == set(good)
    assert [holds(file)["root"] for file in good] == [1, 2, 3, 4]
    told = failures[tmp_path / "user.json"]
    assert told == Failure("BestiaryError", "steps=0 must be positive")  # which a person can mend without our lines
    assert "in fail" in failures[tmp_path / "unsendable.json"].traceback
    assert any("user failed: BestiaryError: steps=0 must be positive" in line for line in lines)


def test_a_killed_worker_takes_its_own_work_along_and_no_other(tmp_path: Path) -> None:
    """Two workers, killed three times; a pool of processes would break at the first."""
    bad = {tmp_path / f"killed-{i}.json": (0, "killed") for i in range(3)}
    good = {tmp_path / f"{x}.json": (x,) for x in (1, 4, 9, 16, 25)}
    with Workers(2) as workers, pytest.raises(ResultsMissing) as raised:
        write_results(play, dict(sorted((bad | good).items())), workers, progress=silent)
    assert {file: failure.kind for file, failure in raised.value.failures.items()} == dict.fromkeys(bad, "WorkerKilled")
    assert set(tmp_path.iterdir()) == set(good)


def test_a_worker_killed_while_it_was_idle_is_replaced() -> None:
    with Workers(1) as workers:
        first = workers.submit(os.getpid).result()
        assert workers.submit(os.getpid).result() == first  # a worker does one piece of work after another
        os.kill(first, signal.SIGKILL)
        wait_for_end_of(first)
        assert workers.submit(os.getpid).result() not in (first, os.getpid())


def wait_for_end_of(pid: int) -> None:
    """Until nothing is left of a process: its parent has taken note of its death."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} lives on")


def test_a_line_is_said_for_each_result(tmp_path: Path) -> None:
    (tmp_path / "run-2.json").write_text("{}")
    cases, lines = {tmp_path / f"run-{x}.json": (x,) for x in (2, 4)}, []
    with ThreadPoolExecutor(1) as executor:
        write_results(play, cases, executor, progress=lines.append)
    assert lines == ["1 of 2 results are there", "1/1 run-4 root 2"]


def test_a_file_that_cannot_be_written_is_absent_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the second of three results is flushed."""
    flush, calls = os.fsync, iter(range(6))  # of each result its file, then its folder

    def full(handle: int) -> None:
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, "no space")
        flush(handle)

    monkeypatch.setattr(os, "fsync", full)
    cases = {tmp_path / f"{x}.json": (x,) for x in (1, 4, 9)}
    with ThreadPoolExecutor(1) as executor, pytest.raises(ResultsMissing, match="the disk is full") as raised:
        write_results(play, cases, executor, progress=silent)
    (absent,) = raised.value.failures
    assert set(tmp_path.iterdir()) == set(cases) - {absent}
    assert all("root" in holds(file) for file in set(cases) - {absent})


def test_a_reader_never_sees_half_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file takes its place, all of it is on the disk."""
    file, moves = tmp_path / "1.json", []
    replace = os.replace

    def watched(source: Any, target: Any) -> None:
        moves.append((Path(target), Path(target).exists(), holds(Path(source))["root"]))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    with ThreadPoolExecutor(1) as executor:
        write_results(play, {file: (1,)}, executor, progress=silent)
    assert moves == [(file, False, 1)]


def test_a_number_that_is_none_is_kept_as_such(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        write_results(lambda: {"kl": nan}, {tmp_path / "a.json": ()}, executor, progress=silent)
    assert isnan(holds(tmp_path / "a.json")["kl"])


def test_when_a_person_stops_it_nothing_new_is_begun(tmp_path: Path) -> None:
    stop, begun = threading.Event(), []

    def work(x: int) -> dict[str, int]:
        begun.append(x)
        assert x == 0 or stop.wait(20)
        return {"x": x}

    def interrupt(line: str) -> None:
        if line.startswith("1/"):
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(KeyboardInterrupt):
            write_results(work, {tmp_path / f"{x}.json": (x,) for x in range(5)}, executor, progress=interrupt)
        stop.set()
    assert set(begun) <= {0, 1}  # what was kept, and what the thread had taken up meanwhile
    assert [file.name for file in tmp_path.iterdir()] == ["0.json"]


def threads() -> tuple[int, str]:
    import torch

    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


def test_a_worker_has_one_thread_and_its_parent_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with Workers(1) as workers:
        assert workers.submit(threads).result() == (1, "1")
    assert dict(os.environ) == before


def test_workers_end_when_their_parent_is_killed() -> None:
    """The pipe of the parent's output ends when the last process that holds it does."""
    code = (
        "import os, time; from bestiary.studies.executor import Workers; workers = Workers(1)\n"
        "print(workers.submit(os.getpid).result(), flush=True); workers.submit(time.sleep, 60); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    assert int(parent.stdout.readline()) != parent.pid
    parent.kill()
    parent.communicate(timeout=20)
