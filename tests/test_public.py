"""What the package offers is there, documented, and cheap to reach.

For every module: a docstring that says something, an explicit `__all__`, each name in it importable, and
examples in docstrings that give what they show. For the package: importing it brings in no heavy part.
"""

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = {
    ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(SOURCE.rglob("*.py"))
    if file.stem != "__main__"  # a script: importing it runs the command line
}
# A room's __init__ may hold nothing but its docstring; every other module says what it offers.
OFFERING = [name for name, file in FILES.items() if len(ast.parse(file.read_text()).body) > 1]
WITH_EXAMPLES = [name for name, file in FILES.items() if ">>> " in file.read_text()]
HEAVY = ("torch", "numpy", "sklearn", "scipy", "matplotlib", "PIL", "rich", "jinja2", "zuko", "pydantic")


@pytest.mark.parametrize("module", FILES)
def test_module_says_what_it_is(module: str) -> None:
    docstring = ast.get_docstring(ast.parse(FILES[module].read_text())) or ""
    assert len(docstring.split()) >= 5, f"{module}: the docstring should say what the module is"


@pytest.mark.parametrize("module", OFFERING)
def test_module_says_what_it_offers(module: str) -> None:
    tree = ast.parse(FILES[module].read_text())
    assigned = [target for node in tree.body for target in getattr(node, "targets", [getattr(node, "target", None)])]
    assert "__all__" in {node.id for node in assigned if isinstance(node, ast.Name)}, f"{module} needs `__all__`"


@pytest.mark.parametrize("module", OFFERING)
def test_every_public_name_is_importable(module: str) -> None:
    loaded = importlib.import_module(module)
    assert len(set(loaded.__all__)) == len(loaded.__all__)
    for name in loaded.__all__:
        assert not name.startswith("_") or name == "__version__", f"{module}.{name} is public, yet its name is not"
        getattr(loaded, name)


@pytest.mark.parametrize("module", OFFERING)
def test_public_functions_and_classes_have_docstrings(module: str) -> None:
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        thing = getattr(loaded, name)
        if callable(thing) and getattr(thing, "__module__", None) == module:
            assert thing.__doc__, f"{module}.{name} needs a docstring"


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_give_what_they_show(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # an example may write files
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(module), optionflags=options)
    assert result.attempted > 0
    assert result.failed == 0


def loads(statement: str, *names: str) -> list[str]:
    """Which of the modules `names` a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_the_package_is_cheap() -> None:
    assert loads("import bestiary", *HEAVY) == []
    assert loads("import bestiary, numpy", *HEAVY)  # the check sees what it looks for


def test_every_name_of_the_package_resolves_and_is_listed() -> None:
    import bestiary

    assert set(bestiary.__all__) <= set(dir(bestiary))
    for name in bestiary.__all__:
        thing = getattr(bestiary, name)
        # Importing a room binds its name in the package, over whatever a late import had put there.
        assert f"bestiary.{name}" not in FILES or thing is sys.modules[f"bestiary.{name}"], name
    with pytest.raises(AttributeError):
        _ = bestiary.unheard_of
