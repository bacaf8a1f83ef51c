"""The documentation says what is true: its Python runs, its commands exist, its glossary points at what is.

Each second-level section of a page is run from its first block of Python to its last, in one namespace, in an
empty folder, so that a reader who types what stands there gets what stands there; only runs are made shorter.
"""

import doctest
import importlib.util
import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import typer

from bestiary.cli.app import app
from bestiary.densities.density_names import PRIORS
from bestiary.models.zoo import MODELS
from bestiary.objectives.games import GAMES
from bestiary.objectives.penalties import PENALTIES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "bestiary"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "bash", "console")


def sections() -> dict[str, str]:
    """`page: heading` → the Python of that section, for every section that has any."""
    found = {}
    for page in PAGES:
        for text in re.split(r"^## ", page.read_text(), flags=re.MULTILINE):
            if code := "\n".join(body for kind, body in FENCE.findall(text) if kind == "python"):
                found[f"{page.name}: {text.splitlines()[0]}"] = code
    return found


@pytest.mark.parametrize("section", sections())
def test_python_in_the_documentation_runs(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    code = re.sub(r"\bsteps=\d+", "steps=20", sections()[section])
    with ExitStack() as after:
        for table in (MODELS, GAMES, PENALTIES, PRIORS):  # which a page about adding adds to
            after.enter_context(patch.dict(table))
        exec(compile(code, section, "exec"), {"__name__": section})


def commands() -> list[str]:
    """Every line `bestiary VERB …` in a block of shell commands, without its comment."""
    fenced = (block for page in PAGES for block in FENCE.findall(page.read_text()))
    blocks = (body for kind, body in fenced if kind in SHELL)
    lines = (line.split(" #")[0].strip() for block in blocks for line in block.splitlines())
    return sorted({line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?bestiary ", line)})


@pytest.mark.parametrize("command", commands())
def test_commands_in_the_documentation_exist(command: str) -> None:
    _, verb, *rest = shlex.split(command)
    verbs = typer.main.get_command(app).commands
    assert verb in verbs
    known = {flag for parameter in verbs[verb].params for flag in parameter.opts}
    assert {word.split("=")[0] for word in rest if word.startswith("-")} <= known
    if verb == "fit" and not rest[0].startswith("-"):
        assert rest[1] in MODELS


def test_the_glossary_points_at_files_that_hold_the_names() -> None:
    rows = re.findall(r"^\|([^\n]*)\|$", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    for cells in (re.split(r"(?<!\\)\|", row) for row in rows):
        names, places = re.findall(r"`([\w.]+)`", cells[1]), re.findall(r"`([\w/.]+)`", cells[-1])
        for place in places:
            files = [PACKAGE / place] if place.endswith(".py") else sorted((PACKAGE / place).glob("*.py"))
            text = "".join(file.read_text() for file in files)
            assert any(re.search(rf"\b{name.split('.')[-1]}\b", text) for name in names), (cells[1], place)


def test_docstrings_become_markup_without_losing_a_sign() -> None:
    spec = importlib.util.spec_from_file_location("plain", DOCS / "plain.py")
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    assert doctest.testmod(plain).failed == 0
    text = [
        "Prose of `x` and p(x|z).",
        "",
        "    x = a * b   (1)",
        "",
        "Then:",
        "  table | row",
        "",
        "- one",
        "  more",
    ]
    made = "\n".join(plain.rst(text))
    assert "``x``\\  and p(x\\|z)" in made
    assert "::\n\n      x = a * b   (1)\n" in made
    assert "Then:\n\n::\n\n    table | row\n" in made
    assert "- one\n  more" in made


def test_links_in_the_documentation_lead_somewhere() -> None:
    """Relative links and pictures of every page name files that are there."""
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([\w./-]*[./][\w./-]*)\)", page.read_text())]
    assert links
    assert not [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()]


def test_files_named_in_docstrings_and_pages_exist() -> None:
    """`docs/….md` and `benchmarks/….md`, wherever they are named."""
    texts = [*PAGES, *PACKAGE.rglob("*.py")]
    named = {
        name for text in texts for name in re.findall(r"\b(?:docs|benchmarks)/[\w/-]+\.(?:md|py)\b", text.read_text())
    }
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
