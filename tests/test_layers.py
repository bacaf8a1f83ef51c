"""The shape of the house: imports flow one way, no two files share a name, functions are short and take few arguments.

A room imports only from itself and from rooms above it in `ROOMS`, not in a circle.

The modules are read, not run: with `edges = {(importer, imported)}` over the modules of the package,

    rank(imported) < rank(importer)  or  both stand in the same room      for every edge
    the graph of edges has no cycle

An edge is an `import` anywhere in the file, inside functions too, and any string that is exactly the dotted
name of a module of the package, because late imports are made from such strings.
"""

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "bestiary"

# Rooms on one line have the same rank and may not import from each other.
ROOMS = (
    ("grammar",),
    ("storage",),
    ("data",),
    ("networks",),
    ("training",),
    ("densities",),
    ("objectives",),
    ("models",),
    ("measures",),
    ("signs",),
    ("codes",),
    ("judging",),
    ("runs",),
    ("studies",),
    ("report", "explorer", "serve"),
    ("run", "doctor", "testing"),  # modules of the package itself
    ("demonstration",),
    ("cli",),
)
RANKS = {room: rank for rank, row in enumerate(ROOMS) for room in row}
FREE = ("errors", "version")  # modules that every room may import, and that import none
# The package itself and `__main__` stand below them all.


def module_names(package: Path) -> dict[str, Path]:
    """The dotted name of every module of the package → its file."""
    names = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


