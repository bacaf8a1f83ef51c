"""The page of how often signs are wrong: it is what the signs of today say of the histories that are kept."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from bestiary.signs.signs import diagnose

ROOT = Path(__file__).parents[2]
SPEC = spec_from_file_location("sign_errors", ROOT / "benchmarks" / "sign_errors.py")
assert SPEC is not None
assert SPEC.loader is not None
study = module_from_spec(SPEC)
sys.modules["sign_errors"] = study  # dataclasses look there
SPEC.loader.exec_module(study)

RESULTS = [json.loads(line) for line in study.HISTORIES.read_text("utf-8").splitlines()]


def test_the_page_is_made_of_the_histories_and_the_signs_of_today() -> None:
    page = (ROOT / "docs" / "sign-errors.md").read_text("utf-8")
    assert page == study.page(RESULTS), "run: python benchmarks/sign_errors.py --table"


def test_signs_are_rarely_wrong() -> None:
    """Of the kept runs, so that a change of a sign that does harm is seen."""
    known = study.read_all(RESULTS)
    healthy = [shown for _, expected, shown in known if not expected]
    ill = [(expected, shown) for _, expected, shown in known if expected]
    assert sum(bool(shown) for shown in healthy) <= 0.05 * len(healthy)
    assert sum(not expected & shown for expected, shown in ill) <= 0.05 * len(ill)


def test_the_upper_bound_of_no_error() -> None:
    """0 of n: the share p of which (1 − p)^n = 5%."""
    assert (1 - study.upper_bound(0, 60)) ** 60 == pytest.approx(0.05)
    assert study.upper_bound(3, 3) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "sign"),
    [
        ("vae digits", ""),
        ("digits beta .01", "latent-loss"),
        ("digits beta 100", "collapse"),
        ("noise wide", "noise"),
        ("matching ring", ""),
        ("slow critic ring", "mode-collapse"),
        ("fast circle", "oscillation"),
    ],
)
def test_fresh_runs_show_what_they_have(case: str, sign: str) -> None:
    """Of a seed that the page has not."""
    shown = {found.name for found in diagnose(study.restore(study.play(case, 7)))}
    assert sign in shown if sign else not shown
