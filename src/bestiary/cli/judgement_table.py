"""How a judgement, or several beside one another, look in a terminal."""

from collections.abc import Mapping
from typing import Any

from bestiary.cli.console import dim, say, table

__all__ = ["show_beside", "show_judgement"]

Judged = Mapping[str, Any]  # what judgement.json holds


def show_judgement(found: Judged) -> None:
    """Numbers with interval, unit and floor; what all share once, what is each one's own below it."""
    from bestiary.report.number_words import plain

    numbers, shared = found["numbers"], found.get("protocol", {})
    say(*found.get("verdict", ()), "")
    rows = [(n["title"], _value(n), n.get("unit") or "", _ends(n)) for n in numbers]
    table(rows, ("", "value", "unit", "floor / ceiling"), right=[1, 3])
    groups: dict[str, list[str]] = {" · ".join(f"{k}={plain(v)}" for k, v in shared.items()): ["all"]}
    for n in numbers:
        own = {k: v for k, v in (n.get("protocol") or {}).items() if k not in shared or shared[k] != v}
        own |= {at: n[at]["says"] for at in ("floor", "ceiling") if (n.get(at) or {}).get("says")}
        groups.setdefault(" · ".join(f"{k}={plain(v)}" for k, v in own.items()), []).append(n["title"])
    say("", *(dim(f"{', '.join(dict.fromkeys(titles))}: {how}") for how, titles in groups.items() if how))
    say(*(f"note: {note}" for note in found.get("notes", ())))


def show_beside(found: Mapping[str, Judged]) -> None:
    """The numbers of several runs, a column for each; where all are without a number there is no row."""
    by_name = [{n["name"]: n for n in one["numbers"]} for one in found.values()]
    rows = []
    for name in dict.fromkeys(name for numbers in by_name for name in numbers):
        mine = [numbers.get(name) for numbers in by_name]
        one = next(n for n in mine if n)
        rows.append((one["title"], *(_value(n) if n else "" for n in mine), one.get("unit") or "", _ends(one)))
    right = [*range(1, len(found) + 1), len(found) + 2]
    table(rows, ("", *found, "unit", "floor / ceiling"), right=right)


def _ends(number: Mapping[str, Any]) -> str:
    ends = [_value(number[at]) if number.get(at) else "" for at in ("floor", "ceiling")]
    return " / ".join(ends).rstrip(" /")


def _value(number: Mapping[str, Any]) -> str:
    """88.12 ± 0.21, or the interval in full where it is lopsided."""
    from bestiary.report.number_words import figure

    value, low, high = (number.get(key) for key in ("value", "low", "high"))
    if value is None:
        return "undefined"
    if low is None or high is None:
        return figure(value)
    half, middle = (high - low) / 2, (high + low) / 2
    if abs(middle - value) <= 0.05 * half:
        return f"{figure(value, low, high)} ± {figure(half, low, high)}"
    return f"{figure(value, low, high)} [{figure(low, low, high)}, {figure(high, low, high)}]"
