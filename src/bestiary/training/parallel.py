"""Several processes: the same loop under `torchrun`, with PyTorch's own data parallelism.

Every process holds the model and plays every turn on its slice of the global batch. DDP averages the gradients of a
turn over the processes; since each loss is a mean over equal slices, the average is the gradient of the mean over the
whole batch, so one process and W processes compute the same run within rounding. FSDP2 shards the weights besides.
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

__all__ = [
    "Team", "full", "join", "launch", "leave", "local", "own_rows", "placed", "under_torchrun", "whole_mean",
    "whole_rows", "whole_sum",
]  # fmt: skip


@dataclass(frozen=True)
class Team:
    """This process among its equals."""

    rank: int = 0
    world: int = 1
    kind: str = "ddp"  # "ddp" or "fsdp"

    @property
    def sharded(self) -> bool:
        return self.world > 1 and self.kind == "fsdp"

    def wrap(self) -> Callable[[nn.Module], nn.Module] | None:
        """What a turn's loss is wrapped in so that its gradients are averaged."""
        if self.world == 1 or self.sharded:
            return None
        # What is wrapped holds parameters and no buffers: these are equal on all processes already (our BatchNorm
        # shares its moments), and broadcasting them would write between two passes through a critic (pytorch #22095).
        return nn.parallel.DistributedDataParallel

    def shard(self, model: nn.Module) -> None:
        """FSDP2: shard every network of the model over the processes, in place."""
        if not self.sharded:
            return
        from torch.distributed.fsdp import fully_shard

        # It warns of writing into a view that a network gives back: no loss here does.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
        for network in model.children():
            if any(True for _ in network.parameters()):
                # a slope that is differentiated again needs the whole weights after its backward: `settle` lets them go
                fully_shard(network).set_reshard_after_backward(False)

    def settle(self, model: nn.Module) -> None:
        """After shards were written to: forget the whole weights that FSDP2 keeps from a forward or backward."""
        if not self.sharded:
            return
        from torch.distributed.fsdp import FSDPModule

        for network in model.children():
            if isinstance(network, FSDPModule):
                network.reshard()

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean of named numbers over all processes."""
        if self.world == 1 or not values:
            return values
        numbers = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(numbers)
        return dict(zip(values, (numbers / self.world).tolist(), strict=True))

    def mean_of(self, rows: Tensor) -> Tensor:
        """The mean of a tensor on the CPU over all processes."""
        if self.world == 1:
            return rows
        whole = rows.double()
        dist.all_reduce(whole)
        return (whole / self.world).to(rows.dtype)

    def wait(self) -> None:
        """Until every process has come here."""
        if self.world > 1:
            dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether the flag is up anywhere."""
        if self.world == 1:
            return flag
        number = torch.tensor(float(flag))
        dist.all_reduce(number)
        return bool(number > 0)


def full(tensor: Tensor) -> Tensor:
    """A tensor as one process would hold it."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies on this process: all of it, or its shard."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def placed(value: Tensor, p: Tensor) -> Tensor:
    """A saved tensor in the memory layout, and on the shards, of `p` (fused optimisers walk memory, not indices)."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if value.shape != p.shape:
        return value.to(p.device)  # a step counter
    if isinstance(p, DTensor):
        return distribute_tensor(value.to(p.device), p.device_mesh, p.placements)
    return torch.empty_like(p, dtype=value.dtype).copy_(value)


def whole_mean(x: Tensor) -> Tensor:
    """The mean over the rows of the whole batch, of which each process holds an equal part; autograd goes through."""
    mean = x.mean(0)
    if not _several():
        return mean
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(mean / dist.get_world_size())


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def whole_sum(x: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in place and without gradient: what a codebook counts."""
    if _several():
        dist.all_reduce(x)
    return x


def whole_rows(x: Tensor) -> Tensor:
    """All rows of the whole batch, in its order; autograd goes through."""
    if not _several():
        return x
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(x.contiguous()))


def own_rows(whole: Tensor) -> Tensor:
    """Of the whole batch the rows of this process."""
    return whole.chunk(dist.get_world_size())[dist.get_rank()] if _several() else whole


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def join(device: torch.device, kind: str = "ddp") -> tuple[Team, torch.device]:
    """Join the processes that torchrun started; alone, a team of one."""
    if kind not in ("ddp", "fsdp"):
        raise BestiaryError(f"--parallel {kind} is not one of ddp, fsdp")
    if not under_torchrun():
        return Team(), device
    if not dist.is_initialized():
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        # CPU collectives go over gloo also on CUDA: the few numbers of a journal's line live there.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(leave)
    return Team(dist.get_rank(), dist.get_world_size(), kind), device


def leave() -> None:
    """Wait until gloo's threads have dropped what they hold of the last message. One that asks for the interpreter
    when it has begun to end brings the process down, after all is done and saved (seen with torch 2.13)."""
    time.sleep(0.2)


def launch(arguments: list[str], nproc: int, restarts: int = 3) -> None:
    """Become `torchrun` with `nproc` processes of `python -m bestiary ARGUMENTS`. Does not return."""
    # Without this a worker's crash hangs the restart (pytorch #135712).
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // nproc)))
    run = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={nproc}",
        f"--max-restarts={restarts}",
    ]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *run, "-m", "bestiary", *arguments])
