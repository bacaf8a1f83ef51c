"""Adam's step on the CPU is that of torch.optim.Adam, bit by bit."""

import pytest
import torch
from torch import nn

from bestiary.grammar.schedules import Linear
from bestiary.training.player import Adam, CpuAdam
from tests.training.games import Duel, trainer

CPU = torch.device("cpu")


def weights(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    made = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=made, dtype=dtype)) for shape in ((40, 30), (30,), (2, 3, 4, 4))]


def give(parameters: list[nn.Parameter], step: int, without: int | None) -> None:
    made = torch.Generator().manual_seed(step)
    for i, p in enumerate(parameters):
        gradient = torch.randn(p.shape, generator=made, dtype=p.dtype)
        p.grad = None if i == without else gradient.to(memory_format=torch.preserve_format)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_its_numbers_are_those_of_torch(dtype: torch.dtype, decay: float) -> None:
    """Also when one parameter has no gradient for a while, and when the rate changes."""
    own, theirs = weights(dtype), weights(dtype)
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    mine = Adam(0.01, (0.8, 0.9), decay).build(own, CPU)
    twin = kind(theirs, 0.01, (0.8, 0.9), weight_decay=decay, fused=True)
    assert isinstance(mine, CpuAdam)
    for step in range(9):
        without = 1 if 2 <= step < 5 else None
        for optimiser, parameters in ((mine, own), (twin, theirs)):
            give(parameters, step, without)
            optimiser.param_groups[0]["lr"] = 0.01 / (1 + step)
            optimiser.step()
    for p, q in zip(own, theirs, strict=True):
        assert torch.equal(p, q)
        assert mine.state[p].keys() == twin.state[q].keys()
        assert all(torch.equal(mine.state[p][k], twin.state[q][k]) for k in mine.state[p])


def test_a_step_without_any_gradient_changes_nothing() -> None:
    own = weights()
    before = [p.detach().clone() for p in own]
    optimiser = Adam().build(own, CPU)
    optimiser.step()
    assert all(torch.equal(p, b) for p, b in zip(own, before, strict=True))
    assert all(state["step"] == 0 for state in optimiser.state.values())


def test_weights_of_two_kinds_are_left_to_torch() -> None:
    """The kernel takes one kind of number at a time."""
    mixed = [*weights(), nn.Parameter(torch.ones(3, dtype=torch.float64))]
    optimiser = Adam(0.5).build(mixed, CPU)
    give(mixed, 0, None)
    optimiser.step()
    assert (mixed[-1] != 1).all()


def test_a_restored_run_goes_on_with_the_moments_it_had() -> None:
    """A step reads the moments that were restored, also where a round was played before."""
    ran, fresh = (trainer(Duel(optimiser=Adam(Linear(0.1, 0.01, 8)))) for _ in range(2))
    for round in range(3):
        ran.play(round)
    state = {k: v.clone() for k, v in ran.state().items()}
    fresh.play(0)  # moments of its own, to be written over
    fresh.restore(state, {"names": ran.names, "round": 3, "driver": {}})
    for round in range(3, 8):
        ran.play(round)
        fresh.play(round)
    assert torch.equal(ran.model.a, fresh.model.a)
