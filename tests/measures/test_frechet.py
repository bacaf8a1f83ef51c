"""Fréchet distance: closed forms, SciPy's matrix root, blocks; and with the kernel distance, intervals and memory."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.frechet import fid, frechet, moments
from bestiary.measures.kernel_distance import kid
from bestiary.measures.number import Number
from tests.measures.largest import Largest
from tests.measures.normal_draws import mixed, normal

Compare = Callable[[Tensor, Tensor, Tensor, str], Number]


def by_scipy(a: Tensor, b: Tensor) -> float:
    from scipy.linalg import sqrtm

    s1, s2 = (np.cov(x.double().numpy(), rowvar=False) for x in (a, b))
    shift = a.double().mean(0) - b.double().mean(0)
    return float(shift.square().sum()) + float(np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2))))


def test_against_scipys_root_of_a_matrix() -> None:
    a, b = mixed(400, 12, 0), 1.3 * mixed(300, 12, 1) - 1
    assert frechet(moments([a]), moments([b])) == pytest.approx(by_scipy(a, b), rel=1e-10)


def test_of_diagonal_gaussians_it_is_the_distance_of_means_and_deviations() -> None:
    x = normal(2000, 4).double()
    x = (x - x.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T  # covariance 1 to the last digit
    shift, scale = torch.tensor([1.0, 0, -2, 0.5]).double(), torch.tensor([1.0, 2, 0.5, 3]).double()
    value = frechet(moments([x]), moments([x * scale + shift]))
    assert value == pytest.approx(float(shift.square().sum() + (scale - 1).square().sum()), rel=1e-9)


def test_with_more_features_than_examples_it_is_of_singular_values() -> None:
    """tr (S₁S₂)^½ is the sum of singular values of A Bᵀ, S₁ = AᵀA, S₂ = BᵀB, of whatever rank."""
    a, b = mixed(20, 64, 3).double(), mixed(25, 64, 4).double() * 0.7
    p, q = (x - x.mean(0) for x in (a, b))
    p, q = p / 19**0.5, q / 24**0.5
    root = torch.linalg.svdvals(p @ q.T).sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + p.square().sum() + q.square().sum() - 2 * root
    assert frechet(moments([a]), moments([b])) == pytest.approx(float(expected), rel=1e-7)
    assert frechet(moments([b]), moments([a])) == pytest.approx(float(expected), rel=1e-7)


@pytest.mark.parametrize(("n", "f"), [(500, 8), (20, 64)])
def test_a_set_is_at_no_distance_from_itself(n: int, f: int) -> None:
    x = mixed(n, f, 3)
    assert frechet(moments([x]), moments([x])) == pytest.approx(0, abs=1e-6 * float(x.var(0).sum()))


def test_moments_do_not_depend_on_how_they_come() -> None:
    x = mixed(1000, 6, 0) + 1e3  # far from the origin
    x[77:] += 100  # what comes first is far from the rest, as where examples are sorted
    whole, blocks = moments([x]), moments(x.split(77))
    exact = np.cov(x.double().numpy(), rowvar=False)
    torch.testing.assert_close(blocks.covariance, torch.from_numpy(exact), rtol=1e-11, atol=1e-11)
    apart = moments([x[:300]]) + moments([x[300:]])
    for found in (whole, blocks, apart):
        assert found.n == 1000
        torch.testing.assert_close(found.covariance, torch.cov(x.double().T), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.mean, x.double().mean(0))


def test_the_interval_holds_the_distance_and_the_floor_stands_below() -> None:
    """Unit Gaussians in 16 dimensions, shifted by 1: FID 1, biased by about the floor."""
    real, other, fake = normal(4000, 16, 1), normal(4000, 16, 2), normal(4000, 16, 3)
    fake[:, 0] += 1
    found = fid(fake, real, other, "features")
    assert found.low < 1 + found.floor.value < found.high
    assert found.floor.value < 0.1 < found.value
    assert found.floor.low < found.floor.value < found.floor.high
    assert found.value == pytest.approx(by_scipy(fake, real), rel=1e-9)
    assert "rank" not in found.protocol
    assert "rank-deficient" in fid(fake[:12], real, other, "features").protocol["rank"]


def spreads(measure: Callable[[int], Number], repeats: int) -> tuple[float, float]:
    """The deviation over repeats, and what the intervals say it is."""
    found = [measure(i) for i in range(repeats)]
    values, halves = (torch.tensor(v) for v in zip(*((n.value, (n.high - n.low) / 2) for n in found), strict=True))
    return float(values.std()), float((halves / 1.96).square().mean().sqrt())


@pytest.mark.parametrize(("n", "f"), [(200, 6), (24, 32)])
def test_the_interval_of_fid_tells_how_it_varies(n: int, f: int) -> None:
    """Too wide by up to about 1.5, never too narrow; the deviation of 60 repeats is known to 9 %."""

    def measure(i: int) -> Number:
        real = normal(n, f, 2 * i)
        return fid(1.3 * normal(n, f, 2 * i + 1) + 0.3, real, real, "f")

    real, said = spreads(measure, 60)
    assert 0.8 < said / real < 1.9


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_interval_of_kid_tells_how_it_varies(shift: float) -> None:
    def measure(i: int) -> Number:
        real = normal(100, 4, 2 * i)
        return kid(normal(100, 4, 2 * i + 1) + shift, real, real, "f")

    real, said = spreads(measure, 100)
    assert 0.8 < said / real < 2


@pytest.mark.parametrize("measure", [fid, kid])
def test_temporaries_are_of_blocks(measure: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of N², nor as large as the sets: a tile, a block of rows, or some numbers for each example."""
    monkeypatch.setattr("bestiary.measures.kernel_distance.TILE", 250)
    monkeypatch.setattr("bestiary.measures.frechet.ROWS", 500)
    monkeypatch.setattr("bestiary.measures.set_checks.ROWS", 500)
    x = [normal(2000, 64, i) for i in range(3)]
    with Largest() as seen:
        measure(*x, "f")
    assert 2000 <= seen.numbers <= 250 * 250 < x[0].numel()


