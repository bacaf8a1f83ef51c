"""The command line answers at once, explains every slip, and shows no traceback whatever is typed."""

import json
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bestiary.cli import app as cli
from bestiary.data import array_files, folders, tables
from bestiary.grammar.signatures import signature_options
from bestiary.models.zoo import MODELS
from bestiary.training.recipe import Recipe

VERBS = ("fit", "sample", "judge", "report", "models", "data", "demo", "doctor")
HEAVY = ("torch", "sklearn", "matplotlib", "PIL", "rich", "jinja2", "numpy", "zuko", "safetensors")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    """An empty folder to work in, and no data but what comes with the packages."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cli"))
    monkeypatch.setenv("BESTIARY_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("BESTIARY_DATA", raising=False)
    monkeypatch.delenv("BESTIARY_TRACE", raising=False)


def type_in(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of one command line."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(words)
    return code, out.getvalue(), err.getvalue()


# ------------------------------------------------------------------------- help


@pytest.mark.parametrize("line", [["--help"], [], ["fit", "--help"], ["fti"], ["fit", "--steps", "3"]], ids=" ".join)
def test_help_and_slips_import_nothing_heavy(line):
    loaded = f"sorted(set({HEAVY}) & set(sys.modules))"
    code = f"import sys; from bestiary.cli.app import main; main({line}); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_first_help_is_short_and_names_every_verb():
    code, out, _ = type_in("--help")
    assert code == 0
    assert type_in() == (0, out, "")
    assert all(re.search(rf"^  {verb} ", out, re.MULTILINE) for verb in VERBS)
    assert out.count("    bestiary ") == 5
    assert len(out.splitlines()) < 30
    assert max(map(len, out.splitlines())) < 100


def test_the_second_help_shows_flags_and_keys_that_exist():
    _, out, _ = type_in("fit", "--help")
    flags = (
        "--name",
        "--resume",
        "--device",
        "--nproc",
        "--parallel",
        "--time-limit",
        "--dry-run",
        "--json",
        "--quiet",
    )
    assert all(flag in out for flag in (*flags, "--runs"))
    keys = re.findall(r"^    (\w+)=\S+ {2,}", out, re.MULTILINE)
    assert len(keys) >= 5
    assert set(keys) <= {field.name for field in fields(Recipe)}


def test_the_keys_of_data_exist():
    _, out, _ = type_in("data", "--help")
    keys = set(re.findall(r"(\w+)=", out.partition("The keys")[2].partition("Examples")[0]))
    loaders = (array_files.from_file, folders.from_images, tables.from_file)
    assert len(keys) >= 10
    assert keys <= {key for loader in loaders for key in signature_options(loader)}


def test_the_third_help_shows_every_option_of_a_model():
    code, out, _ = type_in("models", "vae")
    assert code == 0
    for key in (*signature_options(MODELS["vae"]), *signature_options(Recipe)):
        assert re.search(rf"^{key} ", out, re.MULTILINE)
    assert "dimensions of z" in out


def test_models_are_listed_with_a_line_each():
    assert json.loads(type_in("models", "--json")[1]).keys() == MODELS.keys()
    _, out, _ = type_in("models")
    assert all(re.search(rf"^{name} +\w.*\.$", out, re.MULTILINE) for name in MODELS)


def test_version():
    assert re.fullmatch(r"bestiary \d+\.\d+\.\d+\S*\n", type_in("--version")[1])


# ------------------------------------------------------------------------- slips


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("fti", "did you mean `fit`?"),
        ("models dcgna", "did you mean `dcgan`?"),
        ("data dgits", "did you mean `digits`?"),
        ("fit", "needs DATA and MODEL"),
        ("fit digits", "bestiary fit digits vae"),
        ("fit digits latent=3", "bestiary fit digits vae latent=3"),
        ("fit digits dcgna", "did you mean `dcgan`?"),
        ("fit dgits vae", "did you mean `digits`?"),
        ("fit digits vae --steps 2000", "write steps=2000"),
        ("fit digits vae steps = 2000", "steps=2000"),
        ("fit digits vae stpes=2000", "did you mean `steps` (training)?"),
        ("fit digits vae steps=many", "expected an integer"),
        ("fit digits vae steps=-3", "at least 1"),
        ("fit digits vae precision=fp23", "did you mean precision=fp32?"),
        ("fit digits vae --nmae x", "did you mean --name?"),
        ("fit digits vae --nproc none", "--nproc"),
        ("fit digits vae encoder=mine", "from Python"),
        ("fit digits vae beta=linear(0,1)", "linear(0,1,2000)"),
        ("fit --resume nothing --dry-run", "--dry-run"),
        ("judge --real digits", "--real and --fake go together"),
        ("data digits sede=1", "validation"),
    ],
)
def test_a_slip_is_answered_with_what_to_write(line, says):
    code, out, err = type_in(*shlex.split(line.replace("(", "'(").replace(")", ")'")))
    assert code == 2
    assert says in err
    assert out == ""
    assert "Traceback" not in err


words = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["digits", "vae", "gan", "--json", "--name", "=", "steps=", "--", "-", "runs/x", "."]),
    st.builds(
        "{}={}".format,
        st.sampled_from(["steps", "latent", "hidden", "beta", "seed", "size"]),
        st.text(max_size=6),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, max_size=5), st.booleans())
def test_no_line_shows_a_traceback(line, begun):
    code, _, err = type_in("fit", "--dry-run", *(["digits", "vae"] if begun else []), *line)
    assert code in (0, 2), err
    assert "Traceback" not in err
    assert "bug in bestiary" not in err


# ------------------------------------------------------------------------- data, plans


def test_data_are_listed_and_shown(tmp_path):
    sets = json.loads(type_in("data", "--json")[1])
    assert {"digits", "ring", "mnist"} <= sets.keys()
    _, out, _ = type_in("data")
    assert all(re.search(rf"^{name} ", out, re.MULTILINE) for name in sets)
    code, out, _ = type_in("data", "digits", "--out", str(tmp_path / "look.png"))
    assert code == 0
    assert "1,797" in out
    assert "bernoulli" in out
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")


def test_data_take_options(tmp_path):
    found = json.loads(type_in("data", "ring", "n=2k", "--json", "--out", str(tmp_path / "look.png"))[1])
    assert found["examples"] == 2000


def test_a_dry_run_shows_the_plan_and_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = type_in("fit", "digits", "vae", "latent=3", "--dry-run")
    assert code == 0
    assert "bestiary fit digits vae" in out
    assert "parameters" in out
    assert not list(tmp_path.iterdir())


def test_the_full_equivalent_command_leaves_nothing_to_inference():
    plan = json.loads(
        type_in("fit", "digits", "vae", "latent=3", "lr=linear(0.001,0.0001,50)", "--dry-run", "--json")[1]
    )
    assert plan["inferred"]
    assert plan["training"]["precision"] == "fp32"  # `auto`, settled: the model is small
    _, *line = shlex.split(plan["command"])
    again = json.loads(type_in(*line, "--dry-run", "--json")[1])
    assert again["inferred"] == {}
    assert {k: again[k] for k in ("model", "training", "command")} == {
        k: plan[k] for k in ("model", "training", "command")
    }


# ------------------------------------------------------------------------- processes


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_a_reader_that_leaves_is_no_error(flag):
    command = [sys.executable, "-m", "bestiary", flag]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_does_not_fit_is_said():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bestiary", "--version"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "bestiary", "fti"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown verb `fti`")
