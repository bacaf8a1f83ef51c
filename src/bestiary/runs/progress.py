"""Progress of a fit by rounds and by the clock: one live line on a terminal, printed lines elsewhere, none if quiet.

A printed line comes at each tenth of the run and at each validation, and at the latest by the clock: after 5 s, after
10 s, and so on up to each minute. So a slow machine, too, says after seconds how long the fit will take.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import log

__all__ = ["Progress", "duration", "progress", "summary"]

FIRST, LONGEST = 5.0, 60.0  # seconds until the first line by the clock, and between two of them at most


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


class Progress:
    """The progress of a fit: `show` takes each line of the journal, `tick` each round that was played.

    rounds: of the whole run. first: the round at which this session begins. limit: seconds after which it pauses.
    dimensions: see `summary`. write: takes a text that says how far the fit is. update: takes (round, numbers) at every
    call, for a display that changes in place.
    """

    def __init__(
        self, rounds: int, first: int, *, limit: float | None = None, dimensions: int = 0,
        write: Callable[[str], None], update: Callable[[int, str], None] = lambda played, numbers: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.rounds, self.first, self.limit, self.dimensions = rounds, first, limit, dimensions
        self.write, self.update, self.clock = write, update, clock
        self.start, self.interval, self.pause = clock(), max(1, rounds // 10), FIRST
        self.next_round, self.next_time, self.numbers = first + self.interval, self.start + FIRST, ""

    def show(self, line: Mapping[str, float]) -> None:
        """Write a line of the journal if a tenth of the run is over, at a validation and at the end."""
        played, self.numbers = int(line["round"]), summary(line, self.dimensions)
        self.update(played, self.numbers)
        if played >= self.next_round or played == self.rounds or "validation.bound" in line:
            self._write(played)

    def tick(self, played: int) -> None:
        """Write how far the fit is if the clock says so."""
        self.update(played, self.numbers)
        if self.clock() >= self.next_time:
            self._write(played)

    def _write(self, played: int) -> None:
        if self.clock() >= self.next_time:
            self.pause = min(2 * self.pause, LONGEST)
        self.next_time = self.clock() + self.pause
        self.next_round = played - (played - self.first) % self.interval + self.interval
        self.write("  ".join(filter(None, (f"round {played}/{self.rounds}", self.numbers, self._time_left(played)))))

    def _time_left(self, played: int) -> str:
        """The time that the rounds left will take, and the time until the run pauses if that comes first."""
        seconds = self.clock() - self.start
        left = seconds * (self.rounds - played) / max(1, played - self.first)
        if self.limit is None or seconds + left <= self.limit:
            return f"{duration(left)} left"
        return f"{duration(left)} left, pauses in {duration(max(0.0, self.limit - seconds))}"


@contextmanager
def progress(
    rounds: int, first: int, quiet: bool, log: Callable[[str], None], limit: float | None = None, dimensions: int = 0
) -> Iterator[Progress]:
    """Within the block: the `Progress` of a fit, written to the log, and unless quiet to the terminal or to stderr."""
    if quiet:
        yield Progress(rounds, first, limit=limit, dimensions=dimensions, write=log)
    elif sys.stderr.isatty():
        with _live_line(rounds, first) as update:
            yield Progress(rounds, first, limit=limit, dimensions=dimensions, write=log, update=update)
    else:

        def write(text: str) -> None:
            log(text)
            print(text, file=sys.stderr, flush=True)

        yield Progress(rounds, first, limit=limit, dimensions=dimensions, write=write)


@contextmanager
def _live_line(rounds: int, first: int) -> Iterator[Callable[[int, str], None]]:
    """Within the block: a function of (round, numbers) that changes one line of the terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("fit"), BarColumn(bar_width=24), TextColumn("{task.completed}/{task.total}"),
               TextColumn("{task.fields[numbers]}"), TimeRemainingColumn())  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task("fit", total=rounds, completed=first, numbers="")
        yield lambda played, numbers: bar.update(task, completed=played, numbers=numbers)
