"""Batch normalisation whose moments are those of the whole batch, also when processes share it.

    y = γ (x − m) / √(v + ε) + β,    m, v the mean and variance of x over the batch and the positions

(Ioffe and Szegedy 2015, arXiv 1502.03167.) With one process this is PyTorch's own module. With several, the moments
are averaged over the processes by a collective that autograd can differentiate, so that W processes compute what one
would; PyTorch's SyncBatchNorm does so on CUDA alone.

Legend: B batch, C channels, … positions.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["BatchNorm"]


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm for (B, C) and (B, C, …), exact under data parallelism."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2 or input.shape[1] != self.num_features:
            raise ValueError(f"BatchNorm over {self.num_features} channels got a tensor of shape {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        self._check_input_dim(input)
        return self._shared(input)

    def _shared(self, x: Tensor) -> Tensor:
        from torch.distributed.nn.functional import all_reduce

        axes, world = [0, *range(2, x.ndim)], dist.get_world_size()
        x32 = x.float()
        moments = torch.stack([x32.mean(axes), x32.square().mean(axes)])  # (2, C), equal rows on every process
        mean, square = all_reduce(moments) / world
        var = square - mean.square()  # (C,)
        self._remember(mean.detach(), var.detach(), x.numel() // x.shape[1] * world)
        shape = [1, -1] + [1] * (x.ndim - 2)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return (x32 * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(x.dtype)

    def _remember(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Running moments as PyTorch keeps them: with the unbiased variance."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        rate = self.momentum if self.momentum is not None else 0.1
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(var * count / max(1, count - 1), rate)
