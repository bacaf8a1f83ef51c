"""GANs on images: five games on three sets with one budget, and modes of stacked MNIST.

    BESTIARY_DATA=… python reproductions/adversarial/images.py --data mnist --ways dcgan wgan-gp --seeds 3 --jobs 2
    python reproductions/adversarial/images.py --table                    writes IMAGES.md of what is in results/

The budget is a number of turns, of either player; who gives the critic five turns in a round has fewer rounds. All have
the DCGAN networks of one width, one batch and an averaged generator. Rates are the papers', but where few rounds ask
for larger ones: 5e-4 for 5e-5 under clipping, 1e-3 for 1e-4 or 2e-4 under a penalty, whose critics have no BatchNorm.
`--full`: a GPU's turns and width.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tables import RESULTS, Result, home, plus, read, rows

import bestiary as bst
from bestiary.measures.score import class_kl, stacked_classes
from bestiary.studies.executor import Workers, write_results
from bestiary.studies.job import Job, run_job
from bestiary.training.device import choose_device


@dataclass(frozen=True)
class Size:
    turns: int  # of both players together
    width: int
    batch: int
    judged: int  # training images, half of them compared with and half in the place of samples
    stacked: int  # samples whose digits are counted


SMALL = Size(turns=3000, width=24, batch=64, judged=5000, stacked=26_000)
FULL = Size(turns=200_000, width=64, batch=64, judged=10_000, stacked=26_000)  # some are left to fit features to
QUICK = Size(turns=12, width=4, batch=8, judged=100, stacked=200)

FEATURES = {"mnist": "mnist", "fashion-mnist": "mnist", "cifar10": "labels", "stacked-mnist": "mnist"}
SETS, STACKED = ("mnist", "fashion-mnist", "cifar10"), "stacked-mnist"
QUICK_SET = "digits"
NET = {"network": "dcgan", "latent": 100}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "dcgan": ("dcgan", {}),
    "lsgan": ("lsgan", NET),
    "wgan": ("wgan", NET | {"critic_turns": 5, "lr": 5e-4}),
    "wgan-gp": ("wgan-gp", NET | {"lr": 1e-3}),
    "r3gan": ("r3gan", NET | {"lr": 1e-3}),
    "pac-gan": ("pac-gan", NET),
}
ON = {STACKED: ("dcgan", "pac-gan", "wgan-gp", "r3gan")}  # the ways that are played on a set; others: GAMES
GAMES = ("dcgan", "lsgan", "wgan", "wgan-gp", "r3gan")
NAMES = ("fid", "kid", "precision", "recall", "density", "covered", "c2st")
PUBLISHED = {"dcgan": "99 / 3.40", "pac-gan": "1000 / .06"}  # of 1000 modes, and KL (arXiv 1712.04086)


def rounds_of(way: str, turns: int) -> int:
    return turns // ({"wgan": 5, "wgan-gp": 5}.get(way, 1) + 1)


def job_of(data: str, way: str, seed: int, size: Size) -> Job:
    """What is played on a set with one seed."""
    model, options = WAYS[way]
    rounds = rounds_of(way, size.turns)
    pace = {"steps": rounds, "validate": 0, "save": max(1, rounds // 4), "log": max(1, rounds // 20)}
    network = {"width": size.width, "batch": size.batch, "average": 0.995 if rounds >= 400 else 0.0}
    return Job(data, model, {"seed": seed, "precision": "fp32", **pace, **network, **options})


def play(data: str, way: str, seed: int, size: Size, out: Path | None = None) -> Result:
    """One run, judged; its folder is in `out`, or is not kept."""
    job, start = job_of(data, way, seed, size), time.perf_counter()
    with nullcontext(out) if out else tempfile.TemporaryDirectory() as root:
        run = bst.load(run_job(job, root), device=str(choose_device()))
        fitted = time.perf_counter() - start
        numbers = counted(run, size.stacked) if data == STACKED else judged(run, FEATURES.get(data, "labels"), size)
    return {
        "data": data, "way": way, "seed": seed, "rounds": job.options["steps"], "turns": size.turns,
        "width": size.width, **numbers,
        "fit_seconds": round(fitted, 1), "judge_seconds": round(time.perf_counter() - start - fitted, 1),
    }  # fmt: skip


def judged(run: Any, features: str, size: Size) -> Result:
    found = run.judge(n=size.judged, split="train", features=features, quiet=True)
    beside = {name: found[name].floor or found[name].ceiling for name in NAMES}
    return {
        **{name: found[name].value for name in NAMES},
        "real": {name: held.value for name, held in beside.items() if held is not None},
        "features": found["fid"].protocol["features"],
    }


def counted(run: Any, n: int) -> Result:
    """Digits of the three channels: how many of 1000 are drawn, and the KL of their shares from the data's."""
    fake = stacked_classes(run.sample_x(n, seed=1))
    real = run.part("train", n).beside["label"]
    return {"modes": len(fake.unique()), "kl": class_kl(fake, real, 1000), "most": len(real.unique())}


