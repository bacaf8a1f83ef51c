r"""Two-dimensional toys whose density is known exactly, so that a model can be judged against the truth.

    mixture        π(x) = 1/K Σ_k N(x; μ_k, σ² I)
    spiral, moons  a mixture of hundreds of overlapping components along a curve: a ribbon of even thickness
    checkerboard   uniform on the 8 dark squares, of side 2, of a 4 × 4 board
    pinwheel       x = R(θ(‖u‖)) u with u from five stretched Gaussians. The turn depends on the radius only,
                   so the Jacobian determinant is 1: π(x) = π_u(R(−θ(‖x‖)) x), and the entropy is that of u
    gaussian       N(0, Σ), Σ_ij = ρ^|i−j|

The entropy H = −E log π(x), in nats, is the floor of any model's −E log p(x). It is in closed form for
`gaussian` and `checkerboard`; for `ring` and `grid`, H = log K + F/2 log(2πe σ²), whose error is below
exp(−50) since modes lie at least 40 σ apart; elsewhere from the midpoint rule, with steps that, halved,
change H by less than 1e-6.

ring (8 modes) and grid (25) are those of Srivastava et al. 2017, VEEGAN, https://arxiv.org/abs/1705.07761.

Legend: N points, F = 2 coordinates (`gaussian` takes any), K components.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from bestiary.data.dataset import Dataset, Density
from bestiary.data.spec import label, rows
from bestiary.data.splits import split_parts
from bestiary.errors import BestiaryError

__all__ = ["TOYS", "Checkerboard", "Gaussian", "Mixture", "Pinwheel", "Toy", "quadrature_entropy"]

_BLOCK = 4096  # points at once: keeps the (points, components) table small


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _log_mean_exp(a: np.ndarray) -> np.ndarray:
    """(N, K) → (N,)."""
    top = a.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.mean(np.exp(a - top), axis=1))


def quadrature_entropy(log_prob: Callable[[np.ndarray], np.ndarray], reach: float, step: float) -> float:
    """−∫ π log π by the midpoint rule on [−reach, reach]², in nats."""
    ticks = np.arange(-reach + step / 2, reach, step)
    total = 0.0
    for columns in np.array_split(ticks, max(1, len(ticks) ** 2 // 65_536)):
        log_p = log_prob(np.stack(np.meshgrid(columns, ticks), axis=-1).reshape(-1, 2))
        total -= float(
            np.sum(np.exp(log_p) * np.maximum(log_p, -745.0))
        )  # exp(−745) is the smallest double: 0 · log 0 = 0
    return total * step**2


@dataclass(frozen=True)
class Mixture:
    """Equal weights, one width: 1/K Σ_k N(μ_k, σ² I)."""

    means: np.ndarray  # (K, F)
    sigma: float
    entropy: float
    is_separate: bool = False  # whether the components are modes that do not overlap

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, np.float64)
        width = self.means.shape[1]
        constant = -width / 2 * np.log(2 * np.pi * self.sigma**2)
        blocks = np.split(x, range(_BLOCK, len(x), _BLOCK))
        square = (self.means**2).sum(axis=1)
        return np.concatenate([self._log_density(block, square) for block in blocks]) + constant

    def _log_density(self, x: np.ndarray, square: np.ndarray) -> np.ndarray:
        distance = (x**2).sum(axis=1, keepdims=True) - 2 * x @ self.means.T + square  # (N, K): ‖x − μ‖²
        return _log_mean_exp(-distance / (2 * self.sigma**2))

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.sample_components(n, seed)[0]

    def sample_components(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """n points (n, F), and the component of each, (n,)."""
        g = _generator(seed)
        component = g.integers(len(self.means), size=n)
        centre = self.means[component]
        return (centre + self.sigma * g.standard_normal(centre.shape)).astype(np.float32), component


@dataclass(frozen=True)
class Gaussian:
    """N(0, Σ)."""

    covariance: np.ndarray  # (F, F)

    @property
    def entropy(self) -> float:
        return float(np.linalg.slogdet(2 * np.pi * np.e * self.covariance)[1]) / 2

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        white = np.linalg.solve(np.linalg.cholesky(self.covariance), np.asarray(x, np.float64).T)  # (F, N)
        return -0.5 * (white**2).sum(axis=0) - float(np.linalg.slogdet(2 * np.pi * self.covariance)[1]) / 2

    def sample(self, n: int, seed: int) -> np.ndarray:
        white = _generator(seed).standard_normal((n, len(self.covariance)))
        return (white @ np.linalg.cholesky(self.covariance).T).astype(np.float32)


@dataclass(frozen=True)
class Checkerboard:
    """Uniform on the squares (i, j) of side 2, i + j even, of the board [−4, 4]²: area 32."""

    entropy: float = float(np.log(32.0))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        square = np.floor((np.asarray(x, np.float64) + 4) / 2)  # (N, 2)
        inside = ((square >= 0) & (square < 4)).all(axis=1) & (square.sum(axis=1) % 2 == 0)
        return np.where(inside, -self.entropy, -np.inf)

    def sample(self, n: int, seed: int) -> np.ndarray:
        g = _generator(seed)
        column, half = g.integers(4, size=n), g.integers(2, size=n)
        row = 2 * half + column % 2  # column + row is even
        corner = np.stack([column, row], axis=1)
        x = (2 * (corner + g.random((n, 2))) - 4).astype(np.float32)
        return np.minimum(
            x, np.nextafter(np.float32(2) * corner.astype(np.float32) - 2, np.float32(-9))
        )  # not rounded out


@dataclass(frozen=True)
class Pinwheel:
    """Five blades: Gaussians at radius 2, long outwards and thin across, turned the more the further out."""

    blades: int = 5
    along: float = 0.5
    across: float = 0.15
    entropy: float = 0.0

    def _turn(self, x: np.ndarray, sign: float) -> np.ndarray:
        angle = sign * np.linalg.norm(x, axis=1) * 0.6
        c, s = np.cos(angle), np.sin(angle)
        return np.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1]], axis=1)

    def base_log_prob(self, u: np.ndarray) -> np.ndarray:
        """log π_u, before the turn: (N, 2) → (N,)."""
        phi = 2 * np.pi * np.arange(self.blades) / self.blades
        outwards = u @ np.stack([np.cos(phi), np.sin(phi)])  # (N, K)
        sideways = u @ np.stack([-np.sin(phi), np.cos(phi)])
        energy = ((outwards - 2) / self.along) ** 2 + (sideways / self.across) ** 2
        return _log_mean_exp(-energy / 2) - np.log(2 * np.pi * self.along * self.across)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return self.base_log_prob(self._turn(np.asarray(x, np.float64), -1.0))

    def sample(self, n: int, seed: int) -> np.ndarray:
        g = _generator(seed)
        phi = 2 * np.pi * g.integers(self.blades, size=n) / self.blades
        a, b = 2 + self.along * g.standard_normal(n), self.across * g.standard_normal(n)
        u = np.stack([a * np.cos(phi) - b * np.sin(phi), a * np.sin(phi) + b * np.cos(phi)], axis=1)
        return self._turn(u, 1.0).astype(np.float32)


def _separate_mixture(means: np.ndarray, sigma: float) -> Mixture:
    """A mixture of modes far apart: its entropy is that of choosing a mode plus that of one mode."""
    k, width = means.shape
    return Mixture(means, sigma, float(np.log(k) + width / 2 * np.log(2 * np.pi * np.e * sigma**2)), is_separate=True)


def _overlapping_mixture(means: np.ndarray, sigma: float, step: float) -> Mixture:
    """A mixture of modes that overlap: its entropy by quadrature, to ten σ beyond the outermost mean."""
    reach = float(np.abs(means).max()) + 10 * sigma
    return Mixture(means, sigma, quadrature_entropy(Mixture(means, sigma, 0.0).log_prob, reach, step))


def _points_along(curve: np.ndarray, k: int) -> np.ndarray:
    """k points at equal arc lengths along a polyline (M, 2): (k, 2)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = (np.arange(k) + 0.5) / k * length[-1]
    return np.stack([np.interp(at, length, curve[:, i]) for i in (0, 1)], axis=1)


