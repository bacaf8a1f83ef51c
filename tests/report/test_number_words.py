"""Numbers in words: as exact as their intervals, and honest about floors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.report.number_words import Mark, Number, duration, figure, plain, relation, verdict


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


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(2.5, 3.5, "above"), (0.5, 1.5, "below"), (1.5, 2.5, "level with"), (2.0, 3.0, "level with")],
)
def test_relation_compares_intervals(low, high, says):
    floor = Mark(2.0)
    assert relation(number((low + high) / 2, low, high, floor)) == f"{says} its floor of 2"
    assert relation(number(1, 0, 2)) == ""


@pytest.mark.parametrize(
    ("value", "says"), [(2.25, "level with"), (2.35, "above"), (1.75, "level with"), (1.65, "below")]
)
def test_relation_is_that_of_the_difference(value, says):
    """Halves of .2 and .2: .28 of the difference, though the intervals overlap up to .4."""
    assert relation(number(value, value - 0.2, value + 0.2, Mark(2.0, 1.8, 2.2))) == f"{says} its floor of 2.00"


def test_names_keep_their_capital_in_a_sentence():
    fid = Number("fid", "Fréchet distance, pixels", "units", "lower", "", Mark(2.0, 1.5, 2.5), Mark(1.0), None, {})
    told = Number("c2st", "Accuracy of a two-sample classifier", "", "lower", "", Mark(0.9), Mark(0.5), None, {})
    assert "; Fréchet distance, pixels, is 2.0" in verdict([fid, told])


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
