"""Nearest neighbours against the slow obvious way; copying is 1 for copies and 0 for honest draws."""

import inspect
from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.measures.copies import copying, distance_ratio
from bestiary.measures.fidelity import two_sample_distances
from bestiary.measures.intervals import wilson
from bestiary.measures.neighbours import distances, nearest


def draws(n: int, seed: int, shape: tuple[int, ...] = (6,), scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.integers(1, 50))
def test_nearest_is_brute_force_in_blocks_of_any_size(n: int, m: int, k: int, block: int) -> None:
    a, b = draws(n, 1, (2, 3)), draws(m, 2, (2, 3))
    every = (a[:, None] - b).square().flatten(2).mean(2).sqrt()  # (n, m), root mean squared difference
    d, i = nearest(a, b, k, block)
    assert d.shape == i.shape == (n, min(k, m))
    torch.testing.assert_close(d, every.sort(1).values[:, :k])
    torch.testing.assert_close(every.gather(1, i), d)  # the row numbers are those of the distances


def test_a_point_is_nearest_to_itself_exactly() -> None:
    """No digits are lost far from the origin, as they are where ‖a − b‖² is computed as ‖a‖² − 2ab + ‖b‖²."""
    x = draws(60, 3) + 1e4
    d, i = nearest(x, x, block=7)
    assert torch.equal(d, torch.zeros(60, 1))
    assert torch.equal(i[:, 0], torch.arange(60))


def test_distances_are_in_the_units_of_one_number() -> None:
    assert distances(torch.full((1, 3, 8, 8), 0.7), torch.full((1, 3, 8, 8), 0.2)).item() == pytest.approx(0.5)