def imported(node: ast.AST, names: Collection[str]) -> Iterator[str]:
    """The modules that a node imports: `names` are ours; a relative import is told by its leading dots."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level:
        yield "." * node.level + (node.module or "")
    elif isinstance(node, ast.ImportFrom):
        for full in (f"{node.module}.{alias.name}" for alias in node.names):
            yield full if full in names else str(node.module)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from {node.value} & {name for name in names if "." in name}  # "bestiary" alone is a command


def imports_of(file: Path, names: Collection[str] = ()) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    return {other for node in ast.walk(ast.parse(file.read_text())) for other in imported(node, names)}


def edges(package: Path) -> dict[str, set[str]]:
    """Module → what it imports of the package."""
    names = module_names(package)
    return {
        name: {m for m in imports_of(file, names) if m.startswith(".") or m.split(".")[0] == package.name} - {name}
        for name, file in names.items()
    }


def room(module: str) -> str:
    """`bestiary.data.toys` → `data`; `bestiary` → ``."""
    return [*module.split("."), ""][1]


def wrong_imports(package: Path) -> list[str]:
    """A sentence for every import that runs the wrong way, and one for the first circle."""
    graph, wrong = edges(package), []
    for name, file in module_names(package).items():
        if file.parent != package and room(name) not in RANKS:
            wrong.append(f"{name}: `{room(name)}` is no room; name its place in tests/test_layers.py")
    for importer, imported in ((a, b) for a, others in graph.items() for b in sorted(others)):
        if imported.startswith("."):
            wrong.append(f"{importer} imports {imported}: imports are absolute")
        elif not may_import(room(importer), room(imported)):
            wrong.append(f"{importer} imports {imported}: {room(imported) or 'the package'} is not above it")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        wrong.append("circle: " + " → ".join(error.args[1]))
    return wrong


def may_import(importer: str, imported: str) -> bool:
    """Whether a room may import from another; other names are of modules beside them."""
    if importer == imported or imported in FREE:
        return True
    if importer in FREE:
        return False
    return importer not in RANKS or RANKS[importer] > RANKS.get(imported, len(RANKS))


def test_imports_flow_down_the_table_of_rooms() -> None:
    assert wrong_imports(PACKAGE) == []


def test_reports_read_files_only() -> None:
    """No module of the report names torch, and importing all of them does not bring it in by another way."""
    reports = [name for name in module_names(PACKAGE) if room(name) == "report"]
    assert reports
    for name in reports:
        assert "torch" not in {m.split(".")[0] for m in imports_of(module_names(PACKAGE)[name])}, name
    code = f"import sys, {', '.join(reports)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")


MOST_LINES, MOST_PARAMETERS = 60, 12  # of one function, its signature and docstring counted

# Their signature is a user's list of options: each parameter is one, with its help beside it or in the loader's table.
OPTION_LISTS = {
    "cli/app.py: fit", "data/array_files.py: from_file", "data/arrays.py: from_array", "data/folders.py: from_images",
    "data/hub.py: from_hub", "models/zoo_adversarial.py: gan", "models/zoo_latent.py: vae", "models/zoo_latent.py: ae",
}  # fmt: skip


def equal_names(package: Path) -> list[str]:
    """A sentence for every file name that stands in more than one room: a stranger would open the wrong one."""
    files: dict[str, list[str]] = {}
    for file in sorted(package.rglob("*.py")):
        if file.name != "__init__.py":
            files.setdefault(file.name, []).append(file.relative_to(package).as_posix())
    return [f"{' and '.join(places)} have one name" for places in files.values() if len(places) > 1]


def large_functions(package: Path) -> list[str]:
    """A sentence for every function that is too long to read at once, or takes too much."""
    wrong = []
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{file.relative_to(package).as_posix()}: {node.name}"
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                parameters = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
                if lines > MOST_LINES:
                    wrong.append(f"{name} has {lines} lines: at most {MOST_LINES}")
                if parameters > MOST_PARAMETERS and name not in OPTION_LISTS:
                    wrong.append(f"{name} has {parameters} parameters: at most {MOST_PARAMETERS}")
    return wrong


def test_no_two_files_share_a_name() -> None:
    assert equal_names(PACKAGE) == []


def test_functions_are_short_and_take_few_arguments() -> None:
    assert large_functions(PACKAGE) == []


def test_every_list_of_options_is_there_and_needs_to_be_named() -> None:
    """A line of the table that excuses nothing would excuse something else one day."""
    long = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
                long |= {f"{file.relative_to(PACKAGE).as_posix()}: {node.name}"} if count > MOST_PARAMETERS else set()
    assert long >= OPTION_LISTS


@pytest.mark.parametrize(
    ("plant", "text", "says"),
    [
        ("runs/spec.py", "", "data/spec.py and runs/spec.py have one name"),
        ("runs/long.py", "def f():\n" + "    x = 1\n" * 60, "runs/long.py: f has 61 lines"),
        ("runs/wide.py", f"def f({', '.join(f'a{i}' for i in range(13))}): ...", "f has 13 parameters"),
        (
            "runs/wide.py",
            f"class C:\n    def f(self, *, {', '.join(f'a{i}' for i in range(12))}): ...",
            "13 parameters",
        ),
        ("data/hub.py", f"def from_hub({', '.join(f'a{i}' for i in range(20))}): ...", ""),
    ],
)
def test_a_planted_name_or_function_is_caught(tmp_path: Path, plant: str, text: str, says: str) -> None:
    sound = {path: written for path, written in SOUND.items() if path != "explorer/page.py"}  # report/ has one too
    package = build(tmp_path, sound | {plant: text})
    wrong = equal_names(package) + large_functions(package)
    assert any(says in sentence for sentence in wrong) if says else wrong == []


PLANTED = {
    "a room below": (
        "data/toys.py",
        "from bestiary.models.vae import VAE",
        "bestiary.models.vae: models is not above",
    ),
    "inside a function": ("data/toys.py", "def f():\n    import bestiary.runs.fit", "bestiary.runs.fit"),
    "a module named in `from`": ("networks/mlp.py", "from bestiary.models import vae", "bestiary.models.vae"),
    "the package itself": ("models/vae.py", "import bestiary", "the package is not above"),
    "late, by a string": ("measures/fid.py", "HOME = 'bestiary.runs.fit'", "bestiary.runs.fit"),
    "rooms side by side": ("report/page.py", "import bestiary.explorer.page", "bestiary.explorer.page"),
    "a relative import": ("data/toys.py", "from .spec import Spec", "imports are absolute"),
    "a relative import of a package": ("data/toys.py", "from . import spec", "imports are absolute"),
    "a circle": ("data/spec.py", "import bestiary.data.toys", "circle: "),
    "the errors, which import nothing": ("errors.py", "import bestiary.data.spec", "bestiary.data.spec"),
    "a room nobody knows": ("cellar/wine.py", "", "`cellar` is no room"),
    "the command line": ("runs/fit.py", "import bestiary.cli.app", "cli is not above"),
}

SOUND = {
    "__init__.py": "from bestiary.runs.fit import fit",
    "errors.py": "",
    "cli/app.py": "import bestiary.doctor\nfrom bestiary.runs import fit",
    "doctor.py": "",
    "data/__init__.py": "HOMES = {'Spec': 'bestiary.data.spec'}",
    "data/spec.py": "from bestiary.errors import BestiaryError",
    "data/toys.py": "from bestiary.data.spec import Spec\nimport numpy",
    "networks/mlp.py": "import torch",
    "models/vae.py": "def f():\n    from bestiary.networks.mlp import MLP",
    "measures/fid.py": '"""See bestiary.runs.fit for its use."""',
    "runs/fit.py": "from bestiary.models import vae\nCOMMAND = ['bestiary', 'fit']",
    "report/page.py": "import bestiary.data.spec",
    "explorer/page.py": "",
}


def build(root: Path, files: dict[str, str]) -> Path:
    package = root / "bestiary"
    for path, text in files.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text)
    return package


def test_a_sound_house_passes(tmp_path: Path) -> None:
    assert wrong_imports(build(tmp_path, SOUND)) == []


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_import_is_caught(tmp_path: Path, plant: str) -> None:
    path, line, says = PLANTED[plant]
    wrong = wrong_imports(build(tmp_path, SOUND | {path: f"{SOUND.get(path, '')}\n{line}"}))
    assert any(says in sentence for sentence in wrong), wrong
