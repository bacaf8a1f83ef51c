"""What each section of the page shows, as plain dictionaries for the template; None where there is nothing.

Legend: N examples, F features, M codes, D latent, k neighbours, K values of a category.
"""

from math import floor, log10
from typing import Any

import numpy as np
from markupsafe import Markup

from bestiary.data.spec import Spec
from bestiary.data.support import Column
from bestiary.report import figures
from bestiary.report.number_words import count, duration, figure, numbers, plain
from bestiary.report.png import Plate, grid, pixels, reduction, saved, single
from bestiary.report.run_record import Folder, Series, real, table
from bestiary.report.samples_section import is_image, spread
from bestiary.report.term_words import term_words

__all__ = ["curves", "growth", "judged", "latent", "neighbours", "reconstructions", "settings"]

Shown = dict[str, Any]


def judged(folder: Folder) -> list[Shown]:
    """The numbers, those of the verdict first. Numbers of one unit share a scale, those of one title an entry."""
    result = sorted(numbers(folder), key=lambda n: -n.weight)
    titles = [n.title for n in result]
    return [
        {
            "number": n,
            "also": [m for m in result[i + 1 :] if m.title == n.title],  # the same in bits per dimension
            "bar": figures.interval(n, figures.scale([m for m in result if m is n or (n.unit and m.unit == n.unit)])),
            "protocol": _rows(n.protocol),
            "detail": n.detail,
        }
        for i, n in enumerate(result)
        if n.title not in titles[:i]
    ]


def _rows(d: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(key), plain(value)) for key, value in d.items()]


TITLES = {"validation": "Validation, on examples kept from the fit"}  # others by the name of the player


def curves(folder: Folder) -> list[Shown]:
    """Small multiples: one row of panels a player, the validation bound last."""
    last = max((float(x[-1]) for x, _ in folder.journal.values()), default=0.0)
    players: dict[str, list[tuple[str, str, Markup]]] = {}
    for key, (x, y) in sorted(folder.journal.items(), key=lambda item: _order(item[0])):
        player, term = key.split(".", 1)
        if player == "validation" and term in ("low", "high"):
            continue
        band = _band(folder.journal, x) if key == "validation.bound" else None
        best = key == "validation.bound"
        panel = figures.curve(f"{player} {term}", x, y, last, band, best)
        players.setdefault(player, []).append((term, term_words(player, term), panel))
    return [
        {"player": player, "title": TITLES.get(player, f"Loss of the {player}"), "panels": panels}
        for player, panels in players.items()
    ]


def _order(key: str) -> tuple[bool, bool]:
    """Totals first within a player, validation last; otherwise as in the journal."""
    return key.startswith("validation."), not key.endswith(".total")


