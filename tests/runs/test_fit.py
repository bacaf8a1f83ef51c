"""Fits: a function of the seed, never lost, gone on with as if never stopped, and clear about every mistake."""

import builtins
import errno
import json
import os
import re
import shutil
import signal
from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from bestiary.errors import BestiaryError
from bestiary.report import write_report
from bestiary.run import judge, load
from bestiary.runs import fit as fitting
from bestiary.runs.config_options import data_location
from bestiary.runs.fit import Interrupted, fit
from bestiary.runs.run_folder import locked
from bestiary.storage.journal import read_journal
from bestiary.storage.run_files import read_config, read_env
from bestiary.training import device
from bestiary.training.driver import RunFailed
from bestiary.version import FORMAT
from tests.runs.tiny import IMAGES, SMALL, TABLE, TINY, VECTORS, Encoder, kept, tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    return tiny(tmp_path_factory.mktemp("whole")).path


def go_on(path, **options):
    return fit(resume=path, quiet=True, device="cpu", **options)


def test_a_run_folder_holds_what_it_should(whole):
    names = {p.name for p in whole.iterdir()}
    assert {"config.toml", "journal.jsonl", "env.json", "log.txt", "samples", "checkpoints", "README.md"} <= names
    env = read_env(whole)
    assert (env["finished"], env["round"], env["rounds"], env["why"]) == (True, 20, 20, "all rounds played")
    assert [line["round"] for line in read_journal(whole / "journal.jsonl")] == [5, 10, 10, 15, 20, 20]
    assert sorted(p.name for p in (whole / "samples").iterdir()) == ["round-00000010.png", "round-00000020.png"]
    assert [p.name for p in sorted((whole / "checkpoints").iterdir())] == ["00000015", "00000020"]
    assert not [p for p in whole.rglob("*") if p.name.startswith(".")]  # nothing half written


def test_the_card_says_how_to_repeat_and_to_use_it(whole):
    card = (whole / "README.md").read_text()
    assert read_config(whole)["command"] in card
    assert "Not judged yet" in card
    (use,) = [line for line in card.splitlines() if line.startswith("run = ")]
    assert eval(use.removeprefix("run = "), {"bst": __import__("bestiary")}).path == whole


@pytest.mark.parametrize(("data", "model"), [("ring", "vae"), ("digits", "vae"), ("digits", "dcgan"), ("ring", "gan")])
def test_same_seed_same_bits_other_seed_other_bits(tmp_path, data, model):
    torch.manual_seed(1)
    a, b = tiny(tmp_path, data, model, steps=6), tiny(tmp_path, data, model, steps=6)
    c = tiny(tmp_path, data, model, steps=6, seed=1)
    assert kept(a.path) == kept(b.path)
    assert all(x != y for x, y in zip(kept(a.path), kept(c.path), strict=True))
    assert torch.initial_seed() == 1  # the caller's noise is left alone
    assert torch.tensor(1e-310, dtype=torch.float64) / 2 > 0  # and so is the caller's arithmetic


def test_a_command_that_was_written_down_gives_the_same_bits(whole, tmp_path):
    import shlex

    from bestiary.grammar.command_line import parse_words

    _, _, data, model, *rest = shlex.split(read_config(whole)["command"])
    again = fit(data, model, root=tmp_path, quiet=True, device="cpu", **parse_words(rest))
    assert kept(again.path) == kept(whole)


def test_precision_is_inferred_once_and_kept(tmp_path, monkeypatch):
    """bf16 for images and large networks where the processor has it; wherever the run goes on, as it began."""
    images, points = IMAGES, VECTORS.astype(np.float32)
    monkeypatch.setattr(device, "has_native_bf16", lambda _: True)
    monkeypatch.setattr(device, "LARGE", 1000)
    large = tiny(tmp_path, images, "vae")
    assert read_config(large.path)["inferred"]["precision"]["reason"].startswith("this processor")
    assert "precision='bf16'" in read_config(large.path)["command"]
    assert read_config(tiny(tmp_path, images, "gan", hidden=(64,)).path)["training"]["precision"] == "bf16"
    small: list = [(points, "vae", {}), (images, "vae", {"hidden": (2,)})]
    bound: list = [
        (images, "gan", {"hidden": (64,), "penalty": "r1"}),
        (images, "gan", {"hidden": (64,), "weight_clip": 0.1}),
    ]
    for data, model, options in small + bound:
        assert read_config(tiny(tmp_path, data, model, **options).path)["training"]["precision"] == "fp32"
    for module in (device, fitting):
        monkeypatch.setattr(module, "has_native_bf16", lambda _: False)
    narrow = read_config(tiny(tmp_path, images, "vae").path)
    assert narrow["inferred"]["precision"]["value"] == narrow["training"]["precision"] == "fp32"
    text = (large.path / "config.toml").read_text()  # of before `auto` was settled
    text = text.partition("# sha256")[0].replace('precision = "bf16"', 'precision = "auto"')
    (large.path / "config.toml").write_text(text)
    assert read_config(large.path)["training"]["precision"] == "auto"
    fit(images, resume=large, steps=25, quiet=True, device="cpu")
    assert read_env(large.path)["precision"] == read_config(large.path)["training"]["precision"] == "bf16"
    assert "precision=bf16 is slower" in (large.path / "log.txt").read_text()


