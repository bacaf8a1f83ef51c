"""What bf16 costs: the same run in fp32 and in bf16, judged alike; writes docs/precision.md.

    python benchmarks/precision.py [--seeds 3]

The numbers of bf16 do not depend on whether the processor multiplies it natively, only its speed does, so this can be
measured anywhere. Networks compute in the precision named; likelihoods, sums, weights and optimisers are fp32 in both.
"""

import argparse
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import torch

import bestiary as bst

RUNS = {
    "vae on digits": ("digits", "vae", {"steps": 2000}, ("nll_elbo", "nll_iwae")),
    "vae, convolutional, on digits": ("digits", "vae", {"steps": 1000, "network": "conv"}, ("nll_elbo", "nll_iwae")),
    "dcgan on digits": ("digits", "dcgan", {"steps": 1000, "width": 32, "latent": 32}, ("fidelity", "coverage")),
}


def rows(seeds: int, harm: list[bool]) -> Iterator[str]:
    """A line of the table for each run and number."""
    for title, (data, model, options, names) in RUNS.items():
        found: dict[tuple[str, str], list[float]] = {}
        for precision in ("fp32", "bf16"):
            for seed in range(seeds):
                with tempfile.TemporaryDirectory() as root:
                    run = bst.fit(data, model, root=root, seed=seed, precision=precision, quiet=True, **options)
                    judged = run.judge(k=100)
                for name in names:
                    found.setdefault((name, precision), []).append(float(judged[name].value or 0))
        for name in names:
            pairs = list(zip(found[name, "fp32"], found[name, "bf16"], strict=True))
            gaps = [b - a for a, b in pairs]
            error = stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
            both = " | ".join(f"{mean(found[name, p]):.4g}" for p in ("fp32", "bf16"))
            half = (float(judged[name].high or 0) - float(judged[name].low or 0)) / 2
            harm.append(mean(gaps) > half)
            what = f"{title} | {judged[name].title} | {judged[name].unit}"
            yield f"| {what} | {both} | {mean(gaps):+.3g} ± {error:.2g} | {half:.2g} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    seeds = options.parse_args().seeds
    harm: list[bool] = []
    table = "\n".join(rows(seeds, harm))
    verdict = f"By that rule bf16 does harm in {sum(harm)} of the {len(harm)} rows."
    page = f"""# Precision

`precision=auto` takes bf16 for the networks where the processor multiplies it natively (CUDA from compute capability
8.0, CPUs with AMX or AVX512-BF16) and fp32 elsewhere. Weights, optimisers, likelihoods and their sums are fp32 in both.

What bf16 costs was measured by fitting the same run in both precisions, {seeds} seeds, each judged on the test part
(k = 100). The difference is bf16 − fp32, the mean over seeds and its standard error; lower is better in every row. The
last column is half the width of the 95% interval of one judgement.

| run | number | unit | fp32 | bf16 | difference | half interval |
|---|---|---|---|---|---|---|
{table}

The rule: bf16 does no harm while its difference is smaller than what a judgement can resolve, the last column.
{verdict}
Only small grey images were measured. On CUDA, fp32 means PyTorch's own: convolutions may use TF32 there.

Made by `python benchmarks/precision.py --seeds {seeds}` with torch {torch.__version__} and Python
{platform.python_version()}.
"""
    Path(__file__).parents[1].joinpath("docs/precision.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
