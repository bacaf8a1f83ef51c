"""The PacGAN protocol on the ring and the grid: modes, samples near one, reverse KL, over seeds.

    python reproductions/adversarial/toys.py --data ring grid --ways ns-gan noise --seeds 10 --jobs 2
    python reproductions/adversarial/toys.py --table                    writes TOYS.md of what is in results/

2,500 samples; a mode counts with one sample within 3 σ of it (Lin et al. 2018, arXiv 1712.04086). Seeds run side by
side in processes of one thread; a result that is there is not made again. `--full`: the paper's networks and rounds.
"""

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

HERE = Path(__file__).parent
SAMPLES, POINTS = 2500, 100_000
STEPS = {"ring": 6000, "grid": 8000}
NOISE = {"ring": 0.3, "grid": 1.0}  # σ of instance noise at first: it fills the gaps between modes

SMALL = {"latent": 2, "hidden": (128, 128, 128), "batch": 256, "average": 0.995}
PAPER = {
    "latent": 2, "hidden": (400, 400, 400, 400), "norm": "batch", "critic_hidden": (200, 200, 200), "lr": 1e-4,
    "critic_activation": "maxout", "beta1": 0.8, "batch": 100, "steps": 400_000,
}  # fmt: skip


def ways(data: str, full: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name → model and options. All have the same networks, rounds and falling rate."""
    steps = 400_000 if full else STEPS[data]
    base = PAPER if full else SMALL | {"steps": steps, "lr": f"linear(0.001,0.00002,{steps})"}
    noise = {"noise": f"linear({NOISE[data]},0,{steps * 3 // 4})"}
    found = {
        "gan": ("gan", {}),
        "ns-gan": ("ns-gan", {}),
        "lsgan": ("lsgan", {}),
        "pac-gan": ("pac-gan", {}),
        "minibatch": ("ns-gan", {"minibatch": 8}),
        "unrolled-gan": ("unrolled-gan", {"unroll": 3, "unroll_rate": 0.02}),
        "wgan-gp": ("wgan-gp", {"penalty": "gp(0.1)", "critic_turns": 3}),
        "r3gan": ("r3gan", {"penalty": "r1r2(0.1)"}),
        "noise": ("ns-gan", noise),
    }
    return {name: (model, base | options) for name, (model, options) in found.items()}


def play(data: str, way: str, seed: int, full: bool) -> dict[str, Any]:
    """One run, judged: in a process of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    import bestiary as bst
    from bestiary.measures.modes import count_modes

    torch.set_num_threads(1)
    model, options = ways(data, full)[way]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as root:
        run = bst.fit(
            data, model, root=root, quiet=True, n=POINTS, validate=0, save=0, log=1000, **options | {"seed": seed}
        )
        truth, x = run.dataset.truth, torch.from_numpy(run.sample(SAMPLES, seed=1))
    found = count_modes(x, torch.from_numpy(truth.means), truth.sigma)
    seconds = round(time.perf_counter() - start, 1)
    return {"data": data, "way": way, "seed": seed, "full": full, "seconds": seconds, "steps": options["steps"]} | (
        found._asdict()
    )


def perfect(data: str, runs: int = 200) -> list[float]:
    """What exact draws get, on average."""
    import torch

    from bestiary.data.load import load
    from bestiary.measures.modes import count_modes

    truth = load(data).truth
    each = [
        count_modes(torch.from_numpy(truth.sample(SAMPLES, seed)), torch.from_numpy(truth.means), truth.sigma)
        for seed in range(runs)
    ]
    return [mean(values) for values in zip(*each, strict=True)]


PUBLISHED = {
    "ring": {"gan": "6.3 ± .5 / 98.2% / .45", "pac-gan": "7.9 / 95.6% / .07"},
    "grid": {"gan": "17.3 ± .8 / 94.8% / .70", "pac-gan": "23.8 / 91.3% / .13"},
}


def _plus(values: list[float], form: str) -> str:
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{mean(values):{form}} ± {error:{form}}"


def _row(data: str, way: str, full: bool, runs: list[dict[str, Any]]) -> str:
    told = PUBLISHED[data].get({"ns-gan": "gan"}.get(way, way), "") if way != "gan" else ""
    cells = [data, way + (", full" if full else ""), str(len(runs)), _plus([r["modes"] for r in runs], ".2f")]
    cells += [_plus([r["quality"] for r in runs], ".2%"), _plus([r["reverse_kl"] for r in runs], ".3f"), told]
    return f"| {' | '.join(cells)} | {runs[0]['steps']:,} | {mean(r['seconds'] for r in runs):.0f} |"


def table(results: Path) -> str:
    runs = [json.loads(file.read_text("utf-8")) for file in sorted(results.glob("toys-*.json"))]
    lines = [
        "# Toys, the PacGAN protocol",
        "",
        "Written by `python reproductions/adversarial/toys.py --table` from `results/`. Mean ± standard error over",
        "seeds; 2,500 samples. Published rows are of ten runs of 400 epochs of networks four times as wide.",
        "",
        "| data | way | seeds | modes | near one | reverse KL | published | rounds | seconds a run, one thread |",
        "|---|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for data in STEPS:
        best = perfect(data)
        lines.append(f"| {data} | a perfect sampler | | {best[0]:.2f} | {best[1]:.2%} | {best[2]:.4f} | | | |")
        for way in ways(data, False):
            for full in (False, True):
                mine = [r for r in runs if (r["data"], r["way"], r["full"]) == (data, way, full)]
                lines += [_row(data, way, full, mine)] if mine else []
    return "\n".join(lines) + "\n"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", nargs="+", default=list(STEPS), choices=list(STEPS))
    ask.add_argument("--ways", nargs="+", default=list(ways("ring", False)), choices=list(ways("ring", False)))
    ask.add_argument("--seeds", type=int, default=10)
    ask.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    ask.add_argument("--full", action="store_true")
    ask.add_argument("--table", action="store_true", help="only write TOYS.md")
    given, results = ask.parse_args(), HERE / "results"
    results.mkdir(exist_ok=True)
    jobs = [(d, w, s, given.full) for s in range(given.seeds) for d in given.data for w in given.ways]
    with ProcessPoolExecutor(given.jobs) as pool:
        waiting = {}
        for job in [] if given.table else jobs:
            file = results / f"toys-{job[0]}-{job[1]}-{job[2]}{'-full' if given.full else ''}.json"
            if not file.is_file():
                waiting[file] = pool.submit(play, *job)
        for file, future in waiting.items():
            found = future.result()
            file.write_text(json.dumps(found, indent=1) + "\n")
            print(*found.values(), flush=True)
    (HERE / "TOYS.md").write_text(table(results), "utf-8")


if __name__ == "__main__":
    main()
