"""Augmentations: what they do to known images, that they are differentiable, one lens for each example."""

import pytest
import torch

from bestiary.errors import BestiaryError
from bestiary.objectives.augment import AUGMENTATIONS, colour, compose, cutout, translation
from bestiary.training.noise import batch_share


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


def test_every_shift_is_as_likely() -> None:
    """16 pixels move by −2 … 2, each with probability 1/5: √(0.2 · 0.8/n) is the standard error of a share."""
    torch.manual_seed(0)
    n = 4000
    spot = torch.zeros(n, 1, 16, 16)
    spot[:, :, 8, 8] = 1
    moved = translation(spot).nonzero()[:, 2:] - 8
    for axis in (0, 1):
        values, counts = moved[:, axis].unique(return_counts=True)
        assert values.tolist() == [-2, -1, 0, 1, 2]
        assert (counts / n - 0.2).abs().max() < 4.5 * (0.16 / n) ** 0.5


def test_saturation_leaves_the_grey_of_every_pixel() -> None:
    """Colours move to and from their mean by [0, 2): brightness and contrast shift and scale all channels alike."""
    torch.manual_seed(0)
    x = images(2000, 3, 4)
    spread = [(y - y.mean(1, keepdim=True)).flatten(1) for y in (x, colour(x))]
    along = (spread[0] * spread[1]).sum(1) / spread[0].square().sum(1)  # saturation · contrast of each example
    torch.testing.assert_close(spread[1], along[:, None] * spread[0], atol=1e-5, rtol=1e-4)
    assert 0 <= along.min() < 0.05
    assert 2.5 < along.max() <= 3
    grey = images(20, 1, 4)
    torch.manual_seed(0)
    once = colour(grey)  # a grey image has no saturation, and takes no draw for it
    torch.manual_seed(0)
    torch.testing.assert_close(once.std((1, 2, 3)) / grey.std((1, 2, 3)), 0.5 + torch.rand(40)[20:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_derivatives_against_difference_quotients(name: str) -> None:
    def lens(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return AUGMENTATIONS[name](x)

    assert torch.autograd.gradcheck(lens, images(2, 3, 4).double().requires_grad_())


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
    x, lens = images(8), compose(("colour", "translation", "cutout"))
    torch.manual_seed(3)
    whole = lens(x)
    halves = []
    for rank, part in enumerate(x.chunk(2)):
        torch.manual_seed(3)
        with batch_share(rank, 2):
            halves.append(lens(part))
    torch.testing.assert_close(torch.cat(halves), whole)


def test_names_are_checked() -> None:
    with pytest.raises(BestiaryError, match="did you mean `cutout`"):
        compose(("cutot",))
