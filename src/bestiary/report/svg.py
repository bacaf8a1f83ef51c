"""Drawing by hand: escaped SVG elements, round ticks, and a frame that maps data to the page.

A scale maps [low, high] to [from, to] linearly, u = from + (v − low) / (high − low) · (to − from). Ticks
stand at multiples of 1, 2 or 5 · 10ᵏ. Colours are classes of the page's style sheet, so that a drawing
follows light and dark.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from markupsafe import Markup, escape

from bestiary.report.number_words import figure

__all__ = ["Frame", "compact", "dots", "inside", "polyline", "robust_range", "tag", "ticks"]


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element, everything in it escaped; `class_` is class, an underscore is a hyphen, None is left out.

    >>> tag("text", "a < b", class_="tick", x=1.0)
    Markup('<text class="tick" x="1">a &lt; b</text>')
    """
    pairs = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    content = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{''.join(pairs)}>{content}</{name}>")


def _short(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float | np.floating) else str(value)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Multiples of 1, 2 or 5 · 10ᵏ in [low, high].

    >>> ticks(0, 2000), ticks(-1.3, 0.2, 3)
    ([0.0, 500.0, 1000.0, 1500.0, 2000.0], [-1.0, -0.5, 0.0])
    """
    raw = (high - low) / about
    power = 10.0 ** floor(log10(raw))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(log10(s / raw)))
    slack = 1e-9 * step
    return [float(f"{k * step:.12g}") for k in range(ceil((low - slack) / step), floor((high + slack) / step) + 1)]


def compact(value: float) -> str:
    """A label for a tick.

    >>> compact(1500), compact(20000), compact(-0.5), compact(0)
    ('1500', '20k', '−0.5', '0')
    """
    thousands = abs(value) >= 10_000 and float(value / 1000).is_integer()
    text = f"{value / 1000:g}k" if thousands and abs(value) < 1e6 else figure(value).replace(",", "")
    return text.replace("-", "−")


def robust_range(values: np.ndarray, share: float = 0.02, room: float = 0.06) -> tuple[float, float]:
    """An interval that shows the values well: all of them, unless a few lie far outside the rest.

    The bulk is the central 1 − 2·share; if the whole is more than three times as wide, the frame is the bulk
    with half its width on either side, and what lies outside is drawn at the border.
    """
    finite = np.asarray(values, float)[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    inner, outer = (float(q) for q in np.quantile(finite, [share, 1 - share]))
    if high - low > 3 * (outer - inner) > 0:
        half = (outer - inner) / 2
        low, high = max(low, inner - half), min(high, outer + half)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value, or as good as one: it stands in the middle
        half = 0.06 * (abs(high) or 1.0)
        return low - half, high + half
    return low - room * (high - low), high + room * (high - low)


@dataclass(frozen=True)
class Frame:
    """A plotting area within a drawing of `width` × `height`."""

    x: tuple[float, float]  # data at the left and right border
    y: tuple[float, float]  # data at the bottom and top border
    width: float = 260.0
    height: float = 160.0
    left: float = 40.0
    right: float = 12.0
    top: float = 12.0
    bottom: float = 26.0

    def px(self, x: np.ndarray | float) -> np.ndarray:
        low, high = self.x
        return self.left + (np.asarray(x, float) - low) / (high - low) * (self.width - self.left - self.right)

    def py(self, y: np.ndarray | float) -> np.ndarray:
        low, high = self.y
        inner = self.height - self.top - self.bottom
        return self.height - self.bottom - (np.clip(np.asarray(y, float), low, high) - low) / (high - low) * inner

    def axes(self, about: tuple[int, int] = (4, 4), x_label: str = "", y_label: str = "") -> Markup:
        """A rule below, faint lines across, and labels at round numbers."""
        left, right, base = self.left, self.width - self.right, self.height - self.bottom
        parts = []
        for value in ticks(*self.y, about[1]):
            y = float(self.py(value))
            parts += [
                tag("line", class_="grid", x1=left, x2=right, y1=y, y2=y),
                tag("text", compact(value), class_="tick", x=left - 6, y=y + 3.5, text_anchor="end"),
            ]
        for value in ticks(*self.x, about[0]):
            x = float(self.px(value))
            parts += [
                tag("line", class_="rule", x1=x, x2=x, y1=base, y2=base + 4),
                tag("text", compact(value), class_="tick", x=x, y=base + 17, text_anchor="middle"),
            ]
        parts.append(tag("line", class_="rule", x1=left, x2=right, y1=base, y2=base))
        if x_label:
            middle = (left + right) / 2
            parts.append(tag("text", x_label, class_="label", x=middle, y=self.height - 5, text_anchor="middle"))
        if y_label:
            middle = (self.top + base) / 2
            turn = f"rotate(-90 13 {middle:.1f})"
            parts.append(tag("text", y_label, class_="label", x=13, y=middle, text_anchor="middle", transform=turn))
        return Markup("").join(parts)

    def draw(self, label: str, parts: Iterable[Markup], class_: str = "plot") -> Markup:
        """The finished drawing; `label` is what a screen reader says."""
        box = f"0 0 {self.width:g} {self.height:g}"
        return tag("svg", *parts, class_=class_, viewBox=box, role="img", aria_label=label)


def polyline(frame: Frame, x: np.ndarray, y: np.ndarray, class_: str) -> Markup:
    """A line through the finite points, broken where a value is not finite."""
    u, v = frame.px(x), frame.py(y)
    pieces, pen = [], "M"
    for a, b in zip(u, v, strict=True):
        if np.isfinite(b):
            pieces.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        else:
            pen = "M"
    return tag("path", d="".join(pieces), class_=class_)


def dots(frame: Frame, points: np.ndarray, class_: str, style: str | None = None) -> Markup:
    """Points (M, 2) as one path of round caps: 12 bytes a point. Those outside the frame are left out."""
    shown = points[inside(points, frame.x, frame.y)]
    d = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(frame.px(shown[:, 0]), frame.py(shown[:, 1]), strict=True))
    many = " many" if len(shown) > 400 else ""
    return tag("path", d=d, class_=f"dots {class_}{many}".strip(), style=style)


def inside(points: np.ndarray, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    """Which of the points (M, 2) the ranges hold: (M,)."""
    low, high = np.array([x[0], y[0]]), np.array([x[1], y[1]])
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))  # false for nan
