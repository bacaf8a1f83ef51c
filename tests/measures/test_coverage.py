"""Every printed interval holds its truth as often as it claims: simulations with known truth (coverage_worlds.py)."""

from math import sqrt

import pytest

from tests.measures.coverage_worlds import WORLDS, World, coverage

LEAST = 0.93  # intervals that cover more often than 95% are no fault; what is known to cover less stands here
SHORT = {"c2st_jsd": 0.8, "c2st_jsd, floor": 0.8}  # its protocol says so


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.drawn)
def test_intervals_hold_the_truth(world: World) -> None:
    """At least as often as LEAST less three binomial standard errors."""
    for row in coverage(world, world.repetitions):
        least = SHORT.get(row.name, LEAST)
        assert row.covered >= least - 3 * sqrt(least * (1 - least) / row.count), row


def test_an_interval_that_is_too_narrow_is_found() -> None:
    """The table's means with half of their width: the same rule must refuse them."""
    from bestiary.measures.number import Number

    def narrow(g):  # type: ignore[no-untyped-def]
        found = WORLDS[0].simulate(g)
        return {
            name: (Number("", "", n.value, (n.low + n.value) / 2, (n.high + n.value) / 2), truth)
            for name, (n, truth) in found.items()
        }

    whole, halved = (coverage(WORLDS[0]._replace(simulate=simulate), 100) for simulate in (WORLDS[0].simulate, narrow))
    tolerance = 3 * sqrt(LEAST * (1 - LEAST) / 100)
    assert all(row.covered >= LEAST - tolerance for row in whole)
    assert all(row.covered < LEAST - tolerance for row in halved)
