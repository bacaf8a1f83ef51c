"""Precision, recall, density and coverage by a loop, on copies, and on shapes where they are known."""

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.manifold import manifold_numbers, prdc


def normal(n: int, f: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def test_by_a_loop() -> None:
    real, fake, k = normal(40), 0.7 * normal(30, seed=1) + 0.4, 3

    def reach(x: Tensor) -> list[float]:
        return [float((x - row).norm(dim=1).sort().values[k]) for row in x]  # the 0-th is itself

    r, f = reach(real), reach(fake)
    d = (fake[:, None] - real[None]).norm(dim=2)
    precision = sum(any(d[i, j] <= r[j] for j in range(40)) for i in range(30)) / 30
    recall = sum(any(d[i, j] <= f[i] for i in range(30)) for j in range(40)) / 40
    density = sum(int(d[i, j] <= r[j]) for i in range(30) for j in range(40)) / 30 / k
    covered = sum(any(d[i, j] <= r[j] for i in range(30)) for j in range(40)) / 40
    assert prdc(real, fake, k, block=7)[:4] == pytest.approx((precision, recall, density, covered), abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_identical_sets_have_everything_also_where_examples_repeat(shift: float) -> None:
    """With a strict `<`, sets of copies score near one half: their radii are 0."""
    x = normal(20).repeat_interleave(10, 0) + shift
    found = prdc(x, x, 5)
    assert (found.precision, found.recall, found.covered) == (1, 1, 1)
    assert found.density >= 1


def test_a_collapsed_generator_is_precise_and_covers_little() -> None:
    real = torch.cat([normal(200), normal(200, seed=1) + 30])
    found = prdc(real, normal(400, seed=2))  # one of the two halves
    assert found.precision > 0.9
    assert found.covered < 0.6
    far = prdc(real, normal(400, seed=2) + 1000)
    assert far[:4] == (0, 0, 0, 0)


def test_numbers_have_what_real_data_reaches_beside_them() -> None:
    numbers = manifold_numbers(normal(300, seed=1) * 0.3, normal(300), normal(300, seed=2), "features")
    by = {number.name: number for number in numbers}
    assert by["covered"].value < by["covered"].ceiling.low
    for number in numbers:
        assert number.low <= number.value <= number.high + 1e-12
        assert number.ceiling.value > 0.7
        assert number.protocol["k"] == 5


def test_too_few_for_the_neighbours() -> None:
    with pytest.raises(BestiaryError, match="more than 5 examples"):
        manifold_numbers(normal(5), normal(50), normal(50), "f")
