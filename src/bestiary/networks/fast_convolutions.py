"""Convolutions by the fastest of three methods on a CPU, and PyTorch's own on every other device.

    y = Σ_{c,i,j} w[o, c, i, j] x[c, s·h + i − p, s·w + j − p]     =  gather(x) · W        gather: patches as rows
    its transpose                                                  =  scatter(x · W)       scatter: patches summed back

gather and scatter are linear and each is the other's transpose, so each is the other's derivative, to any order. The
values are those of `nn.Conv2d` and `nn.ConvTranspose2d`, whose parameters are used, within rounding.

1. The matrix product above: fastest on small grids with many channels, where the library's strided kernels stay far
   below the processor's peak (see the convolutional rows of `make bench`).
2. PyTorch's own kernels: fastest on large grids, whose patches do not fit the cache.
3. Winograd's form, with fewer multiplications (networks/winograd.py): for kernel 4, stride 2, padding 1, and enough
   channels and windows to pay for its transforms.

The constants below were measured; they say which method is used when.

Legend: B batch, C channels, H W large side, h w small side, k kernel, s stride, p padding.
"""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.networks import winograd

__all__ = ["Conv", "ConvTranspose", "gather", "scatter"]

# The matrix product is used if the small grid has at most PRODUCT_POSITIONS positions, …
PRODUCT_POSITIONS = 16
# … or if one side has at most THIN_CHANNELS channels and the small grid at most THIN_POSITIONS positions.
THIN_CHANNELS, THIN_POSITIONS = 4, 196
# Winograd's form is used if a batch has at least WINDOWS windows on a grid of at least WINDOW_POSITIONS positions, and
# both sides have at least WIDE_CHANNELS channels; or at least NARROW_CHANNELS, with a product of channels of at least
# NARROW_PRODUCT and a grid of at most NARROW_POSITIONS positions.
WINDOWS, WINDOW_POSITIONS, WIDE_CHANNELS = 100, 9, 96
NARROW_CHANNELS, NARROW_PRODUCT, NARROW_POSITIONS = 64, 64 * 128, 49


class _Gather(torch.autograd.Function):
    """Patches as rows: (B, H, W, C) → (B·h·w, k·k·C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, k: int, s: int, p: int) -> Tensor:
        ctx.k, ctx.s, ctx.p, ctx.shape = k, s, p, x.shape
        x = F.pad(x, (0, 0, p, p, p, p)).contiguous()
        b, height, width, c = x.shape
        h, w = (height - k) // s + 1, (width - k) // s + 1
        image, row, column, _ = x.stride()
        # one row of a patch, k pixels with all their channels, is contiguous in memory
        return x.as_strided((b, h, w, k, k * c), (image, s * row, s * column, row, 1)).reshape(b * h * w, k * k * c)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return _Scatter.apply(g, ctx.shape, ctx.k, ctx.s, ctx.p), None, None, None


class _Scatter(torch.autograd.Function):
    """Patches summed where they overlap: (B·h·w, k·k·C) → (B, H, W, C)."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, shape: torch.Size, k: int, s: int, p: int) -> Tensor:
        ctx.k, ctx.s, ctx.p = k, s, p
        b, height, width, c = shape
        h, w = (height + 2 * p - k) // s + 1, (width + 2 * p - k) // s + 1
        if k % s:
            out = patches.new_zeros(b, height + 2 * p, width + 2 * p, c)
            g = patches.view(b, h, w, k, k, c)
            for i, j in product(range(k), repeat=2):
                out[:, i : i + s * (h - 1) + 1 : s, j : j + s * (w - 1) + 1 : s] += g[:, :, :, i, j]
        else:  # a patch is m × m cells of s × s pixels: (k/s)² sums over cells instead of k² sums over pixels
            m, rows, columns = k // s, -(-(height + 2 * p) // s), -(-(width + 2 * p) // s)
            cells = patches.new_zeros(b, rows, s, columns, s, c)
            g = patches.view(b, h, w, m, s, m, s, c).permute(0, 3, 5, 1, 4, 2, 6, 7)  # (b, m, m, h, s, w, s, c)
            for i, j in product(range(m), repeat=2):
                cells[:, i : i + h, :, j : j + w] += g[:, i, j]
            out = cells.view(b, rows * s, columns * s, c)
        return out[:, p : p + height, p : p + width].contiguous()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return _Gather.apply(g, ctx.k, ctx.s, ctx.p), None, None, None, None


