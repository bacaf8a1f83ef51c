"""Features fitted to labels: a function of the seed, good where labels can be told, honest where they cannot."""

import re

import pytest
import torch
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.label_features import fit_label_features


def quadrants(n: int, side: int = 8, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Noise that is brighter in one of four quadrants, which is its label."""
    g, half = torch.Generator().manual_seed(0), side // 2
    x, y = torch.rand(n, channels, side, side, generator=g) * 0.7, torch.randint(4, (n,), generator=g)
    for image, label in zip(x, y.tolist(), strict=True):
        image[:, half * (label // 2) :, half * (label % 2) :][:, :half, :half] += 0.3
    return x, y


def told(about: str) -> float:
    """The share that the classifier says it gets right."""
    right, of = map(int, re.findall(r"\d+", about)[:2])
    return right / of


def test_labels_that_can_be_told_are_learnt() -> None:
    x, y = quadrants(400, channels=3)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found = fit_label_features(x, y)
    assert torch.equal(before, torch.get_rng_state())
    assert told(found.about) > 0.9
    assert "of 40 examples" in found.about
    assert found(x).shape == (400, found.dimension) == (400, 64)
    assert float((found.classes(x).argmax(1) == y).double().mean()) > 0.9
    torch.testing.assert_close(found(x, 7), found(x), atol=1e-5, rtol=1e-5)


def test_labels_that_say_nothing_are_told_by_chance() -> None:
    """60 examples that were kept apart, four labels drawn anew: right on 15 ± 4 standard errors."""
    x, y = quadrants(600)
    y = torch.randint(4, y.shape, generator=torch.Generator().manual_seed(1))
    assert abs(told(fit_label_features(x, y).about) - 0.25) < 4 * (0.25 * 0.75 / 60) ** 0.5


def test_a_function_of_examples_labels_and_seed() -> None:
    x, y = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 3
    x = x + 5 * torch.stack([(y == 1).float(), (y == 2).float()], 1)
    a = fit_label_features(x, y)
    torch.rand(1)  # the caller's own noise moves on
    b, c, d = fit_label_features(x, y), fit_label_features(x, y, seed=1), fit_label_features(x, y.flip(0))
    assert a.says == b.says
    assert len({a.hash, c.hash, d.hash}) == 3
    assert told(a.about) > 0.8
    assert a.classes(x).shape == (200, 3)


def test_large_images_are_resized_for_it() -> None:
    x, y = quadrants(20, side=36)
    assert fit_label_features(x, y)(x).shape == (20, 64)


def test_what_cannot_be_learnt_is_refused() -> None:
    x, y = quadrants(40)
    for images, labels, says in (
        (x, y.double(), "whole numbers"),
        (x, y[:5], "as many"),
        (x[0], y, "as many"),
        (x[:5], y[:5], "at least 20"),
        (x, y * 0, "two classes"),
        (x, y - 1, "counted from 0"),
        (x * 255, y, "divide levels"),
    ):
        with pytest.raises(BestiaryError, match=says):
            fit_label_features(images, labels)
