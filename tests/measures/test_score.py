"""The classifier score: its ends, a loop, and class shares; stacked digits."""

from math import exp, log

import pytest
import torch

from bestiary.data.spec import pictures
from bestiary.errors import BestiaryError
from bestiary.measures.features import extractor
from bestiary.measures.score import _reached, class_kl, class_numbers, score, score_numbers, stacked_classes


def test_between_one_and_the_number_of_classes() -> None:
    clear = torch.eye(5).repeat(20, 1) * 1e4
    assert score(clear) == pytest.approx(5)
    assert score(clear[:1].repeat(20, 1)) == pytest.approx(1)  # one class only
    assert score(torch.zeros(20, 5)) == pytest.approx(1)  # no sample is clear


def test_by_a_loop() -> None:
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    p = logits.double().softmax(1)
    mean = p.mean(0)
    kl = sum(float(sum(row[y] * log(row[y] / mean[y]) for y in range(4))) for row in p) / 9
    assert score(logits) == pytest.approx(exp(kl))


def test_a_class_that_is_missing_costs_its_share() -> None:
    real = torch.arange(10).repeat(1000)
    half = torch.arange(5).repeat(2000)
    assert class_kl(real, real, 10) == pytest.approx(0, abs=1e-6)
    assert class_kl(half, real, 10) == pytest.approx(log(2), abs=1e-6)


def test_numbers() -> None:
    real = torch.eye(5).repeat(100, 1) * 9
    fake = torch.eye(5)[:2].repeat(250, 1) * 9
    found = {n.name: n for n in score_numbers(fake, real, "labels")}
    assert found["score"].high < found["score"].ceiling.low
    assert found["score"].value == pytest.approx(2, abs=0.1)
    assert "2 classes" in found["class_kl"].says
    assert found["score"].title == "classifier score, features of the labels"
    assert score_numbers(fake, real, "inception@01234567")[0].title.startswith("Inception score")
    with pytest.raises(BestiaryError, match="not finite"):
        score_numbers(fake.log(), real, "labels")
    with pytest.raises(BestiaryError, match="the same classes"):
        score_numbers(fake, real[:, :3], "labels")


def test_the_floor_of_class_shares_is_what_draws_of_the_data_have() -> None:
    """12 classes, of which the data have 8, unevenly: the mean over 400 pairs of draws lies at the floor."""
    g, n, m = torch.Generator().manual_seed(0), 3000, 2000
    share = torch.arange(1, 9).double()
    pairs = [
        (torch.multinomial(share, n, True, generator=g), torch.multinomial(share, m, True, generator=g))
        for _ in range(400)
    ]
    found = torch.tensor([class_kl(fake, real, 12) for fake, real in pairs])
    reached, kl = class_numbers(*pairs[0], 12, "labels")
    assert (reached.value, reached.ceiling.value, reached.unit) == (8, 8, "of 12")
    assert kl.floor.value == pytest.approx(float(found.mean()), abs=4 * float(found.std()) / 20)


@pytest.mark.parametrize(("n", "classes"), [(1000, 1000), (600, 100)])
def test_the_floor_of_few_draws_a_class_is_not_worse_than_honest_samples(n: int, classes: int) -> None:
    """Of classes that are all as frequent, against the mean of honest draws."""
    g = torch.Generator().manual_seed(0)
    pairs = [torch.randint(classes, (2, n), generator=g) for _ in range(100)]
    honest = sum(class_kl(fake, real, classes) for fake, real in pairs) / 100
    floors = [class_numbers(fake, real, classes, "labels")[1].floor.value for fake, real in pairs[:5]]
    assert sum(floors) / 5 == pytest.approx(honest, rel=0.2)


def test_the_interval_of_class_shares_holds() -> None:
    """Of five classes, against the divergence of the shares that both sides are drawn from."""
    p, q = torch.tensor([5.0, 4, 3, 2, 1]).double() / 15, torch.tensor([1.0, 1, 1, 1, 1]).double() / 5
    truth, held = float((p * (p / q).log()).sum()), 0
    for world in range(60):
        g = torch.Generator().manual_seed(world)
        fake, real = (torch.multinomial(share, 500, True, generator=g) for share in (p, q))
        found = class_numbers(fake, real, 5, "labels")[1]
        held += found.low <= truth <= found.high
        assert found.low <= found.value
    assert held >= 50  # of 60 at 95%: seven are four standard errors


def test_classes_that_cannot_be_are_refused() -> None:
    y = torch.arange(5)
    for fake, real in ((y + 1, y), (y - 1, y), (y[:0], y)):
        with pytest.raises(BestiaryError, match="0 to 4"):
            class_numbers(fake, real, 5, "labels")


def test_stacked_digits_are_told_channel_by_channel() -> None:
    x = torch.rand(6, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    x[3:] = torch.zeros(3, 3, 28, 28)
    digits = extractor("mnist", pictures((1, 28, 28), 256)).classes(x.reshape(18, 1, 28, 28))[:, :10].argmax(1)
    expected = [int("".join(str(int(d)) for d in three)) for three in digits.view(6, 3)]
    assert stacked_classes(x).tolist() == expected
    with pytest.raises(BestiaryError, match="three channels"):
        stacked_classes(x[:, :1])


@pytest.mark.parametrize(("classes", "n"), [(1000, 1000), (1000, 3000), (100, 200), (10, 2000)])
def test_the_interval_of_classes_reached_covers(classes: int, n: int) -> None:
    """Σ (1 − (1 − p)ⁿ), what n samples find on average, of classes of very different shares."""
    g = torch.Generator().manual_seed(0)
    p = torch.rand(classes, generator=g).double().pow(3)
    p /= p.sum()
    expected, held = float((1 - (1 - p) ** n).sum()), 0
    for _ in range(60):
        told = torch.multinomial(p, n, replacement=True, generator=g)
        _, low, high = _reached(told, classes)
        held += low <= expected <= high
    assert held >= 51  # of 60 at 95%: fewer would be met once in 1,000 times
