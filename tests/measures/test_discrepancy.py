"""MMD and its test, sliced Wasserstein: loops, known distances, calibrated p-values."""

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.discrepancy import (
    discrepancy_numbers,
    kernel_matrix,
    line_distances,
    mmd,
    mmd_test,
    sliced_distances,
)
from tests.measures.largest import Largest


def normal(n: int, f: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def test_mmd_by_a_loop() -> None:
    x, y = normal(6), normal(5, seed=1) + 1
    k = kernel_matrix(torch.cat([x, y]))
    d = torch.cdist(torch.cat([x, y]), torch.cat([x, y])).square().double()
    m = d[torch.triu_indices(11, 11, 1).unbind()].median()
    torch.testing.assert_close(k, sum((-d / (2 * b * m)).exp() for b in (0.25, 1.0, 4.0)) / 3, atol=1e-6, rtol=1e-5)
    a = sum(float(k[i, j]) for i in range(6) for j in range(6) if i != j) / 30
    b = sum(float(k[i, j]) for i in range(6, 11) for j in range(6, 11) if i != j) / 20
    c = float(k[:6, 6:].mean())
    assert mmd(x, y) == pytest.approx(a + b - 2 * c, abs=1e-12)


def test_permutations_are_permutations() -> None:
    """Each value of the null is the statistic of some relabelling, done by hand."""
    x, y = normal(5), normal(4, seed=1)
    value, _, null = mmd_test(x, y, permutations=3, seed=4)
    assert value == pytest.approx(mmd(x, y), abs=1e-12)
    g = torch.Generator().manual_seed(4)
    both = torch.cat([x, y])
    for found in null:
        order = torch.randperm(9, generator=g)
        assert float(found) == pytest.approx(mmd(both[order[:5]], both[order[5:]]), abs=1e-7)


def test_p_values_are_uniform_under_the_null_and_small_under_a_shift() -> None:
    p = torch.tensor([mmd_test(normal(60, 2, 2 * i), normal(60, 2, 2 * i + 1), 99, i)[1] for i in range(120)])
    for level in (0.1, 0.5, 0.9):  # binomial: 4 standard errors
        assert abs(float((p <= level).double().mean()) - level) < 4 * (level * (1 - level) / 120) ** 0.5
    assert mmd_test(normal(100), normal(100, seed=1) + 1, 99)[1] == 0.01


def test_lines_of_a_shift_know_the_shift() -> None:
    """x and x + a: along u the distance is |uᵀa|, also when one side is repeated."""
    x, a = normal(50), torch.tensor([3.0, 0, 4])
    u = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    expected = ((u / u.norm(dim=0)).T @ a).abs()
    torch.testing.assert_close(sliced_distances(x, x + a, 16), expected)
    torch.testing.assert_close(sliced_distances(x, (x + a).repeat(3, 1), 16), expected, atol=1e-5, rtol=1e-5)


def test_unequal_numbers_against_scipy() -> None:
    from scipy.stats import wasserstein_distance

    x, y = normal(37, 1), normal(23, 1, 1) * 2 + 1
    expected = wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    torch.testing.assert_close(sliced_distances(x, y, 1), torch.tensor([expected]).float(), atol=1e-5, rtol=1e-5)


def test_what_an_example_adds_is_the_derivative() -> None:
    """One of 40,001 examples more moves W₁ as φ says; with 200 and 201 examples F − G is nowhere 0 between them."""
    x, y = normal(200), normal(201, seed=1) * 1.5 + 0.3
    found, moved = line_distances(x, y, 8), []
    for i in range(10):
        more = torch.cat([x.repeat(200, 1), x[i : i + 1]])
        moved.append(float(sliced_distances(more, y, 8).double().mean() - found.distance.mean()) * 40_001)
    expected = found.influence_x.mean() - found.influence_x[:10]
    torch.testing.assert_close(torch.tensor(moved).double(), expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_intervals_tell_how_values_vary(shift: float) -> None:
    """Too wide by up to about 2 where the distributions are the same, never too narrow; 40 repeats know it to 11 %."""
    found = []
    for i in range(40):
        real = normal(60, seed=2 * i)
        found.append(discrepancy_numbers(normal(60, seed=2 * i + 1) + shift, real, real, "f", seed=i, lines=32))
    for kind in zip(*found, strict=True):
        values, said = (torch.tensor(v) for v in zip(*((n.value, (n.high - n.low) / 3.92) for n in kind), strict=True))
        assert 0.8 < float(said.square().mean().sqrt() / values.std()) < 3


def test_numbers_stand_beside_their_floors() -> None:
    found = {
        n.name: n for n in discrepancy_numbers(normal(400, seed=1) + 0.5, normal(400), normal(400, seed=2), "features")
    }
    assert found["mmd"].value > found["mmd"].floor.high
    assert found["mmd"].protocol["p"] < 0.01
    assert found["sliced"].low > found["sliced"].floor.high


def test_temporaries_are_of_blocks() -> None:
    """A block of rows about the centre, or a number for each example and each of 16 lines: not the sets again."""
    x, y = normal(9000, 100), normal(9000, 100, 1)
    with Largest() as seen:
        sliced_distances(x, y, 64)
    assert seen.numbers <= 4096 * 100 < x.numel()


def test_what_cannot_be_compared_is_refused() -> None:
    x = normal(50)
    with pytest.raises(BestiaryError, match="two lines"):
        discrepancy_numbers(x, x, x, "f", lines=1)
    with pytest.raises(BestiaryError, match="not finite"):
        discrepancy_numbers(x.log(), x, x, "f")
    with pytest.raises(BestiaryError, match="same features"):
        discrepancy_numbers(x, torch.ones(50, 3), x, "f")


def test_sets_of_one_example_repeated_are_refused() -> None:
    with pytest.raises(BestiaryError, match="all examples are the same"):
        mmd(torch.ones(5, 2), torch.ones(5, 2))


def test_the_floor_is_of_the_same_kernel() -> None:
    g = torch.Generator().manual_seed(0)
    fake, real, other = (s * torch.randn(200, 2, generator=g) for s in (100.0, 1.0, 1.0))
    found = discrepancy_numbers(fake, real, other + 0.5, "columns")[0]
    x = torch.cat([fake, real]).double()
    middle = float(torch.pdist(x).square().median())
    d = torch.cdist(*[torch.cat([other + 0.5, real]).double()] * 2).square()
    k = torch.stack([torch.exp(-d / (2 * b * middle)) for b in (0.25, 1.0, 4.0)]).mean(0)
    k = k - torch.diag(k.diagonal())
    value = k[:200, :200].sum() / (200 * 199) + k[200:, 200:].sum() / (200 * 199) - 2 * k[:200, 200:].mean()
    assert found.floor.value == pytest.approx(float(value), rel=1e-3)