@pytest.mark.parametrize("options", [{"latent": 0}, {"likelihood": "logistic"}, {"game": 3}, {"batch": 0}])
def test_what_cannot_be_built_leaves_nothing_behind(tmp_path, options):
    with pytest.raises(BestiaryError):
        tiny(tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"nproc": 2}, "--nproc 2"),
        ({"time_limit": "soon"}, "--time-limit soon"),
        ({"device": "tpu"}, "auto, cpu"),
        ({"name": "a b"}, "one word"),
    ],
)
def test_a_slip_in_how_to_run_is_answered(tmp_path, arguments, says):
    with pytest.raises(BestiaryError, match=says):
        fit("ring", "vae", root=tmp_path / "runs", quiet=True, **arguments)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(BestiaryError, match="data and a model"):
        fit("ring")


# ------------------------------------------------------------------------- parts from Python


PARTS = {
    ("vae", "encoder"): lambda f, shape: Encoder(f),
    ("vae", "decoder"): lambda f, shape: nn.Sequential(nn.Linear(2, prod(shape)), nn.Unflatten(1, shape)),
    ("gan", "generator"): lambda f, shape: nn.Sequential(nn.Linear(2, f), nn.Unflatten(1, shape)),
    ("gan", "critic"): lambda f, shape: nn.Sequential(nn.Flatten(), nn.Linear(f, 1), nn.Flatten(0)),
    ("dcgan", "generator"): lambda f, shape: nn.Sequential(nn.Linear(2, f), nn.Unflatten(1, shape), nn.Tanh()),
    ("dcgan", "critic"): lambda f, shape: nn.Sequential(nn.Flatten(), nn.Linear(f, 1)),
}  # fmt: skip


KINDS = {"vectors": (VECTORS, 3, (3,)), "images": (IMAGES, 64, (1, 8, 8))}
PLACES = [(*where, kind) for where in PARTS for kind in KINDS if (where[0], kind) != ("dcgan", "vectors")]


@pytest.mark.parametrize(("model", "place", "kind"), PLACES)
def test_a_part_of_ones_own_stands_in_any_place(tmp_path, model, place, kind):
    x, features, shape = KINDS[kind]
    part = PARTS[model, place](features, shape)
    run = tiny(tmp_path, x, model, **{place: part}, steps=5)
    assert any(p is q for p in run.model.parameters() for q in part.parameters())
    drawn = run.sample(4)
    with pytest.raises(BestiaryError, match=rf"{place} given from Python: .*bst.load\(run, {place}="):
        load(run.path).sample(4)
    again = load(run.path, **{place: PARTS[model, place](features, shape)})
    assert (again.sample(4) == drawn).all()
    with pytest.raises(BestiaryError, match=r"array given from Python: give it again, bst.load\(run, data=x\)"):
        again.part("test")
    with pytest.raises(BestiaryError, match=r"array given from Python: give it again, bst.fit\(x, resume=run"):
        go_on(run.path)
    with pytest.raises(BestiaryError, match=rf"{place} given from Python"):
        fit(x, resume=run.path)
    assert fit(x, resume=run, quiet=True, **{place: part}).path == run.path


def test_a_part_that_does_not_belong_is_refused(tmp_path):
    run = tiny(tmp_path, VECTORS, encoder=Encoder(), steps=5)
    with pytest.raises(BestiaryError, match="not this model's"):
        load(run.path, encoder=Encoder(3, 4)).sample(1)
    with pytest.raises(BestiaryError, match=r"unknown part of vae `encodr`: did you mean `encoder`"):
        load(run.path, encodr=Encoder()).sample(1)
    with pytest.raises(BestiaryError, match="encoder="):
        tiny(tmp_path, VECTORS, encoder=Encoder(4))


