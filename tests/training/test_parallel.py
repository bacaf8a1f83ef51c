"""One process equals two: the same losses within rounding, for a VAE and for a GAN with BatchNorm, by DDP and FSDP2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bestiary.cli.app import main

RUN = {
    "vae": "latent=4 hidden=32 average=0.9",
    "dcgan": "latent=8 width=8",
    "wgan-gp": "latent=4 network=mlp hidden=32 critic_turns=2",
    "wgan": "latent=4 network=mlp hidden=32 critic_turns=2 history=0.1 matching=1",
}


Lines = list[dict[str, float]]


def fit(root: Path, model: str, nproc: int, parallel: str = "ddp", **environ: str) -> Lines:
    words = f"fit digits {model} {RUN[model]} steps=12 batch=32 log=3 validate=4 save=5".split()
    flags = ["--runs", str(root), "--name", "run", "--device", "cpu", "--parallel", parallel, "--quiet"]
    if nproc == 1:
        assert main([*words, *flags]) == 0
        return lines(root)
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
    command = [sys.executable, "-m", "bestiary", *words, *flags, "--nproc", str(nproc)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return lines(root)


def lines(root: Path) -> Lines:
    return [json.loads(line) for line in (root / "run" / "journal.jsonl").read_text().splitlines()]


def close(one: Lines, two: Lines) -> None:
    assert [line.keys() for line in one] == [line.keys() for line in two]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("model", [pytest.param("vae", marks=pytest.mark.slow), "dcgan"])
def test_two_processes_are_one(tmp_path, model):
    one, two = fit(tmp_path / "one", model, 1), fit(tmp_path / "two", model, 2)
    close(one, two)
    from safetensors.numpy import load_file

    a, b = (load_file(tmp_path / n / "run" / "model.safetensors") for n in ("one", "two"))
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-3, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("model", RUN)
def test_sharded_weights_are_whole_ones(tmp_path, model):
    """Also where a slope is differentiated again, weights are clipped in place, or their past is kept."""
    close(fit(tmp_path / "one", model, 1), fit(tmp_path / "two", model, 2, "fsdp"))


@pytest.mark.slow
def test_two_processes_unroll_one_critic(tmp_path, monkeypatch):
    """Each step that the generator looks ahead is that of the whole batch."""
    monkeypatch.setitem(RUN, "unrolled-gan", "latent=4 network=mlp hidden=32 tricks=unroll(3,rate=0.5) penalty=r1(1)")
    close(fit(tmp_path / "one", "unrolled-gan", 1), fit(tmp_path / "two", "unrolled-gan", 2))


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["unroll=2", "simultaneous=yes"])
def test_what_borrows_weights_is_not_sharded(tmp_path, rule):
    line = f"fit ring ns-gan {rule} steps=2 --nproc 2 --parallel fsdp --runs {tmp_path} --device cpu".split()
    done = subprocess.run([sys.executable, "-m", "bestiary", *line], capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    assert "use --parallel ddp" in done.stderr
    assert "bug" not in done.stderr


KILLER = """
import os, signal, bestiary.training.trainer as t
play = t.Trainer.play
def deadly(self, round):
    play(self, round)
    if round == 8 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
t.Trainer.play = deadly
"""


@pytest.mark.slow
def test_a_killed_worker_restarts_from_the_last_checkpoint(tmp_path):
    """Rank 1 dies at round 9; torchrun starts both again, between two lines of the journal.

    The journal has the same bytes as that of an untroubled run.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'TORCHELASTIC_RUN_ID' in os.environ and 'RANK' in os.environ:\n    import deadly\n"
    )
    (tmp_path / "deadly.py").write_text(KILLER)
    calm = fit(tmp_path / "calm", "vae", 2)
    troubled = fit(tmp_path / "troubled", "vae", 2, PYTHONPATH=str(tmp_path))
    assert calm == troubled
    assert "begins at round 5" in (tmp_path / "troubled" / "run" / "log.txt").read_text()
