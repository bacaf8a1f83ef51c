"""Samples beside data: grids of pictures, clouds on a plane, or the marginals of columns in the file's units.

A column that was standardised is given back as raw = x · scale + mean; a category as the largest of its
one-hot components.

Legend: N examples, F features, K values of a category, G grid.
"""

from typing import Any

import numpy as np
from markupsafe import Markup

from bestiary.data.spec import Spec
from bestiary.data.support import Column
from bestiary.report import figures
from bestiary.report.number_words import count
from bestiary.report.png import fitting_side, grid, pixels, reduction, tint
from bestiary.report.run_record import Folder
from bestiary.report.svg import inside

__all__ = ["is_image", "samples_beside_data", "spread"]

Shown = dict[str, Any]


def is_image(folder: Folder) -> bool:
    """Whether the run's examples are pictures."""
    return folder.spec is not None and folder.spec.x.is_picture


def samples_beside_data(folder: Folder) -> Shown | None:
    """Samples beside data: two grids of pictures, two clouds on a plane, or the marginal of every column."""
    evidence = folder.evidence
    if folder.spec is None:
        return None
    if is_image(folder):
        return _grids(folder, folder.spec) if "samples" in evidence else None
    if folder.spec.shape == (2,) and not any(c.words for c in folder.spec.x.columns):
        return _planes(folder, folder.spec) if {"samples", "model_samples"} & evidence.keys() else None
    if folder.spec.x.layout != "row":
        return None
    return _marginals(folder, folder.spec) if {"samples", "data"} <= evidence.keys() else None


def _grids(folder: Folder, spec: Spec) -> Shown:
    pictures = {key: folder.evidence[key] for key in ("samples", "data") if key in folder.evidence}
    side = min(fitting_side(len(x), spec) for x in pictures.values())
    titles = {"samples": f"Samples of the {folder.model}", "data": f"Real examples, {folder.part} part"}
    plates = [
        (
            titles[key],
            grid(pixels(x[: side * side], spec), side, f"{titles[key]}: a grid of {side} by {side}"),
        )
        for key, x in pictures.items()
    ]
    r = reduction(spec)
    note = f"Pictures are shown at 1/{r} of their size." if r > 1 else ""
    return {"kind": "plates", "plates": plates, "note": note}


def _planes(folder: Folder, spec: Spec) -> Shown:
    """Samples and data on one scale, over the true density where it is known."""
    evidence, none = folder.evidence, np.empty((0, 2))
    clouds = {
        "Samples": evidence.get("model_samples", evidence.get("samples", none))[:2000].astype(float),
        "Real examples": evidence.get("data", none)[:2000].astype(float),
    }
    under = _truth(evidence)
    if under is None:  # the density is known in model units only
        for i, column in enumerate(spec.x.columns):
            for points in clouds.values():
                points[:, i] = points[:, i] * column.support.scale + column.support.mean  # type: ignore[union-attr]
        box = figures.square(np.concatenate(list(clouds.values())))
    else:
        box = figures.square(np.array(under[1]).reshape(2, 2).T, pad=0.0)
    columns = spec.x.columns
    names = (columns[0].name, columns[1].name) if columns else ("x₁", "x₂")
    pictures = []
    for (title, points), class_ in zip(clouds.items(), ("accent", "ink"), strict=True):
        if len(points):
            label = f"{title}: {count(len(points), 'point')}" + (" over the true density" if under else "")
            outside = len(points) - int(inside(points, *box).sum())
            label += f", {outside:,} of them outside the frame" if outside else ""
            pictures.append((label, figures.cloud(label, [(points, class_, None)], box, names, under)))
    return {"kind": "clouds", "pictures": pictures, "note": "The grey tint is the true density." if under else ""}


def _truth(evidence: dict[str, np.ndarray]) -> tuple[str, tuple[float, float, float, float]] | None:
    """The true density as a picture, with its extent (left, right, lowest, highest)."""
    extent, density = evidence.get("extent"), evidence.get("truth_density")
    if extent is None or density is None or not np.isfinite(extent).all():
        return None
    x0, x1, y0, y1 = map(float, extent)
    return (tint(density), (x0, x1, y0, y1)) if x1 > x0 and y1 > y0 else None


def spread(spec: Spec) -> list[tuple[Column, slice]]:
    """Each column with the components of x that it takes."""
    columns = spec.x.columns or tuple(Column(name) for name in spec.x.component_names)
    stops = np.cumsum([c.width for c in columns]).tolist()
    return [(c, slice(stop - c.width, stop)) for c, stop in zip(columns, stops, strict=True)]


def _raw(x: np.ndarray, column: Column, where: slice) -> np.ndarray:
    """A number in the units of the user's file: raw = x · scale + mean. (N,), finite values only."""
    support = column.support
    values = x[:, where.start].astype(float) * support.scale + support.mean  # type: ignore[union-attr]
    return values[np.isfinite(values)]


def _shares(x: np.ndarray, where: slice, order: np.ndarray | None = None) -> np.ndarray:
    """How often each value of a category is the largest of its one-hot components: (K,)."""
    chosen = np.nan_to_num(x[:, where], nan=-np.inf).argmax(axis=1)
    return np.bincount(chosen, minlength=where.stop - where.start) / max(1, len(x))


def _marginals(folder: Folder, spec: Spec, most: int = 24, most_values: int = 8) -> Shown:
    data, samples = folder.evidence["data"], folder.evidence["samples"]
    columns, pictures = spread(spec), []
    for column, where in columns[:most]:
        if column.words:
            real_, drawn = _shares(data, where), _shares(samples, where)
            top = np.argsort(-real_, kind="stable")[:most_values]
            names = [column.words[i] for i in top]
            pictures.append((column.name, figures.bars(column.name, names, real_[top], drawn[top])))
        else:
            values = _raw(data, column, where), _raw(samples, column, where)
            pictures.append((column.name, figures.histogram(column.name, *values)))
    left_out = len(columns) - most
    note = f"Only the first {most} of {len(columns)} columns are shown." if left_out > 0 else ""
    return {"kind": "marginals", "pictures": pictures, "note": note, "pairs": _pairs(columns, data, samples)}


def _pairs(columns: list[tuple[Column, slice]], data: np.ndarray, samples: np.ndarray) -> list[tuple[str, Markup]]:
    """The correlations of the numbers, in data and in samples."""
    chosen = [(c.name, where.start) for c, where in columns if not c.words][:12]
    if len(chosen) < 2 or min(len(data), len(samples)) < 3:
        return []
    names, where = [name for name, _ in chosen], [i for _, i in chosen]
    out = []
    for title, x in (("Samples", samples), ("Real examples", data)):
        kept = x[np.isfinite(x).all(axis=1)][:, where].astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):  # a constant column has no correlation
            matrix = np.corrcoef(kept, rowvar=False) if len(kept) > 2 else np.full((len(where),) * 2, np.nan)
        out.append((title, figures.correlations(f"Correlations of the columns: {title.lower()}", matrix, names)))
    return out
