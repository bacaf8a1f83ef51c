"""Copies: the share of copies is 1 for copies, 0 for honest draws, and its interval covers."""

import inspect

import pytest
import torch

from bestiary.errors import BestiaryError
from bestiary.measures.copies import copy_share, distance_ratio
from bestiary.measures.number import ALARM
from tests.measures.normal_draws import draws


@pytest.mark.parametrize(("part", "empty"), [("samples", 0), ("train", 0), ("held_out", 0), ("held_out", 3)])
def test_counting_copies_needs_examples(part: str, empty: int) -> None:
    given = {"samples": draws(9, 1), "train": draws(9, 2), "held_out": draws(9, 3)}
    with pytest.raises(BestiaryError, match="at least"):
        copy_share(**{**given, part: given[part][:empty]})
    with pytest.raises(BestiaryError):
        distance_ratio(**{**given, part: given[part][:empty]})


def test_copies_of_all_training_data_are_copies() -> None:
    train, held = draws(300, 1), draws(200, 2)
    number = copy_share(train.clone(), train, held)
    assert number.value == pytest.approx(1)
    assert number.low > 0.9


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_a_share_of_copies_is_measured_as_that_share(share: float) -> None:
    """The rest are honest draws, so the number is the share, to within its interval."""
    train, n = draws(2000, 1), 1500
    copies = int(share * n)
    samples = torch.cat([train[:copies] + draws(copies, 4, scale=0.02), draws(n - copies, 5)])
    number = copy_share(samples, train, draws(2000, 2))
    assert number.low < share < number.high


def test_copies_of_what_was_not_searched_are_reckoned_with() -> None:
    """A quarter of the training examples is at hand; all samples are copies of some of them."""
    train, held = draws(2000, 1), draws(500, 2)
    number = copy_share(train, train[:500], held, training_size=2000)
    assert number.low < 1 <= number.high
    assert number.value == pytest.approx(min(1, 4 * copy_share(train, train[:500], held).value))
    assert number.protocol["of"] == 2000


@pytest.mark.parametrize("distinct", [30, 300])
def test_honest_draws_of_rows_that_repeat_are_no_copies(distinct: int) -> None:
    """Of a few distinct rows: whether the nearest ones are all of T is chance, and no sign of copying."""
    values, covered = [], 0
    for seed in range(40):
        g = torch.Generator().manual_seed(seed)
        rows = torch.randn(distinct, 3, generator=g)
        samples, train, held = (rows[torch.randint(distinct, (n,), generator=g)] for n in (250, 1000, 250))
        number = copy_share(samples, train, held)
        values.append(number.value)
        covered += number.low <= 0 <= number.high
    values = torch.tensor(values)
    assert covered >= 36
    assert abs(values.mean()) < 4.5 * values.std() / len(values) ** 0.5


def test_chance_is_not_multiplied_beyond_all() -> None:
    """A sixtieth of the training examples is searched: whatever is found, no more than all samples are copies."""
    for seed in range(5):
        found = copy_share(draws(100, seed), draws(100, seed + 10), draws(100, seed + 20), training_size=6000)
        assert max(found.value, found.low, found.high) <= 1


def test_honest_draws_are_no_copies_whatever_the_sizes() -> None:
    """Over 40 independent worlds the interval covers 0 in about 95%, and the value is 0 in the mean.

    Fewer than 34 of 40 intervals that cover with probability .95 would be met once in 300 such tests; seeds are fixed.
    """
    values, covered = [], 0
    for seed in range(40):
        n_train, n_held = ((200, 200), (300, 100), (100, 300))[seed % 3]
        number = copy_share(draws(150, 3 * seed), draws(n_train, 3 * seed + 1), draws(n_held, 3 * seed + 2))
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
        found = copy_share(*parts)
        covered += found.low <= 0 <= found.high
    assert covered >= 94


def test_blurred_copies_are_still_copies_and_novelties_far_away_are_none() -> None:
    train, held = draws(500, 1), draws(500, 2)
    assert copy_share(0.98 * train, train, held).value > 0.9
    far = copy_share(draws(200, 3) + 50, train, held)
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
    assert number.value == pytest.approx(0.5)
    assert number.low is number.high is None  # of two training examples
    # held-out: to training (6, 3, 4, 15), to one another (12, 1, 1, 11); torch's median is the lower middle one
    assert number.floor.value == pytest.approx(4 / 1)