def _band(journal: dict[str, Series], x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    low, high = journal.get("validation.low"), journal.get("validation.high")
    same = low is not None and high is not None and np.array_equal(low[0], x) and np.array_equal(high[0], x)
    return (low[1], high[1]) if same and low and high else None


def growth(folder: Folder, most: int = 4, largest: int = 120_000) -> list[tuple[str, Plate]]:
    """The pictures saved while fitting: the first, the last, some between, if small enough to embed."""
    result, kind = [], "Samples" if folder.samples else "Reconstructions"
    for path in sorted((folder.path / "samples").glob("round-*.png")):
        digits = path.stem.removeprefix("round-")
        plate = saved(path, f"{kind} at round {int(digits):,}", largest) if digits.isdecimal() else None
        if plate is not None:
            result.append((f"{int(digits):,}", plate))
    return [result[i] for i in figures.chosen(len(result), most)] if len(result) > 1 else []


def reconstructions(folder: Folder, most: int = 16) -> list[Plate] | None:
    """Pairs: an example above what the model makes of its code."""
    given, reconstructed = (folder.evidence.get(key) for key in ("reconstructed_from", "reconstructions"))
    if given is None or reconstructed is None or folder.spec is None or not is_image(folder):
        return None
    n = min(
        len(given), len(reconstructed), most if reduction(folder.spec) == 1 and max(folder.spec.shape[1:]) <= 32 else 8
    )
    pairs = np.stack([pixels(given[:n], folder.spec), pixels(reconstructed[:n], folder.spec)], axis=1)
    return [grid(pair, 1, f"Example {i + 1} above its reconstruction") for i, pair in enumerate(pairs)]


def latent(folder: Folder) -> Shown | None:
    """The codes on a plane, coloured by class; the share of variance that the plane shows; the manifold."""
    codes_2d = folder.evidence.get("codes_2d")
    if codes_2d is None:
        return None
    points = codes_2d[:3000].astype(float)
    codes, labels = folder.evidence.get("codes"), folder.evidence.get("code_labels")
    itself = codes is not None and codes.shape[1] == 2
    names = ("z₁", "z₂") if itself else ("first principal component", "second principal component")
    layers, legend, written = _coloured(folder, points, labels)
    box = figures.square(points)
    picture = figures.cloud(f"Codes of {count(len(points), 'example')}", layers, box, names, written=written)
    return {
        "picture": picture,
        "legend": legend,
        "n": count(len(points), "example"),
        "itself": itself,
        "share": None if codes is None or itself else _share(codes, codes_2d),
        "dimensions": None if codes is None else codes.shape[1],
        "manifold": _manifold(folder),
    }


def _coloured(folder: Folder, points: np.ndarray, labels: np.ndarray | None) -> tuple[list, list, list]:
    """One layer a class with its hue, the legend, and the class's name at the median of its points."""
    if labels is None or len(labels) < len(points):
        return [(points, "accent", None)], [], []
    layers, legend, written = [], [], []
    labels = labels[: len(points)]
    label = folder.spec.label if folder.spec is not None else None
    classes = () if label is None else label.words
    for i, label in enumerate(np.unique(labels).tolist()):
        name = classes[label] if 0 <= label < len(classes) else str(label)
        mine = points[labels == label]
        layers.append((mine, "", f"stroke:{figures.hue(i)}"))
        legend.append((name, figures.hue(i)))
        middle = np.nanmedian(mine, axis=0) if np.isfinite(mine).any() else np.zeros(2)
        if len(name) <= 12:
            written.append((name, float(middle[0]), float(middle[1])))
    few = len(legend) <= 20
    return layers, legend if few else [], written if few else []


def _share(codes: np.ndarray, codes_2d: np.ndarray) -> str | None:
    """Variance on the plane over the variance of the codes, in per cent."""
    if len(codes) != len(codes_2d):
        return None
    fine = np.isfinite(codes).all(axis=1) & np.isfinite(codes_2d).all(axis=1)
    if fine.sum() < 2:
        return None
    whole, plane = (float(np.var(x[fine].astype(float), axis=0).sum()) for x in (codes, codes_2d))
    return f"{100 * plane / whole:.0f}%" if 0 < plane <= 1.001 * whole else None


def _manifold(folder: Folder) -> Plate | None:
    decoded = folder.evidence.get("manifold")
    if decoded is None or folder.spec is None or not is_image(folder):
        return None
    side = int(len(decoded) ** 0.5)
    label = f"What the decoder makes of a grid of {side} by {side} codes"
    return grid(pixels(decoded[: side * side], folder.spec), side, label, gap=0)


def neighbours(folder: Folder) -> Shown | None:
    """Each sample with the training examples nearest to it, and their distances."""
    evidence = folder.evidence
    if folder.spec is None or not {"neighbour_of", "neighbours"} <= evidence.keys():
        return None
    of, near = evidence["neighbour_of"], evidence["neighbours"]
    distances = evidence.get("neighbour_distances", np.full(near.shape[:2], np.nan))
    small = is_image(folder) and max(folder.spec.shape[1:]) <= 32
    n = min(len(of), len(near), len(distances), 8 if small else 5)
    k = min(near.shape[1], distances.shape[1], 5)
    if not is_image(folder):
        return {
            "kind": "rows",
            **_neighbour_rows(folder.spec, of[: min(n, 4)], near[:, : min(k, 3)], distances),
        }
    rows = []
    captions = _distances(distances[:n, :k])
    for i in range(n):
        tiles = pixels(np.concatenate([of[i : i + 1], near[i, :k]]), folder.spec)
        sample = single(tiles[0], f"Sample {i + 1}")
        result = [
            (single(tiles[j + 1], f"Training example at rank {j + 1} from sample {i + 1}"), captions[i][j])
            for j in range(k)
        ]
        rows.append({"sample": sample, "near": result})
    return {"kind": "pictures", "rows": rows, "k": k}


def _distances(found: np.ndarray) -> list[list[str]]:
    """Distances (N, k) with the same decimals, so that the largest keeps three digits."""
    finite = np.abs(found[np.isfinite(found)])
    top = float(finite.max()) if finite.size else 0.0
    decimals = min(6, max(0, 2 - floor(log10(top)))) if top else 0
    return [[f"{value:,.{decimals}f}" if np.isfinite(value) else "" for value in row] for row in found]


def _cell(value: float) -> str:
    return figure(float(f"{value:.4g}")) if np.isfinite(value) else ""


def _neighbour_rows(spec: Spec, of: np.ndarray, near: np.ndarray, distances: np.ndarray, most: int = 8) -> Shown:
    """The same for rows of a table, in the units of the user's file."""
    columns = spread(spec)[:most]
    rows, captions = [], _distances(distances[: len(of), : near.shape[1]])
    for i, sample in enumerate(of):
        rows.append({"sample": True, "distance": "", "cells": _cells(columns, sample)})
        for j in range(near.shape[1]):
            rows.append({"sample": False, "distance": captions[i][j], "cells": _cells(columns, near[i, j])})
    return {"names": [c.name for c, _ in columns], "lines": rows}


def _cells(columns: list[tuple[Column, slice]], x: np.ndarray) -> list[str]:
    return [
        c.words[int(np.nan_to_num(x[where]).argmax())]
        if c.words
        else _cell(float(c.support.write_column(x[where][None])[0]))
        for c, where in columns
    ]


def settings(folder: Folder) -> Shown:
    """The configuration with its reasons, the machine, and the time."""
    inferred = table(folder.config, "inferred")
    reasons = {str(k): str(table(inferred, k).get("reason", "")) for k in inferred}
    groups = [
        (
            name,
            [(key, value, reasons.get(key, reasons.get(f"{name}.{key}", ""))) for key, value in _rows(rows)],
        )
        for name in folder.config
        if name not in ("spec", "inferred") and (rows := table(folder.config, name))
    ]
    skip = ("seconds", "finished", "round", "rounds", "why")
    machine = _rows({key: value for key, value in folder.env.items() if key not in skip})
    seconds = real(folder.env.get("seconds"))
    return {
        "groups": groups,
        "machine": machine,
        "time": None if seconds is None else duration(seconds),
    }
