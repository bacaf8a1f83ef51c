"""Speed against peers: `make bench` runs every pair interleaved and writes RESULTS.md.

Each side of a pair is a process in its own environment (see workers/protocol.py), and only one of them works at a time:

    ours, theirs | theirs, ours | ours, theirs | …          each | one pair: N steps of either, N the same

so that both see the machine in the same state. Beside a training loop of ours a third process makes its matrix products
and convolutions alone, whose seconds over those of the loop are the share of the roofline. What is reported is the
median over pairs of

    ratio = seconds of theirs / seconds of ours             above 1: ours is faster

with its quartiles and extremes. The control, our loop against itself, shows how much of a ratio is noise.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pairs import PAIRS, Pair

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "RESULTS.md"
LEAST = 3  # pairs of turns for each row, however long they take


class Worker:
    """One side: started, warm, and idle until told to run."""

    def __init__(self, side: tuple[str, str, str], threads: int, clock: str = "wall") -> None:
        environment, file, case = side
        python = ROOT / environment / "bin" / "python"
        if not python.exists():
            raise SystemExit(f"{environment} is missing: run `make bench`, which sets it up")
        self.name = f"{file} {case}"
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 — closed on exit
        self.process = subprocess.Popen(
            [str(python), str(HERE / "workers" / file), case, str(threads), clock],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
        )
        self.facts: dict[str, str] = {}

    def __enter__(self) -> "Worker":
        self.facts = json.loads(self._answer("ready"))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin is not None  # it was opened as a pipe
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        if kind is not None:
            self.process.terminate()
        self.process.wait()
        self.errors.close()

    def _answer(self, word: str) -> str:
        assert self.process.stdout is not None  # it was opened as a pipe
        line = self.process.stdout.readline()
        first, _, rest = line.strip().partition(" ")
        if first != word:
            self.errors.seek(0)
            raise SystemExit(f"{self.name} stopped: {self.errors.read()[-2000:] or line or 'it said nothing'}")
        return rest

    def run(self, steps: int) -> float:
        """Seconds for so many steps."""
        assert self.process.stdin is not None  # it was opened as a pipe
        with suppress(BrokenPipeError):  # it has died: the answer that does not come says why
            self.process.stdin.write(f"run {steps}\n")
            self.process.stdin.flush()
        return float(self._answer("seconds"))


@dataclass(frozen=True)
class Result:
    """What came of one pair at one number of threads."""

    pair: Pair
    threads: int
    steps: int  # N
    ours: list[float]  # seconds for N steps, one for each repeat
    theirs: list[float]  # for N whole steps, also where only a part of each was done
    products: list[float]  # for the products of ours alone; empty where ours is no training loop

    @property
    def ratios(self) -> list[float]:
        return [b / a for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def share(self) -> float:
        """The share of the roofline: the part of our seconds that the products alone take."""
        return statistics.median(a / b for a, b in zip(self.products, self.ours, strict=True))

    def rate(self, seconds: Sequence[float]) -> float:
        """Examples a second."""
        return self.steps * self.pair.images / statistics.median(seconds)

    def minutes(self, seconds: Sequence[float]) -> float:
        """How long the pair's whole job would take."""
        return self.pair.job / self.rate(seconds) / 60

    @property
    def verdict(self) -> str:
        if self.pair.threads not in (0, self.threads):
            return ""
        met = {True: "met", False: "**missed**"}
        if self.pair.minutes:
            return f"≤ {self.pair.minutes:g} min: {met[self.minutes(self.ours) <= self.pair.minutes]}"
        if not self.pair.target:
            return ""
        near = f"{self.median:.2f}" == f"{self.pair.target:.2f}" and self.median < self.pair.target
        by = f" by {self.pair.target - self.median:.1g}" if near else ""
        return f"≥ {self.pair.target:.2f}: {met[self.median >= self.pair.target]}{by}"

    @property
    def projection(self) -> str:
        """The whole job in minutes, in words."""
        took = [f"{self.minutes(side):.1f}" for side in (self.ours, self.theirs)]
        return (
            f"{self.pair.name}, {self.pair.job:,} images, {self.threads} thread(s), projected from the rates above:"
            f" ours {took[0]} min, {self.pair.rival} {took[1]} min."
        )

    def cells(self) -> list[str]:
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return [
            self.pair.name,
            self.pair.rival,
            str(self.threads),
            f"{self.rate(self.ours):,.0f}",
            f"{self.rate(self.theirs):,.0f}",
            f"{self.median:.2f}",
            f"{low:.2f}–{high:.2f}",
            f"{min(self.ratios):.2f}–{max(self.ratios):.2f}",
            f"{self.share:.2f}" if self.products else "",
            self.verdict,
        ]


