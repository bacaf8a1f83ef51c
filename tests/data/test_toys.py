"""Densities integrate to 1, agree with their samples, and their entropy is what it is said to be."""

import numpy as np
import pytest

from bestiary.data.load import load
from bestiary.data.toys import TOYS, Checkerboard, Mixture, Pinwheel, quadrature_entropy
from bestiary.errors import BestiaryError

# step and reach of a midpoint rule fine enough for each density
GRIDS = {
    "two-gaussians": (0.1, 6),
    "spiral": (0.06, 5),
    "moons": (0.05, 2.6),
    "pinwheel": (0.04, 5),
    "gaussian": (0.1, 8),
}


def mass(log_prob, centre, reach: float, step: float) -> float:
    """∫ π over a square by the midpoint rule."""
    ticks = np.arange(-reach + step / 2, reach, step)
    points = np.stack(np.meshgrid(ticks + centre[0], ticks + centre[1]), axis=-1).reshape(-1, 2)
    return float(np.exp(log_prob(points)).sum() * step**2)


@pytest.mark.parametrize("name", GRIDS)
def test_density_integrates_to_one(name: str) -> None:
    step, reach = GRIDS[name]
    assert mass(load(name, n=10).truth.log_prob, (0, 0), reach, step) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_each_mode_has_its_share(name: str, modes: int) -> None:
    truth = load(name, n=10).truth
    assert truth.means.shape == (modes, 2)
    for mean in truth.means:
        assert mass(truth.log_prob, mean, 10 * truth.sigma, truth.sigma / 2) == pytest.approx(1 / modes, rel=1e-6)


def test_labels_are_the_modes_that_points_are_of() -> None:
    found, plain = load("ring", n=500, labels=True), load("ring", n=500)
    assert np.array_equal(found.x, plain.x)
    assert plain.spec.label is None
    assert found.spec.label.words == tuple("01234567")
    nearest = np.linalg.norm(found.x[:, None] - found.truth.means, axis=2).argmin(1)
    assert np.array_equal(found.stored["label"], nearest)


def test_a_conditional_generator_of_a_toy(tmp_path) -> None:
    import bestiary as bst

    run = bst.fit("ring", "cgan", root=tmp_path, quiet=True, steps=3, labels=True, hidden=(8,), validate=0)
    assert run.sample(5, condition=3).shape == (5, 2)


def test_checkerboard_is_half_of_the_board() -> None:
    assert mass(Checkerboard().log_prob, (0, 0), 4, 0.1) == pytest.approx(1)
    outside = np.array([[5.0, 0.0], [-4.1, -4.1], [-4.0, 3.9]])  # beside the board twice, a light square
    assert np.isneginf(Checkerboard().log_prob(outside)).all()


@pytest.mark.parametrize("name", TOYS)
def test_entropy_is_minus_the_mean_log_density_of_samples(name: str) -> None:
    truth = load(name, n=10).truth
    log_p = truth.log_prob(truth.sample(20_000, seed=1))
    assert np.isfinite(log_p).all()
    error = log_p.std() / np.sqrt(len(log_p))
    assert -log_p.mean() == pytest.approx(truth.entropy, abs=4.5 * error + 1e-9)


@pytest.mark.parametrize("name", ["two-gaussians", "moons"])
def test_quadrature_of_the_entropy_has_converged(name: str) -> None:
    step, reach = GRIDS[name]
    truth = load(name, n=10).truth
    assert quadrature_entropy(truth.log_prob, reach, step / 3) == pytest.approx(truth.entropy, abs=2e-6)


def test_pinwheel_turns_without_changing_volume() -> None:
    """The entropy of the turned density is that of the blades before the turn."""
    turned = Pinwheel().log_prob
    assert quadrature_entropy(turned, 5.5, 0.02) == pytest.approx(load("pinwheel", n=10).truth.entropy, abs=1e-5)


def test_gaussian_has_the_covariance_it_states() -> None:
    truth = load("gaussian", n=10, dimensions=3, correlation=0.5).truth
    x = truth.sample(40_000, seed=0).astype(np.float64)
    # the variance of a product of two unit Gaussians is at most 2
    np.testing.assert_allclose(x.T @ x / len(x), truth.covariance, atol=5 * np.sqrt(2 / len(x)))
    from scipy.stats import multivariate_normal

    reference = multivariate_normal(np.zeros(3), truth.covariance)
    np.testing.assert_allclose(truth.log_prob(x[:50]), reference.logpdf(x[:50]), rtol=1e-9)
    assert truth.entropy == pytest.approx(reference.entropy())


def test_mixture_of_one_is_a_gaussian() -> None:
    one = Mixture(np.array([[1.0, 2.0]]), 0.5, 0.0)
    x = np.array([[1.0, 2.0], [2.0, 2.0]])
    expected = -np.log(2 * np.pi * 0.25) - np.array([0.0, 2.0])
    np.testing.assert_allclose(one.log_prob(x), expected, rtol=1e-12)


@pytest.mark.parametrize("name", TOYS)
def test_same_seed_same_points(name: str) -> None:
    one, same, other = load(name, n=50, seed=3), load(name, n=50, seed=3), load(name, n=50, seed=4)
    assert one.x.dtype == np.float32
    assert np.array_equal(one.x, same.x)
    assert not np.array_equal(one.x, other.x)
    assert one.spec.x.columns == ()


@pytest.mark.parametrize("options", [{"n": 3}, {"n": 10**9}, {"seed": -1}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(BestiaryError):
        load("ring", **options)


@pytest.mark.parametrize("options", [{"dimensions": 0}, {"correlation": 1.0}])
def test_impossible_gaussians_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(BestiaryError):
        load("gaussian", **options)
