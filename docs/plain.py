"""Docstrings as they are written here, made into reStructuredText, and the pages that list them.

Our docstrings are plain text: paragraphs, `code` between single backticks, formulas and tables set apart by
indentation, examples after `>>>`, and lists. So that mathematics such as log p(x|z) or x* needs no escaping
at its source, the marks that reStructuredText would read as markup are escaped here, and what is indented
stays as it is.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from bestiary.grammar.part_calls import part_signature
from bestiary.grammar.signatures import option_comments, part_options, signature_options
from bestiary.grammar.values import type_text, value_text

__all__ = ["fields_of", "rst", "write_pages", "write_zoo"]

OPTIONS = "\n.. list-table::\n   :header-rows: 1\n\n   * - key\n     - default\n     - takes\n     -\n"
ITEM = re.compile(r"(- |\* |\d+\. )")


def inline(line: str) -> str:
    """One line of prose: `code` becomes ``code`` (set off by `\\ `), everything else is taken as it stands.

    >>> inline("`x` ~ p(x|z), x* and n_ are *not* markup")
    '\\\\ ``x``\\\\  ~ p(x\\\\|z), x\\\\* and n\\\\_ are \\\\*not\\\\* markup'
    """
    pieces = re.split(r"(?<!`)`([^`\n]+)`(?!`)", line)
    for i, piece in enumerate(pieces):
        pieces[i] = f"\\ ``{piece.strip()}``\\ " if i % 2 else re.sub(r"([\\*|`_])", r"\\\1", piece)
    return "".join(pieces)


def rst(lines: list[str]) -> list[str]:
    """A whole docstring."""
    blocks = (list(group) for blank, group in groupby(lines, key=lambda line: not line.strip()) if not blank)
    return [line for block in blocks for line in (*_block(block), "")]


def _block(lines: list[str]) -> Iterator[str]:
    """One run of lines without a blank one between them."""
    if lines[0].lstrip().startswith(">>> "):
        indent = len(lines[0]) - len(lines[0].lstrip())
        yield from (line[indent:] for line in lines)
    elif ITEM.match(lines[0]):
        yield from (inline(line) for line in lines)
    else:
        for indented, group in groupby(lines, key=lambda line: line.startswith("  ")):
            run = list(group)
            yield from ("::", "", *(f"  {line}" for line in run), "") if indented else (*map(inline, run), "")


def fields_of(thing: Any) -> list[str]:
    """The comments that stand beside a dataclass's fields."""
    if not (inspect.isclass(thing) and dataclasses.is_dataclass(thing)):
        return []
    return [line for name, says in option_comments(thing).items() for line in (f"- ``{name}`` — {inline(says)}", "")]


def write_pages(package: Path, folder: Path, rooms: dict[str, str]) -> None:
    """A page for the package, one for each room that exists, listing its modules, and an index of the rooms."""
    folder.mkdir(exist_ok=True)
    there = [room for room in rooms if list((package / room).glob("*.py"))]
    for room in there:
        names = [f"bestiary.{room}.{f.stem}" for f in sorted((package / room).glob("*.py")) if f.stem[0] != "_"]
        page = _heading(f"{room}/", "=") + f"{rooms[room]}\n\n"
        page += "".join(_heading(name, "-") + f".. automodule:: {name}\n   :members:\n\n" for name in names)
        _write(folder / f"{room}.rst", page)
    _write(folder / "python.rst", _heading("From Python", "=") + ".. automodule:: bestiary\n   :members:\n")
    index = _heading("The rooms, module by module", "=") + ".. toctree::\n   :maxdepth: 2\n\n"
    _write(folder / "index.rst", index + "".join(f"   {room}\n" for room in there))


def write_zoo(
    folder: Path, models: Mapping[str, Callable[..., Any]], parts: Mapping[str, Mapping[str, Callable[..., Any]]]
) -> None:
    """One page with every named model and its options, and the parts that they may name."""
    page = _heading("The zoo", "=") + "Every named model, and its options as ``key=value``.\n\n"
    for name, make in models.items():
        page += _heading(name, "-") + "\n".join(rst((make.__doc__ or "").splitlines())) + OPTIONS
        says = option_comments(make)
        for key, (annotation, default) in signature_options(make).items():
            cells = (
                f"``{key}``",
                inline(value_text(default)),
                inline(type_text(annotation)),
                inline(says.get(key, "")),
            )
            page += "   * - " + "\n     - ".join(cells) + "\n"
        page += "\n"
    page += (
        _heading("Parts", "-")
        + "What an option that names a part may name; what stands in parentheses is optional.\n\n"
    )
    for key, table in parts.items():
        page += f"``{key}=``\n\n" + "".join(
            f"- ``{part_signature(n, part_options(b))}``: {inline((b.__doc__ or '').strip().splitlines()[0])}\n"
            for n, b in table.items()
        )
        page += "\n"
    _write(folder / "zoo.rst", page)


def _heading(title: str, mark: str) -> str:
    return f"{title}\n{mark * len(title)}\n\n"


def _write(path: Path, page: str) -> None:
    """Left alone when it is the same, so that a second build has nothing to do."""
    if not path.exists() or path.read_text() != page:
        path.write_text(page)
