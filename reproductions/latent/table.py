"""RESULTS.md from the JSON files of results/: mean over seeds with its interval, directions, published values.

mean ± t_{n−1, 97.5%} s / √n       over n seeds; the test images are the same for all, and their spread is not in it
"""

import json
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from protocol import BESIDE, DIRECTIONS, HIGH, LOW, PUBLISHED, ROWS, TWINS
from scipy.stats import t as student

__all__ = ["interval", "verdict", "write_table"]

Found = dict[tuple[str, str], list[dict[str, Any]]]  # (data, model) → runs by seed

WORDS = f"""\
Nats. −L_k is an upper bound on −log p(x) by k importance samples, −ELBO the same with k = 1, from the same draws; ± is
Student's 95% interval over seeds. Static is Larochelle's file (50,000 training images); dynamic draws new pixels at
every look while fitting (50,000 of MNIST's training images) and is judged on pixels drawn once, by seed. Every model is
judged on the same test images, the first of a permutation by seed 0; how hard these happen to be, the column of all
10,000 takes out again (`level.py`), and models are compared and held against published values by it where it is known.

Trained: Adam, rate {HIGH} falling to {LOW} along half a cosine, batch 100, fp32, one thread, no warm-up of β, no early
stop, the last weights. Networks: one hidden layer of 512 and z of 40 dimensions, SiLU (pythae: ReLU); where it says
small, 200 and 50; flows of 4 steps with 128 units; the PixelVAE's decoder sees 4 pixels up and to the left. pythae's
own models get the same batches, rounds and rate, and are judged by the same estimator (`pythae_twin.py`). Rows of the
same network and rounds can be compared; published values are of other networks trained several times as long, and tell
the range.
Minutes are of wall clock, on a machine that did other work at the same time.
"""


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half width of its 95% interval over seeds; infinite for one seed."""
    n = len(values)
    return mean(values), float(student.ppf(0.975, n - 1)) * stdev(values) / sqrt(n) if n > 1 else float("inf")


def verdict(better: list[float], worse: list[float]) -> tuple[float, str]:
    """How much lower the mean of one is than that of the other, and whether their intervals are apart."""
    (x, dx), (y, dy) = interval(better), interval(worse)
    apart = "apart" if x + dx < y - dy else "**apart, the other way round**" if y + dy < x - dx else "intervals overlap"
    return y - x, apart


def read(results: Path) -> Found:
    found: Found = {}
    for file in sorted(results.glob("*.json")):
        run = json.loads(file.read_text("utf-8"))
        size = ", full" if file.stem.endswith("-full") else ""
        found.setdefault((run["data"] + size, run["model"]), []).append(run)
    return found


def _text(values: list[float]) -> str:
    middle, half = interval(values)
    return f"{middle:.2f} ± {half:.2f}" if half < float("inf") else f"{middle:.2f} (one seed)"


def _row(data: str, name: str, runs: list[dict[str, Any]]) -> str:
    says = ROWS[name].says if name in ROWS else TWINS[name]
    whole = _text([r["all"] for r in runs]) if all("all" in r for r in runs) else ""
    fit, judge = (mean(r[f"{what}_seconds"] for r in runs) / 60 for what in ("fit", "judge"))
    cells = [
        data, says, str(len(runs)), _text([r["elbo"] for r in runs]), _text([r["nll"] for r in runs]), whole,
        f"{runs[0]['rounds']:,}", f"{runs[0]['k']:,}", f"{runs[0]['test']:,}", f"{fit:.0f} + {judge:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _compared(found: Found, data: str, better: str, worse: str) -> str:
    """On all test images where both were judged on them."""
    a, b = (found.get((data, name), []) for name in (better, worse))
    if min(len(a), len(b)) < 2:
        return ""
    key = "all" if all("all" in r for r in (*a, *b)) else "nll"
    difference, says = verdict([r[key] for r in a], [r[key] for r in b])
    images = "all" if key == "all" else f"{a[0]['test']:,}"
    return f"| {data} | {better} | {worse} | {difference:+.2f} | {says} | {images} |"


def _published(found: Found, name: str) -> list[str]:
    """Beside the mean over all test images; over some where it is of no others."""
    runs = found.get(("static", name)) or []
    whole = all("all" in r for r in runs)
    here = mean(r["all" if whole else "nll"] for r in runs) if runs else 0.0
    of = "all images" if whole else f"{runs[0]['test']:,} images, k = {runs[0]['k']:,}"
    return [
        f"| {name} | {here:.2f} | {value} | {who} | {here - value:+.2f} | {of} |"
        for value, who in PUBLISHED[name]
        if runs
    ]


def _table(head: str, rows: list[str]) -> list[str]:
    columns = [cell.strip() for cell in head.split("|")]
    rule = "|".join("---" for _ in columns)
    return [f"| {' | '.join(columns)} |", f"|{rule}|", *rows, ""] if rows else []


def write_table(results: Path, out: Path) -> None:
    """The whole of RESULTS.md; it says nothing that is not in results/."""
    found = read(results)
    order = [*ROWS, *TWINS]
    keys = sorted(found, key=lambda key: (key[0] != "static", key[0], order.index(key[1])))
    datas = list(dict.fromkeys(data for data, _ in keys))
    pairs = [_compared(found, data, *pair) for data in datas for pair in (*DIRECTIONS, *BESIDE)]
    machines = sorted({r["processor"] for runs in found.values() for r in runs if "processor" in r})
    beside = [row for name in PUBLISHED for row in _published(found, name)]
    absent = [name for name in order if ("static", name) not in found]
    lines = [
        "# MNIST, the latent half",
        "",
        "Written by `python reproductions/latent/run.py --table` from `results/`; do not edit.",
        "",
        *_table(
            "data | model | seeds | −ELBO | −L_k | −L_k, all images | rounds | k | images | minutes: fit + judgement",
            [_row(*key, found[key]) for key in keys],
        ),
        "Lower is better; *apart*: the intervals of −L_k do not overlap.",
        "",
        *_table("data | lower | than | difference | intervals | images", [pair for pair in pairs if pair]),
        *_table("static | here | published | by | difference | here on", beside),
        *([f"Not run on the static file: {', '.join(absent)}.", ""] if absent else []),
        WORDS,
        f"Machine: {', '.join(machines) or 'not recorded'}.",
    ]  # fmt: skip
    out.write_text("\n".join(lines) + "\n", "utf-8")
