"""The figures of the page: curves, intervals beside their floors, clouds of points, histograms, correlations.

Every function takes arrays and returns one SVG element.

Legend: T lines of the journal, M points, F features, K values of a category.
"""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from bestiary.report.number_words import Number, figure
from bestiary.report.svg import Frame, compact, dots, polyline, robust_range, tag

__all__ = ["HUES", "bars", "chosen", "cloud", "correlations", "curve", "histogram", "hue", "interval"]

# Ten hues 35° apart in OKLCH, lightness alternating .62 and .56: at least 3 : 1 against both papers.
HUES = (
    "#d15c56",
    "#168dd9",
    "#568502",
    "#a867c3",
    "#aa5f04",
    "#029e72",
    "#b24981",
    "#9e8406",
    "#6566c9",
    "#07858a",
)


def hue(i: int) -> str:
    """The colour of the i-th class; after ten they come again."""
    return HUES[i % len(HUES)]


def running_median(y: np.ndarray, centres: np.ndarray, window: int) -> np.ndarray:
    """The median of the finite values in a window about each centre, shorter at the ends; else nan."""
    half, out = window // 2, np.full(len(centres), np.nan)
    for i, centre in enumerate(centres.tolist()):
        near = y[max(0, centre - half) : centre + half + 1]
        if np.isfinite(near).any():
            out[i] = np.nanmedian(near)
    return out


