"""Bounds as numbers: their means, intervals, units and protocol."""

from collections.abc import Sequence
from math import log

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.bound import bound_numbers
from bestiary.measures.intervals import student
from bestiary.measures.number import Number, Reference


def pretended(x: Tensor, ks: Sequence[int]) -> Tensor:
    """Bounds that are known: −100 + first number of x + log k."""
    return torch.stack([-100 + x.flatten(1)[:, 0] + log(k) for k in ks])


def examples(n: int = 150) -> Tensor:
    return torch.randn(n, 2, 3, generator=torch.Generator().manual_seed(0))


def numbers(**options: object) -> dict[str, Number]:
    return {number.name: number for number in bound_numbers(pretended, examples(), **options)[0]}


def test_numbers_are_minus_the_mean_bound_with_the_interval_of_the_standard_error() -> None:
    found, first = numbers(k=50), examples()[:, 0, 0].double()
    assert found.keys() == {"nll_elbo", "nll_iwae"}
    half = student(149) * float(first.std()) / 150**0.5
    for name, k in (("nll_elbo", 1), ("nll_iwae", 50)):
        value = 100 - float(first.mean()) - log(k)
        assert found[name].value == pytest.approx(value, abs=1e-5)
        assert (found[name].low, found[name].high) == pytest.approx((value - half, value + half), abs=1e-4)
        assert found[name].protocol["k"] == k
        assert found[name].protocol["n"] == 150
        assert found[name].unit == "nats"
        assert found[name].better == "lower"


def test_bits_are_nats_over_log_two_and_dimensions() -> None:
    floor = Reference(60.0, 58.0, None, "the entropy of π")
    found = numbers(k=50, dimensions=6, floor=floor)
    assert list(found) == ["nll_elbo", "bpd_elbo", "nll_iwae", "bpd_iwae"]
    for name in ("elbo", "iwae"):
        nats, bits = found[f"nll_{name}"], found[f"bpd_{name}"]
        for a, b in ((nats.value, bits.value), (nats.low, bits.low), (nats.high, bits.high), (60.0, bits.floor.value),
                     (58.0, bits.floor.low)):  # fmt: skip
            assert b * 6 * log(2) == pytest.approx(a)
        assert bits.floor.high is None
        assert bits.floor.says == floor.says
        assert nats.floor == floor
        assert bits.unit == "bits/dim"
        assert bits.protocol == nats.protocol


def test_a_uniform_guess_costs_log2_levels_bits() -> None:
    """For 256 levels exactly 8 bits a dimension."""
    found, _ = bound_numbers(lambda x, ks: torch.full((len(ks), len(x)), -6 * log(256)), examples(), dimensions=6)
    assert {number.name: number.value for number in found}["bpd_iwae"] == pytest.approx(8)


def test_shift_is_added_to_nats() -> None:
    plain, moved = numbers(k=5), numbers(k=5, shift=3.25)
    for name, number in plain.items():
        for a, b in ((number.value, moved[name].value), (number.low, moved[name].low), (number.high, moved[name].high)):
            assert b - a == pytest.approx(3.25)


def test_one_sample_is_the_elbo_alone() -> None:
    assert numbers(k=1).keys() == {"nll_elbo"}


@pytest.mark.parametrize("batch", [1, 7, 150, 1000])
def test_batches_change_nothing_and_progress_reaches_the_end(batch: int) -> None:
    seen: list[tuple[int, int]] = []
    found, _ = bound_numbers(pretended, examples(), 5, batch=batch, progress=lambda done, of: seen.append((done, of)))
    for a, b in zip(found, numbers(k=5).values(), strict=True):
        assert a.value == pytest.approx(b.value)
    assert seen.count((150, 150)) == 1
    assert seen == sorted(seen)


def test_no_gradient_is_kept() -> None:
    weight, kept = torch.ones((), requires_grad=True), []

    def bound(x: Tensor, ks: Sequence[int]) -> Tensor:
        kept.append((weight * pretended(x, ks)).requires_grad)
        return pretended(x, ks)

    bound_numbers(bound, examples(), 2)
    assert kept
    assert not any(kept)


def test_what_is_given_is_in_every_protocol() -> None:
    for number in numbers(k=5, dimensions=6, protocol={"split": "test", "seed": 3}).values():
        assert number.protocol["split"] == "test"
        assert number.protocol["seed"] == 3
        assert "interval" in number.protocol


@pytest.mark.parametrize(("n", "k", "says"), [(5, 0, "k=0"), (5, -3, "k=-3"), (0, 5, "at least one example")])
def test_nothing_to_judge_is_refused(n: int, k: int, says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        bound_numbers(pretended, examples(n), k)


def test_a_bound_is_never_called_a_likelihood() -> None:
    for number in numbers(k=5).values():
        assert "likelihood" not in number.title
        assert "−ELBO" in number.title or "upper bound on −log p(x)" in number.title


def test_the_curve_has_a_point_for_each_power_of_ten() -> None:
    found, curve = bound_numbers(pretended, examples(), 500)
    assert curve[:, 0].tolist() == [1, 10, 100, 500]
    for row, k in zip(curve, (1, 10, 100, 500), strict=True):
        assert float(row[1]) == pytest.approx(found[0].value - log(k), abs=1e-4)
        assert row[2] < row[1] < row[3]
