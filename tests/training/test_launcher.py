"""Several processes end as one does: Ctrl-C saves and exits with 130, a failure has one message and no traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bestiary.run import load
from bestiary.training.checkpoint import checkpoints


def start(root: Path, *options: str) -> subprocess.Popen[str]:
    words = ["fit", "ring", "vae", "hidden=8", "validate=0", *options, "--nproc", "2", "--runs", str(root)]
    command = [sys.executable, "-m", "bestiary", *words, "--device", "cpu", "--name", "run"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(text: str, log: Path, process: subprocess.Popen[str]) -> None:
    """Until the log has the text; a process that ends before fails the test."""
    while not (log.is_file() and text in log.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    process = start(tmp_path, "steps=1000000")
    wait_for("begins at round 0", tmp_path / "run" / "log.txt", process)
    time.sleep(1.0)  # into the loop, or shortly before it: both end well
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Go on: bestiary fit --resume" in err
    assert len(err.splitlines()) < 15
    assert load(tmp_path / "run").config["training"]["steps"] == 1_000_000
    assert len(checkpoints(tmp_path / "run" / "checkpoints")) >= 1


@pytest.mark.slow
def test_the_status_is_that_of_the_process_that_failed(tmp_path):
    (tmp_path / "fails.py").write_text("import sys; sys.exit(3)")
    words = ["--standalone", "--nproc-per-node=1", "--max-restarts=0", str(tmp_path / "fails.py")]
    command = [sys.executable, "-m", "bestiary.training.launcher", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
