"""The structure of data: 1 for independent numbers, F/k where k directions are all there is, whatever the units."""

import pytest
import torch

from bestiary.measures.structure import DIRECTIONS, structure


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16)])
def test_noise_has_none(shape: tuple[int, ...]) -> None:
    """The mean over 8 directions of the variance of 250 numbers has a standard error of √(2/(8·250)) = .03."""
    g = torch.Generator().manual_seed(0)
    assert structure(torch.rand(250, *shape, generator=g), torch.rand(250, *shape, generator=g)) == pytest.approx(
        1.0, abs=0.15
    )


def test_data_of_eight_directions_have_all_of_it() -> None:
    g = torch.Generator().manual_seed(0)
    basis = torch.randn(DIRECTIONS, 64, generator=g)
    x, h = (torch.randn(250, DIRECTIONS, generator=g) @ basis for _ in range(2))
    assert structure(x, h) == pytest.approx(64 / DIRECTIONS, rel=0.05)
    assert structure(7 * x + 1, 7 * h + 1) == pytest.approx(structure(x, h))


def test_a_constant_image_is_noise() -> None:
    assert structure(torch.ones(20, 1, 4, 4), torch.ones(20, 1, 4, 4)) == 1.0


def test_one_outlier_in_a_dead_pixel_hides_nothing() -> None:
    g = torch.Generator().manual_seed(0)
    x, h = (torch.rand(250, 64, generator=g) for _ in range(2))
    x[:, 0], h[:, 0] = 0.0, 0.0
    x[0, 0], h[0, 0] = 1e-3, 1e3
    assert structure(x, h) == pytest.approx(1.0, abs=0.15)
