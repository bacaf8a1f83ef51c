"""Precision, recall, density and coverage by a loop, on copies, and on shapes where they are known."""

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures import neighbours
from bestiary.measures.manifold import manifold_numbers, prdc
from bestiary.measures.neighbours import squared_radii
from tests.measures.largest import Largest


def normal(n: int, f: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def slowly(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    """All four by the definition, in double precision."""

    def reach(x: Tensor) -> Tensor:
        return torch.stack([(x - row).norm(dim=1).sort().values[k] for row in x])  # the 0-th is itself

    real, fake = real.double(), fake.double()
    r, f = reach(real) * (1 + 1e-7), reach(fake) * (1 + 1e-7)
    d = torch.stack([(real - row).norm(dim=1) for row in fake])  # (M, N)
    inside, recalled = d <= r, d <= f[:, None]
    shares = inside.any(1), recalled.any(0), inside.double() / k * len(real), inside.any(0)
    precision, recall, density, covered = (float(x.double().mean()) for x in shares)
    return precision, recall, density, covered


@pytest.mark.parametrize("f", [3, 200])
def test_by_the_definition(f: int) -> None:
    """Tiles do not fit; nor are there as many real as fake examples."""
    real, fake = normal(140, f), 0.9 * normal(90, f, seed=1) + 0.1
    for block in (7, 1000):
        assert prdc(real, fake, 3, block) == pytest.approx((*slowly(real, fake, 3), prdc(real, fake, 3).density_error))
    d = torch.cdist(real, real, compute_mode="donot_use_mm_for_euclid_dist").sort().values[:, 3]
    torch.testing.assert_close(squared_radii(real, 3, 7), d.square(), rtol=1e-5, atol=0)


def test_heaps_far_apart_are_told_apart() -> None:
    """Products in single precision know nothing of balls of radius 1 at a distance of 3000 from the mean."""
    far = torch.tensor([0.0, 6000.0]).repeat(100)[:, None]
    real, fake = normal(200) + far, 4 * normal(200, seed=1) + far
    exact = slowly(real, fake, 5)
    assert prdc(real, fake)[:4] == pytest.approx(exact)
    assert exact[0] < 0.5


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_identical_sets_have_everything_also_where_examples_repeat(shift: float) -> None:
    """With a strict `<`, sets of copies score near one half: their squared_radii are 0."""
    x = normal(20).repeat_interleave(10, 0) + shift
    found = prdc(x, x, 5)
    assert (found.precision, found.recall, found.covered) == (1, 1, 1)
    assert found.density >= 1


@pytest.mark.parametrize("f", [2, 300])
def test_of_a_memoriser_every_ball_holds_k_and_itself(f: int) -> None:
    """Copies lie at squared_radii exactly: all ties, and all inside."""
    x = normal(300, f)
    assert prdc(x, x[torch.randperm(300)], 5, block=64)[:4] == pytest.approx((1, 1, 6 / 5, 1))


def test_a_collapsed_generator_is_precise_and_covers_little() -> None:
    real = torch.cat([normal(200), normal(200, seed=1) + 30])
    found = prdc(real, normal(400, seed=2))  # one of the two halves
    assert found.precision > 0.9
    assert found.covered < 0.6
    far = prdc(real, normal(400, seed=2) + 1000)
    assert far[:4] == (0, 0, 0, 0)
    one = prdc(real, real[:1].repeat(400, 1))
    assert one.recall == 1 / 400
    assert one.covered < 0.05


def test_numbers_have_what_real_data_reaches_beside_them() -> None:
    numbers = manifold_numbers(normal(300, seed=1) * 0.3, normal(300), normal(300, seed=2), "features")
    by = {number.name: number for number in numbers}
    assert by["covered"].value < by["covered"].ceiling.low
    for number in numbers:
        assert number.low <= number.value <= number.high + 1e-12
        assert number.ceiling.value > 0.7
        assert number.protocol["k"] == 5
        assert number.value == getattr(prdc(normal(300), normal(300, seed=1) * 0.3), number.name)


def test_temporaries_are_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of N²: a tile, or the sets themselves about their centre."""
    monkeypatch.setattr(neighbours, "AT_ONCE", 4000)
    real, fake = normal(800, 8), normal(800, 8, 1)
    with Largest() as seen:
        prdc(real, fake, block=100)
    assert seen.numbers <= 100 * 100  # 800 · 9: k and SPARE candidates of each


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(BestiaryError, match="more than 5 examples"):
        manifold_numbers(normal(5), normal(50), normal(50), "f")
    with pytest.raises(BestiaryError, match="k ≥ 1"):
        manifold_numbers(normal(50), normal(50), normal(50), "f", k=0)
    with pytest.raises(BestiaryError, match="not finite"):
        manifold_numbers(normal(50).log(), normal(50), normal(50), "f")
    with pytest.raises(BestiaryError, match="same features"):
        manifold_numbers(normal(50), torch.ones(50, 3), normal(50), "f")


def test_nothing_of_few_is_not_surely_nothing() -> None:
    g = torch.Generator().manual_seed(0)
    real, other = torch.randn(40, 2, generator=g), torch.randn(40, 2, generator=g)
    found = {number.name: number for number in manifold_numbers(real + 100, real, other, "columns")}
    assert found["density"].value == 0
    assert found["density"].low == 0
    assert found["density"].high > 0.05