def _text(values: list[float], name: str) -> str:
    return plus(values, {"fid": ".1f", "kid": ".2f"}.get(name, ".3f"))


def _row(data: str, way: str, runs: list[Result]) -> list[str]:
    numbers = [_text([r[name] for r in runs], name) for name in NAMES]
    return [data, way, str(len(runs)), *numbers, f"{runs[0]['rounds']:,}"]


def _real(data: str, runs: list[Result]) -> list[str]:
    numbers = [_text([mean(r["real"][name] for r in runs)], name) if runs[0]["real"].get(name) is not None else ""
               for name in NAMES]  # fmt: skip
    return [data, "other real images", "", *numbers, ""]


def table(results: Path, full: bool = False) -> list[str]:
    end = "-full" if full else ""
    found = [r for r in read(results, f"images-*{end}.json") if r["turns"] == (FULL if full else SMALL).turns]
    body, stacked = [], []
    for data in SETS:
        mine = {way: [r for r in found if (r["data"], r["way"]) == (data, way)] for way in GAMES}
        body += [_row(data, way, runs) for way, runs in mine.items() if runs]
        every = [r for runs in mine.values() for r in runs]
        body += [_real(data, every)] if every else []
    for way in ON[STACKED]:
        runs = [r for r in found if (r["data"], r["way"]) == (STACKED, way)]
        if runs:
            cells = [plus([float(r["modes"]) for r in runs], ".0f"), plus([r["kl"] for r in runs], ".2f")]
            cells += [PUBLISHED.get(way, ""), f"{runs[0]['rounds']:,}"]
            stacked.append([STACKED, way, str(len(runs)), *cells])
    head = f"data | game | seeds | {' | '.join(NAMES)} | rounds"
    modes = "data | game | seeds | modes of 1000 | KL | published | rounds"
    return [*(rows(head, body) if body else []), "", *(rows(modes, stacked) if stacked else [])]


def page(results: Path) -> str:
    small, full = table(results), table(results, full=True)
    return "\n".join([
        "# GANs on images",
        "",
        "Written by `python reproductions/adversarial/images.py --table` from `results/`. Mean ± standard error over",
        f"seeds. Budget: {SMALL.turns:,} turns of the two players together, batch {SMALL.batch}, DCGAN networks of",
        f"width {SMALL.width}, z of 100 dimensions, the generator's weights averaged at 0.995. Rates are the papers',",
        "but where so few rounds ask for larger ones: 5e-4 where clipping has 5e-5 (and five turns of the critic",
        "throughout), 1e-3 under a penalty (wgan-gp, r3gan), whose critics have no BatchNorm: these two were",
        "chosen by the fid of MNIST, seed 0, among 2e-4, 5e-4 and 1e-3, by hand, and the others were not searched:",
        "the order of the games is that of these rates. Networks compute in fp32.",
        f"{SMALL.judged // 2:,} samples against as many training images; beside them stand as many other training",
        "images. Features: on MNIST and Fashion-MNIST those of the shipped classifier (`mnist`, fitted to the training",
        "images of both, `reproductions/features/`), on the part of CIFAR-10 (13,500 training images) those of a",
        "classifier fitted to the labels of images that are not compared: distances on different sets cannot be",
        "compared, nor with those that",
        "publications take from Inception. c2st: accuracy of a two-sample classifier, 0.5 at best.",
        "",
        *small,
        *(["", "## --full", "", *full] if any(full) else []),
        "",
    ])  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", nargs="+", default=[*SETS, STACKED], choices=[*SETS, STACKED])
    ask.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    ask.add_argument("--full", action="store_true", help="a GPU's turns and width")
    ask.add_argument("--quick", action="store_true", help="seconds, on 8×8 digits; no result")
    ask.add_argument("--out", type=Path, help="where run folders are kept (left out: they are not)")
    ask.add_argument("--results", type=Path, default=RESULTS, help="where the small JSON files go")
    ask.add_argument("--table", action="store_true", help="only write IMAGES.md")
    given = ask.parse_args(words)
    if given.quick and home(given.results) != given.results:
        ask.error("--quick is no result: give --results another folder")
    given.results.mkdir(parents=True, exist_ok=True)
    size, end = (QUICK, "-quick") if given.quick else (FULL, "-full") if given.full else (SMALL, "")
    cases = {
        given.results / f"images-{data}-{way}-{seed}{end}.json": (data, way, seed, size, given.out)
        for seed in range(given.seeds)
        for data in ([QUICK_SET] if given.quick else given.data)
        for way in ON.get(data, GAMES) if way in given.ways
    }  # fmt: skip
    if not given.table:
        with Workers(given.jobs) as workers:
            write_results(play, cases, workers)
    (home(given.results) / "IMAGES.md").write_text(page(given.results), "utf-8")


if __name__ == "__main__":
    main()