def _circle(k: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@cache
def _ring() -> Mixture:
    return _separate_mixture(_circle(8), 0.01)


@cache
def _grid() -> Mixture:
    ticks = np.arange(-4.0, 5.0, 2.0)
    return _separate_mixture(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), 0.05)


@cache
def _two_gaussians() -> Mixture:
    return _overlapping_mixture(np.array([[-1.0, 0.0], [1.0, 0.0]]), 0.5, step=0.0625)


@cache
def _spiral() -> Mixture:
    turn = np.linspace(0.5, 3.0, 4000) * np.pi
    curve = 0.4 * turn[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return _overlapping_mixture(_points_along(curve, 300), 0.12, step=0.12)


@cache
def _moons() -> Mixture:
    turn = np.linspace(0.0, np.pi, 2000)
    upper = np.stack([np.cos(turn) - 0.5, np.sin(turn) - 0.25], axis=1)
    return _overlapping_mixture(np.concatenate([_points_along(upper, 100), _points_along(-upper, 100)]), 0.1, step=0.05)


@cache
def _pinwheel() -> Pinwheel:
    base = Pinwheel()
    return Pinwheel(entropy=quadrature_entropy(base.base_log_prob, 8.0, 0.05))


def _gaussian(dimensions: int = 2, correlation: float = 0.8) -> Gaussian:
    if not 1 <= dimensions <= 1000:
        raise BestiaryError(f"dimensions={dimensions} must lie between 1 and 1000")
    if not -1 < correlation < 1:
        raise BestiaryError(f"correlation={correlation} must lie between −1 and 1, both excluded")
    i = np.arange(dimensions)
    return Gaussian(correlation ** np.abs(i[:, None] - i[None, :]).astype(np.float64))


def _dataset(name: str, truth: Density, n: int, seed: int, note: str = "") -> Dataset:
    if not 10 <= n <= 10_000_000:
        raise BestiaryError(f"n={n}: choose between 10 and 10,000,000 points")
    if seed < 0:
        raise BestiaryError(f"seed={seed} must not be negative")
    x = truth.sample(n, seed)
    source = {
        "origin": "drawn from a known density",
        "fingerprint": f"{name} n={n} seed={seed}{note}",
        "licence": "none",
    }
    return Dataset(name, rows(x.shape[1]), {"x": x}, split_parts(n), truth=truth, source=source)


@dataclass(frozen=True)
class Toy:
    """A toy: what it looks like, and the function that loads it."""

    description: str
    load: Callable[..., Dataset]


def _loader(name: str, density: Callable[[], Density]) -> Callable[..., Dataset]:
    def load(n: int = 20_000, seed: int = 0) -> Dataset:
        """n: points drawn; seed: of the draw (the split is always the same)."""
        return _dataset(name, density(), n, seed)

    return load


def _mixture_loader(name: str, density: Callable[[], Mixture]) -> Callable[..., Dataset]:
    def load(n: int = 20_000, seed: int = 0, labels: bool = False) -> Dataset:
        """n: points drawn; seed: of the draw; labels: the label of a point is the mode that it was drawn from."""
        truth = density()
        dataset = _dataset(name, truth, n, seed, " labels" if labels else "")
        if not labels:
            return dataset
        spec = rows(dataset.spec.dimensions, label(str(k) for k in range(len(truth.means))))
        return replace(dataset, spec=spec, stored={**dataset.stored, "label": truth.sample_components(n, seed)[1]})

    return load


def _load_gaussian(n: int = 20_000, seed: int = 0, dimensions: int = 2, correlation: float = 0.8) -> Dataset:
    """n: points drawn; seed: of the draw; dimensions: F; correlation: of neighbouring coordinates."""
    note = f" dimensions={dimensions} correlation={correlation}"
    return _dataset("gaussian", _gaussian(dimensions, correlation), n, seed, note)


TOYS: dict[str, Toy] = {
    "ring": Toy("8 Gaussians of width .01 on the unit circle", _mixture_loader("ring", _ring)),
    "grid": Toy("25 Gaussians of width .05 on a 5 × 5 grid of spacing 2", _mixture_loader("grid", _grid)),
    "two-gaussians": Toy("2 overlapping Gaussians of width .5", _mixture_loader("two-gaussians", _two_gaussians)),
    "checkerboard": Toy("uniform on the dark squares of a 4 × 4 board", _loader("checkerboard", Checkerboard)),
    "spiral": Toy("a spiral ribbon of width .12", _loader("spiral", _spiral)),
    "moons": Toy("two half circles, interlocked, of width .1", _loader("moons", _moons)),
    "pinwheel": Toy("five curved blades", _loader("pinwheel", _pinwheel)),
    "gaussian": Toy("one correlated Gaussian in any number of dimensions", _load_gaussian),
}
