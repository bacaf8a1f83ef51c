"""BatchNorm is PyTorch's on one process, and on two what one computes on the whole batch."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from bestiary.networks.batch_norm import BatchNorm
from bestiary.networks.dcgan import critic
from bestiary.training.parallel import wait_for_gloo

WORLD = 2


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 5, 4), (6, 3, 7), (2, 3, 1, 1)])
def test_one_process_is_pytorchs(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm(3), nn.BatchNorm2d(3)
    for norm in (ours, theirs):
        nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
        nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(2))
    for _ in range(3):
        x = 5 + 2 * torch.randn(shape)
        four = x.view(*shape, *[1] * (4 - len(shape)))
        torch.testing.assert_close(ours(x).view_as(four), theirs(four))
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
    torch.testing.assert_close(ours.eval()(x).view_as(four), theirs.eval()(four))


def test_normalised_output_has_the_moments_it_says() -> None:
    torch.manual_seed(0)
    y = BatchNorm(4)(torch.randn(50, 4, 3, 3) * 7 - 3).transpose(0, 1).flatten(1)
    torch.testing.assert_close(y.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(1, correction=0), torch.ones(4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(4, 2), (4,), (4, 5, 2, 2)])
def test_a_wrong_number_of_channels_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="over 3 channels got a tensor of shape"):
        BatchNorm(3)(torch.zeros(shape))


# Each case: a network, the whole batch, and what is done with its output. Doubles are not: the moments are fp32.
def cases() -> dict[str, tuple[nn.Module, Tensor]]:
    torch.manual_seed(0)
    x = torch.randn(12, 3, 8, 8)
    return {
        "vectors": (BatchNorm(3), x[:, :, 0, 0]),
        "images": (BatchNorm(3), 2 * x + 1),
        "channels last": (BatchNorm(3), x.to(memory_format=torch.channels_last)),
        "far from zero": (BatchNorm(3), x + 300),  # where E x² − m² has lost its digits
        "unlike halves": (BatchNorm(3), torch.cat([x[:6] - 4, 3 * x[6:]])),
        "critic": (critic((3, 8, 8), width=4), x.tanh()),
        "bf16": (BatchNorm(3), x.bfloat16()),
    }


def play(net: nn.Module, x: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Two forward passes and a backward one; everything that came of it. The loss is a sum over examples."""
    x = x.clone().requires_grad_()
    net(x.detach().roll(1, 1))
    y = net(x)
    (weights[:, : y[0].numel()] * y.float().reshape(len(y), -1).sin()).sum().backward()
    grads = {f"grad {k}": p.grad for k, p in net.named_parameters()}
    return {"y": y.detach(), "grad x": x.grad, **grads, **dict(net.named_buffers())}


def loss_weights() -> Tensor:
    return torch.randn(12, 3 * 8 * 8, generator=torch.Generator().manual_seed(3))


def worker(rank: int, folder: str) -> None:
    """One of the processes: plays each case on its half, and compares with one process on the whole batch."""
    torch.set_num_threads(1)
    whole = {name: play(net, x, loss_weights()) for name, (net, x) in cases().items()}
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    wrong = []
    for name, (net, x) in cases().items():
        mine = slice(rank * len(x) // WORLD, (rank + 1) * len(x) // WORLD)
        for key, value in play(net, x[mine], loss_weights()[mine]).items():
            wanted = whole[name][key]
            if key in ("y", "grad x"):
                wanted = wanted[mine]
            elif key.startswith("grad"):
                dist.all_reduce(value)  # as data parallelism does with the gradients of weights
            tolerance = 2e-2 if name == "bf16" else 2e-4 if name == "far from zero" else 2e-5
            if not torch.allclose(value.float(), wanted.float(), rtol=tolerance, atol=tolerance):
                wrong.append(f"{name}, {key}: {(value - wanted).abs().max():.2g}")
    (Path(folder) / f"{rank}.txt").write_text("\n".join(wrong))
    dist.barrier()
    wait_for_gloo()
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    """Output, gradients of x and of the weights, running moments: all as on the whole batch."""
    mp.spawn(worker, (str(tmp_path),), nprocs=WORLD)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(WORLD)] == ["", ""]
