"""Kernel distance: a loop over pairs, the jackknife, blocks, and single precision."""

import pytest
import torch
from torch import Tensor

import bestiary.measures.kernel_distance as room
from bestiary.errors import BestiaryError
from bestiary.measures.kernel_distance import block_kids, jackknife, kernel_sums, kid
from tests.measures.normal_draws import mixed, normal


def by_loop(x: Tensor, y: Tensor) -> float:
    """KID."""

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / x.shape[1] + 1) ** 3

    within = [sum(k(a, b) for i, a in enumerate(z) for b in z[:i]) * 2 / (len(z) * (len(z) - 1)) for z in (x, y)]
    return sum(within) - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


def test_kid_by_a_loop_over_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(7, 3, 0), normal(9, 3, 1) + 0.5
    assert float(block_kids(x, y)[0]) == pytest.approx(by_loop(x, y[:7]), rel=1e-5)
    monkeypatch.setattr(room, "TILE", 4)  # tiles that do not fit
    assert jackknife(kernel_sums(x, y))[0] == pytest.approx(by_loop(x, y), rel=1e-5)


def test_the_jackknife_leaves_out_each_example() -> None:
    x, y = normal(6, 3, 0).double(), normal(5, 3, 1).double() + 0.5

    def without(z: Tensor, i: int) -> Tensor:
        return torch.cat([z[:i], z[i + 1 :]])

    of_x = torch.tensor([by_loop(without(x, i), y) for i in range(6)])
    of_y = torch.tensor([by_loop(x, without(y, i)) for i in range(5)])
    variance = sum(float((t - t.mean()).square().sum()) * (len(t) - 1) / len(t) for t in (of_x, of_y))
    _, low, high = jackknife(kernel_sums(x, y))
    assert (high - low) / 2 == pytest.approx(1.96 * variance**0.5, rel=1e-4)
    assert jackknife(kernel_sums(x[:2], y))[1:] == (None, None)


def test_single_precision_is_enough_for_kid() -> None:
    x, y = mixed(1500, 32, 0) / 5, mixed(1500, 32, 1) / 5
    value, low, high = jackknife(kernel_sums(x, y))
    assert abs(value - jackknife(kernel_sums(x.double(), y.double()))[0]) < 1e-3 * (high - low)


def test_kid_is_unbiased_and_its_interval_covers() -> None:
    """Equal distributions: the mean over many small blocks is 0 within its standard error."""
    values = block_kids(normal(20_000, 4, 0), normal(20_000, 4, 1), block=50)
    assert abs(float(values.mean())) < 4 * float(values.std()) / len(values) ** 0.5
    sets = normal(2000, 4, 0) + 0.5, normal(2000, 4, 1), normal(2000, 4, 2)
    for found, said in ((kid(*sets, "f"), "all"), (kid(*sets, "f", pairs="blocks", block=200), "blocks of 200")):
        assert 0 < found.low < found.value < found.high
        assert found.floor.low < 0 < found.floor.high
        assert said in found.protocol["pairs"]
    with pytest.raises(BestiaryError, match="pairs"):
        kid(*sets, "f", pairs="some")
