"""Fréchet and kernel distances: closed forms, SciPy's matrix root, a loop over pairs, blocks and their memory."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.frechet import fid, frechet, kid, kids, moments


def normal(n: int, f: int, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def mixed(n: int, f: int, seed: int) -> Tensor:
    """Correlated features."""
    return normal(n, f, seed) @ normal(f, f, 99) + 3


def test_against_scipys_root_of_a_matrix() -> None:
    from scipy.linalg import sqrtm

    a, b = mixed(400, 12, 0), 1.3 * mixed(300, 12, 1) - 1
    s1, s2 = (np.cov(x.double().numpy(), rowvar=False) for x in (a, b))
    shift = a.double().mean(0) - b.double().mean(0)
    expected = float(shift.square().sum()) + np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2)))
    assert frechet(moments([a]), moments([b])) == pytest.approx(expected, rel=1e-9)


def test_of_diagonal_gaussians_it_is_the_distance_of_means_and_deviations() -> None:
    x = normal(2000, 4).double()
    x = (x - x.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T  # covariance 1 to the last digit
    shift, scale = torch.tensor([1.0, 0, -2, 0.5]).double(), torch.tensor([1.0, 2, 0.5, 3]).double()
    value = frechet(moments([x]), moments([x * scale + shift]))
    assert value == pytest.approx(float(shift.square().sum() + (scale - 1).square().sum()), rel=1e-9)


def test_a_set_is_at_no_distance_from_itself_also_with_more_features_than_examples() -> None:
    for n, f in ((500, 8), (20, 64)):
        x = mixed(n, f, 3)
        assert frechet(moments([x]), moments([x])) == pytest.approx(0, abs=1e-6 * float(x.var(0).sum()))


def test_moments_do_not_depend_on_how_they_come() -> None:
    x = mixed(1000, 6, 0) + 1e3  # far from the origin
    whole, blocks = moments([x]), moments(x.split(77))
    torch.testing.assert_close(whole.covariance, torch.cov(x.double().T), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(blocks.covariance, whole.covariance, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(blocks.mean, x.double().mean(0))


def test_the_interval_holds_the_distance_and_the_floor_stands_below() -> None:
    """Unit Gaussians in 16 dimensions, shifted by 1: FID 1, biased by about the floor."""
    real, other = normal(4000, 16, 1), normal(4000, 16, 2)
    fake = normal(4000, 16, 3)
    fake[:, 0] += 1
    found = fid(fake, real, other, "features")
    assert found.low < 1 + found.floor.value < found.high
    assert found.floor.value < 0.1 < found.value
    assert "rank" not in found.protocol
    assert "deficient" in fid(fake[:12], real, other, "features").protocol["rank"]


def test_kid_by_a_loop_over_pairs() -> None:
    x, y = normal(7, 3, 0), normal(7, 3, 1) + 0.5

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / 3 + 1) ** 3

    within = [sum(k(z[i], z[j]) for i in range(7) for j in range(7) if i != j) / 42 for z in (x, y)]
    across = sum(k(a, b) for a in x for b in y) / 49
    assert float(kids(x, y)[0]) == pytest.approx(sum(within) - 2 * across, rel=1e-5)


def test_kid_is_unbiased_and_its_interval_covers() -> None:
    """Equal distributions: the mean over many small blocks is 0 within its standard error."""
    values = kids(normal(20_000, 4, 0), normal(20_000, 4, 1), block=50)
    assert abs(float(values.mean())) < 4 * float(values.std()) / len(values) ** 0.5
    found = kid(normal(2000, 4, 0) + 0.5, normal(2000, 4, 1), normal(2000, 4, 2), "features", block=200)
    assert found.low > 0
    assert found.floor.low < 0 < found.floor.high
    assert found.protocol["pairs"] == "all"


def test_what_cannot_be_compared_is_refused() -> None:
    x = normal(20, 3)
    with pytest.raises(BestiaryError, match="3 and 4 features"):
        fid(x, normal(20, 4), x, "f")
    with pytest.raises(BestiaryError, match="not finite"):
        kid(x, x.log(), x, "f")
    with pytest.raises(BestiaryError, match="at least two"):
        fid(x[:1], x, x, "f")
    assert fid(torch.ones(20, 3), x, x, "f").value > 0  # constant features are features
