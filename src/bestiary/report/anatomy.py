"""Sections about what is inside: the signs found, and what the bound is made of.

Legend: R points of the k-curve, D latent.
"""

import json
from typing import Any

import numpy as np
from markupsafe import Markup

from bestiary.report.folder import Folder, real, tables
from bestiary.report.svg import Frame, compact, polyline, tag, ticks
from bestiary.report.words import figure

__all__ = ["made_of", "signs"]

PARTS = (
    ("distortion", "reconstruction"),
    ("mutual_information", "mutual information"),
    ("total_correlation", "total correlation"),
    ("dimension_kl", "KL of single dimensions"),
)


def signs(folder: Folder) -> list[dict[str, Any]]:
    """Each sign of signs.json with its remedies; whatever is torn is left out."""
    try:
        found = json.loads((folder.path / "signs.json").read_text("utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return []
    kept = [sign for sign in found if isinstance(sign, dict)] if isinstance(found, list) else []
    return [{"says": str(s.get("says", "")), "remedies": tables(s, "remedies")} for s in kept if s.get("says")]


def made_of(folder: Folder) -> dict[str, Markup] | None:
    """The parts of −ELBO as one bar, KL by dimension, and −L_k over k."""
    values = {str(n.get("name")): real(n.get("value")) for n in tables(folder.judgement, "numbers")}
    found = [(title, values.get(name)) for name, title in PARTS]
    drawn: dict[str, Markup] = {}
    if all(v is not None for _, v in found):
        drawn["parts"] = _parts([(title, v) for title, v in found if v is not None])
    if (dims := folder.evidence.get("kl_dims")) is not None and np.isfinite(dims).all():
        drawn["dims"] = _dims(np.sort(dims)[::-1])
    curve = folder.evidence.get("k_curve")
    if curve is not None and len(curve) > 1 and np.isfinite(curve).all() and (curve[:, 0] > 0).all():
        drawn["curve"] = _curve(curve)
    return drawn or None


def _parts(parts: list[tuple[str, float]]) -> Markup:
    """Nats one after the other on one bar, each named below with its number."""
    whole = sum(max(v, 0.0) for _, v in parts) or 1.0
    at, wide, drawn = 0.0, 700.0, []
    for i, (title, value) in enumerate(parts):
        length = max(value, 0.0) / whole * wide
        y = 52 + 20 * i
        drawn += [
            tag("rect", class_=f"part part{i}", x=at, y=6, width=max(length - 1.5, 0.5), height=26),
            tag("rect", class_=f"part part{i}", x=0, y=y - 10, width=12, height=12),
            tag("text", f"{title}, {figure(round(value, 2))} nats", class_="tick", x=20, y=y),
        ]
        at += length
    told = "; ".join(f"{title} {figure(round(value, 2))} nats" for title, value in parts)
    frame = Frame((0.0, 1.0), (0.0, 1.0), width=wide, height=58 + 20 * (len(parts) - 1))
    return frame.draw(f"What −ELBO is made of: {told}", drawn, "plot wide")


def _dims(dims: np.ndarray, most: int = 80) -> Markup:
    """KL of each dimension of z, largest first; those below 0.01 nats are pale."""
    shown = dims[:most]
    top = max(float(shown.max()), 1e-3)
    frame = Frame((0.0, float(len(shown))), (0.0, 1.08 * top), width=340, height=190, left=44, bottom=40)
    step = (frame.width - frame.left - frame.right) / len(shown)
    base = frame.height - frame.bottom
    parts = [frame.axes((4, 4), "dimension of z, by rank", "nats")]
    for i, value in enumerate(shown.tolist()):
        y = float(frame.py(value))
        class_ = "bar" if value > 0.01 else "bar pale"
        left = frame.left + step * (i + 0.12)
        parts.append(tag("rect", class_=class_, x=left, y=y, width=0.76 * step, height=max(base - y, 0.5)))
    active = int((dims > 0.01).sum())
    return frame.draw(f"KL by dimension: {active} of {len(dims)} above 0.01 nats, the largest {figure(top)}", parts)


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
    parts.append(tag("text", "draws of z for each x, k", class_="label", **below))
    return Markup("").join(parts)