@pytest.mark.parametrize(("a", "b", "k", "says"), [
    (draws(3, 0), draws(3, 0, (5,)), 1, "examples have 6 and 5 numbers"), (draws(0, 0), draws(3, 0), 1, "at least one"),
    (draws(3, 0), draws(0, 0), 1, "at least one"), (draws(3, 0), draws(3, 0), 0, "k=0"),
    (draws(3, 0), draws(3, 0), -2, "k=-2"),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused(a: Tensor, b: Tensor, k: int, says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        nearest(a, b, k)


@pytest.mark.parametrize(("part", "empty"), [("samples", 0), ("train", 0), ("held", 0), ("held", 3)])
def test_copying_needs_examples(part: str, empty: int) -> None:
    given = {"samples": draws(9, 1), "train": draws(9, 2), "held": draws(9, 3)}
    with pytest.raises(BestiaryError, match="at least"):
        copying(**{**given, part: given[part][:empty]})
    with pytest.raises(BestiaryError):
        distance_ratio(**{**given, part: given[part][:empty]})


def test_wilson_solves_its_equation() -> None:
    """Its ends are the p with |p̂ − p| = z √(p(1 − p)/n), by which the interval is defined."""
    for s, n in ((0, 10), (3, 10), (10, 10), (81, 263), (7.5, 20), (1, 1)):
        for end in wilson(s, n):
            assert abs(s / n - end) == pytest.approx(1.96 * sqrt(max(0, end * (1 - end)) / n), abs=1e-9)
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert wilson(10, 10)[1] == pytest.approx(1, abs=1e-12)


def test_wilson_gives_published_values() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3."""
    for s, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(s, n) == pytest.approx((low, high), abs=6e-5)


def test_wilson_covers() -> None:
    """Near 95% of the intervals hold the true share: between 92 and 98% by the exact sum over the binomial."""
    for n, p in ((20, 0.3), (50, 0.5), (200, 0.1)):
        s = torch.arange(n + 1.0)
        mass = torch.distributions.Binomial(n, torch.tensor(p)).log_prob(s).exp()
        held = torch.tensor([wilson(float(i), n)[0] <= p <= wilson(float(i), n)[1] for i in s])
        assert 0.92 < float(mass[held].sum()) < 0.98


def test_copies_of_all_training_data_are_copies() -> None:
    train, held = draws(300, 1), draws(200, 2)
    number = copying(train.clone(), train, held)
    assert number.value == pytest.approx(1)
    assert number.low > 0.9


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_a_share_of_copies_is_measured_as_that_share(share: float) -> None:
    """The rest are honest draws, so the number is the share, to within its interval."""
    train, n = draws(2000, 1), 1500
    copies = int(share * n)
    samples = torch.cat([train[:copies] + draws(copies, 4, scale=0.02), draws(n - copies, 5)])
    number = copying(samples, train, draws(2000, 2))
    assert number.low < share < number.high


def test_copies_of_what_was_not_searched_are_reckoned_with() -> None:
    """A quarter of the training examples is at hand; all samples are copies of some of them."""
    train, held = draws(2000, 1), draws(500, 2)
    number = copying(train, train[:500], held, every=2000)
    assert number.low < 1 <= number.high
    assert number.value == pytest.approx(min(1, 4 * copying(train, train[:500], held).value))
    assert number.protocol["of"] == 2000


@pytest.mark.parametrize("distinct", [30, 300])
def test_honest_draws_of_rows_that_repeat_are_no_copies(distinct: int) -> None:
    """Of a few distinct rows: whether the nearest ones are all of T is chance, and no sign of copying."""
    values, covered = [], 0
    for seed in range(40):
        g = torch.Generator().manual_seed(seed)
        rows = torch.randn(distinct, 3, generator=g)
        samples, train, held = (rows[torch.randint(distinct, (n,), generator=g)] for n in (250, 1000, 250))
        number = copying(samples, train, held)
        values.append(number.value)
        covered += number.low <= 0 <= number.high
    values = torch.tensor(values)
    assert covered >= 36
    assert abs(values.mean()) < 4.5 * values.std() / len(values) ** 0.5


def test_chance_is_not_multiplied_beyond_all() -> None:
    """A sixtieth of the training examples is searched: whatever is found, no more than all samples are copies."""
    for seed in range(5):
        found = copying(draws(100, seed), draws(100, seed + 10), draws(100, seed + 20), every=6000)
        assert max(found.value, found.low, found.high) <= 1


def test_honest_draws_are_no_copies_whatever_the_sizes() -> None:
    """Over 40 independent worlds the interval covers 0 in about 95%, and the value is 0 in the mean.

    Fewer than 34 of 40 intervals that cover with probability .95 would be met once in 300 such tests; seeds are fixed.
    """
    values, covered = [], 0
    for seed in range(40):
        n_train, n_held = ((200, 200), (300, 100), (100, 300))[seed % 3]
        number = copying(draws(150, 3 * seed), draws(n_train, 3 * seed + 1), draws(n_held, 3 * seed + 2))
        values.append(number.value)
        covered += number.low <= 0 <= number.high
    values = torch.tensor(values)
    assert covered >= 34
    assert abs(values.mean()) < 4.5 * values.std() / len(values) ** 0.5


@pytest.mark.parametrize(("n_train", "n_held"), [(300, 300), (300, 100)])
def test_where_few_examples_are_nearest_to_most_the_interval_covers(n_train: int, n_held: int) -> None:
    """In 200 dimensions: of 100 intervals at 95%, 94 or more hold 0; they do not where every nearest example counts."""
    covered = 0
    for seed in range(100):
        parts = (
            draws(200, 3 * seed, (200,)),
            draws(n_train, 3 * seed + 1, (200,)),
            draws(n_held, 3 * seed + 2, (200,)),
        )
        found = copying(*parts)
        covered += found.low <= 0 <= found.high
    assert covered >= 94


def test_blurred_copies_are_still_copies_and_novelties_far_away_are_none() -> None:
    train, held = draws(500, 1), draws(500, 2)
    assert copying(0.98 * train, train, held).value > 0.9
    far = copying(draws(200, 3) + 50, train, held)
    assert far.value == 0


def test_the_distance_ratio_of_copies_is_zero_and_of_honest_draws_its_floor() -> None:
    train, held = draws(1000, 1), draws(300, 2)
    honest = distance_ratio(draws(600, 3), train, held)
    assert honest.low < honest.floor.high
    assert honest.high > honest.floor.low
    assert honest.floor.value < 1  # there are more training examples to be near to
    copies = distance_ratio(train[:600].clone(), train, held)
    assert copies.value == 0 < copies.floor.low
    blurred = distance_ratio(train[:600] + 0.1 * draws(600, 4), train, held)
    assert blurred.high < blurred.floor.low
    assert distance_ratio(train[:20], train, train.clone()).value == 1  # as near to both, at 0


def test_the_distance_ratio_by_hand() -> None:
    samples, train, held = torch.zeros(9, 1), torch.tensor([[2.0], [5.0]]), torch.tensor([[-4.0], [8], [9], [20]])
    number = distance_ratio(samples, train, held)
    assert number.value == number.low == number.high == pytest.approx(0.5)
    # held-out: to training (6, 3, 4, 15), to one another (12, 1, 1, 11); torch's median is the lower middle one
    assert number.floor.value == pytest.approx(4 / 1)


def test_copying_does_not_depend_on_the_order_of_examples() -> None:
    samples, train, held = draws(120, 1), draws(150, 2), draws(80, 3)
    samples[:30] = train[:30]
    order = torch.Generator().manual_seed(0)
    for _ in range(3):
        s, t, h = (torch.randperm(n, generator=order) for n in (120, 150, 80))
        again, first = copying(samples[s], train[t], held[h]), copying(samples, train, held)
        assert (again.value, again.low, again.high) == pytest.approx((first.value, first.low, first.high))


def test_a_sampler_that_repeats_itself_is_not_measured_more_sharply() -> None:
    samples, train, held = draws(100, 1), draws(150, 2), draws(150, 3)
    once, often = copying(samples, train, held), copying(samples.repeat(20, 1), train, held)
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_ties_count_as_chance() -> None:
    """Training and held-out sets that are the same: nothing can be told, and nothing is claimed."""
    both = draws(100, 1)
    number = copying(both[:50].clone(), both, both.clone())
    assert number.value == pytest.approx(0, abs=1e-6)
    assert number.low < -0.1
    assert number.high > 0.1


def pair(fake: Tensor, real: Tensor, other: Tensor) -> dict:
    return {number.name: number for number in two_sample_distances(fake, real, other)}


def test_fidelity_and_coverage_change_places_with_their_sets() -> None:
    a, b, other = draws(80, 1), draws(80, 2, scale=1.5), draws(80, 3)
    there, back = pair(a, b, other), pair(b, a, other)
    assert there["fidelity"].value == back["coverage"].value
    assert there["coverage"].value == back["fidelity"].value
    assert (there["fidelity"].low, there["fidelity"].high) == (back["coverage"].low, back["coverage"].high)


def test_what_is_left_out_is_seen_by_coverage_and_what_is_like_nothing_by_fidelity() -> None:
    """Two modes: a sampler of one has good fidelity and poor coverage; one that adds noise the reverse."""
    sign = torch.tensor([-5.0, 5.0]).repeat(100).unsqueeze(1)
    real, other = (sign + draws(200, seed) for seed in (1, 2))
    one = pair(sign.abs() + draws(200, 3), real, other)
    assert one["fidelity"].value < 1.15 * one["fidelity"].floor.value
    assert one["coverage"].high > 3 * one["coverage"].floor.high
    strange = pair(torch.cat([real[:80] + draws(80, 4, scale=0.2), draws(120, 5, scale=30)]), real, other)
    assert strange["fidelity"].value > 3 * strange["fidelity"].floor.value


def test_real_examples_stand_at_their_floor() -> None:
    """A third honest set overlaps in its interval with the floor of two; the order of rows changes no value."""
    fake, real, other = draws(300, 1), draws(300, 2), draws(300, 3)
    numbers = pair(fake, real, other)
    shuffled = pair(
        fake[torch.randperm(300, generator=torch.Generator().manual_seed(0))], real.flip(0), other.roll(7, 0)
    )
    for name, number in numbers.items():
        assert number.low <= number.value <= number.high
        assert number.low <= number.floor.high
        assert number.floor.low <= number.high
        assert shuffled[name].value == number.value
        assert shuffled[name].floor.value == number.floor.value


def test_sets_are_cut_to_equal_numbers_and_the_protocol_says_so() -> None:
    numbers = pair(draws(50, 1), draws(200, 2), draws(70, 3))
    assert numbers == pair(draws(50, 1), draws(200, 2)[:50], draws(70, 3)[:50])
    for number in numbers.values():
        assert number.protocol["n"] == 50
        assert number.protocol["seed"] == 0
    with pytest.raises(BestiaryError, match="at least one example"):
        pair(draws(0, 1), draws(5, 2), draws(5, 3))


@pytest.mark.parametrize("measure", [copying, distance_ratio, two_sample_distances])
def test_protocols_carry_what_is_given(measure) -> None:
    assert "protocol" in inspect.signature(measure).parameters
    found = measure(draws(20, 1), draws(20, 2), draws(20, 3), space="features", protocol={"split": "test"})
    for number in found if isinstance(found, list) else [found]:
        assert number.protocol["space"] == "features"
        assert number.protocol["split"] == "test"
        assert "interval" in number.protocol
        assert number.floor is not None
        assert number.says


@pytest.mark.parametrize("width", [1e-2, 1e-3, 1e-5])
def test_copies_are_found_in_heaps_that_are_far_apart(width: float) -> None:
    """Products in single precision cannot tell the examples of a heap; the exact distances are those of brute force."""
    g = torch.Generator().manual_seed(0)
    heaps = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).repeat(400, 1)
    train = heaps + width * torch.randn(800, 2, generator=g)
    d, index = nearest(train[:300], train, 3)
    assert (d[:, 0] == 0).all()
    exact = (train[:300, None].double() - train.double()).norm(dim=2).topk(3, largest=False).values / 2**0.5
    torch.testing.assert_close(d.double(), exact, rtol=1e-3, atol=1e-9)
    assert len(index) == 300


def test_the_interval_of_copies_holds_where_their_number_is_chance() -> None:
    """Each sample copies with chance 0.3, or lies far from everything."""
    held = 0
    for world in range(100):
        g = torch.Generator().manual_seed(world)
        train, unseen = torch.randn(300, 4, generator=g), torch.randn(100, 4, generator=g)
        copies = torch.rand(200, generator=g) < 0.3
        samples = torch.where(copies[:, None], train[torch.randperm(300, generator=g)[:200]], torch.tensor(100.0))
        found = copying(samples, train, unseen)
        held += found.low <= 0.3 <= found.high
    assert held >= 88  # of 100 at 95%: seven are four standard errors
