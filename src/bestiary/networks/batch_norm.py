"""Batch normalisation with the moments of the whole batch, also when several processes share the batch.

    y = γ (x − m) / √(v + ε) + β,    m, v the mean and variance of x over the batch and the positions

(Ioffe and Szegedy 2015, arXiv 1502.03167.) With one process this is PyTorch's own module. With W processes each of them
collects the moments m_w, v_w of all W equal parts of the batch, by one collective that autograd can differentiate, and

    m = mean_w m_w,    v = mean_w [v_w + (m_w − m)²]

so that W processes compute what one process would. PyTorch's SyncBatchNorm does the same, but on CUDA only.

Legend: B batch, C channels, … positions, W processes.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
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
        return self._forward_in_parallel(input)

    def _forward_in_parallel(self, x: Tensor) -> Tensor:
        from torch.distributed.nn.functional import all_reduce

        axes, world, rank = [0, *range(2, x.ndim)], dist.get_world_size(), dist.get_rank()
        x32 = x.float()
        moments = torch.stack(torch.var_mean(x32, axes, correction=0))  # (2, C), those of this process
        v, m = all_reduce(F.pad(moments[None], (0, 0, 0, 0, rank, world - 1 - rank))).unbind(1)  # (W, C) each
        mean = m.mean(0)  # (C,)
        var = (v + (m - mean).square()).mean(0)  # E x² − m² would lose digits where |m| ≫ √v
        self._update_running_moments(mean.detach(), var.detach(), x.numel() // x.shape[1] * world)
        shape = [1, -1] + [1] * (x.ndim - 2)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return ((x32 - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    def _update_running_moments(self, mean: Tensor, var: Tensor, count: int) -> None:
        """As PyTorch does it: with the unbiased variance."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        rate = self.momentum if self.momentum is not None else 0.1
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(var * count / max(1, count - 1), rate)
