"""Every way to fail has its exit code and its words, and results stay plain where nobody can see colour."""

import errno
import json
import sys
from math import inf, nan

import pytest
import torch

from bestiary.cli import console
from bestiary.cli.app import main
from bestiary.cli.console import guard
from bestiary.errors import BestiaryError
from bestiary.training.driver import RunFailed
from bestiary.training.meter import NonFinite


def failing(error: BaseException):
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (BestiaryError("`x` is wrong: write y"), 2, "error: `x` is wrong: write y"),
        (RunFailed("player `vae`: the term `kl` is nan", "the term `kl` is nan"), 1, "the term `kl` is nan"),
        (NonFinite("critic", "real", 7, nan), 1, "player `critic`"),
        (MemoryError(), 1, "smaller batch="),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), 2, "runs/x: permission denied"),
        (ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow"), 2, "`pyarrow` is missing"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_failure_has_its_code_and_words(error, code, says, capsys):
    assert guard(failing(error)) == code
    out, err = capsys.readouterr()
    assert says in err
    assert "Traceback" not in err
    assert out == ""


def test_a_bug_is_called_one_and_its_traceback_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("BESTIARY_TRACE", raising=False)
    assert guard(failing(TypeError("unheard of"))) == 70
    err, (file,) = capsys.readouterr().err, tmp_path.iterdir()
    assert "this is a bug in bestiary: TypeError: unheard of" in err
    assert str(file) in err
    assert "Traceback" not in err
    assert "Traceback" in file.read_text("utf-8")


def test_a_bug_is_shown_in_full_on_request(monkeypatch, capsys):
    monkeypatch.setenv("BESTIARY_TRACE", "1")
    assert guard(failing(TypeError("unheard of"))) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_with_nowhere_to_keep_it_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    monkeypatch.delenv("BESTIARY_TRACE", raising=False)
    assert guard(failing(TypeError("unheard of"))) == 70
    assert "Traceback" in capsys.readouterr().err


def test_json_has_no_nan(capsys):
    console.print_json({"a": (1.5, nan, {"b": inf}), 2: None})
    assert json.loads(capsys.readouterr().out) == {"a": [1.5, None, {"b": None}], "2": None}


def test_text_is_never_markup_and_a_pipe_gets_no_colour(capsys):
    console.table([("[red]x[/red]", "1"), ("y", "22")], ("name", "n"), right=[1])
    console.next_steps("bestiary demo")
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert "\033" not in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_no_color_is_heard(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console.dim("x") != "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert console.dim("x") == "x"


def test_a_fit_without_memory_says_so_and_is_no_bug(monkeypatch, tmp_path, capsys):
    def allocate(*_: object) -> None:
        torch.empty(1 << 50)

    monkeypatch.setattr("bestiary.training.driver.fit", allocate)
    assert main(["fit", "ring", "vae", "n=50", "steps=1", "--runs", str(tmp_path), "--device", "cpu"]) == 1
    assert "out of memory: try a smaller batch=" in capsys.readouterr().err
