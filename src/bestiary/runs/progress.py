"""Progress for people: one live line on a terminal, plain lines elsewhere, nothing when asked to be quiet."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import log

__all__ = ["duration", "progress", "summary"]


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(5), duration(75), duration(3700)
    ('5 s', '1 min 15 s', '1 h 1 min')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


def summary(line: Mapping[str, float], bits: int = 0) -> str:
    """The numbers of a journal line that a person watches: the bound, or each player's losses."""
    if "validation.bound" in line:
        nats = -line["validation.bound"]
        per = f" = {nats / bits / log(2):.3f} bits/dim" if bits else ""
        return f"validation −ELBO {nats:.2f} nats{per}"
    shown = {k: v for k, v in line.items() if "." in k and not k.endswith(".gradient")}
    terms = {key.rpartition(".")[2]: value for key, value in shown.items() if key.count(".") == 1}
    if {"reconstruction", "kl"} <= terms.keys():
        return f"−ELBO {terms['reconstruction'] + terms['kl']:.2f} nats · KL {terms['kl']:.2f}"
    return " · ".join(f"{k.removesuffix('.total')} {v:.3f}" for k, v in shown.items())


@contextmanager
def progress(
    rounds: int, first: int, quiet: bool, bits: int = 0, title: str = "fit"
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Within: a function that shows a journal line."""
    if quiet:
        yield lambda line: None
    elif sys.stderr.isatty():
        with _live(rounds, first, bits, title) as show:
            yield show
    else:
        yield _plain(rounds, first, bits)


def _plain(rounds: int, first: int, bits: int) -> Callable[[Mapping[str, float]], None]:
    begun, step = time.monotonic(), max(1, rounds // 10)
    next_at = first + step

    def show(line: Mapping[str, float]) -> None:
        nonlocal next_at
        done = int(line["round"])
        if done < next_at and done < rounds and "validation.bound" not in line:
            return
        next_at = (
            max(next_at, done + 1 - (done - first) % step) if done < next_at else done - (done - first) % step + step
        )
        left = (time.monotonic() - begun) * (rounds - done) / max(1, done - first)
        print(
            f"round {done}/{rounds}  {summary(line, bits)}  {duration(left)} left",
            file=sys.stderr,
            flush=True,
        )

    return show


@contextmanager
def _live(rounds: int, first: int, bits: int, title: str) -> Iterator[Callable[[Mapping[str, float]], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(bar_width=24), TextColumn("{task.completed}/{task.total}"),
               TextColumn("{task.fields[says]}"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(title, total=rounds, completed=first, says="")

        def show(line: Mapping[str, float]) -> None:
            bar.update(task, completed=int(line["round"]), says=summary(line, bits))

        yield show
