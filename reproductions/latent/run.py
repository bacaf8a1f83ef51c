"""Bounds on MNIST, static and dynamic, by the public API: fit, judge with k = 5000, keep one small JSON for each run.

    BESTIARY_DATA=… python reproductions/latent/run.py --data static --models vae vamp --seeds 0 1 2 --out runs/latent
    python reproductions/latent/run.py --table                       writes RESULTS.md of what is in results/
    python reproductions/latent/run.py --quick --results NEW         seconds, on 8×8 digits: shows that everything runs

A run that is finished is not repeated and one that was stopped goes on. `--full` takes a GPU's rounds and all test
images; the default size is for two cores.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from level import level
from protocol import BATCH, DATA, QUICK, ROWS, SEEDS, Size, learning_rate
from table import write_table
from torch import Tensor

import bestiary as bst
from bestiary.measures.bound import bound_numbers
from bestiary.training.clock import mix
from bestiary.training.device import seeded

HERE = Path(__file__).parent


def fitted(name: str, data: str, seed: int, rounds: int, out: Path) -> bst.Run:
    """The run, finished: fitted now, or gone on with, or found."""
    folder = f"{data}-{name}-{rounds}-{seed}"
    if (env := out / folder / "env.json").is_file() and json.loads(env.read_text("utf-8")).get("finished"):
        return bst.load(out / folder)
    if (out / folder).is_dir():
        return bst.fit(resume=out / folder, root=out, quiet=True)
    quarter = max(1, rounds // 4)
    training = {"steps": rounds, "batch": BATCH, "seed": seed, "precision": "fp32", "lr": learning_rate(rounds)}
    pace = {"validate": quarter, "save": quarter, "log": min(250, quarter)}
    return bst.fit(DATA[data], "vae", name=folder, root=out, quiet=True, **(ROWS[name].options | training | pace))


def judged(run: bst.Run, size: Size) -> dict[str, object]:
    """−ELBO and −L_k of the same test images for every model, binarised once by seed where they are grey."""

    def bounds(part: Tensor, ks: Sequence[int]) -> Tensor:
        return run.model.bounds(part.to(run.device), ks)

    x = run.observe(run.part("test", None, 0)[0])
    with seeded(mix(0, "bound"), run.device):
        (elbo, nll), table = bound_numbers(bounds, x[: size.test], size.k, batch=10)
    curve = table.tolist()
    found = {"elbo": elbo.value, "nll": nll.value, "k": size.k, "test": min(size.test, len(x)), "curve": curve}
    if size.wide:
        with seeded(mix(0, "level"), run.device):
            found["all"] = level(bounds, x, curve, size.wide)
    return found


def play(name: str, data: str, seed: int, size: Size, out: Path) -> dict[str, object]:
    """One run with its judgement, as it goes to results/."""
    run = fitted(name, data, seed, size.rounds, out)
    start = time.perf_counter()
    found = judged(run, size)
    env = json.loads((run.path / "env.json").read_text("utf-8"))
    return {
        "model": name, "data": data, "seed": seed, "rounds": size.rounds, "batch": BATCH, **found,
        "fit_seconds": env["seconds"], "judge_seconds": round(time.perf_counter() - start, 1),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "processor": env["processor"],
        "python": platform.python_version(),
    }  # fmt: skip


def keep(found: dict[str, object], file: Path) -> None:
    """Whole or not at all: what is half written would count as finished."""
    half = file.with_suffix(".half")
    half.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    os.replace(half, file)
    print(f"{file.stem}: −ELBO {found['elbo']:.2f}, −L_{found['k']} {found['nll']:.2f}", flush=True)


def asked(words: Sequence[str] | None) -> argparse.Namespace:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--models", nargs="+", default=list(ROWS), choices=list(ROWS))
    ask.add_argument("--data", nargs="+", default=["static"], choices=["static", "dynamic"])
    ask.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    ask.add_argument("--full", action="store_true", help="a GPU's rounds, all test images")
    ask.add_argument("--quick", action="store_true", help="seconds, on 8×8 digits; no result")
    ask.add_argument("--out", type=Path, default=Path("runs/latent"), help="where run folders go")
    ask.add_argument("--results", type=Path, default=HERE / "results", help="where the small JSON files go")
    ask.add_argument("--table", action="store_true", help="only write RESULTS.md")
    given = ask.parse_args(words)
    if given.quick and given.results == HERE / "results":
        ask.error("--quick is no result: give --results another folder")
    return given


def main(words: Sequence[str] | None = None) -> None:
    given = asked(words)
    given.results.mkdir(parents=True, exist_ok=True)
    data = ["digits"] if given.quick else given.data
    jobs = [(d, s, m) for d in data for s in given.seeds for m in given.models] if not given.table else []
    for part, seed, name in jobs:
        file = given.results / f"{part}-{name}-{seed}{'-full' if given.full else ''}.json"
        if not file.is_file():
            size = QUICK if given.quick else ROWS[name].full if given.full else ROWS[name].size
            keep(play(name, part, seed, size, given.out), file)
    write_table(given.results, given.results.parent / "RESULTS.md")


if __name__ == "__main__":
    main()