HEAD = [
    "what",
    "against",
    "threads",
    "ours, examples/s",
    "theirs",
    "ratio",
    "quartiles",
    "extremes",
    "roofline",
    "target",
]


def measure(pair: Pair, threads: int, how: argparse.Namespace) -> tuple[Result, dict[str, str]]:
    """Play one pair at one number of threads; also the versions that both sides report."""
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(Worker(side, threads, how.clock)) for side in (pair.ours, pair.theirs))
        products = [stack.enter_context(Worker(pair.products, threads, how.clock))] if pair.products else []
        trial = min(ours.run(1), theirs.run(1) / pair.part)  # seconds a step, of the faster
        steps = max(1, round(how.seconds / trial))
        taken: dict[str, list[float]] = {"ours": [], "theirs": [], "products": []}
        start = time.monotonic()
        for i in range(how.repeats):
            if i >= LEAST and time.monotonic() - start > how.patience:
                break
            order = [("theirs", theirs), ("ours", ours), *(("products", worker) for worker in products)]
            for name, worker in order if i % 2 == 0 else order[::-1]:
                part = pair.part if name == "theirs" else 1.0
                taken[name].append(worker.run(steps) / part)
        return Result(pair, threads, steps, **taken), theirs.facts | ours.facts


def processor() -> str:
    """The processor's name and how many of its cores are ours."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{[*names, platform.machine()][0]}, {os.cpu_count()} cores"


def table(results: Sequence[Result]) -> str:
    rows = [HEAD, ["---", "---", *["---:"] * 7, "---"], *(r.cells() for r in results)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def page(results: Sequence[Result], facts: dict[str, str], how: argparse.Namespace) -> str:
    """RESULTS.md."""
    from images import source
    from settings import BOUND_IMAGES, BOUND_PART

    jobs = "\n\n".join(r.projection for r in results if r.pair.job)
    narrow = any("bf16" in r.pair.name for r in results)
    bf16 = (
        "; in rows called *bf16* our networks compute in what `precision=auto` takes on this processor, which\n"
        "multiplies bf16 itself, and theirs in fp32, as they are written" if narrow else ""
    )  # fmt: skip
    versions = ", ".join(f"{name} {number}" for name, number in sorted(facts.items()))
    return f"""# Speed against peers

Written by `make bench`; do not edit.

{table(results)}

{jobs}

**Ratio**: seconds of theirs / seconds of ours for the same number of steps, the median over {how.repeats} pairs
({LEAST} where they take more than {how.patience:g} s); above 1 ours is faster. The control, our loop against itself,
shows how much of a ratio is noise. **Roofline**: the seconds that the matrix products and convolutions of our loop take
alone, over the seconds of the loop, median over the same turns; what is left of 1 is where time can still be won.

**Machine**: {processor()}; {platform.system()} {platform.machine()}. **Versions**: Python {platform.python_version()},
{versions}. Load before the start: {how.load:.1f}. Clock: {how.clock}.

**Protocol**: each side is a process in its own environment; one works while the other waits, in the order ours, theirs,
theirs, ours, …; each turn lasts so many steps that the faster side takes about {how.seconds:g} s; both sides are warm,
and woken by an untimed step or two before a turn where steps are short.
fp32 on the CPU{bf16}. 28×28 images: {source()}.
- *Ours* is `Trainer.play` with a line of the journal every 50 rounds, as in `bestiary fit` between two checkpoints.
- *bare loop*: the same networks (also our convolution layers) trained by a loop written by hand: images in memory as
  uint8, indexed; channels-last, fused Adam, no logging (`workers/bare.py`). It shows what the loop costs. *Fakes
  shared*: the bare GAN loop gives the generator the fakes of the critic's turn, as tutorials do, where ours and
  Goodfellow's Algorithm 1 draw anew.
