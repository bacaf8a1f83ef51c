"""A few hundred hostile trials in this process; `make fuzz` makes thousands, each in a process with limits."""

import os
import shlex
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from bestiary.cli.app import main
from tests.fuzz.broken_files import broken_case
from tests.fuzz.command_lines import command_line
from tests.fuzz.trial import fault
from tests.fuzz.workshop import LINES, workshop

CORPUS = Path(__file__).with_name("command_lines.txt")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workshop(tmp_path_factory.mktemp("fuzz") / "workshop", LINES[:2])


def faults(lines: Iterable[Sequence[str]], place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The faults of command lines that are run one after the other in a folder."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("BESTIARY_TRACE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = []
    for words in lines:
        with redirect_stdout(StringIO()) as out, redirect_stderr(out):
            code = main(list(words))
        if reason := fault(code, out.getvalue()):
            found.append(f"bestiary {shlex.join(words)}\n{reason}")
    return found


def test_lines_that_failed_once_are_answered_with_a_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [shlex.split(line) for line in CORPUS.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert faults(lines, place, monkeypatch) == []
    assert not [run for run in os.listdir(place / "runs") if run not in ("run", "latest")]  # all were only planned


def is_quick(words: Sequence[str]) -> bool:
    return "fit" not in words or "--dry-run" in words


@pytest.mark.parametrize("start", [0, 1000])
def test_command_lines_made_from_the_grammar(start: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [command_line(seed) for seed in range(start, start + 50)]
    assert faults(filter(is_quick, lines), place, monkeypatch) == []


def test_broken_files_are_read_or_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written one after the other: each is read before the next one is made."""
    lines = (broken_case(seed, place) for seed in range(30))
    assert faults((words for words in lines if words[0] in ("data", "report", "sample")), place, monkeypatch) == []


def test_a_case_is_a_function_of_its_number(place: Path) -> None:
    assert [command_line(seed) for seed in range(50)] == [command_line(seed) for seed in range(50)]
    assert broken_case(7, place) == broken_case(7, place)


def test_a_fault_is_seen() -> None:
    assert "Traceback" in fault(1, "Traceback (most recent call last)")
    assert "exit 70" in fault(70, "error")
    assert "Warning" in fault(0, "x.py:3: RuntimeWarning: divide by zero")
    assert fault(2, "") == "no word on what was wrong"
    assert fault(2, "error: no") == fault(0, "") == ""
