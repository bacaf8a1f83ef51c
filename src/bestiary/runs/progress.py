"""Progress of a fit: one live line on a terminal, ten lines elsewhere, nothing if quiet."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import log

__all__ = ["duration", "progress", "summary"]


def duration(seconds: float) -> str:
    """Seconds as text.

    >>> duration(5), duration(75), duration(3700)
    ('5 s', '1 min 15 s', '1 h 1 min')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


def summary(line: Mapping[str, float], dimensions: int = 0) -> str:
    """The main numbers of a journal line as text: the bound, or the loss of each player.

    dimensions: those of x, to show the bound also in bits per dimension; 0 if x is continuous.
    """
    if "validation.bound" in line:
        nats = -line["validation.bound"]
        bits = f" = {nats / dimensions / log(2):.3f} bits/dim" if dimensions else ""
        return f"validation −ELBO {nats:.2f} nats{bits}"
    numbers = {k: v for k, v in line.items() if "." in k and not k.endswith(".gradient")}
    terms = {key.rpartition(".")[2]: value for key, value in numbers.items() if key.count(".") == 1}
    if {"reconstruction", "kl"} <= terms.keys():
        return f"−ELBO {terms['reconstruction'] + terms['kl']:.2f} nats · KL {terms['kl']:.2f}"
    return " · ".join(f"{k.removesuffix('.total')} {v:.3f}" for k, v in numbers.items())


@contextmanager
def progress(
    rounds: int, first: int, quiet: bool, dimensions: int = 0, title: str = "fit"
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Within the block: a function that shows a line of the journal.

    first: the round at which this session begins. dimensions: see `summary`.
    """
    if quiet:
        yield lambda line: None
    elif sys.stderr.isatty():
        with _live_line(rounds, first, dimensions, title) as show:
            yield show
    else:
        yield _printed_lines(rounds, first, dimensions)


def _printed_lines(rounds: int, first: int, dimensions: int) -> Callable[[Mapping[str, float]], None]:
    """Prints at every tenth of the run, at validations and at the end."""
    start, interval = time.monotonic(), max(1, rounds // 10)
    next_round = first + interval

    def show(line: Mapping[str, float]) -> None:
        nonlocal next_round
        played = int(line["round"])
        is_due = played >= next_round
        if not is_due and played < rounds and "validation.bound" not in line:
            return
        if is_due:
            next_round = played - (played - first) % interval + interval
        left = (time.monotonic() - start) * (rounds - played) / max(1, played - first)
        print(
            f"round {played}/{rounds}  {summary(line, dimensions)}  {duration(left)} left", file=sys.stderr, flush=True
        )

    return show


@contextmanager
def _live_line(rounds: int, first: int, dimensions: int, title: str) -> Iterator[Callable[[Mapping[str, float]], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(bar_width=24), TextColumn("{task.completed}/{task.total}"),
               TextColumn("{task.fields[summary]}"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(title, total=rounds, completed=first, summary="")

        def show(line: Mapping[str, float]) -> None:
            bar.update(task, completed=int(line["round"]), summary=summary(line, dimensions))

        yield show
