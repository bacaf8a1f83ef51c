"""Figures: what is drawn is where the numbers say."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from bestiary.report.figures import (
    HUES,
    bars,
    cloud,
    correlations,
    curve,
    histogram,
    interval,
    running_median,
    scale,
    square,
)
from bestiary.report.number_words import Mark, Number
from bestiary.report.page import TEMPLATES


def number(value, low=None, high=None, floor=None, ceiling=None):
    return Number("n", "N <n>", "nats", "lower", "", Mark(value, low, high), floor, ceiling, {})


def by_class(svg, name):
    return [e for e in ElementTree.fromstring(svg).iter() if name in (e.get("class") or "").split()]


def per_cent(element, key):
    return float(element.get(key).removesuffix("%"))


def test_an_interval_stands_in_order_with_its_floor_and_ceiling():
    n = number(5.0, 4.0, 7.0, floor=Mark(2.0, 1.5, 2.5), ceiling=Mark(9.0))
    svg = interval(n, scale([n]))
    line, point = by_class(svg, "interval")[0], by_class(svg, "point")[0]
    floor, ceiling = by_class(svg, "floor")[1], by_class(svg, "ceiling")[1]
    xs = [
        per_cent(floor, "x1"),
        per_cent(line, "x1"),
        per_cent(point, "cx"),
        per_cent(line, "x2"),
        per_cent(ceiling, "x1"),
    ]
    assert xs == sorted(xs)
    assert 0 < xs[0] < xs[-1] < 100
    middle = per_cent(line, "x1") + (per_cent(line, "x2") - per_cent(line, "x1")) / 3  # linear: 5 is a third of 4 … 7
    assert per_cent(point, "cx") == pytest.approx(middle, abs=0.02)
    assert "floor 2.00" in ElementTree.fromstring(svg).get("aria-label")


def test_a_number_alone_has_no_bar():
    n = number(5.0)
    assert interval(n, scale([n])) == ""
    undefined = Number("n", "N", "", "", "", None, Mark(1.0, 0.0, 2.0), None, {})
    assert interval(undefined, scale([undefined])) == ""


def test_a_curve_survives_outliers_gaps_and_nothing():
    x = np.arange(200.0)
    y = np.sin(x / 30)
    y[3], y[50:60] = 1e12, np.nan
    labels = [t.text for t in by_class(curve("vae kl", x, y, 200), "tick")]
    assert not any("×" in t for t in labels)  # the axis fits the bulk
    assert (
        ElementTree.fromstring(curve("vae kl", x, np.full(200, np.nan), 200))
        .get("aria-label")
        .endswith("no finite value")
    )
    assert by_class(curve("vae kl", x[:1], y[:1], 0), "end")


def test_the_ring_marks_the_best_validation():
    x, y = np.array([0.0, 1, 2, 3]), np.array([-9.0, -5, -7, np.nan])
    svg = curve("validation bound", x, y, 3, band=(y - 1, y + 1), best=True)
    ring, end = by_class(svg, "ring")[0], by_class(svg, "end")[0]
    assert float(ring.get("cx")) < float(end.get("cx"))
    assert float(ring.get("cy")) < float(end.get("cy"))  # higher on the page
    assert by_class(svg, "band")


def test_a_running_median_is_exact_on_a_line_and_deaf_to_a_spike():
    y = np.arange(101.0)
    centres = np.arange(10, 91)
    assert np.array_equal(running_median(y, centres, 11), centres)
    y[50] = 1e9
    assert np.abs(running_median(y, centres, 11) - centres).max() <= 1


def test_histograms_of_the_same_values_coincide():
    values = np.random.default_rng(0).normal(size=500)
    svg = histogram("age", values, values.copy())
    data, samples = by_class(svg, "data-fill")[0], by_class(svg, "line")[0]
    assert data.get("d") == samples.get("d")
    assert histogram("age", np.empty(0), np.empty(0))


def test_bars_end_where_the_shares_say():
    svg = bars("education", ["a", "<b>"], np.array([0.5, 0.25]), np.array([0.25, 0.5]))
    rects, lines = by_class(svg, "data-fill"), by_class(svg, "line")
    assert float(rects[0].get("width")) == pytest.approx(2 * float(rects[1].get("width")), abs=0.02)
    assert float(lines[0].get("x1")) < float(lines[1].get("x1"))


def test_correlations_are_drawn_by_area_and_sign():
    svg = correlations("r", np.array([[1.0, -0.25], [np.nan, 1.0]]), ["a", "b"])
    plus, minus = by_class(svg, "plus"), by_class(svg, "minus")
    assert float(minus[0].get("width")) == pytest.approx(0.5 * float(plus[0].get("width")), abs=0.02)


def test_a_cloud_has_equal_scales_and_one_dot_a_point():
    points = np.random.default_rng(0).normal(size=(50, 2)) * [1, 5]
    (x0, x1), (y0, y1) = box = square(points)
    assert x1 - x0 == pytest.approx(y1 - y0)
    svg = cloud("map", [(points, "", "stroke:red")], box, ("x", "y"), written=[("<3>", 0.0, 0.0)])
    assert by_class(svg, "dots")[0].get("d").count("M") == 50


def luminance(colour):
    code = colour.lstrip("#")
    code = "".join(2 * c for c in code) if len(code) == 3 else code
    parts = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


PALETTES = [
    dict(re.findall(r"--(\w+): (#\w+)", block))
    for block in re.findall(r":root \{(.*?)\}", (TEMPLATES / "style.css").read_text("utf-8"), re.S)
]


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark", "print"])
def test_words_and_marks_contrast_with_both_papers(palette):
    for ink in ("ink", "muted", "accent"):
        for paper in ("paper", "wash"):
            assert contrast(palette[ink], palette[paper]) >= 4.5, (ink, paper)
    assert min(contrast(hue, palette["paper"]) for hue in HUES) >= 3
    assert contrast(palette["cool"], palette["paper"]) >= 3
