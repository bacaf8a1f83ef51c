"""Worlds in which the truth of every printed interval is known: for test_coverage.py and benchmarks/coverage.py.

A world is a function of a seed that gives numbers by label, each with its truth. Where no closed form is at hand the
truth is None, and the mean of the values over all worlds of these sizes stands for it: what the number is on average.

Legend: n examples, F features.
"""

from collections.abc import Callable
from math import log, pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from bestiary.densities.diagonal_gaussian import DiagonalNormal, StandardNormal
from bestiary.measures.bound import bound_numbers
from bestiary.measures.code_numbers import active_units, probe
from bestiary.measures.copies import copy_share, distance_ratio
from bestiary.measures.discrepancy import discrepancy_numbers
from bestiary.measures.exact_copies import exact_copies, near_copies
from bestiary.measures.fidelity import fidelity_and_coverage
from bestiary.measures.frechet import fid
from bestiary.measures.intervals import student_interval
from bestiary.measures.kernel_distance import kid
from bestiary.measures.manifold import manifold_numbers
from bestiary.measures.modes import mode_numbers
from bestiary.measures.number import Number
from bestiary.measures.score import class_numbers, score_numbers
from bestiary.measures.statistics import statistics
from bestiary.measures.surgery import aggregate, aggregate_dims, surgery
from bestiary.measures.two_sample import two_sample_test

__all__ = ["WORLDS", "Row", "World", "coverage"]

Truth = float | None
Found = dict[str, tuple[Number, Truth]]


class World(NamedTuple):
    """A simulation: what is drawn, in words; numbers with their truths by seed; repetitions in the tests."""

    drawn: str
    simulate: Callable[[torch.Generator], Found]
    repetitions: int = 200


class Row(NamedTuple):
    """How often intervals of one number hold the truth; `floor`: the same of its floor, where that has an interval."""

    drawn: str
    name: str
    covered: float
    count: int


def coverage(world: World, repetitions: int, first: int = 0) -> list[Row]:
    """The coverage of each number of a world, and of floors of numbers whose floor has the same truth."""
    found = [world.simulate(torch.Generator().manual_seed(first + seed)) for seed in range(repetitions)]
    rows = []
    for label in found[0]:
        numbers, truth = [world_[label][0] for world_ in found], [world_[label][1] for world_ in found]
        mean = sum(n.value or 0.0 for n in numbers) / len(numbers)
        held = [
            n.low is not None and n.high is not None and n.low - 1e-9 <= (mean if t is None else t) <= n.high + 1e-9
            for n, t in zip(numbers, truth, strict=True)
        ]
        rows.append(Row(world.drawn, label, sum(held) / len(held), len(held)))
    return rows


def _normal(g: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=g)


def _with_truth(numbers: list[Number], truth: dict[str, Truth] | None = None) -> Found:
    """Numbers by name, and their floors and ceilings where these have an interval."""
    found: Found = {}
    for number in numbers:
        found[number.name] = (number, (truth or {}).get(number.name))
        for kind, other in (("floor", number.floor), ("ceiling", number.ceiling)):
            if other is not None and other.low is not None:
                as_number = Number(number.name, kind, other.value, other.low, other.high)
                found[f"{number.name}, {kind}"] = (as_number, (truth or {}).get(f"{number.name}, {kind}"))
    return found


# ------------------------------------------------------------------ means


def _means(g: torch.Generator) -> Found:
    few, skewed = _normal(g, 4), torch.distributions.Exponential(1.0).icdf(torch.rand(100, generator=g))
    return {
        "mean of 4": (Number("", "", *student_interval(few)), 0.0),
        "mean of 100, exponential": (Number("", "", *student_interval(skewed)), 1.0),
    }


def _bounds(g: torch.Generator) -> Found:
    """log w ~ N(0, 1) for each draw: −L_1 = 0; −L_k from many draws."""
    numbers, _ = bound_numbers(lambda x, ks: _normal(g, 1, len(x)) - 2, torch.arange(25), k=1)
    return _with_truth(numbers, {"nll_elbo": 2.0})