def test_labels_from_python_are_kept_with_the_run(tmp_path):
    y = [i % 2 for i in range(len(VECTORS))]
    run = tiny(tmp_path, VECTORS, labels=y, steps=5)
    assert set(run.part("test").beside["label"].tolist()) <= {0, 1}
    assert run.sample(2).shape == load(run.path).sample(2).shape
    with pytest.raises(BestiaryError, match=r"labels given from Python"):
        load(run.path, data=VECTORS).part("test")
    assert load(run.path, data=VECTORS, labels=y).part("test").beside.keys() == {"label"}
    assert fit(VECTORS, resume=run, labels=y, quiet=True).path == run.path


# ------------------------------------------------------------------------- going on


def test_a_finished_run_that_is_resumed_stays_as_it_is(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "run")
    assert kept(go_on(path).path) == kept(whole)


def test_more_steps_may_be_asked_for_and_are_remembered(whole, tmp_path):
    straight = tiny(tmp_path, steps=40).path
    path = shutil.copytree(whole, tmp_path / "run")
    go_on(path, steps="40")
    assert kept(path) == kept(straight)
    assert read_config(path)["training"] == read_config(straight)["training"]
    assert "steps=40" in read_config(path)["command"]
    before = kept(path)
    assert kept(go_on(path).path) == before  # 40 rounds are what it now wants
    with pytest.raises(BestiaryError, match="stands at round 40 already"):
        go_on(path, steps=30)
    assert kept(path) == before
    assert read_config(path)["training"]["steps"] == 40


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"latent": 3}, "latent cannot change"),
        ({"seed": 1}, "seed cannot change"),
        ({"lr": 0.1, "batch": 8}, "batch, lr cannot change"),
        ({"stpes": 30}, "stpes cannot change, only .*steps"),
        ({"model": "gan"}, "gan cannot change"),
        ({"data": "grid"}, "grid cannot change"),
        ({"name": "other"}, "leave out --name other"),
        ({"steps": "many"}, "expected an integer"),
    ],
)
def test_what_a_run_is_cannot_change(whole, given, says):
    before = kept(whole)
    with pytest.raises(BestiaryError, match=says):
        go_on(whole, **given)
    assert kept(whole) == before


class Pressing(Encoder):
    """An encoder during whose n-th forward somebody acts."""

    def __init__(self, n: int, act) -> None:
        super().__init__(2)
        self.left, self.act = n, act

    def forward(self, x):
        self.left -= 1
        if self.left == 0:
            self.act()
        return super().forward(x)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_interrupted_is_told_how_to_go_on_and_loses_nothing(tmp_path, number):
    straight = tiny(tmp_path, encoder=Encoder(2), name="straight").path
    with pytest.raises(Interrupted) as caught:
        tiny(tmp_path, encoder=Pressing(8, lambda: os.kill(os.getpid(), number)), name="stopped")
    path = tmp_path / "stopped"
    assert f"bst.fit(resume={str(path)!r}, encoder=Pressing(…))" in str(caught.value)
    env = read_env(path)
    assert (env["finished"], env["why"]) == (False, "interrupted")
    assert 0 < env["round"] < 20
    go_on(path, encoder=Encoder(2))
    assert kept(path) == kept(straight)
    assert read_env(path)["finished"]


def test_a_time_limit_only_chooses_where_to_pause(whole, tmp_path, capsys):
    options = {"n": 100, **TINY, **SMALL["vae"]}
    run = fit("ring", "vae", root=tmp_path / "my runs", device="cpu", time_limit="0.000001", **options)
    said = capsys.readouterr().err
    assert f"Go on: bestiary fit --resume '{run.path}'" in said
    assert "time limit at round 1 of 20" in said
    assert run.sample(2).shape == (2, 2)  # it can be used as it stands
    assert kept(go_on(run.path).path) == kept(whole)


# ------------------------------------------------------------------------- disks


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def after(n, call, fail=full_disk):
    """`call`, which works n times and then fails."""
    left = [n]

    def counted(*args, **options):
        left[0] -= 1
        return fail(*args, **options) if left[0] < 0 else call(*args, **options)

    return counted


