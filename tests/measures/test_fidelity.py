"""Fidelity and coverage: what is left out, what is like nothing real, and what real examples themselves get."""

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.fidelity import fidelity_and_coverage
from tests.measures.normal_draws import draws


def pair(fake: Tensor, real: Tensor, other: Tensor) -> dict:
    return {number.name: number for number in fidelity_and_coverage(fake, real, other)}


def test_fidelity_and_coverage_change_places_with_their_sets() -> None:
    a, b, other = draws(80, 1), draws(80, 2, scale=1.5), draws(80, 3)
    there, back = pair(a, b, other), pair(b, a, other)
    assert there["fidelity"].value == back["coverage"].value
    assert there["coverage"].value == back["fidelity"].value
    assert (there["fidelity"].low, there["fidelity"].high) == (back["coverage"].low, back["coverage"].high)


def test_what_is_left_out_is_seen_by_coverage_and_what_is_like_nothing_by_fidelity() -> None:
    """Two modes: a sampler of one has good fidelity and poor coverage; one that adds noise the reverse."""
    sign = torch.tensor([-5.0, 5.0]).repeat(100).unsqueeze(1)
    real, other = (sign + draws(200, seed) for seed in (1, 2))
    one = pair(sign.abs() + draws(200, 3), real, other)
    assert one["fidelity"].value < 1.15 * one["fidelity"].floor.value
    assert one["coverage"].high > 3 * one["coverage"].floor.high
    strange = pair(torch.cat([real[:80] + draws(80, 4, scale=0.2), draws(120, 5, scale=30)]), real, other)
    assert strange["fidelity"].value > 3 * strange["fidelity"].floor.value


def test_real_examples_stand_at_their_floor() -> None:
    """A third honest set overlaps in its interval with the floor of two; the order of rows changes no value."""
    fake, real, other = draws(300, 1), draws(300, 2), draws(300, 3)
    numbers = pair(fake, real, other)
    shuffled = pair(
        fake[torch.randperm(300, generator=torch.Generator().manual_seed(0))], real.flip(0), other.roll(7, 0)
    )
    for name, number in numbers.items():
        assert number.low <= number.value <= number.high
        assert number.low <= number.floor.high
        assert number.floor.low <= number.high
        assert shuffled[name].value == number.value
        assert shuffled[name].floor.value == number.floor.value


def test_sets_are_cut_to_equal_numbers_and_the_protocol_says_so() -> None:
    numbers = pair(draws(50, 1), draws(200, 2), draws(70, 3))
    assert numbers == pair(draws(50, 1), draws(200, 2)[:50], draws(70, 3)[:50])
    for number in numbers.values():
        assert number.protocol["n"] == 50
    with pytest.raises(BestiaryError, match="at least one example"):
        pair(draws(0, 1), draws(5, 2), draws(5, 3))


def test_protocols_carry_what_is_given() -> None:
    sets = (draws(20, seed) for seed in (1, 2, 3))
    for number in fidelity_and_coverage(*sets, space="features", protocol={"split": "test"}):
        assert number.protocol["space"] == "features"
        assert number.protocol["split"] == "test"
        assert "interval" in number.protocol
        assert number.floor is not None
        assert number.says
