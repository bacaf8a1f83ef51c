"""The memory of this machine, and a limit to what is allocated within a block.

    with allocation_limit(machine_memory() // 2): …      refuses a tensor before it is allocated

Tensors that are made from nothing (zeros, empty, randn, …), as weights are, are counted together. What is computed from
them is refused where a single tensor is above the limit.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["allocation_limit", "machine_memory", "memory_errors"]

_NEW = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange)
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def machine_memory() -> int:
    """Bytes that this process may use: those of the machine, or of the container that it runs in."""
    try:
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError):  # on Windows
        limits = [1 << 62]
    for file in _CGROUPS:
        try:
            limits.append(int(file.read_text()))
        except (OSError, ValueError):  # no such file, or `max`
            continue
    return min(limits)


class _AllocationLimit(TorchFunctionMode):
    """Raises MemoryError before the new tensors take more than `limit` bytes together."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.allocated = limit, 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in _NEW:
            sizes = kwargs.get("size") or (args[0] if args and isinstance(args[0], Sequence) else args)
            bytes_each = torch.empty(0, dtype=kwargs.get("dtype")).itemsize  # a dtype may also be Python's bool
            self.allocated += prod(size for size in sizes if isinstance(size, int)) * bytes_each
            if self.allocated > self.limit:
                raise MemoryError(f"{self.allocated:,} bytes")
        result = function(*args, **kwargs)
        if isinstance(result, Tensor) and result.nbytes > self.limit:
            raise MemoryError(f"{result.nbytes:,} bytes")
        return result


@contextmanager
def allocation_limit(limit: int) -> Iterator[None]:
    """Within the block a tensor that would take the sum of new tensors above `limit` bytes raises MemoryError."""
    with memory_errors(), _AllocationLimit(limit):
        yield


@contextmanager
def memory_errors() -> Iterator[None]:
    """Within the block torch's error where the machine has no memory left is a MemoryError, as Python's own is."""
    try:
        yield
    except RuntimeError as error:  # torch has a type of its own on CUDA only
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise MemoryError("out of memory: try a smaller batch=, or smaller networks") from error
        raise
