"""The noise of W processes, laid side by side, is the noise of one."""

from functools import partial

import pytest
import torch
from torch import Tensor

from bestiary.densities.diagonal_gaussian import DiagonalNormal
from bestiary.densities.likelihoods import _Gaussian
from bestiary.training import noise
from bestiary.training.noise import batch_share, normal, uniform

DRAWS = {"normal": normal, "uniform": uniform}


def drawn(draw, rank: int = 0, world: int = 1) -> list[Tensor]:
    """Two draws in a row, so that the generators must agree after the first as well."""
    torch.manual_seed(5)
    with batch_share(rank, world):
        return [draw(), draw()]


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize(("shape", "dim"), [((12,), 0), ((12, 5), 0), ((3, 12, 5), 1), ((2, 3, 12), 2)])
def test_slices_tile_what_one_process_draws(name: str, world: int, shape: tuple[int, ...], dim: int) -> None:
    whole = drawn(partial(DRAWS[name], shape, dim=dim))
    part = tuple(n // world if i == dim else n for i, n in enumerate(shape))
    parts = [drawn(partial(DRAWS[name], part, dim=dim), rank, world) for rank in range(world)]
    for i in range(2):
        assert all(p[i].shape == part for p in parts)
        assert torch.equal(torch.cat([p[i] for p in parts], dim), whole[i])
    assert not torch.equal(*whole)


def test_draws_of_a_posterior_tile_along_the_batch_and_not_along_the_samples() -> None:
    mean, log_var = torch.randn(8, 3), torch.randn(8, 3)
    whole = drawn(lambda: DiagonalNormal(mean, log_var).rsample((5,)))[1]
    parts = []
    for rank, (m, v) in enumerate(zip(mean.chunk(2), log_var.chunk(2), strict=True)):
        q = DiagonalNormal(m, v)
        parts.append(drawn(lambda q=q: q.rsample((5,)), rank, 2)[1])
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_draws_of_a_likelihood_tile() -> None:
    mean = torch.randn(8, 3)
    whole = drawn(_Gaussian(mean, torch.zeros(())).sample)[1]
    parts = [drawn(_Gaussian(m, torch.zeros(())).sample, rank, 2)[1] for rank, m in enumerate(mean.chunk(2))]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_sharing_ends_with_its_block_even_by_an_error() -> None:
    with batch_share(1, 4):
        with pytest.raises(RuntimeError, match="inside"), batch_share(0, 2):
            raise RuntimeError("inside")
        assert noise._share == (1, 4)
    assert noise._share == (0, 1)


def test_moments() -> None:
    torch.manual_seed(6)
    n = 100_000
    e, u = normal((n,)), uniform((n,))
    assert abs(float(e.mean())) < 4.5 / n**0.5
    assert abs(float(e.var()) - 1) < 4.5 * (2 / n) ** 0.5
    assert abs(float(u.mean()) - 0.5) < 4.5 * (1 / 12 / n) ** 0.5
    assert float(u.min()) >= 0
    assert float(u.max()) < 1


def test_one_draw_is_the_first_of_many_and_so_is_its_gradient() -> None:
    """K = 1 takes a shorter way to z = μ + σ ε; also on slices of the noise that several processes share."""
    for shape, (rank, world) in (((1,), (0, 1)), ((1,), (1, 2)), ((), (1, 2)), ((1, 1), (0, 1))):
        mean, log_var = torch.randn(4, 6).chunk(2, 1)
        mean, log_var = mean.requires_grad_(), log_var.requires_grad_()
        with batch_share(rank, world):
            torch.manual_seed(5)
            z = DiagonalNormal(mean, log_var).rsample(shape)
            torch.manual_seed(5)
            noise = normal([*shape, 4, 3], dim=len(shape))
        assert z.shape == (*shape, 4, 3)
        torch.testing.assert_close(z, mean + (log_var / 2).exp() * noise)
        found = torch.autograd.grad(z.square().sum(), (mean, log_var))
        wanted = torch.autograd.grad((mean + (log_var / 2).exp() * noise).square().sum(), (mean, log_var))
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b)
