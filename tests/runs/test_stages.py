"""Second stages: later rounds of the same loop, the same checkpoints, the same resume; runs that begin from others."""

import json
import multiprocessing as mp
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import bestiary as bst
from bestiary.data.spec import pictures
from bestiary.errors import BestiaryError
from bestiary.models.frozen import Frozen
from bestiary.models.zoo import build
from bestiary.training.trainer import Trainer
from tests.runs.tiny import tiny
from tests.training.test_parallel import RUN, close
from tests.training.test_parallel import fit as fit_by_command

FIRST = "vae(latent=3,hidden=(16,))"
STAGED = {
    "first": FIRST,
    "prior": "mixture(4)",
    "until": 20,
    "steps": 40,
    "batch": 32,
    "log": 7,
    "validate": 10,
    "save": 10,
}


def victim(root: Path, options: dict[str, object], last: int | None) -> None:
    """Fit, or go on fitting; die by SIGKILL once round `last` is played."""
    torch.set_num_threads(1)
    play = Trainer.play

    def deadly(self: Trainer, round: int) -> None:
        play(self, round)
        if round == last:
            os.kill(os.getpid(), signal.SIGKILL)

    Trainer.play = deadly
    if (root / "run" / "config.toml").exists():
        bst.fit(resume=root / "run", root=root, quiet=True)
    else:
        bst.fit("digits", "two-stage", name="run", root=root, quiet=True, device="cpu", **options)


def live(root: Path, options: dict[str, object], last: int | None = None) -> int:
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["bestiary.runs.fit", "bestiary.data.load", "sklearn.datasets"])
    process = context.Process(target=victim, args=(root, options, last))
    process.start()
    process.join()
    return process.exitcode or 0


def kept(root: Path) -> list[bytes]:
    return [(root / "run" / name).read_bytes() for name in ("model.safetensors", "journal.jsonl")]


@pytest.mark.parametrize(
    ("more", "lasts"),  # the last before the boundary, which is saved; the first after it; others
    [({"average": 0.9}, (12, 20, 26)), ({"patience": 1, "validate": 4}, (12, 20))],
    ids=["averaged", "patient"],
)
def test_killed_before_at_and_after_the_boundary(
    tmp_path: Path, more: dict[str, object], lasts: tuple[int, ...]
) -> None:
    options = {**STAGED, **more}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert live(whole, options) == 0
    for last in lasts:
        assert live(killed, options, last) in (-signal.SIGKILL, 0)
    assert live(killed, options) == 0
    assert kept(whole) == kept(killed)


def _first(path: Path) -> dict[str, np.ndarray]:
    return {k: v for k, v in load_file(path).items() if k.startswith(("first.", "model/first."))}


def test_a_finished_stage_stands_still(tmp_path: Path) -> None:
    """Its weights become the averaged ones at the boundary, and neither they nor its moments move after it."""
    run = tiny(tmp_path, "digits", "two-stage", **{**STAGED, "average": 0.9, "keep": 9, "first": FIRST})
    at = {n: _first(run.path / "checkpoints" / f"{n:08d}" / "state.safetensors") for n in (20, 30, 40)}
    averages = load_file(run.path / "checkpoints" / "00000020" / "state.safetensors")
    assert all(np.array_equal(at[30][k], at[40][k]) for k in at[30])
    moved = [k for k in at[20] if not np.array_equal(at[20][k], at[30][k])]
    assert moved, "the averages are copied in when the second stage begins"
    for key in moved:
        assert any(np.array_equal(at[30][key], averages[k]) for k in averages if k.startswith("average/"))


def test_journal_environment_and_report_tell_the_stages(tmp_path: Path) -> None:
    run = tiny(tmp_path, "digits", "two-stage", **STAGED)
    lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
    told = [(line["round"], line["stage"]) for line in lines if "stage" in line]
    assert told == [(7, 1), (14, 1), (20, 1), (21, 2), (28, 2), (35, 2), (40, 2)]
    assert [key for line in lines if line.get("stage") == 2 for key in line if key.startswith("vae.")] == []
    env = json.loads((run.path / "env.json").read_text())
    assert env["stages"] == [[0, 20, "vae"], [20, 40, "prior"]]
    assert "0 to 20: vae; 20 to 40: prior" in run.report().read_text()


def test_patience_ends_a_stage_and_not_the_run(tmp_path: Path) -> None:
    """A first model that never improves gives way early; the second stage has its own rounds and clock."""
    impatient = {"patience": 1, "validate": 2, "lr": 1e-2, "log": 1}
    options = STAGED | impatient | {"first": "vae(latent=3,hidden=(16,),lr=1e-12)"}
    run = tiny(tmp_path, "digits", "two-stage", **options)
    lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
    first = max(line["round"] for line in lines if line.get("stage") == 1)
    begun = min(line["round"] for line in lines if line.get("stage") == 2)
    assert first < begun < 20
    facts = json.loads(sorted((run.path / "checkpoints").glob("*/state.json"))[-1].read_text())
    assert facts["driver"]["skipped"] > 0


