"""A run from the command line, end to end: fit, resume, sample, judge, report, each as people and as JSON see it."""

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np
import pytest

from bestiary.cli.app import main
from bestiary.grammar.signatures import option_groups, signature_options
from bestiary.models.tricks.table import TRICKS
from bestiary.models.zoo_adversarial import gan
from bestiary.run import Run
from bestiary.runs.sample_or_walk import sample_or_walk

TINY = ("steps=4", "hidden=8", "latent=2", "batch=16", "log=2", "validate=4", "save=4")


def type_in(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of one command line."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder that holds one run, `digits-vae`."""
    root = tmp_path_factory.mktemp("fitted") / "runs"
    assert main(["fit", "digits", "vae", *TINY, "--runs", str(root), "--quiet", "--device", "cpu"]) == 0
    return root


def test_a_fit_says_what_was_inferred_and_what_to_type_next(tmp_path):
    code, out, err = type_in("fit", "digits", "vae", *TINY, "--runs", str(tmp_path), "--name", "mine")
    assert code == 0
    assert out.startswith("Fitting vae to digits: 1,797 images of 1×8×8, 17 levels, for 4 rounds.\n")
    assert "Fitted vae to digits: 4 rounds in " in out
    assert f", all rounds played. The run is in {tmp_path / 'mine'}." in out
    assert "likelihood=bernoulli" in out
    assert "bestiary fit digits vae " in out
    assert out.index("bestiary fit digits vae") < out.index(f"bestiary judge {tmp_path / 'mine'}")
    assert "validation" in err
    assert (tmp_path / "mine" / "config.toml").is_file()


def test_json_is_all_there_is_on_stdout(tmp_path):
    code, out, err = type_in("fit", "digits", "vae", *TINY, "--runs", str(tmp_path), "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["run"] == str(tmp_path / "digits-vae")
    assert found["env"]["finished"]


def test_a_run_goes_on_by_name(runs):
    code, out, _ = type_in("fit", "--resume", "digits-vae", "steps=6", "--runs", str(runs), "--json")
    assert code == 0
    assert json.loads(out)["env"]["round"] == 6


def test_flags_without_dashes_are_explained(runs):
    assert "write --device cpu" in type_in("fit", "digits", "vae", "device=cpu")[2]
    assert "write --time-limit 5m" in type_in("fit", "--resume", "latest", "time_limit=5m")[2]
    assert "write --runs out" in type_in("fit", "digits", "vae", "root=out")[2]
    assert "write gan" in type_in("fit", "--resume", "latest", "model=gan")[2]


def test_several_processes_are_planned_here_and_started_once(monkeypatch):
    started = []

    def launch(arguments, nproc):
        started.append((arguments, nproc))
        raise SystemExit(0)

    monkeypatch.setattr("bestiary.training.parallel.launch", launch)
    line = ("fit", "digits", "vae", "steps=4")
    assert type_in(*line, "--nproc", "2", "--quiet")[0] == 0
    assert type_in(*line, "--nproc=2", "--quiet")[0] == 0
    assert started == [([*line, "--quiet"], 2)] * 2  # torchrun would take --nproc for its own
    assert type_in("fit", "digits", "vea", "--nproc", "2")[0] == 2
    assert type_in(*line, "--nproc", "2", "--device", "tpu")[0] == 2
    assert len(started) == 2


def test_samples_go_where_they_are_asked_to(runs, tmp_path):
    line = ("sample", "digits-vae", "n=5", "seed=3", "--runs", str(runs), "--out")
    code, out, _ = type_in(*line, str(tmp_path / "a.npz"))
    assert code == 0
    assert "5 samples" in out
    assert json.loads(type_in(*line, str(tmp_path / "b.npz"), "--json")[1])["out"] == str(tmp_path / "b.npz")
    first, again = (np.load(tmp_path / name, allow_pickle=False)["x"] for name in ("a.npz", "b.npz"))
    assert first.shape == (5, 8, 8, 1)
    assert np.array_equal(first, again)
    assert type_in(*line[:-1])[0] == 0
    assert (runs / "digits-vae" / "samples" / "n5-seed3.png").is_file()


def test_samples_are_truncated_and_walks_laid_out(runs):
    line = ("sample", "digits-vae", "n=8", "--runs", str(runs))
    for key, value in (("truncation", 0.7), ("walk", "spherical")):
        said = json.loads(type_in(*line, f"{key}={value}", "--json")[1])
        assert said[key] == value
        assert said["out"] == str(runs / "digits-vae" / "samples" / f"n8-seed0-{key}-{value}.png")
        assert f"seed=0, {key}={value}" in type_in(*line, f"{key}={value}")[1]
    assert "truncation" not in json.loads(type_in(*line, "--json")[1])


@pytest.mark.parametrize("model", ["vae", "ae", "cgan"])
def test_samples_are_told_a_condition_in_words(model, tmp_path):
    own = ["network=mlp"] if model == "cgan" else ["condition=label"]
    fit = ["fit", "digits", model, *own, *TINY, "--runs", str(tmp_path), "--name", "told", "--quiet", "--json"]
    assert type_in(*fit)[0] == 0
    line = ("sample", "told", "n=8", "--runs", str(tmp_path))
    if model == "ae":  # it reconstructs what it is told, and draws nothing
        assert type_in(*line, "condition=3,8")[0] == 2
        return
    said = json.loads(type_in(*line, "condition=3,8", "--json")[1])
    assert said["condition"] == "3,8"
    code, _, err = type_in(*line, "condition=owl")
    assert code == 2
    assert "owl" in err


def test_a_fit_begins_from_the_weights_of_another_and_says_what_does_not_fit(runs, tmp_path):
    tiny = [word if word != "latent=2" else "latent=3" for word in TINY]
    line = ["fit", "digits", "vae", *tiny, "--name", "next", "--runs", str(tmp_path), "--from"]
    code, _, err = type_in(*line, str(runs / "digits-vae"))
    assert code == 0
    assert "do not fit: " in err
    assert "posterior.head.bias ((4,), here (6,))" in err
    assert (tmp_path / "next" / "start.safetensors").is_file()
    code, _, err = type_in(*line, str(tmp_path / "nowhere"))
    assert code == 2
    assert "nowhere" in err


def test_an_option_of_the_first_edition_is_answered_with_the_new_word():
    code, _, err = type_in("fit", "ring", "unrolled-gan", "unroll_rate=0.1", "--dry-run")
    assert code == 2
    assert "tricks=unroll(5,rate=0.1)" in err


def test_the_help_of_a_game_is_grouped_and_names_every_trick():
    code, out, _ = type_in("models", "gan")
    assert code == 0
    assert all(f"\n  {name}" in out for name in TRICKS)
    assert all(heading in out for heading in {group for group in option_groups(gan).values() if group})


def test_the_keys_of_sample_exist():
    out = type_in("sample", "--help")[1]
    assert all(f"    {key}=" in out for key in signature_options(sample_or_walk))


REFUSED = [["n=0"], ["m=4"], ["n=9", "walk=linear"], ["walk=round"], ["truncation=0"], ["--out", "x.pkl"]]


@pytest.mark.parametrize("line", [*REFUSED, ["--steps", "3"]], ids=" ".join)
def test_samples_that_cannot_be_are_refused(runs, line):
    code, out, err = type_in("sample", "digits-vae", *line, "--runs", str(runs))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_a_judgement_shows_every_number_with_its_protocol(runs):
    line = ("judge", "digits-vae", "n=20", "k=2", "--runs", str(runs))
    code, out, _ = type_in(*line)
    assert code == 0
    found = json.loads(type_in(*line, "--json")[1])
    assert found["numbers"]
    assert all(number["title"] in out for number in found["numbers"])
    assert "split=test" in out
    assert "k=2" in out
    assert "bestiary report" in out


def test_the_keys_of_judge_exist():
    out = type_in("judge", "--help")[1]
    keys = set(signature_options(Run.judge)) - {"quiet"}
    assert all(f"    {key}=" in out for key in keys)


def test_samples_of_any_program_are_judged(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("real", "fake", "held"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(40, 3)).astype(np.float32), allow_pickle=False)
    line = ("judge", "--real", str(tmp_path / "real.npy"), "--fake", str(tmp_path / "fake.npy"))
    assert json.loads(type_in(*line, "n=32", "--json")[1])["protocol"]["n_fake"] == 32
    assert "nearest" in type_in(*line)[1]
    assert type_in(*line, "nn=3")[0] == 2
    held = ("--held", str(tmp_path / "held.npy"))
    found = json.loads(type_in(*line, *held, "tests=fast", "--json")[1])
    assert found["protocol"]["n_held"] == 40
    assert "copied" in {number["name"] for number in found["numbers"]}
    assert "share of samples that copy" in type_in(*line, *held, "tests=fast")[1]
    code, _, err = type_in("judge", *held)
    assert (code, "--real DATA --fake SAMPLES" in err) == (2, True)


def test_reports_are_written_one_by_one_and_side_by_side(runs):
    code, out, _ = type_in("report", "digits-vae", "--runs", str(runs))
    assert (code, out) == (0, f"{runs / 'digits-vae' / 'report.html'}\n")
    pages = json.loads(type_in("report", "digits-vae", "latest", "--runs", str(runs), "--json")[1])["pages"]
    assert pages[-1] == str(runs / "comparison.html")
    assert (runs / "comparison.html").is_file()


def test_a_report_opens_in_a_browser_if_there_is_one(runs, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda uri: opened.append(uri))  # None: no browser was found
    code, _, err = type_in("report", "digits-vae", "--open", "--runs", str(runs))
    assert code == 0
    assert opened[0].startswith("file://")
    assert "no browser was found" in err


def test_the_demo_shows_both_models_and_the_page(tmp_path, monkeypatch):
    tiny = {key: int(value) for key, value in (word.split("=") for word in TINY)}
    models = (("vae", tiny | {"hidden": (8,)}), ("gan", {"network": "mlp", "hidden": (8,), "steps": 2, "batch": 16}))
    monkeypatch.setattr("bestiary.demonstration.MODELS", models)
    code, out, err = type_in("demo", "--runs", str(tmp_path), "--quiet")
    assert (code, err) == (0, "")
    assert str(tmp_path / "demo.html") in out
    (head,) = (line for line in out.splitlines() if "floor / ceiling" in line)
    assert "demo-vae" in head
    assert "demo-gan" in head
    precision = next(line for line in out.splitlines() if line.startswith("precision"))
    assert precision.count("±") + precision.count("[") == 3  # both and the ceiling
    assert "−ELBO" in out
    page = (tmp_path / "demo.html").read_text()
    for name in ("demo-vae", "demo-gan"):
        assert name in page
        assert (tmp_path / name / "judgement.json").is_file()
        assert (tmp_path / name / "report.html").is_file()


@pytest.mark.parametrize("verb", ["sample", "judge", "report"])
def test_a_run_that_is_not_there_is_named_with_the_nearest(runs, verb):
    code, _, err = type_in(verb, "digits-vea", "--runs", str(runs))
    assert code == 2
    assert "did you mean `digits-vae`?" in err
