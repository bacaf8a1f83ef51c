"""Several processes: data parallelism under `torchrun`, with PyTorch's DDP and FSDP2.

Every process has the model and plays every turn on its slice of the global batch. DDP averages the gradients of a turn
over the processes. Each loss is a mean over an equal slice, so the average is the gradient of the mean over the whole
batch: one process and W processes compute the same run within rounding. FSDP2 also shards the weights.
"""

import atexit
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bestiary.errors import BestiaryError
from bestiary.training.device import available_processors

__all__ = [
    "Team", "full_tensor", "global_mean", "global_rows", "global_sum", "join", "launch", "local_rows", "local_tensor",
    "place_like", "under_torchrun", "wait_for_gloo",
]  # fmt: skip


@dataclass(frozen=True)
class Team:
    """The processes of a run, as this process sees them."""

    rank: int = 0  # of this process
    world: int = 1  # number of processes
    kind: str = "ddp"  # "ddp" or "fsdp"

    @property
    def sharded(self) -> bool:
        """Whether the weights are sharded over the processes."""
        return self.world > 1 and self.kind == "fsdp"

    def wrap(self) -> Callable[[nn.Module], nn.Module] | None:
        """The wrapper that averages the gradients of a loss over the processes; None if there is nothing to average."""
        if self.world == 1 or self.sharded:
            return None
        # DDP wraps a module of parameters without buffers. Buffers are equal on all processes already, since our
        # BatchNorm shares its moments, and DDP would write them between two passes through a critic (pytorch #22095).
        return nn.parallel.DistributedDataParallel

    def shard(self, model: nn.Module) -> None:
        """FSDP2: shard every network of the model over the processes, in place."""
        if not self.sharded:
            return
        from torch.distributed.fsdp import fully_shard

        # It warns about losses that write into a view returned by a network: no loss here does that.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
        for network in model.children():
            if any(True for _ in network.parameters()):
                # second derivatives need the full weights after the backward pass; `reshard` frees them later
                fully_shard(network).set_reshard_after_backward(False)

    def reshard(self, model: nn.Module) -> None:
        """Free the full weights that FSDP2 keeps from a forward or backward pass; call it after the shards changed."""
        if not self.sharded:
            return
        from torch.distributed.fsdp import FSDPModule

        for network in model.children():
            if isinstance(network, FSDPModule):
                network.reshard()

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean over all processes of each of the named numbers."""
        if self.world == 1 or not values:
            return values
        numbers = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(numbers)
        return dict(zip(values, (numbers / self.world).tolist(), strict=True))

    def mean_tensor(self, tensor: Tensor) -> Tensor:
        """The mean over all processes of a tensor on the CPU."""
        if self.world == 1:
            return tensor
        total = tensor.double()
        dist.all_reduce(total)
        return (total / self.world).to(tensor.dtype)

    def wait(self) -> None:
        """Wait until every process has called this."""
        if self.world > 1:
            dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether the flag is true on any process."""
        if self.world == 1:
            return flag
        number = torch.tensor(float(flag))
        dist.all_reduce(number)
        return bool(number > 0)


def full_tensor(tensor: Tensor) -> Tensor:
    """The full tensor, gathered from all processes if it is sharded."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_tensor(tensor: Tensor) -> Tensor:
    """The part of a tensor on this process: its shard, or all of it if it is not sharded."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def place_like(value: Tensor, p: Tensor) -> Tensor:
    """A saved tensor with the device, memory layout and sharding of `p`; fused optimisers need the same layout."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if value.shape != p.shape:
        return value.to(p.device)  # the optimiser's step counter
    if isinstance(p, DTensor):
        return distribute_tensor(value.to(p.device), p.device_mesh, p.placements)
    return torch.empty_like(p, dtype=value.dtype).copy_(value)


def global_mean(x: Tensor) -> Tensor:
    """The mean over the rows of the global batch, of which each process has an equal part; differentiable."""
    mean = x.mean(0)
    if not _has_several_processes():
        return mean
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(mean / dist.get_world_size())


def _has_several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def global_sum(x: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in place and without gradient, such as the counts of a codebook."""
    if _has_several_processes():
        dist.all_reduce(x)
    return x


def global_rows(x: Tensor) -> Tensor:
    """All rows of the global batch in its order, gathered from all processes; differentiable."""
    if not _has_several_processes():
        return x
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(x.contiguous()))


def local_rows(x: Tensor) -> Tensor:
    """The rows of this process out of the rows of the global batch."""
    return x.chunk(dist.get_world_size())[dist.get_rank()] if _has_several_processes() else x


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def join(device: torch.device, kind: str = "ddp") -> tuple[Team, torch.device]:
    """The team of processes that torchrun started, and this process's device. Without torchrun a team of one.

    Raises BestiaryError for an unknown kind.
    """
    if kind not in ("ddp", "fsdp"):
        raise BestiaryError(f"--parallel {kind} is not one of ddp, fsdp: use --parallel ddp")
    if not under_torchrun():
        return Team(), device
    if not dist.is_initialized():
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        # gloo for tensors on the CPU also on CUDA machines: the numbers of a journal's line are on the CPU
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(wait_for_gloo)
    return Team(dist.get_rank(), dist.get_world_size(), kind), device


def wait_for_gloo() -> None:
    """Wait at exit until gloo's threads have released the last message.

    A thread that needs the interpreter while it shuts down aborts the process, after all work is saved (seen with torch
    2.13).
    """
    time.sleep(0.2)


def launch(arguments: list[str], nproc: int, restarts: int = 3) -> None:
    """Replace this process by `torchrun` with `nproc` processes of `python -m bestiary ARGUMENTS`. Does not return."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_processors() // nproc)))
    torchrun = ["--standalone", f"--nproc-per-node={nproc}", f"--max-restarts={restarts}"]
    sys.stdout.flush()
    command = [sys.executable, "-m", "bestiary.training.launcher", *torchrun, "-m", "bestiary", *arguments]
    os.execv(sys.executable, command)
