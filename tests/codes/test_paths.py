"""Paths in latent space: ends, norms, angles and equal steps."""

from math import pi

import pytest
import torch

from bestiary.codes.paths import WALKS, path
from bestiary.errors import BestiaryError


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", WALKS)
@pytest.mark.parametrize("shape", [(5,), (3, 5)], ids=str)
def test_a_walk_starts_and_ends_where_it_is_told_and_back_is_the_same_way(kind, shape) -> None:
    a, b = codes(*shape), codes(*shape, seed=1)
    z = path(a, b, 7, kind)
    assert z.shape == (*shape[:-1], 7, 5)
    assert z.dtype == a.dtype
    assert torch.allclose(z[..., 0, :], a, atol=1e-6)
    assert torch.allclose(z[..., -1, :], b, atol=1e-6)
    assert torch.allclose(z.flip(-2), path(b, a, 7, kind), atol=1e-6)


def test_a_straight_line_has_equal_steps() -> None:
    steps = path(codes(4), codes(4, seed=1), 9, "linear").diff(dim=0)
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-6)


def test_a_spherical_walk_turns_and_grows_evenly_in_the_plane_of_its_ends() -> None:
    a, b = codes(6).double(), 3 * codes(6, seed=1).double()
    z = path(a, b, 9, "spherical")
    assert torch.allclose(z.norm(dim=1).diff(), (b.norm() - a.norm()) / 8)
    u = z / z.norm(dim=1, keepdim=True)
    cosines = (u[1:] * u[:-1]).sum(1)
    whole = torch.arccos((u[0] * u[-1]).sum())
    assert torch.allclose(torch.arccos(cosines), whole / 8)
    assert torch.linalg.matrix_rank(z, rtol=1e-10) == 2


def test_for_equal_norms_it_is_the_slerp_of_the_paper() -> None:
    a, b = (x / x.norm() for x in (codes(6).double(), codes(6, seed=1).double()))
    omega, t = torch.arccos(a @ b), torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    slerp = ((1 - t) * omega).sin() / omega.sin() * a + (t * omega).sin() / omega.sin() * b
    assert torch.allclose(path(a, b, 5), slerp)


def test_it_is_defined_where_the_formula_of_the_paper_divides_by_zero() -> None:
    a = codes(4).double()
    assert torch.allclose(path(a, 2 * a, 5), path(a, 2 * a, 5, "linear"))
    assert torch.allclose(path(a, a, 5), a.expand(5, 4))
    zero = torch.zeros_like(a)
    assert torch.allclose(path(zero, a, 5), path(zero, a, 5, "linear"))
    assert torch.allclose(path(a, zero, 5), path(a, zero, 5, "linear"))
    assert torch.equal(path(zero, zero, 5), torch.zeros(5, 4, dtype=a.dtype))
    for opposite in (a, torch.eye(4, dtype=torch.float64)[2]):
        z = path(opposite, -opposite, 5)  # a half circle
        assert torch.allclose(z.norm(dim=1), opposite.norm().expand(5))
        assert torch.allclose(z[2] @ opposite, torch.zeros((), dtype=a.dtype), atol=1e-12)
        assert torch.allclose(z.diff(dim=0).norm(dim=1), 2 * opposite.norm() * torch.tensor(pi / 8).double().sin())
    nearly = a + 1e-9 * codes(4, seed=1)  # float32 would find an angle of 0, or none at all
    assert torch.isfinite(path(a, nearly, 5)).all()
    assert torch.allclose(path(a, nearly, 3)[1], (a + nearly) / 2, rtol=0, atol=1e-15)


def test_the_middle_of_a_straight_line_between_draws_is_too_near_to_zero() -> None:
    """‖(a + b)/2‖² = D/2 and the spherical middle has ‖z‖ = (‖a‖ + ‖b‖)/2: both by their standard error."""
    a, b = codes(500, 64), codes(500, 64, seed=1)
    straight = path(a, b, 3, "linear")[:, 1].square().sum(1)
    round_ = path(a, b, 3, "spherical")[:, 1].norm(dim=1)
    assert abs(float(straight.mean()) - 32) < 4 * float(straight.std()) / 500**0.5
    assert torch.allclose(round_, (a.norm(dim=1) + b.norm(dim=1)) / 2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: path(codes(3), codes(3), kind="sperical"), "did you mean `spherical`"),
        (lambda: path(codes(3), codes(4)), "of one shape"),
        (lambda: path(codes(1, 2, 3), codes(1, 2, 3)), "of one shape"),
        (lambda: path(codes(3), codes(3), 1), "at least two points"),
        (lambda: path(codes(1), codes(1)), "take walk=linear"),
    ],
)
def test_mistakes_are_explained(wrong, says) -> None:
    with pytest.raises(BestiaryError, match=says):
        wrong()
