"""What bf16 costs and gains: the same run in fp32 and in bf16, judged alike and timed; writes docs/precision.md.

    python benchmarks/precision.py [--seeds 3] [--out DIR]

The numbers of bf16 do not depend on whether the processor multiplies it natively, only its speed does: that is measured
where it does. Networks compute in the precision named; likelihoods, sums, weights and optimisers are fp32 in both.

Runs are made side by side in processes of one thread; with `--out` they are kept, and what was stopped goes on. Seconds
are measured after them, in this process alone.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch

import bestiary as bst
from bestiary.data.dataset import Dataset
from bestiary.data.load import load
from bestiary.data.spec import Spec
from bestiary.models.model import Model
from bestiary.models.zoo import build
from bestiary.studies.executor import Workers, write_results
from bestiary.studies.job import Job, run_job
from bestiary.training.device import LARGE, choose_device, has_native_bf16

sys.path.insert(0, str(Path(__file__).resolve().parent / "workers"))
from images import greys, photographs
from ours import dataset, seated

RUNS = {
    "vae on digits": ("digits", "vae", {"steps": 2000}, ("nll_elbo", "nll_iwae")),
    "vae, convolutional, on digits": ("digits", "vae", {"steps": 1000, "network": "conv"}, ("nll_elbo", "nll_iwae")),
    "dcgan on digits": ("digits", "dcgan", {"steps": 1000, "width": 32, "latent": 32}, ("fidelity", "coverage")),
    "wgan-gp on digits": ("digits", "wgan-gp", {"steps": 200, "width": 32, "latent": 32}, ("fidelity", "coverage")),
    "vae on two moons": ("moons", "vae", {"steps": 2000}, ("nll_iwae",)),
    "ns-gan on the ring": ("ring", "ns-gan", {"steps": 1500, "lr": 1e-3, "average": 0.99}, ("high_quality",)),
}
PRECISIONS = ("fp32", "bf16")
REAL = 3  # standard errors beyond which a difference is one


def _of(name: str, **options: object) -> Callable[[Spec], Model]:
    return lambda spec: build(name, spec, **options)


# what → (model, data, batch)
TIMED: dict[str, tuple[Callable[[Spec], Model], Callable[[], Dataset], int]] = {
    "ns-gan on the ring": (_of("ns-gan"), partial(load, "ring"), 128),
    "vae on digits": (_of("vae"), partial(load, "digits"), 128),
    **{
        f"dcgan on digits, width {width}": (_of("dcgan", width=width), partial(load, "digits"), 128)
        for width in (16, 32, 64)
    },
    "vae, 28×28": (_of("vae", network="mlp", hidden=(512,)), lambda: dataset(greys(2000)), 128),
    "vae, convolutional, 28×28": (_of("vae", network="conv"), lambda: dataset(greys(2000)), 128),
    "dcgan, 28×28, width 24": (_of("dcgan", width=24), lambda: dataset(greys(2000)), 128),
    "dcgan, 28×28": (_of("dcgan"), lambda: dataset(greys(2000)), 128),
    "dcgan, 64×64": (_of("dcgan"), lambda: dataset(photographs(256)), 128),
}


def judged(job: Job, names: tuple[str, ...], root: Path) -> dict[str, Any]:
    """The numbers of a job's run, by name."""
    judgement = bst.load(run_job(job, root), device=str(choose_device())).judge(k=100)
    keys = ("title", "unit", "better", "value", "low", "high")
    return {name: {key: getattr(judgement[name], key) for key in keys} for name in names}