@pytest.mark.parametrize("measure", [fid, kid])
def test_what_cannot_be_compared_is_refused(measure: Compare) -> None:
    x = normal(20, 3)
    with pytest.raises(BestiaryError, match="3 and 4 features"):
        measure(x, normal(20, 4), x, "f")
    with pytest.raises(BestiaryError, match="not finite"):
        measure(x, x.log(), x, "f")
    with pytest.raises(BestiaryError, match="at least two"):
        measure(x[:1], x, x, "f")
    with pytest.raises(BestiaryError, match="all 20 real examples have the same features"):
        measure(x, torch.ones(20, 3), x, "f")


def test_a_collapsed_generator_is_measured() -> None:
    """S₂ = 0, and the distance is ‖μ₁ − c‖² + tr S₁. Nor is a feature without variance an obstacle."""
    x = normal(200, 3, 0)
    found = fid(torch.ones(200, 3), x, normal(200, 3, 1), "f")
    assert found.value == pytest.approx(float((x.mean(0) - 1).square().sum() + x.var(0).sum()), rel=1e-5)
    assert found.low < found.value < found.high
    dead = [torch.cat([z, torch.zeros(200, 1)], 1) for z in (x + 0.5, x, normal(200, 3, 1))]
    assert fid(*dead, "f").value == pytest.approx(fid(*(z[:, :3] for z in dead), "f").value, rel=1e-6)


def test_scatter_by_blocks_of_features_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the last block is smaller than the others."""
    x = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)).double()
    monkeypatch.setattr("bestiary.measures.frechet.COLUMNS", 3)
    found = moments([x[:15], x[15:]])
    assert torch.allclose(found.covariance, x.T.cov(), atol=1e-12)


def test_blocks_may_be_empty_and_must_be_of_one_width() -> None:
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(moments([x[:0], x[:20], x[:0], x[20:]]).covariance, torch.cov(x.double().T))
    with pytest.raises(BestiaryError, match="3 and 1 features"):
        moments([x, x[:, :1]])
    with pytest.raises(BestiaryError, match="at least two examples"):
        moments([x[:0]])


@pytest.mark.parametrize("features", [1, 127, 128, 129, 300, 513])
def test_moments_by_halves_are_those_of_the_whole(features: int) -> None:
    """However the pairs of features are shared out, and whatever the size of the blocks."""
    x = torch.randn(40, features, generator=torch.Generator().manual_seed(0))
    found = moments(x.split(17))
    torch.testing.assert_close(found.covariance, torch.cov(x.double().T).view(features, features))


@pytest.mark.parametrize(("scale", "shift"), [(1.36, 0.0), (1.0, 0.36)])
def test_the_extrapolated_distance_is_without_the_bias(scale: float, shift: float) -> None:
    """200 of 64 features: the distance is 8.3, estimated as about 20, of which the floor of 11 is but a part."""
    f, n, worlds = 64, 200, 12
    truth = f * ((scale - 1) ** 2 + shift**2)
    found = [fid(scale * normal(n, f, 3 * i) + shift, normal(n, f, 3 * i + 1), normal(n, f, 3 * i + 2), "x")
             for i in range(worlds)]  # fmt: skip
    values = torch.tensor([number.protocol["extrapolated"] for number in found])
    assert abs(float(values.mean()) - truth) < 4 * float(values.std()) / worlds**0.5
    assert all(number.value - number.floor.value > truth for number in found) == (scale > 1)
    assert "extrapolated" not in fid(normal(100, f), normal(100, f, 1), normal(100, f, 2), "x").protocol
