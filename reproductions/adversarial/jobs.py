"""Runs side by side: each in a process of one thread, each result one small JSON file; what is there is not made again.

words → files    play(job) → what goes into its file
"""

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

__all__ = ["Found", "home", "play_all", "plus", "read", "rows"]

Found = dict[str, Any]
HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def play_all(play: Callable[..., Found], jobs: Mapping[Path, tuple[Any, ...]], workers: int) -> None:
    """Make the files that are missing. One that fails is told of, and leaves the others alone."""
    missing = {file: job for file, job in jobs.items() if not file.is_file()}
    failed: list[str] = []
    with ProcessPoolExecutor(workers, initializer=_alone) as pool:
        waiting = {pool.submit(play, *job): file for file, job in missing.items()}
        for future in as_completed(waiting):
            file = waiting[future]
            try:
                keep(future.result(), file)
            except Exception as error:  # whatever a run may raise; it is said below, and ends the script
                failed.append(f"{file.stem}: {type(error).__name__}: {error}")
                print(f"failed: {failed[-1]}", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} of {len(missing)} runs failed; the others are kept")


def _alone() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def keep(found: Found, file: Path) -> None:
    """Whole or not at all: what is half written would count as finished."""
    half = file.with_suffix(".half")
    half.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    os.replace(half, file)
    print(file.stem, *(f"{k} {v:.4g}" for k, v in found.items() if isinstance(v, float)), flush=True)


def home(results: Path) -> Path:
    """Where the page of these results goes: beside the protocol's own, into any other folder."""
    return HERE if results.resolve() == RESULTS else results


def read(results: Path, pattern: str) -> list[Found]:
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