- *pythae*: `BaseTrainer.train_step`, without evaluation, disk and progress bars; its default MLP (z = 40) and its
  convolutional networks for MNIST (z = 16), binary images, Adam, batch 100. Ours trains the same networks, given as
  `encoder=` and `decoder=` and made of our layers (`networks/fast_convolutions.py`). VampPrior and IWAE: the same MLP.
- *pythae's get_nll*: the bound of {BOUND_IMAGES} images a step for ours, {BOUND_PART} for pythae, whose seconds are
  multiplied by {BOUND_IMAGES // BOUND_PART}; it takes image after image, ours the {BOUND_IMAGES} together.
- *the whole network for each pixel*: the same PixelCNN, drawing without memory; one of the 28 rows of pixels is timed
  and multiplied by 28, since every pixel costs the same.
- *torchmetrics*, *prdc*: distances between two sets of 10,000 × 2048 given features, in float32. *100 subsets*: its
  kernel distance is the mean over 100 subsets of 1000, drawn anew; ours is of every pair of examples once, with an
  interval, or of disjoint blocks of 1000 (`kid(…, pairs="blocks")`), which cost less and vary more. The Fréchet
  distance is the value alone on both sides; a judgement adds its interval and a floor.
- *tutorial*: the loop of PyTorch's DCGAN tutorial with a DataLoader of two workers and per-item transforms through PIL
  (`workers/tutorial.py`); at 64×64 each item is a JPEG of 178×218, decoded each time, where our cache decoded it once.
  Its networks are our `dcgan`'s, width 64, batch 128.
- *torchgan-style loop*: the same data and networks, played as torchgan's Trainer does it: fakes drawn anew for each
  player, a backward pass for each, the squares of every gradient read for its log.
"""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed against peers, in interleaved pairs.")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, e.g. 1,2 (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="pairs of turns for each row (default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="length of a turn of the faster side (default %(default)s)"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, help=f"seconds after which {LEAST} pairs will do (default %(default)s)"
    )
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: time on the processor, for a busy machine and one thread; workers of a DataLoader are not in it",
    )
    parser.add_argument("--only", default="", help="rows whose name or rival contains this; RESULTS.md is left alone")
    parser.add_argument("--out", type=Path, default=None, help="where to write the results (default RESULTS.md)")
    how = parser.parse_args(words)
    if how.repeats < 2:
        parser.error(f"--repeats {how.repeats}: quartiles need at least 2")
    try:
        how.counts = [int(word) for word in how.threads.split(",")]
    except ValueError:
        parser.error(f"--threads {how.threads}: numbers with commas between them, e.g. 1,2")
    how.pairs = [p for p in PAIRS if how.only.lower() in f"{p.name} · {p.rival}".lower()]
    if not how.pairs:
        names = "; ".join(f"{p.name} · {p.rival}" for p in PAIRS)
        parser.error(f"--only {how.only}: no row is called so. There are: {names}")
    return how


def main() -> int:
    how = arguments()
    results: list[Result] = []
    facts: dict[str, Any] = {}
    out = how.out or (None if how.only else RESULTS)
    how.load = os.getloadavg()[0]  # processes that wanted a processor in the last minute, before we began
    if how.load > 0.5 and how.clock == "wall":
        print(f"the machine is busy (load {how.load:.1f}): ratios will be noisy", file=sys.stderr)
    print(" · ".join(HEAD), flush=True)
    for threads in how.counts:
        for pair in how.pairs:
            result, versions = measure(pair, threads, how)
            results.append(result)
            facts |= versions
            print(" · ".join(result.cells()), flush=True)
            if pair.job:
                print(result.projection, flush=True)
            if out is not None:  # after every row: hours of measuring are not lost by a stop
                out.write_text(page(results, facts, how))
    if out is not None:
        print(f"written: {out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
