"""The PacGAN protocol on the ring and the grid: modes, samples near one, reverse KL, over seeds.

    python reproductions/adversarial/toys.py --data ring grid --ways ns-gan noise --seeds 10 --jobs 2
    python reproductions/adversarial/toys.py --table                    writes TOYS.md of what is in results/

2,500 samples; a mode counts with one sample within 3 σ of it (Lin et al. 2018, arXiv 1712.04086). Seeds run side by
side in processes of one thread; a result that is there is not made again, and with `--out` a run that was killed goes
on. `--full`: the paper's networks and rounds.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from tables import RESULTS, Result, home, plus, read, rows

import bestiary as bst
from bestiary.data.load import load
from bestiary.grammar.command_line import format_words
from bestiary.measures.modes import count_modes
from bestiary.studies.executor import Workers, write_results
from bestiary.studies.job import Job, run_job
from bestiary.training.device import choose_device

SAMPLES, POINTS = 2500, 100_000
STEPS, LONGER = {"ring": 2500, "grid": 3500}, {"ring": 6000, "grid": 16_000}
NOISE = {"ring": 0.3, "grid": 0.6}  # σ of instance noise at first: it fills the gaps between modes

SMALL = {"latent": 2, "hidden": (128, 128, 128), "activation": "tanh", "batch": 256, "average": 0.998}
PAPER = {
    "latent": 2, "hidden": (400, 400, 400, 400), "norm": "batch", "critic_hidden": (200, 200, 200), "lr": 1e-4,
    "critic_activation": "maxout", "beta1": 0.8, "batch": 100,
}  # fmt: skip


def own(data: str, full: bool = False, rounds: int = 0) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name → model, and the options that a way is about."""

    def size(steps: int) -> dict[str, Any]:
        return {"steps": steps} | ({} if full else {"lr": f"linear(0.001,0.0003,{steps})"})

    def noise(steps: int) -> dict[str, Any]:
        return {"noise": f"linear({NOISE[data]},0,{steps * 3 // 10})"}

    steps = rounds or (400_000 if full else STEPS[data])
    more = rounds or (800_000 if full else LONGER[data])
    tenfold = rounds or (800_000 if full else 10 * STEPS[data])
    look = {} if full else {"critic_lr": 1e-4} | ({"tricks": "unroll(5,rate=0.01)"} if data == "grid" else {})
    batch = {"critic_norm": "batch"} | ({"critic_activation": "leaky"} if full else {})  # maxout layers have no norm
    return {
        "gan": ("gan", {}),
        "ns-gan": ("ns-gan", {}),
        "lsgan": ("lsgan", {}),
        "pac-gan": ("pac-gan", {}),
        "minibatch": ("ns-gan", {"minibatch": 8}),
        "unrolled-gan": ("unrolled-gan", look),
        "wgan-gp": ("wgan-gp", {"penalty": "gp(0.1)", "critic_turns": 3}),
        "r3gan": ("r3gan", {"penalty": "r1r2(0.1)"}),
        "wgan": ("wgan", {"weight_clip": 0.1, "critic_turns": 3}),
        "sn-gan": ("sn-gan", {}),
        "hinge": ("ns-gan", {"game": "hinge"}),
        "f-gan": ("f-gan", {"game": "f(pearson)"}),
        "f-kl": ("f-gan", {"game": "f(kl)"}),
        "f-reverse-kl": ("f-gan", {"game": "f(reverse_kl)"}),
        "f-jsd": ("f-gan", {"game": "f(jsd)"}),
        "batch-norm": ("ns-gan", batch),
        "joint": ("ns-gan", batch | {"joint": True}),
        "smoothing": ("ns-gan", {"smoothing": 0.1}),
        "matching": ("ns-gan", {"matching": 1.0}),
        "history": ("ns-gan", {"history": 0.001}),
        "noise": ("ns-gan", noise(steps)),
        "tenfold": ("ns-gan", size(tenfold)),
        "longer": ("ns-gan", size(more) | noise(more) | {"batch": 512}),
    }


