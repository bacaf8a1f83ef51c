"""What the two-sample classifier said: its ROC curve, and the calibrated ratio of densities among samples and data.

    curve    (share of samples, share of data) with a logit above t, for every t; the area below is the AUC
    ratio    log π(x)/p(x), where calibration says that π(x) and p(x) are as p(real|x) to p(fake|x)

Legend: N examples (logit or log ratio, 1 for data).
"""

import numpy as np
from markupsafe import Markup

from bestiary.report import figures
from bestiary.report.number_words import figure
from bestiary.report.run_record import Folder
from bestiary.report.svg import Frame, polyline

__all__ = ["roc", "two_sample_plots"]


def two_sample_plots(folder: Folder) -> dict[str, Markup] | None:
    """The figures for which there is evidence."""
    drawn: dict[str, Markup] = {}
    for key, name, draw in (("two_sample", "roc", _curve), ("density_ratio", "ratio", _ratios)):
        result = folder.evidence.get(key)
        if result is not None and np.isfinite(result).all():
            values, real = result[:, 0].astype(float), result[:, 1] > 0.5
            if 0 < real.sum() < len(real):
                drawn[name] = draw(values, real)
    return drawn or None


def roc(logits: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of samples and of data above each threshold, both from 0 to 1; equal logits are passed together."""
    order = np.argsort(-logits, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(logits[order])), len(logits) - 1)  # the last of each run of ties
    passed = np.cumsum(real[order])[ends]
    x, y = (ends + 1 - passed) / (~real).sum(), passed / real.sum()
    return np.concatenate([[0.0], x]), np.concatenate([[0.0], y])


def _curve(logits: np.ndarray, real: np.ndarray) -> Markup:
    x, y = roc(logits, real)
    some = figures.chosen(len(x), 200)
    frame = Frame((0.0, 1.0), (0.0, 1.0), width=260, height=260, left=44, right=10, top=8, bottom=40)
    diagonal = np.array([0.0, 1.0])
    parts = [
        frame.axes((4, 4), "samples called real", "real examples called real"),
        polyline(frame, diagonal, diagonal, "line faint"),
        polyline(frame, x[some], y[some], "line"),
    ]
    area = float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
    return frame.draw(f"ROC curve of the two-sample classifier: the area below is {figure(round(area, 3))}", parts)


def _ratios(log_ratio: np.ndarray, real: np.ndarray) -> Markup:
    return figures.histogram("Logarithm of the ratio of densities", log_ratio[real], log_ratio[~real])
