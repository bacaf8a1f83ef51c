"""Augmentations: what they do to known images, that they are differentiable, one lens for each example."""

import pytest
import torch

from bestiary.densities.noise import shared
from bestiary.errors import BestiaryError
from bestiary.objectives.augment import AUGMENTATIONS, colour, composed, cutout, translation


def images(n: int = 64, channels: int = 3, size: int = 16) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_translation_moves_by_whole_pixels_and_zeros_come_in() -> None:
    torch.manual_seed(0)
    x = images()
    moved = translation(x)
    shifts = set()
    for before, after in zip(x, moved, strict=True):
        found = [
            (i, j)
            for i in range(-2, 3)
            for j in range(-2, 3)
            if torch.equal(after, _shifted(before, i, j))
        ]  # fmt: skip
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 15  # of the 25 there are


def _shifted(x: torch.Tensor, i: int, j: int) -> torch.Tensor:
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    return padded[:, 4 - i : 20 - i, 4 - j : 20 - j]


def test_cutout_hides_a_square_of_half_the_side() -> None:
    torch.manual_seed(0)
    hidden = (cutout(torch.ones(500, 1, 16, 16)) == 0).sum((1, 2, 3))
    assert hidden.max() == 64
    assert hidden.min() >= 16  # at a corner, a quarter of it
    assert len(hidden.unique()) > 5


def test_colour_stays_in_its_ranges() -> None:
    torch.manual_seed(0)
    grey = torch.full((2000, 1, 4, 4), 0.25)
    means = colour(grey).mean((1, 2, 3)) - 0.25
    assert -0.5 <= means.min() < -0.45
    assert 0.45 < means.max() <= 0.5
    x = images(2000, 1, 4)
    contrast = colour(x).std((1, 2, 3)) / x.std((1, 2, 3))
    assert 0.5 - 1e-4 <= contrast.min() < 0.55
    assert 1.45 < contrast.max() <= 1.5 + 1e-4


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_example_has_a_lens_of_its_own_and_gradients_pass(name: str) -> None:
    torch.manual_seed(0)
    x = images(1).expand(8, -1, -1, -1).clone().requires_grad_()
    seen = AUGMENTATIONS[name](x)
    assert len({round(float(s), 4) for s in seen.detach().square().sum((1, 2, 3))}) > 4
    seen.square().sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


def test_two_processes_see_what_one_would() -> None:
    x, lens = images(8), composed(("colour", "translation", "cutout"))
    torch.manual_seed(3)
    whole = lens(x)
    halves = []
    for rank, part in enumerate(x.chunk(2)):
        torch.manual_seed(3)
        with shared(rank, 2):
            halves.append(lens(part))
    torch.testing.assert_close(torch.cat(halves), whole)


def test_names_are_checked() -> None:
    with pytest.raises(BestiaryError, match="did you mean `cutout`"):
        composed(("cutot",))
