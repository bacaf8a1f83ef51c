"""PixelCNN: gated convolutions over pixels in raster order. out(i, j) sees the rows above i, and row i left of j.

    v_l = γ(V_l ∗ v_{l−1} + c_l),                                  V_l ∗: this row and the ⌊k/2⌋ rows above it
    h_l = R_l γ(H_l ∗ h_{l−1} + S_l ↓(V_l ∗ v_{l−1}) + d_l) + h_{l−1},   H_l ∗: this pixel and the ⌊k/2⌋ to its left
    γ(a, b) = tanh(a) ⊙ σ(b),    ↓ one row down,    c_l and d_l linear in the context

(van den Oord et al. 2016, arXiv 1606.05328.) The two stacks, v vertical and h horizontal, leave no blind spot. In the
first layer H_1 sees only pixels to the left. No weight is masked: padding shifts the input so that later pixels are out
of reach. With L layers of kernel k an output sees `reach` = 1 + L ⌊k/2⌋ pixels up and to the left, and `reach` − 1
pixels to the right in the rows above.

Sampling stores the outputs of every layer: a new pixel costs one column of work in each h-layer, and a finished row one
row of work in each v-layer, instead of the whole network for each pixel.

Legend: B batch, C channels of x, W channels of a layer, F channels of the context, H × N pixels, n = ⌊k/2⌋ + 1.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GatedPixels"]

DrawPixel = Callable[[Tensor], Tensor]  # outputs at one pixel (B, O) → a draw of the pixel (B, C)


def _gate(a: Tensor, dim: int = 1) -> Tensor:
    left, right = a.chunk(2, dim)
    return left.tanh() * right.sigmoid()


class _Layer(nn.Module):
    """One gated layer of both stacks: (v, h, context) → (v, h)."""

    def __init__(self, inputs: int, width: int, kernel: int, context: int, first: bool) -> None:
        super().__init__()
        n = kernel // 2 + 1
        self.n, self.side, self.first = n, kernel // 2, first
        self.v = nn.Conv2d(inputs, 2 * width, (n, kernel))
        self.h = nn.Conv2d(inputs, 2 * width, (1, n))
        self.down = nn.Conv2d(2 * width, 2 * width, 1)
        self.keep = nn.Conv2d(width, width, 1)
        self.context = nn.Conv2d(context, 4 * width, 1, bias=False)

    def forward(self, v: Tensor, h: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        c, d = self.context(context).chunk(2, 1)
        above = self.v(F.pad(v, (self.side, self.side, self.n - 1, 0)))
        left = self.h(F.pad(h, (self.n, -1) if self.first else (self.n - 1, 0)))
        across = left + self.down(F.pad(above, (0, 0, 1, -1))) + d
        out = self.keep(_gate(across))
        return _gate(above + c), out if self.first else out + h


class GatedPixels(nn.Module):
    """The network: x (B, C, H, N) and a context (B, F, H, N) → outputs (B, O, H, N), autoregressive in raster order."""

    layers: Any  # a ModuleList of _Layer
    hidden: nn.Conv2d
    out: nn.Conv2d

    def __init__(self, channels: int, outputs: int, context: int, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.channels, self.reach = channels, 1 + layers * (kernel // 2)
        self.layers = nn.ModuleList(
            _Layer(channels if i == 0 else width, width, kernel, context, first=i == 0) for i in range(layers)
        )
        self.hidden, self.out = nn.Conv2d(width, width, 1), nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h, context)
        return self.out(F.relu(self.hidden(F.relu(h))))

    def sample_naive(self, context: Tensor, draw: DrawPixel) -> Tensor:
        """Draw pixel by pixel with the whole network: slow, and the reference that `sample` is tested against."""
        x = context.new_zeros(len(context), self.channels, *context.shape[2:])
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                x[:, :, i, j] = draw(self(x, context)[:, :, i, j])
        return x

    @torch.no_grad()
    def sample(self, context: Tensor, draw: DrawPixel) -> Tensor:
        """The same draws as `sample_naive`, from stored outputs of the layers: (B, F, H, N) → (B, C, H, N)."""
        x = context.new_zeros(len(context), self.channels, *context.shape[2:])
        vertical, horizontal = _VerticalStack(self, x, context), _HorizontalStack(self, x)
        for i in range(x.shape[2]):
            horizontal.begin_row(vertical.row_inputs(i))
            for j in range(x.shape[3]):
                horizontal.pixel[j].copy_(draw(horizontal.outputs(j)))
            x[:, :, i] = horizontal.row
        return x


class _VerticalStack:
    """The v-stack while sampling: computes one row at a time."""

    def __init__(self, net: GatedPixels, x: Tensor, context: Tensor) -> None:
        self.net, self.x = net, x
        self.biases = [layer.context(context).chunk(2, 1) for layer in net.layers]  # (c_l, d_l)
        batch, _, height, width = x.shape
        # the input of each layer, with its padding above and at both sides
        self.inputs = [
            x.new_zeros(batch, layer.v.in_channels, height + layer.n - 1, width + 2 * layer.side)
            for layer in net.layers
        ]

    def row_inputs(self, i: int) -> list[Tensor]:
        """What comes to each h-layer in row i from the rows above and from the context, (N, B, 2W)."""
        return [
            (layer.down(above) + d[:, :, i : i + 1])[:, :, 0].permute(2, 0, 1).contiguous()
            for layer, above, (_, d) in zip(self.net.layers, self._above(i), self.biases, strict=True)
        ]

    def _above(self, i: int) -> Iterator[Tensor]:
        """V_l ∗ v_{l−1} in row i − 1 for each layer; zeros for the first row."""
        row = self.x[:, :, i - 1]
        for layer, (c, _), inputs in zip(self.net.layers, self.biases, self.inputs, strict=True):
            if i == 0:
                yield self.x.new_zeros(len(self.x), c.shape[1], 1, self.x.shape[3])
                continue
            last, side = i - 1 + layer.n - 1, layer.side
            inputs[:, :, last, side : side + row.shape[-1]] = row
            above = layer.v(inputs[:, :, i - 1 : last + 1])
            row = _gate(above + c[:, :, i - 1 : i])[:, :, 0]
            yield above


class _HorizontalStack:
    """The h-stack while sampling: computes one pixel at a time along a row.

    One pixel is so little work that the calls themselves dominate. So every view of memory is made once, every result
    is written directly to where the next layer reads it, and a bias is a weight of an input that is always 1. All rows
    use the same memory: values of an earlier row are overwritten before they are read.
    """

    def __init__(self, net: GatedPixels, x: Tensor) -> None:
        layers, batch, columns, width = list(net.layers), len(x), x.shape[3], net.hidden.in_channels
        # inputs of each layer, (B, padding + N, channels); the first layer sees one pixel less
        inputs = [x.new_zeros(batch, m.n - (not m.first) + columns, m.h.in_channels) for m in layers]
        self.windows = [_windows(memory, m.n) for m, memory in zip(layers, inputs, strict=True)]
        self.pixel = inputs[0].unbind(1)[layers[0].n :]  # a view of each pixel of the row, (B, C)
        self.row = inputs[0][:, layers[0].n :].transpose(1, 2)  # a view of the row, (B, C, N)
        # where the output of a layer is written at each pixel, (B, W): into the input of the next layer
        self.targets = [memory.unbind(1)[m.n - 1 :] for m, memory in zip(layers[1:], inputs[1:], strict=True)]
        self.targets.append((x.new_empty(batch, width),) * columns)
        self.biases = [m.h.bias for m in layers]
        # the weights of H_l as (n · channels, 2W), in the order in which the inputs lie in memory
        self.across = [m.h.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous() for m in layers]
        self.keep, self.hidden, self.out = [_matrix(m.keep) for m in layers], _matrix(net.hidden), _matrix(net.out)
        self.gate = x.new_empty(batch, 2 * width)  # the arguments of γ
        self.left, self.right = self.gate.chunk(2, 1)
        self.ones, self.zeros = x.new_ones(batch, width + 1), x.new_zeros(batch, width)
        self.hidden_values = self.ones[:, :width]  # all but the last column, which stays 1 for the bias

    def begin_row(self, row_inputs: list[Tensor]) -> None:
        """Start a new row with the inputs of each layer from above, (N, B, 2W)."""
        self.from_above = [(above + bias).unbind(0) for above, bias in zip(row_inputs, self.biases, strict=True)]

    def outputs(self, j: int) -> Tensor:
        """The outputs of the network at pixel j, (B, O)."""
        h = self.zeros
        for l, weight in enumerate(self.across):
            torch.addmm(self.from_above[l][j], self.windows[l][j], weight, out=self.gate)
            torch.mul(self.left.tanh_(), self.right.sigmoid_(), out=self.hidden_values)
            h = torch.addmm(h, self.ones, self.keep[l], out=self.targets[l][j])
        torch.clamp_min(h, 0, out=self.hidden_values)
        torch.clamp_min(self.ones @ self.hidden, 0, out=self.hidden_values)
        return self.ones @ self.out


def _windows(memory: Tensor, n: int) -> list[Tensor]:
    """(B, T, C) → a view of the n columns from each column on, (B, n·C)."""
    return [memory[:, j : j + n].flatten(1) for j in range(memory.shape[1] - n + 1)]


def _matrix(layer: nn.Conv2d) -> Tensor:
    """A 1×1 convolution as a matrix with the bias in its last row: (inputs + 1, outputs)."""
    assert layer.bias is not None  # every 1×1 convolution here has a bias
    return torch.cat([layer.weight[:, :, 0, 0].T, layer.bias[None]])