def _surgery(d: int, noise: float) -> Callable[[torch.Generator], Found]:
    """x ~ N(0, (1 − noise²) I), q(z|x) = N(x, noise² I): q(z) is the prior."""

    def simulate(g: torch.Generator) -> Found:
        x = sqrt(1 - noise**2) * _normal(g, 200, d).double()
        z, log_var = x + noise * _normal(g, 200, d), torch.full((200, d), 2 * log(noise)).double()
        q, p = DiagonalNormal(x, log_var), StandardNormal(torch.zeros(1, d).double())
        joint, dims = aggregate(z, lambda block: q.log_prob(block[:, None])), aggregate_dims(z, x, log_var)
        numbers = surgery(-z.square().sum(1), p.log_prob(z), q.log_prob(z), joint, dims)
        information = -d * log(noise)
        truth = {"distortion": float(d), "rate": information, "mutual_information": information}
        return _with_truth(numbers, {**truth, "marginal_kl": 0.0, "total_correlation": 0.0, "dimension_kl": 0.0})

    return simulate


def _codes(g: torch.Generator) -> Found:
    """Means of deviation 1, 0.15, 0.12 and 0.05: three are above the threshold of 0.1. A label that is one side."""
    means = _normal(g, 150, 4) * torch.tensor([1.0, 0.15, 0.12, 0.05])
    code, noise = _normal(g, 2400, 3), _normal(g, 2400)
    y = (code[:, 0] + 0.7 * noise > 0).long()
    number = probe((code[:200], y[:200]), (code[200:400], y[200:400]))
    wide = probe((code[:200], y[:200]), (code[400:], y[400:]))
    return {"active_units": (active_units(means), 3.0), "probe": (number, wide.value)}


# ------------------------------------------------------------------ copies and neighbours


def _copies(share: float, blur: float) -> Callable[[torch.Generator], Found]:
    def simulate(g: torch.Generator) -> Found:
        train, held, fresh = _normal(g, 200, 4), _normal(g, 100, 4), _normal(g, 150, 4)
        copies = torch.rand(150, generator=g) < share
        rows = torch.randperm(200, generator=g)[:150]
        samples = torch.where(copies[:, None], train[rows] + blur * _normal(g, 150, 4), fresh)
        exact = {"exact_copies": share} if not blur else {}
        return _with_truth(
            [copy_share(samples, train, held), distance_ratio(samples, train, held),
             near_copies(samples, train), *(exact_copies(samples, train, held) if exact else [])],
            {"copied": share, **exact, "exact_copies, floor": 0.0, "held_out_copies": 0.0,
             "held_out_copies, floor": 0.0},
        )  # fmt: skip

    return simulate