def gather(x: Tensor, k: int, s: int, p: int) -> Tensor:
    """Patches of x (B, H, W, C) as rows: (B·h·w, k·k·C)."""
    return _Gather.apply(x, k, s, p)


def scatter(patches: Tensor, shape: tuple[int, ...], k: int, s: int, p: int) -> Tensor:
    """Patches (B·h·w, k·k·C) added at their positions in an image of shape (B, H, W, C)."""
    return _Scatter.apply(patches, torch.Size(shape), k, s, p)


def _use_product(x: Tensor, positions: int, channels: int) -> bool:
    thin = channels <= THIN_CHANNELS and positions <= THIN_POSITIONS
    return x.device.type == "cpu" and (positions <= PRODUCT_POSITIONS or thin)


def _use_winograd(x: Tensor, geometry: tuple[int, ...], h: int, w: int, a: int, b: int) -> bool:
    if x.device.type != "cpu" or x.dtype.itemsize < 4 or torch.is_autocast_enabled("cpu") or geometry != (4, 2, 1):
        return False  # its rounding error is too large in 16 bits
    narrow = min(a, b) >= NARROW_CHANNELS and a * b >= NARROW_PRODUCT and h * w <= NARROW_POSITIONS
    enough = len(x) * winograd.windows(h) * winograd.windows(w) >= WINDOWS and h * w >= WINDOW_POSITIONS
    return enough and (min(a, b) >= WIDE_CHANNELS or narrow)


class Conv(nn.Conv2d):
    """`nn.Conv2d` with a square kernel and zero padding."""

    def forward(self, input: Tensor) -> Tensor:
        k, s, p = self.kernel_size[0], self.stride[0], int(self.padding[0])
        h, w = ((n + 2 * p - k) // s + 1 for n in input.shape[2:])
        if _use_winograd(input, (k, s, p), h, w, self.in_channels, self.out_channels):
            out = winograd.convolve(input, self.weight)
            return out if self.bias is None else out + self.bias[:, None, None]
        if not _use_product(input, h * w, min(self.in_channels, self.out_channels)):
            return super().forward(input)
        rows = gather(input.permute(0, 2, 3, 1), k, s, p)  # (B·h·w, k·k·C)
        weight = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1)  # a view, if channels-last
        return F.linear(rows, weight, self.bias).view(-1, h, w, self.out_channels).permute(0, 3, 1, 2)


class ConvTranspose(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` with a square kernel."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        k, s, p = self.kernel_size[0], self.stride[0], int(self.padding[0])
        h, w = input.shape[2:]
        height, width = ((n - 1) * s - 2 * p + k + o for n, o in zip((h, w), self.output_padding, strict=True))
        if output_size is None and _use_winograd(input, (k, s, p), h, w, self.in_channels, self.out_channels):
            out = winograd.transpose(input, self.weight, (height, width))
            return out if self.bias is None else out + self.bias[:, None, None]
        if output_size is not None or not _use_product(input, h * w, min(self.in_channels, self.out_channels)):
            return super().forward(input, output_size)
        weight = self.weight.permute(0, 2, 3, 1).reshape(self.in_channels, -1)
        rows = input.permute(0, 2, 3, 1).reshape(-1, self.in_channels) @ weight  # (B·h·w, k·k·C)
        rows = rows if rows.dtype.itemsize >= 4 else rows.float()  # sum the patches in fp32
        out = scatter(rows, (len(input), height, width, self.out_channels), k, s, p)
        out = out if self.bias is None else out + self.bias
        return out.permute(0, 3, 1, 2)
