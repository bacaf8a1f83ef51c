"""Scales, ticks and elements of the drawings."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.report.svg import Frame, dots, polyline, robust_range, tag, ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_evenly_spaced_and_inside(low, width):
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 10
    assert all(low - 1e-6 * width <= t <= low + (1 + 1e-6) * width for t in found)
    if len(found) > 1:
        step = found[1] - found[0]
        np.testing.assert_allclose(np.diff(found), step, rtol=1e-4)
        assert round(step / 10 ** np.floor(np.log10(step * 1.0001)), 3) in (1, 2, 5)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50), st.sampled_from([0.0, 0.06]))
def test_a_range_has_width_and_holds_the_median(values, room):
    low, high = robust_range(np.array(values), room=room)
    assert low < high
    assert low <= np.median(values) <= high


def test_a_range_ignores_a_few_far_values_and_what_is_not_finite():
    bulk = np.linspace(1, 2, 200)
    low, high = robust_range(np.concatenate([bulk, [1e9, -1e9, np.nan, np.inf]]))
    assert -1 < low < 1
    assert 2 < high < 4
    assert robust_range(np.array([np.nan])) == (0.0, 1.0)


def test_text_and_attributes_are_escaped():
    made = tag("text", "<script>", data_name='"><script>')
    assert "<script>" not in made
    assert ElementTree.fromstring(made).attrib == {"data-name": '"><script>'}


def test_a_frame_maps_its_corners_and_keeps_outliers_at_the_border():
    frame = Frame((0, 10), (-1, 1), width=100, height=80, left=20, right=10, top=5, bottom=15)
    assert frame.px(np.array([0, 10])).tolist() == [20, 90]
    assert frame.py(np.array([-1, 1, 99, -99])).tolist() == [65, 5, 5, 65]


def test_a_line_breaks_where_a_value_is_missing():
    frame = Frame((0, 3), (0, 3))
    d = ElementTree.fromstring(polyline(frame, np.arange(4), np.array([0, 1, np.nan, 3]), "line")).get("d")
    assert (d.count("M"), d.count("L")) == (2, 1)


@pytest.mark.parametrize("far", [np.nan, np.inf, 1e9])
def test_dots_leave_out_what_the_frame_does_not_show(far):
    frame = Frame((0, 1), (0, 1))
    d = ElementTree.fromstring(dots(frame, np.array([[0.5, 0.5], [far, 0.5]]), "ink")).get("d")
    assert d.count("M") == 1
