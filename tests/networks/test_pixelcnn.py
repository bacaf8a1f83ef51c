"""Gated pixels: what an output sees is exactly its field; the cached sampler draws what the whole network would."""

import pytest
import torch

from bestiary.networks.pixelcnn import GatedPixels


def net(layers: int = 2, kernel: int = 3, channels: int = 1) -> GatedPixels:
    torch.manual_seed(0)
    return GatedPixels(channels, outputs=2, context=3, width=6, layers=layers, kernel=kernel)


def field(pixels: GatedPixels, high: int, wide: int, i: int, j: int) -> torch.Tensor:
    """Where the output at (i, j) has a gradient, over all channels: (high, wide), any of a few random images."""
    x = torch.randn(4, pixels.channels, high, wide, requires_grad=True)
    pixels(x, torch.randn(4, 3, high, wide))[:, :, i, j].sum().backward()
    return x.grad.abs().sum((0, 1)) > 0


@pytest.mark.parametrize(("layers", "kernel"), [(1, 1), (1, 3), (2, 3), (3, 3), (1, 5), (2, 5)])
def test_the_field_is_the_one_stated_and_has_no_blind_spot(layers: int, kernel: int) -> None:
    """Rows above within reach, whole between the stated columns; left in its own row; nothing else."""
    pixels = net(layers, kernel)
    r, i, j, size = pixels.reach, 8, 8, 17
    assert r == 1 + layers * (kernel // 2)
    seen = field(pixels, size, size, i, j)
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    left = (rows == i) & (columns < j) & (columns >= j - r)
    assert not (seen & ((rows > i) | ((rows == i) & (columns >= j)))).any()  # raster order
    assert not (seen & ((rows < i - r) | ((columns - j).abs() > r))).any()  # limited reach
    assert (seen & left).sum() == left.sum()
    near = (rows == i - 1) & ((columns - j).abs() <= r - 1)  # no blind spot in the row above
    assert (seen & near).sum() == near.sum()
    above = (columns == j) & (rows < i) & (rows >= i - r)
    assert (seen & above).sum() == above.sum()


def test_every_output_sees_the_context_at_its_own_pixel() -> None:
    pixels, context = net(), torch.randn(1, 3, 4, 5, requires_grad=True)
    out = pixels(torch.randn(1, 1, 4, 5), context)
    for i in range(4):
        for j in range(5):
            (grad,) = torch.autograd.grad(out[0, :, i, j].sum(), context, retain_graph=True)
            assert (grad[0, :, i, j].abs() > 0).all()


@pytest.mark.parametrize(("layers", "kernel", "channels"), [(1, 1, 1), (1, 3, 1), (3, 3, 1), (2, 5, 3)])
def test_what_is_remembered_is_what_would_be_computed(layers: int, kernel: int, channels: int) -> None:
    """The outputs that the cached sampler sees at every pixel are those of the whole network on the same image."""
    pixels, context = net(layers, kernel, channels), torch.randn(3, 3, 6, 5)
    given, generator = [], torch.Generator().manual_seed(1)

    def choose(outputs: torch.Tensor) -> torch.Tensor:
        given.append(outputs)
        return torch.randn(3, channels, generator=generator) + outputs[:, :1]

    with torch.no_grad():
        x = pixels.sample(context, choose)
        whole = pixels(x, context)
    torch.testing.assert_close(torch.stack(given, -1).view(3, 2, 6, 5), whole, atol=1e-5, rtol=1e-5)
    generator.manual_seed(1)
    with torch.no_grad():
        torch.testing.assert_close(pixels.sample_naive(context, choose), x, atol=1e-4, rtol=1e-4)


def test_draws_ask_for_no_gradient_and_know_nothing_of_earlier_ones() -> None:
    """Memory that is written over row after row must not leak: the same choices give the same outputs twice."""
    pixels, context = net(3, 3), torch.randn(2, 3, 4, 5)
    generator = torch.Generator()

    def choose(outputs: torch.Tensor) -> torch.Tensor:
        return torch.randn(2, 1, generator=generator) + outputs[:, :1]

    draws = [pixels.sample(context, (generator.manual_seed(3), choose)[1]) for _ in range(2)]
    assert torch.equal(*draws)
    assert not draws[0].requires_grad
