"""Numbers in words: as many digits as the interval allows, and the verdict in sentences.

With an interval [low, high] of half-width h a value is written so that h keeps two significant digits,
⌈1 − log₁₀ h⌉ decimals; without one it keeps four significant digits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from bestiary.report.run_record import Folder, real, sentences, table, tables

__all__ = ["Mark", "Number", "count", "duration", "figure", "numbers", "plain", "verdict"]


PLACES = 6  # decimals, beyond which small numbers are written with a power of ten


@dataclass(frozen=True)
class Mark:
    """A value with, perhaps, its interval: a measured number, its floor, its ceiling."""

    value: float
    low: float | None = None
    high: float | None = None
    says: str = ""

    @property
    def ends(self) -> tuple[float, float]:
        """The interval, or the value twice."""
        return self.value if self.low is None else self.low, self.value if self.high is None else self.high


@dataclass(frozen=True)
class Number:
    """One entry of judgement.json, checked."""

    name: str
    title: str
    unit: str
    better: str
    says: str
    mark: Mark | None  # None: undefined
    floor: Mark | None
    ceiling: Mark | None
    protocol: dict[str, Any]
    weight: int = 0  # how much a person wants to know it
    detail: bool = False  # whether it says in detail what another number says as a whole: it is folded away

    @property
    def heading(self) -> str:
        """The title with a capital, unless it begins with a formula or a name such as p-value."""
        first = self.title.split(" ")[0].rstrip(",")
        return self.title[:1].upper() + self.title[1:] if first.isalpha() and first.islower() else self.title

    @property
    def text(self) -> str:
        return "undefined" if self.mark is None else figure(self.mark.value, *self.mark.ends)

    @property
    def interval(self) -> str:
        if self.mark is None or self.mark.low is None or self.mark.high is None:
            return ""
        low, high = self.mark.ends
        return f"{figure(low, low, high)} to {figure(high, low, high)}"


def figure(value: float, low: float | None = None, high: float | None = None) -> str:
    """A value with the digits its interval supports.

    >>> figure(88.1234, 87.91, 88.33), figure(0.51), figure(12345.6), figure(-0.00001234), figure(-1e-4, -0.02, 0.02)
    ('88.12', '0.51', '12,346', '−1.234 × 10⁻⁵', '0.000')
    """
    half = abs(high - low) / 2 if low is not None and high is not None else 0.0
    size, places = abs(value), 1 - floor(log10(half)) if half else 0
    if half and places <= PLACES and size < 1e7:
        text = f"{round(value, max(0, places)) + 0.0:,.{max(0, places)}f}"  # + 0.0: no minus before a zero
    elif size and not 1e-3 <= size < 1e7:
        digits = min(3, max(0, floor(log10(size)) + places)) if half else 3
        mantissa, power = f"{value:.{digits}e}".split("e")
        raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa} × 10{raised}"
    elif half:
        text = f"{value:,.{PLACES}f}"
    else:
        text = f"{value:,.{max(0, 3 - floor(log10(size))) if size else 0}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


def count(n: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "round"), count(2000, "round")
    ('1 round', '2,000 rounds')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def duration(seconds: float) -> str:
    """A time as a person says it.

    >>> duration(0.42), duration(11.6), duration(125), duration(7300)
    ('0.4 s', '12 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _listed(values: list[object] | tuple[object, ...]) -> str:
    return ", ".join(map(plain, values)) or "none"


def _tabled(d: dict[str, object]) -> str:
    return ", ".join(f"{key} = {plain(value)}" for key, value in d.items()) or "none"


WRITERS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "yes" if value else "no",
    type(None): lambda value: "none",
    float: lambda value: f"{value:g}",
    list: _listed,
    tuple: _listed,
    dict: _tabled,
}


def plain(value: object) -> str:
    """A value of a configuration or a protocol as a person writes it, exact enough to be typed again.

    >>> plain(True), plain([400, 400]), plain(2000), plain(0.0002), plain(None)
    ('yes', '400, 400', '2000', '0.0002', 'none')
    """
    return WRITERS.get(type(value), str)(value)


def _mark(d: dict[str, Any]) -> Mark | None:
    value = real(d.get("value"))
    return None if value is None else Mark(value, real(d.get("low")), real(d.get("high")), str(d.get("says") or ""))


def numbers(folder: Folder) -> list[Number]:
    """The numbers of judgement.json; each protocol is the shared one overlaid by its own."""
    shared = table(folder.judgement, "protocol")
    titles = [str(d.get("title") or d.get("name") or "unnamed") for d in tables(folder.judgement, "numbers")]
    return [
        Number(
            name=str(d.get("name", "")),
            title=title,
            unit="" if str(d.get("unit") or "") in title.split() else str(d.get("unit") or ""),  # a share is a share
            better=str(d.get("better") or ""),
            says=str(d.get("says") or ""),
            mark=_mark(d),
            floor=_mark(table(d, "floor")),
            ceiling=_mark(table(d, "ceiling")),
            protocol=shared | table(d, "protocol"),
            weight=int(real(d.get("weight")) or 0),
            detail=d.get("detail") is True,
        )
        for d, title in zip(tables(folder.judgement, "numbers"), titles, strict=True)
    ]


def verdict(folder: Folder) -> str:
    """The sentences of judgement.json that a person reads first; where it has none, its weightiest number."""
    if spoken := sentences(folder.judgement, "verdict"):
        return " ".join(spoken)
    known = sorted((n for n in numbers(folder) if n.mark is not None), key=lambda n: -n.weight)
    return f"{known[0].heading}: {known[0].text} {known[0].unit}".rstrip() + "." if known else ""
