"""Schedules: options that change as a run goes on, as functions of its clock, s(t) with t = clock.round in rounds.

    linear(a, b, n)       a + (b − a) · min(t/n, 1)
    cosine(a, b, n)       a + (b − a) · (1 − cos(π min(t/n, 1))) / 2
    cyclic(a, b, n, up)   linear(a, b, up·n) restarted every n rounds                (Fu et al. 2019, arXiv 1903.10145)

`clock` is anything with a `round`, a 0-d tensor (training/clock.py).
"""

from dataclasses import dataclass
from math import isfinite, pi
from typing import Annotated, Protocol

import torch
from torch import Tensor

from bestiary.errors import BestiaryError, unknown_name
from bestiary.grammar.calls import parse_call
from bestiary.grammar.ranges import Range

__all__ = ["SCHEDULES", "Cosine", "Cyclic", "Linear", "Rate", "Schedule", "Weight", "parse_schedule", "value_at"]


class Rounds(Protocol):
    """What a schedule reads."""

    @property
    def round(self) -> Tensor: ...


def _check(start: float, stop: float, steps: int) -> None:
    if steps < 1:
        raise BestiaryError(f"a schedule needs at least one step to run over; got {steps}")
    if not (isfinite(start) and isfinite(stop)):
        raise BestiaryError(f"a schedule runs between finite numbers; got {start} and {stop}")


@dataclass(frozen=True)
class Linear:
    """From `start` to `stop` in `steps` rounds, constant after."""

    start: float
    stop: float
    steps: int

    def __post_init__(self) -> None:
        _check(self.start, self.stop, self.steps)

    def __call__(self, clock: Rounds) -> Tensor:
        return self.start + (self.stop - self.start) * (clock.round / self.steps).clamp(max=1)

    def __str__(self) -> str:
        return f"linear({self.start!r},{self.stop!r},{self.steps})"


@dataclass(frozen=True)
class Cosine:
    """From `start` to `stop` along half a cosine in `steps` rounds, constant after."""

    start: float
    stop: float
    steps: int

    def __post_init__(self) -> None:
        _check(self.start, self.stop, self.steps)

    def __call__(self, clock: Rounds) -> Tensor:
        way = (clock.round / self.steps).clamp(max=1)
        return self.start + (self.stop - self.start) * (1 - torch.cos(pi * way)) / 2

    def __str__(self) -> str:
        return f"cosine({self.start!r},{self.stop!r},{self.steps})"


@dataclass(frozen=True)
class Cyclic:
    """`linear` over the first `up` of every `steps` rounds, then constant until the next cycle begins."""

    start: float
    stop: float
    steps: int
    up: float = 0.5

    def __post_init__(self) -> None:
        _check(self.start, self.stop, self.steps)
        if not 0 < self.up <= 1:
            raise BestiaryError(f"the rising share of a cyclic schedule lies in (0, 1]; got {self.up}")

    def __call__(self, clock: Rounds) -> Tensor:
        way = ((clock.round % self.steps) / (self.up * self.steps)).clamp(max=1)
        return self.start + (self.stop - self.start) * way

    def __str__(self) -> str:
        return f"cyclic({self.start!r},{self.stop!r},{self.steps},{self.up!r})"


Schedule = Linear | Cosine | Cyclic
Rate = Annotated[float | Schedule, Range("0.001", above=0)]  # a learning rate
Weight = Annotated[float | Schedule, Range("1", least=0)]  # the weight of a term
SCHEDULES: dict[str, type[Schedule]] = {"linear": Linear, "cosine": Cosine, "cyclic": Cyclic}


def value_at(value: float | Schedule, clock: Rounds) -> float | Tensor:
    """The value of a constant or a schedule now."""
    return value(clock) if callable(value) else value


def parse_schedule(text: str | float | Schedule) -> float | Schedule:
    """`"0.5"` or `"linear(0,1,2000)"`; what is read already is given back.

    >>> parse_schedule("linear(0, 1, 2000)")
    Linear(start=0.0, stop=1.0, steps=2000)
    """
    if not isinstance(text, str):
        return text
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if isfinite(number):
            return number
        raise BestiaryError(f"`{text}` is not a finite number")
    call = parse_call(text)
    if not call.arguments:
        raise BestiaryError(f"`{text}` is neither a number nor a schedule such as linear(0,1,2000)")
    if call.name not in SCHEDULES:
        raise unknown_name("schedule", call.name, SCHEDULES)
    try:
        start, stop, steps, *more = (float(argument) for keyword, argument in call.arguments if keyword is None)
        if not steps.is_integer() or any(keyword for keyword, _ in call.arguments):
            raise ValueError
        return SCHEDULES[call.name](start, stop, int(steps), *more)
    except BestiaryError:
        raise
    except (TypeError, ValueError, OverflowError):
        example = f"{call.name}(start,stop,steps), for example {call.name}(0,1,2000)"
        raise BestiaryError(f"`{text}` does not fit a schedule: write {example}") from None
