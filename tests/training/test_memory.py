"""What is allocated within a block has a limit, and an allocation that fails is a MemoryError."""

import pytest
import torch
from torch import nn

from bestiary.training.memory import allocation_limit, machine_memory, memory_errors


def test_new_tensors_are_counted_together() -> None:
    with allocation_limit(4 * 1000):
        nn.Linear(30, 30)
        with pytest.raises(MemoryError):
            nn.Linear(30, 30)
    nn.Linear(30, 30)


def test_a_dtype_may_be_one_of_python() -> None:
    """Flows of zuko allocate masks of dtype=bool."""
    with allocation_limit(100):
        torch.ones((10, 9), dtype=bool)
        with pytest.raises(MemoryError):
            torch.ones((10, 9), dtype=bool)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(1001),
        lambda: torch.empty((7, 11, 13)),
        lambda: torch.randn(size=(1001,)),
        lambda: torch.full((1001,), 0.5),
        lambda: torch.zeros(501, dtype=torch.float64),
        lambda: torch.zeros(40)[:, None] * torch.zeros(40),
    ],
)
def test_every_way_to_make_one_is_seen(make) -> None:
    with pytest.raises(MemoryError), allocation_limit(4 * 1000):
        make()


def test_an_allocation_that_fails_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="try a smaller batch="), memory_errors():
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="size of tensor"), memory_errors():
        torch.zeros(2) + torch.zeros(3)


def test_this_machine_has_memory() -> None:
    assert 1 << 28 < machine_memory() < 1 << 62
