"""Print a judgement, or several side by side, as a table."""

from collections.abc import Mapping
from typing import Any

from bestiary.cli.console import dim, print_lines, table

__all__ = ["show_beside", "show_judgement"]

JudgementDict = Mapping[str, Any]  # the contents of judgement.json


def show_judgement(judgement: JudgementDict) -> None:
    """Print the verdict, the numbers with interval, unit and floor, their protocols, and the notes."""
    from bestiary.report.number_words import plain

    numbers, shared = judgement["numbers"], judgement.get("protocol", {})
    print_lines(*judgement.get("verdict", ()), "")
    rows = [(n["title"], _value_text(n), n.get("unit") or "", _floor_and_ceiling(n)) for n in numbers]
    table(rows, ("", "value", "unit", "floor / ceiling"), right=[1, 3])
    largest = [(n["title"], n["largest"]) for n in numbers if n.get("largest")]
    if largest:
        print_lines("")
        table(largest, ("", "where it is largest"))
    groups: dict[str, list[str]] = {" · ".join(f"{k}={plain(v)}" for k, v in shared.items()): ["all"]}
    for n in numbers:
        extra = {k: v for k, v in (n.get("protocol") or {}).items() if k not in shared or shared[k] != v}
        extra |= {end: n[end]["says"] for end in ("floor", "ceiling") if (n.get(end) or {}).get("says")}
        groups.setdefault(" · ".join(f"{k}={plain(v)}" for k, v in extra.items()), []).append(n["title"])
    protocols = ((", ".join(dict.fromkeys(titles)), protocol) for protocol, titles in groups.items() if protocol)
    print_lines("", *(dim(f"{titles}: {protocol}") for titles, protocol in protocols))
    print_lines(*(f"note: {note}" for note in judgement.get("notes", ())))


def show_beside(judgements: Mapping[str, JudgementDict]) -> None:
    """Print each run's verdict, then the numbers, each run a column; details are left to the report."""
    print_lines(*(f"{name}: {' '.join(judgement.get('verdict', ()))}" for name, judgement in judgements.items()), "")
    by_name = [{n["name"]: n for n in judgement["numbers"]} for judgement in judgements.values()]
    rows = []
    for name in dict.fromkeys(name for numbers in by_name for name in numbers):
        cells = [numbers.get(name) for numbers in by_name]
        first = next(n for n in cells if n)
        if first.get("detail"):
            continue
        values = [_value_text(n) if n else "" for n in cells]
        rows.append((first["title"], *values, first.get("unit") or "", _floor_and_ceiling(first)))
    right = [*range(1, len(judgements) + 1), len(judgements) + 2]
    table(rows, ("", *judgements, "unit", "floor / ceiling"), right=right)


def _floor_and_ceiling(number: Mapping[str, Any]) -> str:
    ends = [_value_text(number[at]) if number.get(at) else "" for at in ("floor", "ceiling")]
    return " / ".join(ends).rstrip(" /")


def _value_text(number: Mapping[str, Any]) -> str:
    """88.12 ± 0.21, or 88.12 [87.9, 88.6] where the interval is lopsided."""
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