@pytest.mark.parametrize("n", range(4, 33, 6))
def test_a_disk_that_fills_up_costs_nothing_but_time(whole, tmp_path, monkeypatch, n):
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", after(n, os.fsync))
        with pytest.raises(BestiaryError, match="disk is full"):
            tiny(tmp_path, name="run")
    path = tmp_path / "run"
    assert not (path / "model.safetensors").exists() or kept(path)[0] == kept(whole)[0]
    assert kept(go_on(path).path) == kept(whole)


@pytest.mark.parametrize(("number", "says"), [(errno.ENOSPC, "full"), (errno.EROFS, "cannot be written")])
def test_a_journal_that_cannot_be_written_is_gone_on_with(whole, tmp_path, monkeypatch, number, says):
    real = builtins.open

    def stubborn(file, mode="r", *args, **options):
        if str(file).endswith("journal.jsonl") and mode == "a" and read_journal(file)[-1:] == line:
            raise OSError(number, os.strerror(number))
        return real(file, mode, *args, **options)

    line = read_journal(whole / "journal.jsonl")[3:4]
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", stubborn)
        with pytest.raises(BestiaryError, match=says):
            tiny(tmp_path, name="run")
    assert kept(go_on(tmp_path / "run").path) == kept(whole)


def test_a_run_folder_that_vanishes_is_said(tmp_path):
    gone = Pressing(8, lambda: shutil.rmtree(tmp_path / "run"))
    with pytest.raises(BestiaryError, match="could not write"):
        tiny(tmp_path, encoder=gone, name="run")
    with pytest.raises(BestiaryError, match="no run"):
        go_on(tmp_path / "run")


def tear(file):
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("torn", [1, 2])
@pytest.mark.parametrize("part", ["state.safetensors", "state.json"])
def test_a_torn_checkpoint_is_passed_over(whole, tmp_path, capsys, torn, part):
    path = shutil.copytree(whole, tmp_path / "run")
    for checkpoint in sorted((path / "checkpoints").iterdir())[-torn:]:
        tear(checkpoint / part)
    fit(resume=path, device="cpu")
    assert capsys.readouterr().err.count("going back to the one before it") == torn
    assert kept(path) == kept(whole)


def test_what_is_torn_is_named_with_the_way_out(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "a run")
    tear(path / "model.safetensors")
    (path / "env.json").write_text("{")
    with pytest.raises(BestiaryError, match=r"model\.safetensors is torn .* bestiary fit --resume '"):
        load(path).sample(1)
    go_on(path)
    assert kept(path) == kept(whole)
    (path / "model.safetensors").unlink()
    for use in (lambda: load(path).sample(1), lambda: load(path).judge()):
        with pytest.raises(BestiaryError, match="holds no model yet"):
            use()
    tear(path / "config.toml")
    for use in (lambda: load(path), lambda: go_on(path)):
        with pytest.raises(BestiaryError, match=r"config\.toml"):
            use()


def test_a_folder_of_another_format_is_refused_with_what_to_do(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "run")
    text = (path / "config.toml").read_text()
    (path / "config.toml").write_text(text.replace(f"format = {FORMAT}\n", ""))  # as format 1 had none
    command = re.escape(read_config(whole)["command"])
    uses = (
        lambda: load(path),
        lambda: judge(path),
        lambda: write_report(path),
        lambda: go_on(path),
        lambda: go_on(path, steps=40),
    )
    for use in uses:
        with pytest.raises(
            BestiaryError, match=f"have format 1; this one reads format {FORMAT}. Fit it again, {command}"
        ):
            use()
    assert not (path / "judgement.json").exists()
    assert kept(path) == kept(whole)


def test_a_run_that_fails_by_itself_says_so_in_its_folder(tmp_path):
    with pytest.raises(RunFailed):
        tiny(tmp_path, lr=1e30, name="run")
    env = read_env(tmp_path / "run")
    assert not env["finished"]
    assert "not finite" in env["why"] or "nan" in env["why"] or "inf" in env["why"]
    json.dumps(env, allow_nan=False)


# ------------------------------------------------------------------------- data that moves or changes


def test_a_run_finds_its_data_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "t.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path / "one")
    path = tiny(tmp_path / "runs", "t.csv").path
    monkeypatch.chdir(tmp_path / "two")
    assert len(load(path).part("train")) == 72
    assert go_on(path, steps=25).config["data"]["source"] == "t.csv"
    (tmp_path / "one").rename(tmp_path / "moved")
    with pytest.raises(BestiaryError, match=r"t\.csv"):
        load(path).part("train")
    monkeypatch.chdir(tmp_path / "moved")  # the data went along with the person
    assert len(load(path).part("train")) == 72


