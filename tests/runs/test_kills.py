"""A run killed by SIGKILL at any moment and resumed ends with the bits of one that was never stopped.

The victims are forked from a server that has torch imported already. The moments are drawn from a fixed seed; which
line of code each falls on is up to the machine, and the result must not be.
"""

import multiprocessing as mp
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

SMALL = {"steps": 60, "batch": 32, "log": 7, "validate": 20, "save": 10}
KINDS = {
    "vae": {"latent": 4, "hidden": (32,), "average": 0.9, "beta": "linear(0,1,40)"},
    "dcgan": {"latent": 8, "width": 8, "critic_turns": 2},
    "wgan-gp": {"latent": 8, "width": 8, "history": 0.1, "lazy": 3, "noise": "linear(0.2,0,40)", "minibatch": 4},
}


def victim(root: Path, resume: bool, model: str, options: dict[str, object], moment: float | None) -> None:
    """Fit, or go on fitting; die after `moment` seconds of it. Leaves behind how long it took."""
    import torch

    from bestiary.run import fit

    torch.set_num_threads(1)
    begun = time.monotonic()
    if moment is not None:
        threading.Thread(target=lambda: (time.sleep(moment), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
    if resume:
        fit(resume=root / "run", root=root, quiet=True)
    else:
        fit("digits", model, name="run", root=root, quiet=True, device="cpu", **options)
    (root / "took").write_text(str(time.monotonic() - begun))


def play(root: Path, model: str, options: dict[str, object], moment: float | None) -> bool:
    """One life of a run in a process of its own. Whether it came to its end."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["bestiary.runs.fit", "bestiary.data.load", "sklearn.datasets"])
    resume = (root / "run" / "config.toml").exists()
    if not resume and (root / "run").exists():
        (root / "run").rmdir()  # killed before there was anything to resume
    process = context.Process(target=victim, args=(root, resume, model, options, moment))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def kept(root: Path) -> list[bytes]:
    return [(root / "run" / name).read_bytes() for name in ("model.safetensors", "journal.jsonl")]


@pytest.mark.parametrize(
    ("model", "precision", "lives"),
    [
        ("vae", "fp32", 4),
        pytest.param("vae", "bf16", 3, marks=pytest.mark.slow),
        ("dcgan", "fp32", 3),
        pytest.param("dcgan", "bf16", 3, marks=pytest.mark.slow),
        pytest.param("wgan-gp", "fp32", 4, marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_is_never_stopped(tmp_path, model, precision, lives):
    options = {**SMALL, **KINDS[model], "precision": precision}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert play(whole, model, options, None)
    took = float((whole / "took").read_text())
    draw = random.Random(f"{model} {precision}")
    ends = [play(killed, model, options, draw.uniform(0.02, 0.5) * took) for _ in range(lives)]
    assert not all(ends)
    assert ends[-1] or play(killed, model, options, None)
    assert kept(whole) == kept(killed)
