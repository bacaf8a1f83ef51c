"""How often the printed 95% intervals hold the truth, by simulation; writes docs/coverage.md.

    python benchmarks/coverage.py [--repetitions 400] [--jobs 2]

The worlds and their truths are those of the slow tests (tests/measures/coverage_worlds.py), with more repetitions.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from math import sqrt
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.measures.coverage_worlds import WORLDS, Row, coverage

ROOT = Path(__file__).resolve().parents[1]
LOW, HIGH = 0.93, 0.97


def world_rows(place: int, repetitions: int) -> list[Row]:
    """The rows of one world; slow ones have a fifth of the repetitions of the others, as in the tests."""
    torch.set_num_threads(1)
    world = WORLDS[place]
    return coverage(world, max(1, repetitions * world.repetitions // 200) if world.repetitions < 200 else repetitions)


def line(row: Row) -> str:
    """One line of the table; what lies below 93% by more than chance, or above 97%, is marked."""
    error = sqrt(0.95 * 0.05 / row.count)
    mark = "narrow" if row.covered < LOW - 2 * error else "wide" if row.covered > HIGH else ""
    return f"| {row.drawn} | {row.name} | {row.covered:.3f} | {row.count} | {mark} |"


def page_of(rows: list[Row], repetitions: int) -> str:
    """docs/coverage.md."""
    return f"""# Coverage of intervals

Each printed interval claims to hold the truth in 95% of all cases. This is measured by simulation: worlds are drawn
in which the truth is known, and it is counted how often the interval holds it. Where the truth has no closed form it
is the mean of the number over all worlds of these sizes, so that the interval says how far another sample of both sets
would move the number, and not how far it is biased. "Floor" and "ceiling" are the intervals that are printed beside it.

*narrow*: below 93% by more than two standard errors of the count. *wide*: above 97%: the interval promises less than it
holds. Most are wide where samples and data are alike, since the value is then of second order; parts of the bound where
examples are too few; and near copies, where samples with the same nearest example count as one.

| drawn | number | held | of | |
|---|---|---:|---:|---|
{chr(10).join(map(line, rows))}

Made by `python benchmarks/coverage.py --repetitions {repetitions}`. The slow tests repeat it with fewer worlds.
"""


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--repetitions", type=int, default=400)
    ask.add_argument("--jobs", type=int, default=1)
    given = ask.parse_args()
    rows: list[Row] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for part in [pool.submit(world_rows, place, given.repetitions) for place in range(len(WORLDS))]:
            rows += part.result()
            print("\n".join(map(line, rows[-len(part.result()) :])), flush=True)
            (ROOT / "docs" / "coverage.md").write_text(page_of(rows, given.repetitions), encoding="utf-8")


if __name__ == "__main__":
    main()
