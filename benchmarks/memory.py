"""The memory that distances between large sets of features take: the peak of a process, features included.

    python benchmarks/memory.py                                    writes MEMORY.md; half an hour on two cores
    python benchmarks/memory.py --measures prdc                    only some; the others' rows are kept
    python benchmarks/memory.py --examples 3000 --out /tmp/m.md    to try it

Fake, real and other real features, float32, are three sets of N × F; each measure runs in a process of its own.
"""

import argparse
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

MEASURES = ("fid", "kid", "kid-blocks", "prdc", "c2st", "sliced", "copied")  # c2st takes 5,000 of them, MMD 1,000


def peak(measure: str, n: int, features: int) -> tuple[float, float, float]:
    """GiB of the process at most, GiB of it that are the features, seconds."""
    import torch

    from bestiary.measures.copies import copy_share
    from bestiary.measures.discrepancy import discrepancy_numbers
    from bestiary.measures.frechet import fid
    from bestiary.measures.kernel_distance import kid
    from bestiary.measures.manifold import manifold_numbers
    from bestiary.measures.two_sample import two_sample_test

    draw = torch.Generator().manual_seed(0)
    fake, real, other = (torch.randn(n, features, generator=draw) for _ in range(3))
    taken = {
        "fid": lambda: fid(fake, real, other, "drawn"),
        "kid": lambda: kid(fake, real, other, "drawn"),
        "kid-blocks": lambda: kid(fake, real, other, "drawn", pairs="blocks"),
        "prdc": lambda: manifold_numbers(fake, real, other, "drawn"),
        "c2st": lambda: two_sample_test(fake, real, other, "drawn"),
        "sliced": lambda: discrepancy_numbers(fake, real, other, "drawn"),
        "copied": lambda: copy_share(fake, real, other),
    }
    start = time.perf_counter()
    taken[measure]()
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return most / 2**30, 3 * 4 * n * features / 2**30, seconds


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--examples", type=int, default=50_000)
    ask.add_argument("--features", type=int, default=2048)
    ask.add_argument("--measures", nargs="+", default=list(MEASURES), choices=MEASURES)
    ask.add_argument("--out", type=Path, default=Path(__file__).parent / "MEMORY.md")
    given = ask.parse_args()
    size = f"{given.examples:,} × {given.features}"
    rows = {measure: row for measure, row in kept(given.out).items() if f"| {size} |" in row}
    head = [
        "# Memory of distances",
        "",
        "Written by `python benchmarks/memory.py`; do not edit. The peak of a process that holds three sets of",
        "features, float32 — fake, real, other real — and compares fake and other with real.",
        "",
        "| measure | examples × features | GiB at most | of it the features | seconds |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for measure in given.measures:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            most, own, seconds = pool.submit(peak, measure, given.examples, given.features).result()
        rows[measure] = f"| {measure} | {size} | {most:.2f} | {own:.2f} | {seconds:.0f} |"
        print(rows[measure], flush=True)
        lines = [*head, *(rows[name] for name in MEASURES if name in rows)]
        given.out.write_text("\n".join(lines) + "\n", "utf-8")


def kept(file: Path) -> dict[str, str]:
    """The rows of measures that were taken before."""
    found = file.read_text("utf-8").splitlines() if file.is_file() else []
    return {row.split("|")[1].strip(): row for row in found if row.startswith("| ") and not row.startswith("| -")}


if __name__ == "__main__":
    main()
