"""How Sphinx builds these pages: Markdown by hand, the API from the code, the gallery from scripts."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from plain import fields_of, rst, write_pages, write_zoo  # noqa: E402

from bestiary.models.zoo import MODELS, PARTS  # noqa: E402

project, author, copyright = "bestiary", "The bestiary authors", "The bestiary authors, Apache License 2.0"
release = importlib.metadata.version("bestiary")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "gallery", "sg_execution_times.rst", "auto_gallery/sg_execution_times.rst"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # sphinx-gallery keeps a class in its configuration

highlight_language = "none"  # an indented formula is not Python; examples after >>> still are
html_theme = "furo"
html_title = "bestiary"
html_theme_options = {"navigation_with_keys": True}

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # those of PyTorch are written for PyTorch's own pages
python_maximum_signature_line_length = 88

GALLERY = HERE / "gallery"
if list(GALLERY.glob("plot_*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": "gallery",
        "gallery_dirs": "auto_gallery",
        "within_subsection_order": "FileNameSortKey",
        "ignore_pattern": r"__init__\.py|common\.py",
        "abort_on_example_error": True,
        "remove_config_comments": True,
        "show_memory": False,
        "min_reported_time": 1,
    }
ROOMS = {
    "data": "Named sets, folders, arrays and tables; endless seeded batches of them.",
    "networks": "Plain modules. No losses.",
    "densities": "Context → distribution: likelihoods, posteriors, priors, and divergences in closed form.",
    "training": "The one loop: players, clock and schedules, averages, checkpoints, journal, devices.",
    "objectives": "Pure functions of tensors: bounds and games.",
    "models": "Compositions that list their players, and the zoo that names them.",
    "measures": "Pure functions of arrays and callables, never of a model.",
    "signs": "Symptoms of the known illnesses, each with its remedy.",
    "runs": "A run folder: fit → sample → judge → report; resume.",
    "studies": "Grids of runs, their engines, their store, their tables.",
    "report": "Pages made from run folders alone.",
    "explorer": "A decoder in the browser.",
    "serve": "A run behind an address.",
}


def read_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Plain text → reStructuredText, for every docstring on its way into a page."""
    lines[:] = [*rst(lines), *fields_of(thing)]


def write_generated(app: Any) -> None:
    """The pages that list what is there."""
    write_pages(HERE.parent / "src" / "bestiary", HERE / "api", ROOMS)
    write_zoo(HERE / "api", MODELS, PARTS)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("builder-inited", write_generated)
