"""The classifier score: its ends, a loop, and class shares."""

from math import exp, log

import pytest
import torch

from bestiary.errors import BestiaryError
from bestiary.measures.score import class_kl, score, score_numbers


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
    with pytest.raises(BestiaryError, match="the same classes"):
        score_numbers(fake, real[:, :3], "labels")