def test_the_share_of_copies_does_not_depend_on_the_order_of_examples() -> None:
    samples, train, held = draws(120, 1), draws(150, 2), draws(80, 3)
    samples[:30] = train[:30]
    order = torch.Generator().manual_seed(0)
    for _ in range(3):
        s, t, h = (torch.randperm(n, generator=order) for n in (120, 150, 80))
        again, first = copy_share(samples[s], train[t], held[h]), copy_share(samples, train, held)
        assert (again.value, again.low, again.high) == pytest.approx((first.value, first.low, first.high))


def test_a_sampler_that_repeats_itself_is_not_measured_more_sharply() -> None:
    samples, train, held = draws(100, 1), draws(150, 2), draws(150, 3)
    once, often = copy_share(samples, train, held), copy_share(samples.repeat(20, 1), train, held)
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_ties_count_as_chance() -> None:
    """Training and held-out sets that are the same: nothing can be told, and nothing is claimed."""
    both = draws(100, 1)
    number = copy_share(both[:50].clone(), both, both.clone())
    assert number.value == pytest.approx(0, abs=1e-6)
    assert number.low < -0.1
    assert number.high > 0.1


def test_the_interval_of_copies_holds_where_their_number_is_chance() -> None:
    """Each sample copies with chance 0.3, or lies far from everything."""
    held = 0
    for world in range(100):
        g = torch.Generator().manual_seed(world)
        train, unseen = torch.randn(300, 4, generator=g), torch.randn(100, 4, generator=g)
        copies = torch.rand(200, generator=g) < 0.3
        samples = torch.where(copies[:, None], train[torch.randperm(300, generator=g)[:200]], torch.tensor(100.0))
        found = copy_share(samples, train, unseen)
        held += found.low <= 0.3 <= found.high
    assert held >= 88  # of 100 at 95%: seven are four standard errors


@pytest.mark.parametrize("measure", [copy_share, distance_ratio])
def test_protocols_carry_what_is_given(measure) -> None:
    assert "protocol" in inspect.signature(measure).parameters
    found = measure(draws(20, 1), draws(20, 2), draws(20, 3), space="features", protocol={"split": "test"})
    for number in found if isinstance(found, list) else [found]:
        assert number.protocol["space"] == "features"
        assert number.protocol["split"] == "test"
        assert "interval" in number.protocol
        assert number.floor is not None
        assert number.says


def test_the_sentence_of_the_verdict_agrees_with_the_interval() -> None:
    train, held_out = draws(300, 1), draws(200, 2)
    assert copy_share(train.clone(), train, held_out).plain == "About 100% of the samples copy training examples."
    honest = copy_share(draws(150, 3), train, held_out)
    assert honest.low <= 0 < honest.high
    assert honest.plain.startswith("No copies of training examples were found (at most")
    percent = int(honest.plain.split("at most ")[1].split("%")[0])
    assert percent - 1 < 100 * honest.high <= percent


@pytest.mark.parametrize(("blur", "told"), [(0.0, "About"), (0.25, "About"), (0.75, "At least"), (1.0, "At least")])
def test_blurred_copies_are_a_lower_bound_where_blur_nears_the_distance_between_examples(
    blur: float, told: str
) -> None:
    """A true share of .30; blur in units of the radius."""
    train, held, n = draws(2000, 1, (10,)), draws(500, 2, (10,)), 1000
    radius = copy_share(draws(50, 3, (10,)), train, held).protocol["radius"]
    copies = train[:300] + blur * radius * draws(300, 4, (10,))
    number = copy_share(torch.cat([copies, draws(n - 300, 5, (10,))]), train, held)
    assert number.plain.startswith(told)
    assert number.low < 0.3 < number.high
    assert ("at least" in number.title) == (told == "At least")
    assert number.weight == ALARM


def test_copies_of_held_out_examples_are_a_leak_and_not_chance() -> None:
    """Whatever the sizes of both sets, the sentence tells the share of samples that were copied from held-out ones."""
    for n_train, n_held in ((300, 300), (1000, 200)):
        train, held = draws(n_train, 1), draws(n_held, 2)
        whole = copy_share(held.clone(), train, held)
        assert whole.plain.startswith("About 100% of the samples copy held-out examples")
        half = copy_share(torch.cat([held, draws(n_held, 3) + 50]), train, held)
        assert half.plain.startswith("About 50% of the samples copy held-out examples")
        assert half.weight == ALARM
