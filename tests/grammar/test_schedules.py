"""Schedules are their formulas, β follows the clock, and what a schedule is called reads back as itself."""

from math import cos, pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bestiary.densities.diagonal_gaussian import DiagonalNormal
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import SCHEDULES, Cosine, Cyclic, Linear, parse_schedule, value_at
from bestiary.objectives.draw import Draw
from bestiary.objectives.elbo import OBJECTIVES, elbo
from bestiary.training.clock import Clock

# numbers that six digits can write
numbers = st.floats(-1e6, 1e6)
schedules = st.one_of(
    st.builds(Linear, numbers, numbers, st.integers(1, 10**6)),
    st.builds(Cosine, numbers, numbers, st.integers(1, 10**6)),
    st.builds(Cyclic, numbers, numbers, st.integers(1, 10**6), st.integers(1, 1000).map(lambda i: i / 1000)),
)


def clock(round: float) -> Clock:
    return Clock(torch.tensor(float(round)), 100)


def linear(a: float, b: float, n: float, t: float) -> float:
    return a + (b - a) * min(t / n, 1)


FORMULAS = {
    Linear(2, -1, 10): lambda t: linear(2, -1, 10, t),
    Cosine(0, 3, 8): lambda t: 3 * (1 - cos(pi * min(t / 8, 1))) / 2,
    Cyclic(0, 2, 10): lambda t: linear(0, 2, 5, t % 10),
    Cyclic(1, 2, 10, 0.25): lambda t: linear(1, 2, 2.5, t % 10),
    Cyclic(1, 2, 7, 1.0): lambda t: linear(1, 2, 7, t % 7),
}


@pytest.mark.parametrize("schedule", FORMULAS, ids=str)
def test_schedules_are_their_formulas(schedule) -> None:
    for t in range(40):
        assert float(schedule(clock(t))) == pytest.approx(FORMULAS[schedule](t), abs=1e-6)


@settings(deadline=None, derandomize=True)
@given(schedules, st.integers(0, 10**7))
def test_a_schedule_stays_between_its_ends(schedule, t: int) -> None:
    low, high = sorted((schedule.start, schedule.stop))
    slack = 1e-5 * (1 + abs(low) + abs(high))
    assert low - slack <= float(schedule(clock(t))) <= high + slack
    assert float(schedule(clock(0))) == pytest.approx(schedule.start, abs=slack)


def test_a_constant_is_itself_and_a_schedule_a_tensor_on_the_clocks_device() -> None:
    assert value_at(0.5, clock(3)) == 0.5
    value = value_at(Linear(0, 1, 4), clock(3))
    assert isinstance(value, Tensor)
    assert float(value) == 0.75


@settings(deadline=None, derandomize=True)
@given(schedules)
def test_what_is_written_is_read_back(schedule) -> None:
    assert parse_schedule(str(schedule)) == schedule
    assert parse_schedule(schedule) is schedule


@settings(deadline=None, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_numbers(number: float) -> None:
    assert parse_schedule(str(number)) == number
    assert parse_schedule(number) == number


words = st.sampled_from([*SCHEDULES, "lnear", "step", ""])
parts = st.one_of(st.text("0123456789.-+einfax ", max_size=6), numbers.map(str))
shapes = st.tuples(words, st.lists(parts, max_size=6)).map(lambda t: f"{t[0]}({','.join(t[1])})")


@settings(deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=30), shapes))
def test_anything_else_is_refused_and_never_falls_over(text: str) -> None:
    try:
        read = parse_schedule(text)
    except BestiaryError:
        return
    assert isinstance(read, float | Linear | Cosine | Cyclic)


@pytest.mark.parametrize(("text", "says"), [
    ("linear", "neither a number nor a schedule"), ("lnear(0,1,5)", "did you mean `linear`"),
    ("linear(0,1)", "linear\\(start,stop,steps\\)"), ("linear(0,1,2,3)", "linear\\(start,stop,steps\\)"),
    ("linear(0,one,5)", "start,stop,steps"), ("cosine(0,1,0)", "at least one step"),
    ("linear(0,1,inf)", "start,stop,steps"), ("linear(0,1,nan)", "start,stop,steps"),
    ("cyclic(0,1,9,0)", r"\(0, 1\]"), ("cyclic(0,1,9,1.5)", r"\(0, 1\]"),
    ("linear(0,1,5", "parentheses that do not match"),
])  # fmt: skip
def test_an_error_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        parse_schedule(text)


def draw(round: float = 0, k: int = 3) -> Draw:
    """A draw whose densities are known apart."""
    torch.manual_seed(0)
    q = DiagonalNormal(torch.randn(4, 2), torch.randn(4, 2))
    p = DiagonalNormal(torch.zeros(1, 2), torch.zeros(1, 2))
    made = Draw(torch.randn(4, 5), q.rsample((k,)), clock=clock(round), q=q, p=p)
    made.log_px = torch.randn(k, 4)
    return made


@pytest.mark.parametrize("t", [0, 5, 10, 25])
@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0, Linear(0, 1, 10), Cyclic(0, 2, 20)], ids=str)
def test_total_is_reconstruction_plus_beta_of_now_times_kl(beta, t: int) -> None:
    d = draw(t)
    terms = elbo(d, beta=beta)
    now = FORMULAS.get(beta) or (lambda t: float(value_at(beta, clock(t))))
    torch.testing.assert_close(terms["total"], terms["reconstruction"] + now(t) * terms["kl"])
    torch.testing.assert_close(terms["reconstruction"], -d.log_px.mean(0))
    torch.testing.assert_close(terms["kl"], d.kl_dims.sum(1))


def test_without_a_closed_form_kl_is_the_mean_over_samples() -> None:
    class Other(DiagonalNormal):
        """A density that no table of divergences knows."""

    d = draw(k=7)
    other = Draw(d.x, d.z, clock=d.clock, q=Other(d.q.mean, d.q.log_var), p=d.p)
    other.log_px = d.log_px
    assert other.kl_dims is None
    torch.testing.assert_close(other.kl, (d.log_qz - d.log_pz).mean(0))
    torch.testing.assert_close(elbo(other)["total"], -(d.log_px + d.log_pz - d.log_qz).mean(0))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_gives_a_total_and_terms_per_example(name: str) -> None:
    terms = OBJECTIVES[name](draw())
    assert terms.keys() >= {"total", "reconstruction", "kl"}
    assert all(term.shape in ((4,), ()) for term in terms.values())  # 0-d: the batch has one
    assert terms["reconstruction"].shape == terms["kl"].shape == (4,)
