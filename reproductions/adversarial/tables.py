"""Tables of results: read the small JSON files, write mean ± standard error over seeds as Markdown."""

import json
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

__all__ = ["RESULTS", "Result", "home", "plus", "read", "rows"]

Result = dict[str, Any]
HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def home(results: Path) -> Path:
    """Where the page of these results goes: beside the protocol's own, into any other folder."""
    return HERE if results.resolve() == RESULTS else results


def read(results: Path, pattern: str) -> list[Result]:
    return [json.loads(file.read_text("utf-8")) for file in sorted(results.glob(pattern))]


def plus(values: list[float], form: str) -> str:
    """Mean ± standard error over seeds."""
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{mean(values):{form}} ± {error:{form}}" if len(values) > 1 else f"{mean(values):{form}}"


def rows(head: str, body: list[list[str]]) -> list[str]:
    """A table of Markdown; the first two columns are words."""
    columns = [cell.strip() for cell in head.split("|")]
    rule = ["---", "---", *["---:"] * (len(columns) - 2)]
    return [f"| {' | '.join(row)} |" for row in (columns, rule, *body)]