def ways(data: str, full: bool = False, rounds: int = 0) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name → model and all options: the same networks, rounds and falling rate, but for what a way is about."""
    steps = rounds or (400_000 if full else STEPS[data])
    base = (PAPER if full else SMALL | {"lr": f"linear(0.001,0.0003,{steps})"}) | {"steps": steps}
    plain = {k: v for k, v in base.items() if k != "beta1"}  # RMSprop has none
    return {
        name: (model, (plain if model == "wgan" else base) | options)
        for name, (model, options) in own(data, full, rounds).items()
    }


def job_of(data: str, way: str, seed: int, full: bool = False, rounds: int = 0) -> Job:
    """What a way is with one seed."""
    model, options = ways(data, full, rounds)[way]
    pace = {"validate": 0, "save": max(1, options["steps"] // 4), "log": 1000}
    return Job(data, model, {"n": POINTS, "precision": "fp32", **pace, **options, "seed": seed})


def play(data: str, way: str, seed: int, full: bool, rounds: int, out: Path | None = None) -> Result:
    """One run, judged; its folder is in `out`, or is not kept."""
    job, start = job_of(data, way, seed, full, rounds), time.perf_counter()
    with nullcontext(out) if out else tempfile.TemporaryDirectory() as root:
        run = bst.load(run_job(job, root), device=str(choose_device()))
        truth, x = run.dataset.truth, torch.from_numpy(run.sample(SAMPLES, seed=1))
    counts = count_modes(x, torch.from_numpy(truth.means), truth.sigma)
    return {
        "data": data, "way": way, "seed": seed, "full": full, "seconds": round(time.perf_counter() - start, 1),
        "steps": job.options["steps"], **counts._asdict(),
    }  # fmt: skip


def perfect(data: str, runs: int = 200) -> list[float]:
    """What exact draws get, on average."""
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

BESIDE = {"ns-gan": "gan", "tenfold": "gan", "pac-gan": "pac-gan"}  # way → published row


def _row(data: str, way: str, full: bool, runs: list[Result]) -> list[str]:
    told = PUBLISHED[data].get(BESIDE.get(way, ""), "")
    cells = [data, way + (", full" if full else ""), str(len(runs)), plus([r["modes"] for r in runs], ".2f")]
    cells += [plus([r["quality"] for r in runs], ".2%"), plus([r["reverse_kl"] for r in runs], ".3f")]
    near = [r["near_kl"] for r in runs if "near_kl" in r and isfinite(r["near_kl"])]  # NaN: none is near
    few = f" ({len(near)} seeds)" if len(near) < len(runs) else ""
    cells += [plus(near, ".3f") + few if near else "", told]
    return [*cells, f"{runs[0]['steps']:,}"]


def _told() -> list[str]:
    """What each way is about, as the command line has it."""
    ring, grid = own("ring"), own("grid")
    each = {
        way: [f"{model} {format_words(options)}".strip() for model, options in (ring[way], grid[way])] for way in ring
    }
    return [f"- `{way}`: `{on}`" + (f"; grid: `{other}`" if other != on else "") for way, (on, other) in each.items()]


def table(results: Path) -> str:
    runs, body = read(results, "toys-*.json"), []
    for data in STEPS:
        best = perfect(data)
        kl = [f"{value:.4f}" for value in best[2:]]
        body.append([data, "a perfect sampler", "", f"{best[0]:.2f}", f"{best[1]:.2%}", *kl, "", ""])
        for way in ways(data):
            for full in (False, True):
                mine = [r for r in runs if (r["data"], r["way"], r["full"]) == (data, way, full)]
                body += [_row(data, way, full, mine)] if mine else []
    lines = [
        "# Toys, the PacGAN protocol",
        "",
        "Written by `python reproductions/adversarial/toys.py --table` from `results/`. Mean ± standard error over",
        "seeds; 2,500 samples. Published: ten runs of 400 epochs, four layers of 400 with BatchNorm against maxout",
        "(arXiv 1712.04086). Here: three layers of 128, tanh in the generator, batch 256, a rate from 0.001 to",
        "0.0003 (of RMSprop for `wgan`, of Adam elsewhere, with the betas of each model), fp32, the generator's",
        "weights averaged at 0.998; what else a way has stands below the table.",
        "",
        "Reverse KL is of the shares of all samples by their nearest mode. The authors' code counts only those near a",
        "mode, of which the next column is, for the seeds where it was kept and any is near. Where few samples are",
        "near, the first says little.",
        "",
        "The published runs have 400,000 rounds, more than ten times as many as `tenfold`. Plain GANs here find",
        "more modes, and share samples out more evenly, but in few rounds fewer samples lie near a mode: a",
        "continuous generator leaves bridges between modes, which more rounds make narrower (`longer`, and",
        "`tenfold`, the same plain GAN as `ns-gan`). On the grid `pac-gan`, `matching` and `sn-gan` have found where",
        "the modes are, and not how narrow they are (.05 on a side of 8), in 3,500 rounds.",
        "",
        *rows("data | way | seeds | modes | near one | reverse KL | of those near | published | rounds", body),
        "",
        "What each way is:",
        "",
        *_told(),
    ]
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", nargs="+", default=list(STEPS), choices=list(STEPS))
    ask.add_argument("--ways", nargs="+", default=list(ways("ring")), choices=list(ways("ring")))
    ask.add_argument("--seeds", type=int, default=10)
    ask.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    ask.add_argument("--rounds", type=int, default=0, help="other than the protocol's: to try it; no result")
    ask.add_argument("--full", action="store_true")
    ask.add_argument("--out", type=Path, help="where run folders are kept (left out: they are not)")
    ask.add_argument("--results", type=Path, default=RESULTS, help="where the small JSON files go")
    ask.add_argument("--table", action="store_true", help="only write TOYS.md")
    given = ask.parse_args(words)
    if given.rounds and home(given.results) != given.results:
        ask.error("--rounds is no result: give --results another folder")
    given.results.mkdir(parents=True, exist_ok=True)
    end = "-full" if given.full else ""
    cases = {
        given.results / f"toys-{data}-{way}-{seed}{end}.json": (data, way, seed, given.full, given.rounds, given.out)
        for seed in range(given.seeds) for data in given.data for way in given.ways
    }  # fmt: skip
    if not given.table:
        with Workers(given.jobs) as workers:
            write_results(play, cases, workers)
    (home(given.results) / "TOYS.md").write_text(table(given.results), "utf-8")


if __name__ == "__main__":
    main()
