"""Numbers in words: as exact as their intervals, and honest about floors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.report.number_words import Mark, Number, duration, figure, plain


def number(value, low, high, floor=None):
    return Number("n", "N", "nats", "lower", "", Mark(value, low, high), floor, None, {})


def parsed(text):
    raised = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")
    mantissa, _, power = text.replace(",", "").translate(raised).partition(" × 10")
    return float(mantissa) * 10.0 ** int(power or 0)


@given(st.floats(-1e12, 1e12), st.floats(1e-4, 1e4))
def test_a_figure_is_within_a_tenth_of_its_intervals_half_width(value, half):
    error = abs(parsed(figure(value, value - half, value + half)) - value)
    assert error <= max(0.1 * half, 1e-3 * abs(value) if not 1e-3 <= abs(value) < 1e7 else 0)


@given(st.floats(-1e300, 1e300))
def test_a_figure_without_interval_keeps_four_digits(value):
    assert parsed(figure(value)) == pytest.approx(value, rel=6e-4)


@given(st.floats(0, 1e7))
def test_duration_is_right_to_a_minute_or_better(seconds):
    units = {"s": 1, "min": 60, "h": 3600}
    parts = duration(seconds).split()
    told = sum(float(a) * units[b] for a, b in zip(parts[::2], parts[1::2], strict=True))
    assert abs(told - seconds) <= (0.5 if seconds < 3600 else 60)


def test_plain_is_exact_for_what_a_configuration_holds():
    assert plain({"betas": (0.5, 0.999), "amsgrad": False, "seed": 1234567}) == (
        "betas = 0.5, 0.999, amsgrad = no, seed = 1234567"
    )
