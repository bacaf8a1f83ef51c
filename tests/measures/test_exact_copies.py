"""Exact, mirrored and near copies are counted, and what repeats by nature is no copy."""

import numpy as np
import pytest
import torch

from bestiary.measures.exact_copies import equal_rows, exact_copies, near_copies
from bestiary.measures.number import ALARM
from tests.measures.normal_draws import draws


def pictures(n: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 1, 6, 6)) / 255).float()


def by_name(numbers):
    return {number.name: number for number in numbers}


@pytest.mark.parametrize("columns", [1, 3, 40])
def test_equal_rows_are_those_of_brute_force(columns: int) -> None:
    """Small whole numbers, so that some rows are equal and many have equal sums."""
    g = np.random.default_rng(columns)
    a, b = (g.integers(0, 3 if columns < 40 else 2, (n, columns)) for n in (150, 200))
    b[:20] = a[-20:]
    brute = torch.tensor([bool((row == b).all(1).any()) for row in a])
    assert torch.equal(equal_rows(*(torch.from_numpy(x).float() for x in (a, b))), brute)
    alone = torch.tensor([sum(bool((row == other).all()) for other in b) > 1 for row in b[:150]])
    assert torch.equal(equal_rows(torch.from_numpy(b[:150]), torch.from_numpy(b), among_itself=True), alone)


def test_rows_are_equal_in_spite_of_rounding_but_not_beyond() -> None:
    b = draws(500, 1) * torch.tensor([1.0, 40, 1, 1, 1, 1])
    a = b[:100].double()
    assert equal_rows(a * (1 + 1e-7), b).all()
    assert not equal_rows(a + 1e-3, b).any()


def test_exact_and_mirrored_copies_are_counted_and_are_an_alarm() -> None:
    training, fresh = pictures(300, 1), pictures(200, 2)
    samples = torch.cat([training[:30], training[100:150].flip(-1), fresh[:120]])
    for held in (None, pictures(100, 3)):
        found = by_name(exact_copies(samples, training, held, pictures=True))
        assert found["exact_copies"].value == 30 / 200
        assert found["mirrored_copies"].value == 50 / 200
        assert found["exact_copies"].plain == "Copies: 30 of 200 samples are exact copies of training examples."
        assert all(found[name].weight == ALARM for name in ("exact_copies", "mirrored_copies"))
    honest = by_name(exact_copies(fresh, training, pictures=True))
    assert all(number.value == number.weight == 0 and not number.plain for number in honest.values())


def test_copies_of_held_out_examples_are_a_leak() -> None:
    training, held = draws(300, 1), draws(100, 2)
    found = by_name(exact_copies(held, training, held))
    assert found["exact_copies"].value == 0
    assert found["held_out_copies"].value == 1
    assert "What made them has seen these" in found["held_out_copies"].plain


@pytest.mark.parametrize("held_out", [False, True])
def test_rows_that_repeat_by_nature_are_no_alarm(held_out: bool) -> None:
    """Two coins and a die have 24 rows: all samples equal training rows, as all new ones do."""
    g = torch.Generator().manual_seed(0)
    training, samples, held = (torch.randint(2, (n, 6), generator=g).float() for n in (500, 200, 100))
    numbers = exact_copies(samples, training, held if held_out else None)
    assert numbers[0].value > 0.9
    assert not any(number.weight for number in numbers)


def test_false_alarms_of_near_copies_are_rare_and_copies_are_found() -> None:
    """Honest draws in 2 and 50 dimensions, also blurred ones, which lie nearer to the data than the data do."""
    alarms = 0
    for seed in range(40):
        shape = ((2,), (50,))[seed % 2]
        real, fresh = draws(400, 2 * seed, shape), draws(300, 2 * seed + 1, shape)
        alarms += near_copies(fresh * (1.0, 0.6)[seed // 2 % 2], real).weight == ALARM
        copies = torch.cat([real[:90] + 0.02 * draws(90, seed, shape), fresh[90:]])
        assert near_copies(copies, real).weight == ALARM or shape == (2,)
    assert alarms <= 2
    real = draws(1000, 1, (50,))
    found = near_copies(torch.cat([real[:150] + 0.2 * draws(150, 5, (50,)), draws(350, 2, (50,))]), real)
    assert found.low < 0.3 < found.high
    assert found.plain == "About 30% of the samples are exact or near copies of real examples."
    assert near_copies(draws(500, 2, (50,)), real).plain == "No near copies of real examples were found."


def test_a_sampler_that_repeats_itself_is_no_better_known() -> None:
    real, fresh = draws(300, 1), draws(100, 2)
    once, often = near_copies(fresh, real), near_copies(fresh.repeat(10, 1), real)
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))
