"""The number of CPU threads: what the machine gives, what a batch is worth, what a person asks for."""

import os
import subprocess
import sys

import pytest
import torch

from bestiary.run import fit
from bestiary.storage.run_files import read_config, read_env
from bestiary.training.device import SMALL_BATCH, available_processors, infer_threads, use_threads


@pytest.mark.parametrize(("quota", "count"), [("max 100000", 8), ("100000 100000", 1), ("50000 100000", 1), ("?", 8)])
def test_a_quota_of_processor_time_counts(tmp_path, monkeypatch, quota, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(quota)
    assert available_processors(tmp_path / "cpu.max") == count
    assert available_processors(tmp_path / "absent") == 8


def test_small_batches_take_one_thread_and_processes_share(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr("bestiary.training.device.available_processors", lambda: 4)
    assert infer_threads(SMALL_BATCH - 1)[0] == 1
    assert infer_threads(SMALL_BATCH) == (4, "this machine gives 4 processors")
    assert infer_threads(SMALL_BATCH, processes=2)[0] == 2
    assert infer_threads(SMALL_BATCH, processes=9)[0] == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert infer_threads(SMALL_BATCH)[1] == "OMP_NUM_THREADS is 3"


def test_the_threads_are_given_back():
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with use_threads(None):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_a_run_keeps_its_threads_and_may_change_them(tmp_path, monkeypatch):
    """They decide the last digits of sums, so config.toml has them, and a resumed run takes them from there."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = fit("ring", "vae", steps=4, hidden=(8,), validate=0, threads=2, root=tmp_path, quiet=True)
    assert (read_config(run.path)["training"]["threads"], read_env(run.path)["threads"]) == (2, 2)
    again = fit(resume=run.path, steps=6, quiet=True)
    assert read_env(again.path)["threads"] == 2
    more = fit(resume=run.path, steps=8, threads=1, quiet=True)
    assert read_env(more.path)["threads"] == 1
    assert "threads was 2, is 1" in (run.path / "log.txt").read_text()


def test_threads_wait_asleep():
    """OpenMP reads the policy when torch is loaded: the package sets it before, and leaves a person's own choice."""
    code = "import os, sys, bestiary; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    for more, policy in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        done = subprocess.run([sys.executable, "-c", code], env=env | more, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [policy, "False"]
