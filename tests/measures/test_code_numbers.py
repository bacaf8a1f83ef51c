"""Codes: units that are switched off are counted out, probes read what is linear, bits are an entropy."""

from math import log2

import pytest
import torch

from bestiary.errors import BestiaryError
from bestiary.measures.code_numbers import _hits, active_dimensions, active_units, code_bits, probe, round_codes


def codes(n: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes apart in the first two dimensions; the third is dead."""
    torch.manual_seed(0)
    y = torch.arange(n) % 3
    centres = torch.tensor([[4.0, 0, 0], [0, 4, 0], [-4, -4, 0]])
    return centres[y] + torch.tensor([1.0, 1.0, 0.01]) * torch.randn(n, 3), y


def test_a_dead_unit_is_not_active() -> None:
    z, _ = codes()
    assert active_dimensions(z).tolist() == [True, True, False]
    number = active_units(z)
    assert (number.value, number.low, number.high, number.ceiling.value) == (2, 2, 2, 3)
    edge = torch.randn(400, 1, generator=torch.Generator().manual_seed(0)) * 0.1  # at the threshold: the interval tells
    assert (active_units(edge).low, active_units(edge).high) == (0, 1)
    with pytest.raises(BestiaryError, match="at least two"):
        active_units(z[:1])


def test_a_probe_finds_what_is_linear_and_nothing_in_noise() -> None:
    z, y = codes()
    number = probe((z[:300], y[:300]), (z[300:], y[300:]), (z[:300, 2:], z[300:, 2:]))
    assert number.value > 0.97
    assert number.low < number.value <= number.high
    assert abs(number.ceiling.value - 1 / 3) < 0.15  # the dead dimension alone tells nothing
    assert number.floor.value == pytest.approx(1 / 3)
    noise = torch.randn(600, 3)
    assert probe((noise[:300], y[:300]), (noise[300:], y[300:])).low < 1 / 3 + 0.05
    with pytest.raises(BestiaryError, match="two classes"):
        probe((z, torch.zeros(600)), (z, torch.zeros(600)))


def test_the_weight_of_a_probe_is_chosen_where_it_was_not_fitted() -> None:
    """Of 60 dimensions one tells a little: with 50 examples much weight on the data learns the other 59 by heart."""
    torch.manual_seed(0)
    y = torch.arange(550) % 2
    z = torch.randn(550, 60)
    z[:, 0] += 1.5 * y
    number = probe((z[:50], y[:50]), (z[50:], y[50:]))
    assert number.protocol["C"] in (0.01, 0.1, 1.0)
    chosen = _hits(z[:50], z[50:], y[:50].numpy(), y[50:].numpy())
    assert number.value == chosen[0] / 500
    again = probe((z[:50], y[:50]), (z[50:], 1 - y[50:]))  # the labels of the test examples play no part in it
    assert again.protocol["C"] == number.protocol["C"]


def test_bits_are_the_entropy_of_the_steps() -> None:
    z = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat(50)[:, None]  # four values, far apart in steps
    assert code_bits(z).value == pytest.approx(2)
    assert code_bits(z.repeat(1, 3)).value == pytest.approx(6)
    z = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    assert code_bits(z).value == pytest.approx(
        0.5 * log2(2 * 3.14159265 * 2.71828183) + 2, abs=0.01
    )  # h(z) + log2(σ/s)


def test_a_step_is_a_quarter_of_the_deviation() -> None:
    z, _ = codes()
    error = (round_codes(z) - z).abs().amax(0)
    assert (error <= z.std(0) / 8 + 1e-6).all()
