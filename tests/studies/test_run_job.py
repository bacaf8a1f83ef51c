"""A job's run folder: fitted once, gone on with after a kill, never begun twice."""

import itertools
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bestiary.errors import BestiaryError
from bestiary.runs.run_folder import locked
from bestiary.storage.run_files import read_env
from bestiary.studies import job as module
from bestiary.studies.executor import ResultsMissing, Workers, write_results
from bestiary.studies.job import Job, run_job

OPTIONS = {
    "latent": 2, "hidden": (8,), "batch": 32, "steps": 24, "log": 5, "validate": 8, "save": 8, "keep": 9,
    "precision": "fp32", "average": 0.9,
}  # fmt: skip
JOB = Job("digits", "vae", OPTIONS)
PATIENCE = 20.0  # seconds; no test waits so long unless it fails


def visible(root: Path) -> list[str]:
    """What is in a folder of runs, but for `latest`."""
    return sorted(path.name for path in root.iterdir() if not path.is_symlink())


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a run: when it was written, and what it holds."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    folder = run_job(JOB, tmp_path, device="cpu")
    before = files(folder)
    assert folder == tmp_path / JOB.name
    assert read_env(folder)["finished"]
    again = Job("digits", "vae", {key: str(value) for key, value in OPTIONS.items()})
    assert run_job(again, tmp_path, device="cpu") == folder
    assert files(folder) == before
    assert visible(tmp_path) == [JOB.name]


def die_before_checkpoint(number: int) -> None:
    """From now on this process kills itself where it would put that checkpoint into its place."""
    counter = itertools.count(1)

    def deadly(move: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Any, target: Any, **options: Any) -> None:
            if Path(target).parent.name == "checkpoints" and next(counter) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            move(source, target, **options)

        return moved

    os.rename, os.replace = deadly(os.rename), deadly(os.replace)


def play(job: Job, root: Path, deadly: bool = False) -> dict[str, str]:
    if deadly:
        die_before_checkpoint(2)
    return {"run": run_job(job, root, device="cpu").name}


def test_a_killed_worker_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """Killed between its first checkpoint and its second; the work beside it is done, and what was killed goes on."""
    root, other = tmp_path / "runs", Job("ring", "vae", OPTIONS)
    folder, first = root / JOB.name, f"checkpoints/{8:08d}/state.safetensors"
    killed, beside = tmp_path / "killed.json", tmp_path / "beside.json"
    with Workers(1) as workers:
        with pytest.raises(ResultsMissing) as raised:
            write_results(play, {killed: (JOB, root, True), beside: (other, root)}, workers)
        assert {file: failure.kind for file, failure in raised.value.failures.items()} == {killed: "WorkerKilled"}
        assert beside.is_file()
        before = files(folder)
        assert not read_env(folder)["finished"]
        assert [name for name in before if name.endswith("state.safetensors") and "/." not in name] == [first]
        write_results(play, {killed: (JOB, root), beside: (other, root)}, workers)
    after, whole = files(folder), files(run_job(JOB, tmp_path / "whole", device="cpu"))
    assert after[first] == before[first]
    for name in ("model.safetensors", "journal.jsonl"):
        assert after[name][1] == whole[name][1], name
    assert visible(root) == sorted((JOB.name, other.name))


def test_a_run_killed_before_its_config_is_begun_again_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / JOB.name
    folder.mkdir()
    (folder / ".config.toml.part").write_text("command = ")
    assert run_job(JOB, tmp_path, device="cpu") == folder
    assert visible(tmp_path) == [JOB.name]


def test_a_folder_of_other_files_is_not_touched(tmp_path: Path) -> None:
    notes = tmp_path / JOB.name / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(BestiaryError, match=r"holds no config\.toml"):
        run_job(JOB, tmp_path, device="cpu")
    assert notes.read_text() == "mine"


def finish(folder: Path) -> None:
    """What is left of a fit that has ended, as far as a job looks at it."""
    folder.mkdir()
    (folder / "env.json").write_text('{"finished": true}')


def test_who_is_handed_a_job_that_another_runs_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first is held in the middle of its fit until the second is seen to wait."""
    fitting, waiting = threading.Event(), threading.Event()
    fits: list[str] = []

    def fit(source: str, model: str, *, name: str, root: Path, **options: Any) -> None:
        fits.append(name)
        fitting.set()
        assert waiting.wait(PATIENCE)
        finish(root / name)

    sleep = module.time.sleep
    monkeypatch.setattr(module, "fit", fit)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: (waiting.set(), sleep(0.01)))
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(run_job(JOB, tmp_path))) for _ in range(2)]
    threads[0].start()
    assert fitting.wait(PATIENCE)
    threads[1].start()
    for thread in threads:
        thread.join(PATIENCE)
    assert folders == [tmp_path / JOB.name] * 2
    assert fits == [JOB.name]
    assert visible(tmp_path) == [JOB.name]
    assert "waiting: another process holds" in capsys.readouterr().err


def test_a_lock_that_is_removed_before_it_is_taken_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process that ran the job ends between our two lines."""
    looks: list[Path] = []

    def vanishing(lock: Path) -> AbstractContextManager[None]:
        looks.append(lock)
        if len(looks) == 1:
            lock.unlink()
        return locked(lock)

    monkeypatch.setattr(module, "locked", vanishing)
    monkeypatch.setattr(module, "fit", lambda *given, name, root, **options: finish(root / name))
    assert run_job(JOB, tmp_path) == tmp_path / JOB.name
    assert len(looks) == 2


def test_what_a_fit_refuses_is_raised_and_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda seconds: pytest.fail("it waits"))
    for _ in range(2):
        with pytest.raises(BestiaryError, match="did you mean `vae`"):
            run_job(Job("digits", "vea", {}), tmp_path)


def test_a_file_in_the_place_of_the_root_is_said_in_words(tmp_path: Path) -> None:
    file = tmp_path / "runs"
    file.touch()
    with pytest.raises(BestiaryError, match="cannot write"):
        run_job(JOB, file)