def judgements(seeds: int, out: Path, workers: Workers) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(run, precision) → the numbers of each seed."""
    files: dict[tuple[str, str], list[Path]] = {}
    cases = {}
    for title, (data, model, options, names) in RUNS.items():
        for precision in PRECISIONS:
            for seed in range(seeds):
                job = Job(data, model, {**options, "seed": seed, "precision": precision})
                file = out / f"{job.name}.json"
                files.setdefault((title, precision), []).append(file)
                cases[file] = (job, names, out)
    write_results(judged, cases, workers)
    return {key: [json.loads(file.read_text("utf-8")) for file in group] for key, group in files.items()}


def costs(seeds: int, out: Path, workers: Workers, harm: list[bool], real: list[bool]) -> Iterator[str]:
    """A line of the table for each run and number."""
    runs = judgements(seeds, out, workers)
    for title, (*_, names) in RUNS.items():
        for name in names:
            fine, narrow = ([run[name]["value"] or 0.0 for run in runs[title, kind]] for kind in PRECISIONS)
            last = runs[title, "bf16"][-1][name]
            worse = -1 if last["better"] == "higher" else 1
            gaps = [b - a for a, b in zip(fine, narrow, strict=True)]
            error = stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
            both = f"{mean(fine):.4g} | {mean(narrow):.4g}"
            half = ((last["high"] or 0.0) - (last["low"] or 0.0)) / 2
            harm.append(worse * mean(gaps) > half)
            real.append(worse * mean(gaps) > REAL * error)
            what = f"{title} | {last['title']} | {last['unit']} | {last['better']}"
            yield f"| {what} | {both} | {mean(gaps):+.3g} ± {error:.2g} | {half:.2g} |"


def gains(repeats: int = 5, least: float = 0.5) -> Iterator[str]:
    """Milliseconds a round, the two precisions in turn."""
    for title, (model, data, batch) in TIMED.items():
        both = {kind: seated(model, data(), batch, precision=kind) for kind in ("fp32", "bf16")}
        took: dict[str, list[float]] = {kind: [] for kind in both}
        for trainer in both.values():  # warm
            _seconds(trainer, 2)
        rounds = max(1, round(least / _seconds(both["fp32"], 2)))
        for _ in range(repeats):
            for kind, trainer in both.items():
                took[kind].append(1000 * _seconds(trainer, rounds))
        ratio = median(a / b for a, b in zip(took["fp32"], took["bf16"], strict=True))
        cells = f"{both['fp32'].model.size:,} | {median(took['fp32']):.3g} | {median(took['bf16']):.3g} | {ratio:.2f}"
        yield f"| {title} | {cells} |"


def _seconds(trainer, rounds: int) -> float:  # type: ignore[no-untyped-def]
    begun = time.perf_counter()
    for _ in range(rounds):
        trainer.play(trainer.round)
    return (time.perf_counter() - begun) / rounds


def speed() -> str:
    if not has_native_bf16(torch.device("cpu")):
        return "What bf16 gains was not measured: this processor does not multiply it itself."
    rows = "\n".join(gains())
    return f"""What bf16 gains, on a CPU that multiplies it itself, with {torch.get_num_threads()} threads: milliseconds
a round, the median of five turns. `auto` takes it from {LARGE:,} weights on.

| run | weights | fp32 | bf16 | fp32 / bf16 |
|---|---:|---:|---:|---:|
{rows}"""


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--jobs", type=int, help="runs side by side (left out: one for each core)")
    ask.add_argument("--out", type=Path, help="where runs and their numbers are kept (left out: they are not)")
    given = ask.parse_args()
    seeds = given.seeds
    harm: list[bool] = []
    real: list[bool] = []
    with nullcontext(given.out) if given.out else tempfile.TemporaryDirectory() as out, Workers(given.jobs) as workers:
        table = "\n".join(costs(seeds, Path(out), workers, harm, real))
    verdict = (
        f"By that rule bf16 does harm in {sum(harm)} of the {len(harm)} rows; in {sum(real)} it is worse by more than"
        f"\n{REAL} standard errors of the difference, however little that is."
    )
    page = f"""# Precision

`precision=auto` takes bf16 for the networks where the data are images, the model has {LARGE:,} weights or more and the
processor multiplies bf16 natively (CUDA from compute capability 8.0, CPUs with AMX or AVX512-BF16), and fp32 elsewhere.
A critic under a penalty or with clipped weights has fp32 too, for it tells by small differences of its logits.
What it took stands in the run's config, and a run that is resumed keeps it. Weights, optimisers, likelihoods and their
sums are fp32 in both; so are a critic's head, minibatch discrimination and the ends of generators.

What bf16 costs was measured by fitting the same run in both precisions, {seeds} seeds, each judged on the test part
(k = 100), also where `auto` takes fp32. The difference is bf16 − fp32, the mean over seeds and its standard error. The
last column is half the width of the 95% interval of one judgement.

| run | number | unit | better | fp32 | bf16 | difference | half interval |
|---|---|---|---|---|---|---|---|
{table}

The rule: bf16 does no harm while its difference is smaller than what a judgement can resolve, the last column.
{verdict}
Of images only small grey ones were measured. On CUDA, fp32 means PyTorch's own: convolutions may use TF32 there.

{speed()}

Made by `python benchmarks/precision.py --seeds {seeds}` with torch {torch.__version__} and Python
{platform.python_version()}.
"""
    Path(__file__).parents[1].joinpath("docs/precision.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
