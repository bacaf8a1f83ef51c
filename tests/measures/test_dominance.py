"""Few rows that dominate a mean are found, named and put beside a robust form; heavy tails and small sets are left."""

import pytest
import torch

from bestiary.measures.bound import bound_numbers
from bestiary.measures.dominance import dominant_rows
from bestiary.measures.frechet import fid_numbers
from tests.measures.normal_draws import draws


def test_an_outlier_dominates_and_its_share_is_that_of_the_sum_of_squares() -> None:
    values = draws(1000, 1, ()).double()
    values[[17, 400]] = torch.tensor([8000.0, -900.0]).double()
    few = dominant_rows(values)
    assert few is not None
    assert few.rows == [17, 400]
    squares = (values - values.median()).square()
    assert few.share == pytest.approx(float(squares[[17, 400]].sum() / squares.sum()))
    assert few.keep(1000).sum() == 998
    assert few.sentence(1000, str) == "2 of 1000 rows make 100% of its variance: 17; 400."


def test_tails_of_data_do_not_dominate() -> None:
    """Of Gaussian and of exponential values, few and many."""
    for seed in range(50):
        for n in (20, 60, 2000):
            gaussian = draws(n, seed, ())
            exponential = torch.distributions.Exponential(1.0).icdf(gaussian.erf().abs().clamp(0, 0.9999))
            assert dominant_rows(gaussian) is None
            assert n == 20 or dominant_rows(exponential) is None
    assert dominant_rows(torch.ones(100)) is None
    assert dominant_rows(torch.tensor([0.0, 0, 0, 100])) is None  # of four nothing can be said


def test_a_bound_that_one_example_dominates_is_told_without_it() -> None:
    losses = 3 + draws(200, 1, ()).double()
    losses[7] = 9000.0

    def bounds(x, ks):
        return -losses[x][None].expand(len(ks), -1)

    numbers, _ = bound_numbers(bounds, torch.arange(200), k=10, row_name=lambda i: f"the row {i}")
    by_name = {number.name: number for number in numbers}
    main, robust = by_name["nll_iwae"], by_name["nll_iwae_robust"]
    assert robust.low < 3 < robust.high
    assert robust.value == pytest.approx(float(losses[losses < 100].mean()))
    assert "the row 7" in main.protocol["dominated_by"]
    assert "the row 7" in main.says
    assert (main.plain, main.weight, main.detail) == ("", 0, True)
    assert "without outliers" in robust.plain
    assert "the row 7" in robust.plain
    calm, _ = bound_numbers(bounds, torch.arange(8, 200), k=10)
    assert [number.name for number in calm] == ["nll_elbo", "nll_iwae"]


@pytest.mark.parametrize("side", [0, 1, 2])
def test_a_distance_that_one_example_dominates_is_told_without_it(side: int) -> None:
    """An outlier of the samples, the real or the other real examples."""
    sets = [draws(400, seed, (4,)) for seed in (1, 2, 3)]
    calm = fid_numbers(*sets, "x")
    assert len(calm) == 1
    sets[side][33] = 4000.0
    main, robust = fid_numbers(*sets, "x")
    key = ("sample", "real example", "other real example")[side]
    assert f"Of the {key}s, " in main.protocol["dominated_by"]
    assert robust.protocol["without"][key][0] == 33
    assert robust.name == "fid_robust"
    assert robust.value == pytest.approx(calm[0].value, rel=0.2)
    assert robust.floor.value == pytest.approx(calm[0].floor.value, rel=0.2)
    assert "row 33" in robust.says
    assert main.detail
    assert not robust.detail
