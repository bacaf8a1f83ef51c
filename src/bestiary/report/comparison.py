"""Several runs side by side on one page: their samples, and every number they share on a common scale.

Of the runs with a number, one is called best only if its interval lies wholly on the better side of every
other's, and only if their protocols agree; otherwise the page says why no run is.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from bestiary.errors import BestiaryError
from bestiary.report import figures
from bestiary.report.beside import beside
from bestiary.report.folder import Folder, command, read
from bestiary.report.page import facts, render, write_page
from bestiary.report.words import Number, numbers, plain, verdict

__all__ = ["outcome", "write_comparison"]

SHOWN = ("Each example", "Rounds", "Fitted in", "On", "Seed")


def outcome(rivals: Sequence[Number]) -> tuple[int | None, str]:
    """Which of several readings of one number is best, and the sentence that says so or why not."""
    if len(rivals) < 2:
        return None, "Only one run has this number."
    if any(n.mark is None for n in rivals):
        return None, "It is undefined for one of the runs."
    directions = {n.better for n in rivals}
    if directions not in ({"lower"}, {"higher"}):
        return None, "Neither more nor less of it is better by itself."
    differing = _differences(rivals)
    if differing:
        return None, f"No comparison: the protocols differ in {', '.join(differing)}."
    sign = 1.0 if directions == {"lower"} else -1.0
    ends = [sorted(sign * end for end in n.mark.ends) for n in rivals if n.mark is not None]
    first = int(np.argmin([high for _, high in ends]))
    if all(ends[first][1] < low for i, (low, _) in enumerate(ends) if i != first):
        return first, ""
    return None, "No run is clearly best: the intervals meet."


def _differences(rivals: Sequence[Number]) -> list[str]:
    """The keys in which the protocols differ."""
    keys = sorted({key for n in rivals for key in n.protocol})
    return [key for key in keys if len({plain(n.protocol.get(key)) for n in rivals}) > 1]


def _contests(folders: Sequence[Folder]) -> list[dict[str, Any]]:
    """For every number, the runs that have it, on a common scale."""
    by_name: dict[str, list[tuple[str, Number]]] = {}
    for folder in folders:
        for n in numbers(folder):
            by_name.setdefault(n.name or n.title, []).append((folder.path.name, n))
    contests = []
    for rivals in by_name.values():
        readings = [n for _, n in rivals]
        span = figures.scale(readings)
        best, sentence = outcome(readings)
        said = f"{rivals[best][0]} is best: its interval lies apart from every other." if best is not None else sentence
        rows = [
            {"run": run, "number": n, "bar": figures.interval(n, span), "best": i == best}
            for i, (run, n) in enumerate(rivals)
        ]
        contests.append({"number": readings[0], "rows": rows, "outcome": said})
    return contests


def _card(folder: Folder, out: Path, shared: set[str]) -> dict[str, Any]:
    """A run in short: its samples, and one number, which the others have as well if there is such a number."""
    found = numbers(folder)
    report = folder.path / "report.html"
    known = dict(facts(folder))
    return {
        "folder": folder,
        "beside": beside(folder),
        "verdict": verdict(([n for n in found if n.name in shared] or found)[:1]),
        "facts": [(key, known[key]) for key in SHOWN if key in known],
        "link": quote(Path(os.path.relpath(report, out.parent)).as_posix()) if report.is_file() else "",
        "report": command("report", folder.path),
        "judge": command("judge", folder.path),
    }


def write_comparison(runs: Sequence[Path], out: Path) -> Path:
    """Make one page that shows several runs side by side, and return its path."""
    if not runs:
        raise BestiaryError("a comparison needs at least one run folder, for example `bestiary report runs/a runs/b`.")
    out = Path(out)
    folders = [read(Path(run)) for run in runs]
    names = [{n.name for n in numbers(folder)} for folder in folders]
    shared = set.intersection(*names)
    text = render(
        "comparison.html",
        cards=[_card(folder, out, shared) for folder in folders],
        contests=_contests(folders),
        models=list(dict.fromkeys(folder.model for folder in folders)),
        data=sorted({folder.data for folder in folders}),
        judge=command("judge", folders[0].path),
        again=command("report", *(folder.path for folder in folders)),
    )
    return write_page(text, out)