def test_data_that_changed_are_noticed(tmp_path, capsys):
    file = tmp_path / "t.csv"
    file.write_text(TABLE)
    path = tiny(tmp_path / "runs", file).path
    file.write_text(TABLE.replace("Oslo", "Bern"))
    for use in (lambda: load(path).dataset, lambda: go_on(path)):
        with pytest.raises(BestiaryError, match="column town has changed"):
            use()
    file.write_text(TABLE.replace("Köln,1.5\n", "Köln,1.5001\n"))  # hardly anything
    assert load(path).data_changed
    fit(resume=path, steps=25, device="cpu")
    assert "the data have changed" in capsys.readouterr().err
    file.write_text("age\n1\n2\n3\n4\n")
    with pytest.raises(BestiaryError, match="table of shape"):
        go_on(path)


def test_a_run_is_fitted_by_one_process_at_a_time(tmp_path) -> None:
    run = tiny(tmp_path, steps=5)
    with locked(run.path), pytest.raises(BestiaryError, match="is being fitted by another process"):
        fit(resume=run.path, steps=8, quiet=True, device="cpu")
    fit(resume=run.path, steps=8, quiet=True, device="cpu")
    assert read_env(run.path)["round"] == 8


def test_data_options_cannot_change_when_a_run_goes_on(tmp_path) -> None:
    run = tiny(tmp_path, steps=5)
    for asked in ({"n": 200}, {"seed": 5}):
        with pytest.raises(BestiaryError, match="cannot change"):
            fit(resume=run.path, steps=8, quiet=True, device="cpu", **asked)


def test_a_named_set_is_not_a_folder_of_that_name(tmp_path, monkeypatch) -> None:
    (tmp_path / "ring").mkdir()
    monkeypatch.chdir(tmp_path)
    run = tiny(tmp_path / "runs", steps=2)
    assert "folder" not in run.config["origin"]
    assert data_location({**run.config, "origin": {"folder": str(tmp_path)}}) == "ring"


def test_a_changed_config_is_not_resumed_without_a_word(tmp_path):
    """One digit of the seed makes other rounds; whoever means it says so by deleting the hash."""
    path = tiny(tmp_path, "ring", "vae").path
    text = (path / "config.toml").read_text()
    changed = text.replace("seed = 0", "seed = 1")
    assert changed != text
    (path / "config.toml").write_text(changed)
    load(path).sample(4)  # the weights are whole
    with pytest.raises(BestiaryError, match="has been changed since the run wrote it"):
        fit(resume=path, steps=30, quiet=True)
    (path / "config.toml").write_text(changed.partition("# sha256")[0])
    fit(resume=path, steps=30, quiet=True)
    fit(resume=path, steps=40, quiet=True)  # written anew, with its hash


def test_weights_to_start_from_are_covered_by_a_hash(tmp_path):
    first = tiny(tmp_path, "ring", "vae")
    path = tiny(tmp_path, "ring", "vae", start=first.path).path
    file = path / "start.safetensors"
    content = bytearray(file.read_bytes())
    fit(resume=path, steps=30, quiet=True)
    content[-1] ^= 1  # of a weight
    file.write_bytes(content)
    with pytest.raises(BestiaryError, match=r"start\.safetensors is torn"):
        fit(resume=path, steps=40, quiet=True)


def test_a_run_that_stopped_early_says_so_unless_its_patience_is_over(tmp_path, capsys):
    path = tiny(tmp_path, "ring", "vae", steps=40, validate=1, patience=1, lr=1e-9).path
    assert "early stop" in read_env(path)["why"]
    fit(resume=path)
    assert "is finished, early stop" in capsys.readouterr().err
    fit(resume=path, patience=0)
    assert "is finished" not in capsys.readouterr().err


def test_a_resumed_run_says_where_it_stands(tmp_path, capsys):
    path = tiny(tmp_path, "ring", "vae", steps=20).path
    fit(resume=path)
    assert "is finished, all 20 rounds are played: to go on, bestiary fit --resume" in capsys.readouterr().err
    fit(resume=path, steps=30)
    assert "(vae fitted to ring) at round 20 of 30" in capsys.readouterr().err
