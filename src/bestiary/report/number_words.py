"""Numbers in words: as many digits as the interval allows, a relation to the floor, one sentence of verdict.

With an interval [low, high] of half-width h a value is written so that h keeps two significant digits,
⌈1 − log₁₀ h⌉ decimals; without one it keeps four significant digits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, hypot, log10
from typing import Any

from bestiary.report.run_record import Folder, real, table, tables

__all__ = ["Mark", "Number", "count", "duration", "figure", "numbers", "plain", "relation", "verdict"]


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
        )
        for d, title in zip(tables(folder.judgement, "numbers"), titles, strict=True)
    ]


def relation(number: Number) -> str:
    """Where the value stands to its floor: above or below, or level where 0 is within the interval of the difference.

    Halves of the two intervals add as those of independent numbers do, h² = h₁² + h₂².

    >>> relation(Number("", "", "", "", "", Mark(3, 2.9, 3.1), Mark(2), None, {}))
    'above its floor of 2'
    """
    mark, ground = number.mark, number.floor
    if mark is None or ground is None:
        return ""
    (low, high), (bottom, top) = mark.ends, ground.ends
    bottom, top = min(bottom, ground.value), max(top, ground.value)  # an interval of chance need not hold its draw
    apart = mark.value - ground.value
    half = hypot(mark.value - low, top - ground.value) if apart > 0 else hypot(high - mark.value, ground.value - bottom)
    side = "level with" if abs(apart) <= half * (1 + 1e-9) else "above" if apart > 0 else "below"
    return f"{side} its floor of {figure(ground.value, bottom, top)}"


def _clause(number: Number) -> str:
    title = number.title
    named = title.startswith(("Fréchet", "Jensen"))
    if title[:1].isupper() and title[1:2].islower() and not named:  # a word, not a formula or an abbreviation
        title = title[0].lower() + title[1:]
    comma = "," if "," in title else ""
    unit = f" {number.unit}" if number.unit not in ("", "share", "ratio") else ""  # which are plain numbers
    interval = f" ({number.interval})" if number.interval else ""
    where = f", {relation(number)}" if relation(number) else ""
    return f"{title}{comma} is {number.text}{unit}{interval}{where}"


# What a verdict is made of, the weightiest first: the bound that is closest to log p(x), what tells samples from data.
WEIGHTY = ("nll_iwae", "c2st", "fid", "copied")


def _weight(number: Number) -> int:
    return WEIGHTY.index(number.name) if number.name in WEIGHTY else len(WEIGHTY)


def verdict(found: Sequence[Number]) -> str:
    """One sentence of two numbers, the second one with a floor; empty if none is defined."""
    defined = sorted((n for n in found if n.mark is not None), key=_weight)
    if not defined:
        return ""
    main = defined[0]
    rest = [n for n in defined if n.floor is not None and n.unit != main.unit]
    chosen = [main, *rest[:1]]
    text = "; ".join(map(_clause, chosen))
    sizes = {real(n.protocol.get("n")) for n in chosen}
    parts = {str(n.protocol.get("split") or "") for n in chosen}
    n, part = sizes.pop(), parts.pop()
    if parts or (sizes and not part):
        return text[0].upper() + text[1:] + "."
    if sizes or n is None:
        return f"On the {part} part, {text}." if part else text[0].upper() + text[1:] + "."
    return f"Over {count(int(n), 'example')}{f' of the {part} part' if part else ''}, {text}."