def test_the_second_stage_helps(tmp_path: Path) -> None:
    """On the ring: codes of an autoencoder have no distribution until the second stage finds one."""
    first = "ae(latent=2,hidden=(64,),lr=3e-3,likelihood=gaussian(0.05))"
    run = bst.fit(
        "ring", "two-stage", root=tmp_path, quiet=True, first=first, until=400, steps=900, prior="mixture(50)", lr=2e-2,
        batch=64, validate=0, save=0, seed=0,
    )  # fmt: skip
    apart = np.abs(np.linalg.norm(run.sample(500), axis=1) - 1)
    assert np.median(apart) < 0.1


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUN, "two-stage", "first=vae(latent=3,hidden=(16,)) prior=mixture(4) until=6")
    close(fit_by_command(tmp_path / "one", "two-stage", 1), fit_by_command(tmp_path / "two", "two-stage", 2))


# ------------------------------------------------------------------------------------------------ run(PATH), --from


def test_a_model_of_an_earlier_run_stands_still_in_the_new_one(tmp_path: Path) -> None:
    old = tiny(tmp_path, "digits", "vae", steps=6, latent=3)
    new = tiny(tmp_path, "digits", "two-stage", first=f"run({old.path})", prior="mixture(4)", steps=6)
    mine, theirs = load_file(new.path / "model.safetensors"), load_file(old.path / "model.safetensors")
    assert all(np.array_equal(mine[f"first.model.{name}"], value) for name, value in theirs.items())
    earlier = new.config["earlier"]["first"]
    assert (earlier["path"], earlier["model"]) == (str(old.path), "vae")
    x = new.part("test", 5)
    assert torch.equal(new.encode(x), old.encode(x))
    shutil.rmtree(old.path)  # the new run is whole by itself
    again = bst.load(new.path)
    assert np.array_equal(again.sample(4), new.sample(4))
    assert torch.equal(again.encode(x), new.encode(x))
    assert new.judge(n=40, k=3, tests="none").numbers


def test_a_frozen_model_stays_in_evaluation_mode_within_one_that_trains() -> None:
    frozen = Frozen(build("dcgan", pictures((1, 8, 8)), width=2))  # its BatchNorm would move
    whole = torch.nn.ModuleList([frozen, torch.nn.Linear(2, 2)]).train()
    assert whole[1].training
    assert not any(module.training for module in frozen.modules())
    assert not any(p.requires_grad for p in frozen.parameters())


def test_what_cannot_be_an_earlier_run_is_refused(tmp_path: Path) -> None:
    old = tiny(tmp_path, "ring", "vae", steps=3)
    game = tiny(tmp_path, "digits", "gan", steps=3)
    for first, says in (
        (f"run({old.path})", "not what this run was fitted to"),
        (f"run({tmp_path / 'nowhere'})", "no run"),
        (f"run({game.path})", "encodes and decodes"),
        ("gan", "encodes and decodes"),
    ):
        with pytest.raises(BestiaryError, match=says):
            bst.fit("digits", "two-stage", root=tmp_path, quiet=True, first=first, steps=6)
    with pytest.raises(BestiaryError, match="end before player `prior` begins"):
        bst.fit("digits", "two-stage", root=tmp_path, quiet=True, until=10, steps=8)


def test_a_run_may_begin_from_the_weights_of_another(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    old = tiny(tmp_path, "digits", "vae", steps=6, latent=3)
    kept_still = {"steps": 1, "lr": 1e-12, "latent": 3}
    new = tiny(tmp_path, "digits", "vae", start=old.path, **kept_still)
    a, b = (load_file(run.path / "model.safetensors") for run in (old, new))
    assert all(np.allclose(a[k], b[k], atol=1e-6) for k in a if k not in ("round", "examples"))
    assert new.config["start"]["run"] == str(old.path)
    assert "do not fit" not in capsys.readouterr().err
    wider = tiny(tmp_path, "digits", "vae", start=old.path, **kept_still | {"latent": 5})
    assert "decoder.net.0.weight ((8, 3), here (8, 5))" in capsys.readouterr().err
    c = load_file(wider.path / "model.safetensors")
    assert np.allclose(c["encoder.net.0.weight"], a["encoder.net.0.weight"], atol=1e-6)
    with pytest.raises(BestiaryError, match="none of its weights fits"):
        bst.fit("ring", "gan", root=tmp_path, quiet=True, start=old.path, steps=2)


def test_a_run_that_began_from_another_resumes_without_it(tmp_path: Path) -> None:
    """Killed before its first checkpoint, and the other run gone: it begins from what its own folder holds."""
    old = tiny(tmp_path, "digits", "vae", steps=6, latent=3)
    whole = tiny(tmp_path, "digits", "vae", start=old.path, name="whole", steps=6, latent=3)
    cut = tiny(tmp_path, "digits", "vae", start=old.path, name="cut", steps=6, latent=3)
    shutil.rmtree(cut.path / "checkpoints")
    (cut.path / "journal.jsonl").unlink()
    shutil.rmtree(old.path)
    again = bst.fit(resume=cut.path, root=tmp_path, quiet=True)
    for name in ("model.safetensors", "journal.jsonl"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()