def chosen(n: int, most: int) -> np.ndarray:
    """At most `most` of the numbers 0 … n − 1, evenly, with both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def curve(
    label: str,
    x: np.ndarray,
    y: np.ndarray,
    last_round: float,
    band: tuple[np.ndarray, np.ndarray] | None = None,
    best: bool = False,
) -> Markup:
    """One term over the rounds, (T,) and (T,): faint as it is, strong as a running median, its end named."""
    finite = np.isfinite(y)
    if not finite.any():
        return Frame((0.0, 1.0), (0.0, 1.0)).draw(f"{label}: no finite value", [])
    everything = y if band is None else np.concatenate([y, *band])
    frame = Frame((0.0, max(last_round, 1.0)), robust_range(everything), right=42)
    parts = [frame.axes((3, 3))]
    if band is not None:
        edge = np.concatenate([band[0], band[1][::-1]])
        there = np.isfinite(edge)
        parts.append(polyline(frame, np.concatenate([x, x[::-1]])[there], edge[there], "band"))
    u, v = x, y
    if len(y) > 60:
        some, centres = chosen(len(y), 400), chosen(len(y), 200)
        parts.append(polyline(frame, x[some], y[some], "line faint"))
        u, v = x[centres], running_median(y, centres, max(5, len(y) // 20))
    parts.append(polyline(frame, u, v, "line"))
    last = int(np.flatnonzero(np.isfinite(v))[-1])
    right, level = frame.px(u[last]).item(), frame.py(v[last]).item()
    parts.append(tag("circle", class_="end", cx=right, cy=level, r=2.6))
    parts.append(tag("text", compact(float(f"{v[last]:.4g}")), class_="value", x=right + 6, y=level + 4))
    if best and finite.sum() > 1:
        top = int(np.nanargmax(y))
        parts.append(tag("circle", class_="ring", cx=frame.px(x[top]).item(), cy=frame.py(y[top]).item(), r=4.5))
    caption = f"{label}: from {figure(float(y[finite][0]))} to {figure(float(v[last]))} at round {u[last]:g}"
    return frame.draw(caption, parts)


def scale(values: Sequence[Number]) -> tuple[float, float] | None:
    """A common range for the marks of several numbers; None if there is nothing to compare a value with."""
    marks = [m for n in values for m in (n.mark, n.floor, n.ceiling) if m is not None]
    ends = [end for m in marks for end in m.ends]
    if not ends or min(ends) == max(ends):
        return None
    room = 0.09 * (max(ends) - min(ends))
    return min(ends) - room, max(ends) + room


def interval(number: Number, span: tuple[float, float] | None) -> Markup:
    """The value and its interval on a rule, the floor named below, the ceiling above."""
    if number.mark is None or span is None:
        return Markup("")
    low, high = span

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    parts = [tag("line", class_="rule", x1="0", x2="100%", y1=26, y2=26)]
    full_protocol = [f"{number.title}: {number.text}"]
    for mark, name, y in ((number.floor, "floor", 45), (number.ceiling, "ceiling", 11)):
        if mark is None:
            continue
        text = f"{name} {figure(mark.value, *mark.ends)}"
        share = (mark.value - low) / (high - low)
        anchor = "start" if share < 0.25 else "end" if share > 0.75 else "middle"
        parts += [
            tag("line", class_=f"{name} wide", x1=at(mark.ends[0]), x2=at(mark.ends[1]), y1=26, y2=26),
            tag("line", class_=name, x1=at(mark.value), x2=at(mark.value), y1=17, y2=35),
            tag("text", text, class_="tick", x=at(mark.value), y=y, text_anchor=anchor),
        ]
        full_protocol.append(text)
    ends = number.mark.ends
    parts += [
        tag("line", class_="interval", x1=at(ends[0]), x2=at(ends[1]), y1=26, y2=26),
        tag("circle", class_="point", cx=at(number.mark.value), cy=26, r=5),
    ]
    if number.interval:
        full_protocol.append(f"interval {number.interval}")
    return tag(
        "svg", *parts, class_="interval-bar", role="img", aria_label=", ".join(full_protocol), height=50, width="100%"
    )


def square(points: np.ndarray, pad: float = 0.04) -> tuple[tuple[float, float], tuple[float, float]]:
    """Equal scales on both axes: two ranges of the same width that hold the points which are not far out."""
    ranges = [robust_range(points[:, k], share=0.01, room=pad) for k in (0, 1)]
    half = max(high - low for low, high in ranges) / 2
    centres = [(low + high) / 2 for low, high in ranges]
    return (centres[0] - half, centres[0] + half), (centres[1] - half, centres[1] + half)


def cloud(
    label: str,
    layers: Sequence[tuple[np.ndarray, str, str | None]],  # points (M, 2), class, style
    box: tuple[tuple[float, float], tuple[float, float]],
    names: tuple[str, str],
    under: tuple[str, tuple[float, float, float, float]] | None = None,  # a picture and its extent
    written: Sequence[tuple[str, float, float]] = (),  # words placed on the map
) -> Markup:
    """Points on a plane with equal scales."""
    frame = Frame(*box, width=440, height=440, left=54, right=8, top=8, bottom=48)
    parts = []
    if under is not None:
        src, (x0, x1, y0, y1) = under  # the box holds the extent
        (a, b), (d, c) = frame.px(np.array([x0, x1])), frame.py(np.array([y0, y1]))
        place = {"x": a, "y": c, "width": b - a, "height": d - c}
        parts.append(tag("image", href=src, preserveAspectRatio="none", class_="tint", **place))
    parts.append(frame.axes((4, 4), *names))
    parts += [dots(frame, points, class_, style) for points, class_, style in layers]
    for word, x, y in written:
        u, v = frame.px(x).item(), frame.py(y).item()
        parts.append(tag("text", word, class_="placed", x=u, y=v + 4.5, text_anchor="middle"))
    return frame.draw(label, parts, "plot cloud")


def histogram(label: str, data: np.ndarray, samples: np.ndarray, bins: int = 28) -> Markup:
    """Two histograms over the same bins, as shares of all values: data filled, samples as an outline."""
    low, high = robust_range(np.concatenate([data, samples]), share=0.005, room=0.0)
    edges = np.linspace(low, high, bins + 1)
    shares = [np.histogram(values, edges)[0] / max(1, len(values)) for values in (data, samples)]
    top = max(float(s.max()) for s in shares) or 1.0
    frame = Frame((low, high), (0.0, 1.08 * top), width=260, height=140, left=10, right=10, top=8, bottom=24)
    x = np.repeat(edges, 2)
    heights = [np.concatenate([[0.0], np.repeat(s, 2), [0.0]]) for s in shares]
    base, right = frame.height - frame.bottom, frame.width - frame.right
    parts = [
        polyline(frame, x, heights[0], "data-fill"),
        polyline(frame, x, heights[1], "line"),
        tag("line", class_="rule", x1=frame.left, x2=right, y1=base, y2=base),
    ]
    for value, anchor, u in ((low, "start", frame.left), (high, "end", right)):
        parts.append(tag("text", compact(float(f"{value:.3g}")), class_="tick", x=u, y=base + 16, text_anchor=anchor))
    if not len(data) or not len(samples):
        return frame.draw(f"{label}: no finite value", parts)
    middles = [figure(float(np.median(values))) for values in (data, samples)]
    return frame.draw(f"{label}: median {middles[0]} in the data, {middles[1]} in the samples", parts)


def bars(label: str, names: Sequence[str], data: np.ndarray, samples: np.ndarray) -> Markup:
    """Shares of each value of a category, (K,) and (K,): data as a grey bar, samples as a line at its end."""
    step = 22
    frame = Frame((0.0, 1.0), (0.0, 1.0), width=260, height=8 + step * len(names), left=96, right=40)
    top = max(float(data.max()), float(samples.max())) or 1.0
    wide = frame.width - frame.left - frame.right
    parts, caption = [], []
    for i, name in enumerate(names):
        y = 4 + step * i
        end, other = frame.left + data[i] / top * wide, frame.left + samples[i] / top * wide
        short = name if len(name) <= 14 else name[:13] + "…"
        parts += [
            tag("text", short, class_="tick", x=frame.left - 8, y=y + 14, text_anchor="end"),
            tag("rect", class_="data-fill", x=frame.left, y=y + 3, width=max(0.5, end - frame.left), height=14),
            tag("line", class_="line", x1=other, x2=other, y1=y, y2=y + 20),
            tag("text", f"{100 * samples[i]:.0f}%", class_="value", x=max(end, other) + 6, y=y + 14),
        ]
        caption.append(f"{name} {100 * data[i]:.0f}% in the data, {100 * samples[i]:.0f}% in the samples")
    return frame.draw(f"{label}: {'; '.join(caption)}", parts)


def correlations(label: str, matrix: np.ndarray, names: Sequence[str]) -> Markup:
    """A matrix (F, F) in [−1, 1] as squares whose area is |r|: accent for positive, blue for negative."""
    f, cell = len(names), 200 / len(names)
    parts = []
    for i in range(f):
        for j in range(f):
            r = float(matrix[i, j])
            side = cell * 0.94 * abs(r) ** 0.5 if np.isfinite(r) else 0.0
            x, y = 96 + cell * (j + 0.5), 4 + cell * (i + 0.5)
            class_ = "plus" if r >= 0 else "minus"
            hint = tag("title", f"{names[i]}, {names[j]}: {figure(round(r, 2))}") if np.isfinite(r) else ""
            place = {"x": x - side / 2, "y": y - side / 2, "width": side, "height": side}
            parts.append(tag("rect", hint, class_=class_, **place))
        short = names[i] if len(names[i]) <= 14 else names[i][:13] + "…"
        parts.append(tag("text", short, class_="tick", x=88, y=4 + cell * (i + 0.5) + 4, text_anchor="end"))
    parts.append(tag("rect", class_="frame", x=96, y=4, width=200, height=200))
    return Frame((0.0, 1.0), (0.0, 1.0), width=300, height=210).draw(label, parts)
