"""Mode counts: a perfect sampler, a collapsed one, and one that makes nothing good."""

from math import isnan, log

import pytest
import torch

from bestiary.data.load import load
from bestiary.errors import BestiaryError
from bestiary.measures.modes import count_modes, mode_numbers


@pytest.mark.parametrize(("name", "k", "n"), [("ring", 8, 8), ("grid", 25, 25)])
def test_a_perfect_sampler_is_where_the_protocol_says(name: str, k: int, n: int) -> None:
    """98.89% within 3 σ in two dimensions: 1 − exp(−9/2); reverse KL about (K − 1)/2N."""
    truth = load(name).truth
    x = torch.from_numpy(truth.sample(100_000, 5))
    found = count_modes(x, torch.from_numpy(truth.means), truth.sigma)
    assert found.modes == k
    share = 1 - float(torch.tensor(-4.5).exp())
    assert abs(found.quality - share) < 4 * (share * (1 - share) / 100_000) ** 0.5
    assert found.reverse_kl == pytest.approx((k - 1) / 2 / 100_000, rel=1.5)


def test_one_mode_costs_log_k_and_what_lies_between_is_not_good() -> None:
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    assert count_modes(torch.zeros(50, 2), centres, 1.0) == (1, 1.0, *[pytest.approx(log(4))] * 2)
    between = count_modes(torch.full((50, 2), 4.9), centres, 1.0)
    assert between[:2] == (0, 0.0)
    assert isnan(between.near_kl)


def test_blurred_samples_have_even_shares_of_all_and_not_of_those_near() -> None:
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    found = count_modes(torch.cat([centres + 4.0, centres[:1], centres[:1], centres[1:2]]), centres, 1.0)
    assert found.near_kl == pytest.approx(log(4) + 2 / 3 * log(2 / 3) + 1 / 3 * log(1 / 3))
    assert found.reverse_kl == pytest.approx(log(4) + 3 / 7 * log(3 / 7) + 2 * 2 / 7 * log(2 / 7) - 2 / 7 * log(2))
    assert found.reverse_kl < found.near_kl


def test_numbers_have_the_perfect_sampler_beside_them() -> None:
    truth = load("grid").truth
    x, best = (torch.from_numpy(truth.sample(2500, seed)) for seed in (1, 2))
    numbers = mode_numbers(x, torch.from_numpy(truth.means), truth.sigma, best)
    assert [n.name for n in numbers] == ["modes", "high_quality", "mode_kl"]
    assert numbers[0].value == numbers[0].ceiling.value == 25
    assert numbers[1].low < numbers[1].ceiling.value < numbers[1].high + 0.01


def test_intervals_hold_the_truth_and_widen_where_a_mode_hangs_by_a_sample() -> None:
    centres = torch.tensor([[0.0, 0], [10, 0]])
    one_there = torch.cat([torch.zeros(99, 2), centres[1:]])
    modes = mode_numbers(one_there, centres, 1.0, one_there)[0]
    assert (modes.low, modes.value, modes.high) == (1, 2, 2)  # drawn again, it is missed with chance 1/e
    held = 0
    shares = torch.tensor([0.5, 0.3, 0.15, 0.05])
    exact = float((shares * (4 * shares).log()).sum())
    for seed in range(60):
        which = torch.multinomial(shares, 500, True, generator=torch.Generator().manual_seed(seed))
        x = 10.0 * torch.eye(4)[which]
        number = mode_numbers(x, 10.0 * torch.eye(4), 1.0, x, seed)[2]
        held += number.low <= exact <= number.high
        assert number.low <= number.value <= number.high
    which = torch.randint(25, (250,), generator=torch.Generator().manual_seed(0))
    even = mode_numbers(100.0 * torch.eye(25)[which], 100.0 * torch.eye(25), 1.0, torch.zeros(1, 25))[2]
    assert even.low <= even.value <= even.high  # drawn again, shares scatter twice: by 24/(2 · 250) more
    assert held >= 60 * 0.95 - 4 * (60 * 0.95 * 0.05) ** 0.5


def test_the_wrong_dimension_and_values_that_are_not_finite() -> None:
    with pytest.raises(BestiaryError, match="not finite"):
        count_modes(torch.full((5, 3), torch.nan), torch.zeros(4, 3), 1.0)
    with pytest.raises(BestiaryError, match="have 2 dimensions"):
        count_modes(torch.zeros(5, 3), torch.zeros(4, 2), 1.0)


def test_modes_that_one_sample_found_are_within_the_interval() -> None:
    centres = torch.arange(20.0)[:, None] * 10 + torch.zeros(1, 2)
    x = torch.cat([centres[:1].repeat(990, 1), centres[1:11]])
    found = mode_numbers(x, centres, 0.1, x)[0]
    assert found.value == 11
    assert found.low <= 11 <= found.high
    assert found.low < 11
