"""Sections about what is inside: the signs found, and what the bound is made of.

Legend: R points of the k-curve, D latent.
"""

from typing import Any

import numpy as np
from markupsafe import Markup

from bestiary.report.number_words import figure
from bestiary.report.run_record import Folder, real, tables
from bestiary.report.svg import Frame, compact, polyline, tag, ticks
from bestiary.storage.run_files import read_signs

__all__ = ["bound_parts", "signs"]

LOSS, INFORMATION = ("distortion", "reconstruction loss"), ("mutual_information", "mutual information")
PARTS = (  # the finest that was measured
    (LOSS, INFORMATION, ("total_correlation", "total correlation"), ("dimension_kl", "KL of single dimensions")),
    (LOSS, INFORMATION, ("marginal_kl", "marginal KL")),
    (LOSS, ("rate", "rate: KL(q(z|x)‖p(z))")),
)
ACTIVE = 0.01  # variance of E[z_d|x] over x above which a dimension is active (measures/code_numbers.py)


def signs(folder: Folder) -> list[dict[str, Any]]:
    """Each sign of signs.json with its remedies; whatever is torn is left out."""
    signs = read_signs(folder.path)
    return [{"says": str(s.get("says", "")), "remedies": tables(s, "remedies")} for s in signs if s.get("says")]


def bound_parts(folder: Folder) -> dict[str, Any] | None:
    """The parts of −ELBO as one bar, KL by dimension, and −L_k over k."""
    values = {str(n.get("name")): real(n.get("value")) for n in tables(folder.judgement, "numbers")}
    drawn: dict[str, Any] = {}
    if rows := next((rows for rows in PARTS if all(values.get(name) is not None for name, _ in rows)), ()):
        drawn["parts"] = _parts([(title, v) for name, title in rows if (v := values[name]) is not None])
    drawn |= _carried(folder)
    curve = folder.evidence.get("k_curve")
    if curve is not None and len(curve) > 1 and np.isfinite(curve).all() and (curve[:, 0] > 0).all():
        drawn["curve"] = _curve(curve)
    return drawn or None


def _parts(parts: list[tuple[str, float]]) -> dict[str, Any]:
    """Nats one after the other on one bar, and a line for each; what is below 0 has a line but no length."""
    lengths = [max(value, 0.0) for _, value in parts]
    whole, at, wide, drawn = sum(lengths) or 1.0, 0.0, 700.0, []
    for i, length in enumerate(lengths):
        share = length / whole * wide
        drawn.append(tag("rect", class_=f"part{i}", x=at, y=0, width=max(share - 1.5, 0.5), height=28))
        at += share
    lines = [(title, _cents(value)) for title, value in parts]
    caption = "What −ELBO is made of: " + "; ".join(f"{title} {text} nats" for title, text in lines)
    box = f"0 0 {wide:g} 28"
    bar = tag("svg", *drawn, class_="stack", viewBox=box, preserveAspectRatio="none", role="img", aria_label=caption)
    return {"bar": bar, "lines": lines, "whole": _cents(sum(value for _, value in parts))}


def _cents(nats: float) -> str:
    """Two decimals, whatever the size, so that a column adds up by eye; no −0.00."""
    return f"{round(nats, 2) + 0.0:,.2f}".replace("-", "−")


def _carried(folder: Folder) -> dict[str, Markup]:
    """What each dimension of z carries: its KL where it has one, else the variance of its mean over x."""
    kl, spread = (folder.evidence.get(key) for key in ("kl_dims", "code_variance"))
    if spread is None or not np.isfinite(spread).all():
        return {}
    if kl is None or len(kl) != len(spread) or not np.isfinite(kl).all():
        return {"spread": _dims(spread, spread > ACTIVE, "variance")}
    return {"dims": _dims(kl, spread > ACTIVE, "nats")}


def _dims(dims: np.ndarray, active: np.ndarray, unit: str, most: int = 80) -> Markup:
    """A bar for each dimension of z, largest first; those that are not active are pale."""
    order = np.argsort(-dims, kind="stable")[:most]
    shown, strong = dims[order], active[order]
    top = max(float(shown.max()), 0.1)  # where all are near 0, they look it
    frame = Frame((0.0, float(len(shown))), (0.0, 1.08 * top), width=340, height=190, left=44, bottom=40)
    step = (frame.width - frame.left - frame.right) / len(shown)
    base = frame.height - frame.bottom
    parts = [frame.axes((4, 4), "dimension of z, by rank", unit)]
    for i, value in enumerate(shown.tolist()):
        y = float(frame.py(value))
        class_ = "bar" if strong[i] else "bar pale"
        left = frame.left + step * (i + 0.12)
        parts.append(tag("rect", class_=class_, x=left, y=y, width=0.76 * step, height=max(base - y, 0.5)))
    most_of_one = f"the largest has {figure(float(shown[0]))} {unit}"
    return frame.draw(f"{int(active.sum())} of {len(dims)} dimensions of z are active; {most_of_one}", parts)


def _curve(curve: np.ndarray) -> Markup:
    """−L_k with its interval over log k."""
    k, value, low, high = curve.T.astype(float)
    room = 0.15 * (high.max() - low.min()) or 1.0
    x = np.log10(k)
    span = (float(x.min()) - 0.1, float(x.max()) + 0.1)
    frame = Frame(span, (float(low.min() - room), float(high.max() + room)), width=340, height=190, left=48, bottom=40)
    edge = np.concatenate([low, high[::-1]])
    parts = [
        _axes(frame, k),
        polyline(frame, np.concatenate([x, x[::-1]]), edge, "band"),
        polyline(frame, x, value, "line"),
    ]
    for a, b in zip(x, value, strict=True):
        parts.append(tag("circle", class_="end", cx=float(frame.px(a)), cy=float(frame.py(b)), r=2.6))
    return frame.draw(f"−L_k from {figure(value[0])} at k = {k[0]:g} to {figure(value[-1])} at k = {k[-1]:g}", parts)


def _axes(frame: Frame, k: np.ndarray) -> Markup:
    """Nats upwards; the ks that were drawn, along a logarithmic axis."""
    left, right, base = frame.left, frame.width - frame.right, frame.height - frame.bottom
    parts = []
    for value in ticks(*frame.y, 4):
        y = float(frame.py(value))
        parts.append(tag("line", class_="grid", x1=left, x2=right, y1=y, y2=y))
        parts.append(tag("text", compact(value), class_="tick", x=left - 6, y=y + 3.5, text_anchor="end"))
    for size in k.tolist():
        u = float(frame.px(np.log10(size)))
        parts.append(tag("text", compact(size), class_="tick", x=u, y=base + 17, text_anchor="middle"))
    parts.append(tag("line", class_="rule", x1=left, x2=right, y1=base, y2=base))
    below = {"x": (left + right) / 2, "y": frame.height - 3, "text_anchor": "middle"}
    parts.append(tag("text", "k, draws of z for each x", class_="label", **below))
    return Markup("").join(parts)
