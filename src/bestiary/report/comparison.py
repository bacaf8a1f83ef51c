"""Several runs side by side on one page: their samples, and every number they share on a common scale.

Of the runs with a number, one is called best only if its interval lies wholly on the better side of every
other's, and only if their protocols agree; otherwise the page says why no run is.
"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from bestiary.errors import BestiaryError
from bestiary.grammar.command_line import command
from bestiary.report import figures
from bestiary.report.number_words import Number, count, numbers, plain
from bestiary.report.page import facts, render, write_page
from bestiary.report.run_record import Folder, read
from bestiary.report.samples_section import samples_beside_data

__all__ = ["outcome", "write_comparison"]

OF_THE_RUN = ("weights", "p", "C")  # entries of a protocol that say what was judged or found, not how
SHOWN = ("Each example", "Rounds", "Time to fit", "Device", "Seed")


def outcome(rivals: Sequence[Number]) -> tuple[int | None, str]:
    """Which of several readings of one number is best, and the sentence that says so or why not."""
    if len(rivals) < 2:
        return None, "Only one run has this number."
    if any(n.mark is None for n in rivals):
        return None, "It is undefined for one of the runs."
    directions = {n.better for n in rivals}
    if directions not in ({"lower"}, {"higher"}):
        return None, "No direction of this number is better, so that no run is best."
    differing = _differences(rivals)
    if differing:
        return None, f"No comparison: the protocols differ in {', '.join(differing)}."
    sign = 1.0 if directions == {"lower"} else -1.0
    ends = [sorted(sign * end for end in n.mark.ends) for n in rivals if n.mark is not None]
    first = int(np.argmin([high for _, high in ends]))
    if not all(ends[first][1] < low for i, (low, _) in enumerate(ends) if i != first):
        return None, "No run is clearly best: the intervals overlap."
    beyond = _beyond(rivals[first])
    if beyond:
        return None, f"No run is best: the leading one is {beyond}, which is no merit."
    return first, ""


def _beyond(number: Number) -> str:
    """How a reading is better than real data get, if it is; a probe of codes may well beat one of x."""
    held = number.floor if number.better == "lower" else number.ceiling
    if held is None or number.mark is None or number.name == "probe":
        return ""
    (low, high), (bottom, top) = number.mark.ends, held.ends
    if number.better == "lower":
        return "below its floor" if high < min(bottom, held.value) else ""
    return "above its ceiling" if low > max(top, held.value) else ""


def _differences(rivals: Sequence[Number]) -> list[str]:
    """The keys in which the protocols differ."""
    keys = sorted({key for n in rivals for key in n.protocol if key not in OF_THE_RUN})
    return [key for key in keys if len({plain(n.protocol.get(key)) for n in rivals}) > 1]


def _contests(folders: Sequence[Folder]) -> list[dict[str, Any]]:
    """For every number, the runs that have it, on a common scale; those that most runs have come first."""
    by_title: dict[str, list[tuple[int, Number]]] = {}
    for i, folder in enumerate(folders):
        seen: set[str] = set()
        for n in numbers(folder):
            if n.title not in seen:  # the same again in bits per dimension settles nothing new
                by_title.setdefault(n.title, []).append((i, n))
            seen.add(n.title)
    names = _names([folder.path for folder in folders])
    contests = []
    for rivals in sorted(by_title.values(), key=len, reverse=True):
        readings = [n for _, n in rivals]
        span = figures.scale(readings)
        best, sentence, left_out = _decided([folders[i] for i, _ in rivals], readings, [names[i] for i, _ in rivals])
        winner = None if best is None else names[rivals[best][0]]
        rows = [
            {"run": names[run], "number": n, "bar": figures.interval(n, span), "best": i == best}
            for i, (run, n) in enumerate(rivals)
        ]
        sentence = sentence if winner is None else f"{winner} is best: its interval overlaps no other."
        contests.append({"number": readings[0], "rows": rows, "outcome": sentence + left_out, "winner": winner})
    return contests


def _decided(
    folders: Sequence[Folder], readings: Sequence[Number], names: Sequence[str]
) -> tuple[int | None, str, str]:
    """`outcome` of the runs that were judged on the same data and as they are now; the others in a sentence."""
    fresh = [i for i, folder in enumerate(folders) if not folder.stale]
    stale = [name for name, folder in zip(names, folders, strict=True) if folder.stale]
    left_out = "".join(f" {name} is left out: it was fitted further after it was judged." for name in stale)
    if len(fresh) > 1 and len({folders[i].of for i in fresh}) > 1:
        return None, "No comparison: the runs have different data or different splits of it.", left_out
    best, sentence = outcome([readings[i] for i in fresh])
    return (None if best is None else fresh[best]), sentence, left_out


def _names(paths: Sequence[Path]) -> list[str]:
    """Each run by its folder, with as many of those above it as tell it from the others."""
    whole = [path.resolve().parts for path in paths]
    most = max(map(len, whole), default=1)
    deep = next((k for k in range(1, most) if len({parts[-k:] for parts in whole}) == len(set(whole))), most)
    return ["/".join(parts[-deep:]) for parts in whole]


def _summary(contests: Sequence[dict[str, Any]]) -> str:
    """Who is clearly best in how many of the numbers that more than one run has."""
    fought = [contest for contest in contests if len(contest["rows"]) > 1]
    if not fought:
        return ""
    wins = Counter(contest["winner"] for contest in fought if contest["winner"] is not None)
    clauses = [f"{run} is clearly best in {n}" for run, n in wins.most_common()]
    open_ = len(fought) - wins.total()
    clauses += [f"{open_} {'is' if open_ == 1 else 'are'} undecided"] if open_ else []
    return f"Compared in {count(len(fought), 'number')}, {'; '.join(clauses)}."


def _card(folder: Folder, out: Path) -> dict[str, Any]:
    report = folder.path / "report.html"
    known = dict(facts(folder))
    return {
        "folder": folder,
        "beside": samples_beside_data(folder),
        "judged": bool(numbers(folder)),
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
    contests = _contests(folders)
    text = render(
        "comparison.html",
        cards=[_card(folder, out) for folder in folders],
        contests=contests,
        summary=_summary(contests),
        models=list(dict.fromkeys(folder.model for folder in folders)),
        data=sorted({folder.data for folder in folders}),
        judge=command("judge", folders[0].path),
        again=command("report", *(folder.path for folder in folders)),
    )
    return write_page(text, out)
