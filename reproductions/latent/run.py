"""Bounds on MNIST, static and dynamic, by the public API: fit, judge with k = 5000, keep one small JSON for each run.

    BESTIARY_DATA=… python reproductions/latent/run.py --data static --models vae vamp --seeds 0 1 2 --out runs/latent
    python reproductions/latent/run.py --table                       writes RESULTS.md of what is in results/
    python reproductions/latent/run.py --quick --results NEW         seconds, on 8×8 digits: shows that everything runs

Runs are made side by side in processes of one thread. A run that is finished is not repeated and one that was stopped
goes on. `--full` takes a GPU's rounds and all test images, one run after another unless `--jobs` says more; the default
size is for two cores.
"""

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from level import level
from protocol import BATCH, DATA, QUICK, ROWS, SEEDS, Size, learning_rate
from table import write_table
from torch import Tensor

import bestiary as bst
from bestiary.measures.bound import bound_numbers
from bestiary.storage.run_files import read_env
from bestiary.studies.executor import Workers, write_results
from bestiary.studies.job import Job, run_job
from bestiary.training.clock import derive_seed
from bestiary.training.device import choose_device, seeded

HERE = Path(__file__).parent


def job_of(name: str, data: str, seed: int, rounds: int) -> Job:
    """A model of the table on one data set with one seed."""
    quarter = max(1, rounds // 4)
    training = {"steps": rounds, "batch": BATCH, "seed": seed, "precision": "fp32", "lr": learning_rate(rounds)}
    pace = {"validate": quarter, "save": quarter, "log": min(250, quarter)}
    return Job(DATA[data], "vae", ROWS[name].options | training | pace)


def judged(run: bst.Run, size: Size) -> dict[str, object]:
    """−ELBO and −L_k of the same test images for every model, binarised once by seed where they are grey."""

    def bounds(part: Tensor, ks: Sequence[int]) -> Tensor:
        return run.model.bounds(part.to(run.device), ks)

    x = run.observe(run.part("test", None, 0))
    with seeded(derive_seed(0, "bound"), run.device):
        (elbo, nll, *_), table = bound_numbers(bounds, x[: size.test], size.k, batch=10)
    curve = table.tolist()
    numbers = {"elbo": elbo.value, "nll": nll.value, "k": size.k, "test": min(size.test, len(x)), "curve": curve}
    if size.wide:
        with seeded(derive_seed(0, "level"), run.device):
            numbers["all"] = level(bounds, x, curve, size.wide)
    return numbers


def play(name: str, data: str, seed: int, size: Size, out: Path) -> dict[str, object]:
    """One run with its judgement, as it goes to results/."""
    run = bst.load(run_job(job_of(name, data, seed, size.rounds), out), device=str(choose_device()))
    start = time.perf_counter()
    numbers, env = judged(run, size), read_env(run.path)
    return {
        "model": name, "data": data, "seed": seed, "rounds": size.rounds, "batch": BATCH, **numbers,
        "fit_seconds": env["seconds"], "judge_seconds": round(time.perf_counter() - start, 1),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "processor": env["processor"],
        "python": platform.python_version(),
    }  # fmt: skip


def asked(words: Sequence[str] | None) -> argparse.Namespace:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--models", nargs="+", default=list(ROWS), choices=list(ROWS))
    ask.add_argument("--data", nargs="+", default=["static"], choices=["static", "dynamic"])
    ask.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    ask.add_argument("--jobs", type=int, help="runs side by side (left out: one for each core, with --full one)")
    ask.add_argument("--full", action="store_true", help="a GPU's rounds, all test images")
    ask.add_argument("--quick", action="store_true", help="seconds, on 8×8 digits; no result")
    ask.add_argument("--out", type=Path, default=Path("runs/latent"), help="where run folders go")
    ask.add_argument("--results", type=Path, default=HERE / "results", help="where the small JSON files go")
    ask.add_argument("--table", action="store_true", help="only write RESULTS.md")
    given = ask.parse_args(words)
    if given.quick and given.results == HERE / "results":
        ask.error("--quick is no result: give --results another folder")
    return given


def cases_of(given: argparse.Namespace) -> dict[Path, tuple[Any, ...]]:
    """File of a result → arguments of `play`."""
    cases = {}
    for data in ["digits"] if given.quick else given.data:
        for seed in given.seeds:
            for name in given.models:
                size = QUICK if given.quick else ROWS[name].full if given.full else ROWS[name].size
                file = given.results / f"{data}-{name}-{seed}{'-full' if given.full else ''}.json"
                cases[file] = (name, data, seed, size, given.out)
    return cases


def main(words: Sequence[str] | None = None) -> None:
    given = asked(words)
    given.results.mkdir(parents=True, exist_ok=True)
    if not given.table:
        with Workers(given.jobs or (1 if given.full else None)) as workers:
            write_results(play, cases_of(given), workers)
    write_table(given.results, given.results.parent / "RESULTS.md")


if __name__ == "__main__":
    main()