def _sides(g: torch.Generator, n: int, f: int, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    return scale * _normal(g, n, f), _normal(g, n, f), _normal(g, n, f)


def _neighbours(f: int, scale: float) -> Callable[[torch.Generator], Found]:
    def simulate(g: torch.Generator) -> Found:
        sides = _sides(g, 150, f, scale)
        return _with_truth([*fidelity_and_coverage(*sides), *manifold_numbers(*sides, "x")])

    return simulate


# ------------------------------------------------------------------ distances of two sets


def _distances(f: int, scale: float) -> Callable[[torch.Generator], Found]:
    def simulate(g: torch.Generator) -> Found:
        sides = _sides(g, 120, f, scale)
        mmd, sliced = discrepancy_numbers(*sides, "x")
        zero = {"kid, floor": 0.0, "mmd, floor": 0.0} | ({"kid": 0.0, "mmd": 0.0} if scale == 1 else {})
        columns = statistics(*sides, [f"x{i}" for i in range(f)])
        return _with_truth([fid(*sides, "x"), kid(*sides, "x"), mmd, sliced, *columns], zero)

    return simulate


def _discrete(g: torch.Generator) -> Found:
    """Two columns of 0 and 1, all sides alike."""
    sides = [(torch.rand(120, 2, generator=g) < 0.3).float() for _ in range(3)]
    mmd = discrepancy_numbers(*sides, "x")[0]
    return _with_truth([mmd], {"mmd": 0.0, "mmd, floor": 0.0})


def _two_sample(shift: float) -> Callable[[torch.Generator], Found]:
    def simulate(g: torch.Generator) -> Found:
        fake, real, other = _sides(g, 80, 2, 1.0)
        numbers, _ = two_sample_test(
            fake + shift, real, other, "x", seed=int(torch.randint(1 << 30, (1,), generator=g))
        )
        null = {"c2st, floor": 0.5, "c2st_auc, floor": 0.5}
        return _with_truth(numbers, null | ({"c2st": 0.5, "c2st_auc": 0.5} if not shift else {}))

    return simulate


# ------------------------------------------------------------------ classes and modes


def _classes(alike: bool) -> Callable[[torch.Generator], Found]:
    def simulate(g: torch.Generator) -> Found:
        real_p = torch.tensor([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05])
        fake_p = real_p if alike else torch.tensor([0.5, 0.2, 0.1, 0.1, 0.05, 0.05, 0.0, 0.0])
        fake, real = (torch.multinomial(p, 200, replacement=True, generator=g) for p in (fake_p, real_p))
        kl = float(torch.special.xlogy(fake_p, fake_p / real_p).sum())
        logits = [torch.nn.functional.one_hot(side, 8).float() * 8 for side in (fake, real)]
        score, *_ = score_numbers(*logits, "x")
        classes, class_kl = class_numbers(fake, real, 8, "x")
        found = _with_truth([score, classes, class_kl], {"class_kl": kl})
        return {name: pair for name, pair in found.items() if name != "class_kl, floor"}  # quantiles of chance

    return simulate


def _modes(g: torch.Generator) -> Found:
    angles = torch.arange(8) * (2 * pi / 8)
    centres = torch.stack([angles.cos(), angles.sin()], 1).double()
    fake, perfect = (centres[torch.randint(8, (100,), generator=g)] + 0.05 * _normal(g, 100, 2) for _ in range(2))
    truth = {"high_quality": 0.98889, "high_quality, ceiling": 0.98889, "mode_kl": 0.0, "mode_kl, floor": 0.0}
    return _with_truth(mode_numbers(fake, centres, 0.05, perfect), truth)


WORLDS = (
    World("means of few and of skewed values", _means, 400),
    World("a bound of 25 examples", _bounds, 400),
    World("surgery, 2 dimensions, wide posteriors", _surgery(2, 0.9)),
    World("surgery, 8 dimensions, narrow posteriors", _surgery(8, 0.3)),
    World("codes of 150 and 200 examples", _codes),
    World("150 samples, none copied", _copies(0.0, 0.0)),
    World("150 samples, 30% exact copies", _copies(0.3, 0.0)),
    World("150 samples, 30% copies with a little noise", _copies(0.3, 0.1)),
    World("neighbours, 150 of each in 3 dimensions, alike", _neighbours(3, 1.0)),
    World("neighbours, 150 of each in 10 dimensions, narrower", _neighbours(10, 0.8)),
    World("distances, 120 of each in 3 dimensions, alike", _distances(3, 1.0), 100),
    World("distances, 120 of each in 6 dimensions, wider", _distances(6, 1.5), 100),
    World("two columns of 0 and 1, 120 of each, alike", _discrete),
    World("a classifier of 80 and 80, alike", _two_sample(0.0), 30),
    World("a classifier of 80 and 80, moved by one deviation", _two_sample(1.0), 30),
    World("200 classes, alike", _classes(True)),
    World("200 classes, different", _classes(False)),
    World("100 samples of 8 modes", _modes),
)
