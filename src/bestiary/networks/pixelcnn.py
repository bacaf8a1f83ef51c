"""Gated convolutions over pixels in raster order: out(i, j) sees x above row i, x left of j in row i, and a context.

    v_l = γ(V_l ∗ v_{l−1} + c_l),                                  V_l ∗: this row and the ⌊k/2⌋ rows above it
    h_l = R_l γ(H_l ∗ h_{l−1} + S_l ↓(V_l ∗ v_{l−1}) + d_l) + h_{l−1},   H_l ∗: this pixel and the ⌊k/2⌋ to its left
    γ(a, b) = tanh(a) ⊙ σ(b),    ↓ one row down,    c_l and d_l linear in the context

(van den Oord et al. 2016, arXiv 1606.05328.) The two stacks leave no blind spot. In the first layer H_1 sees pixels to
the left only. No weight is masked: what must not be seen is shifted out of reach. With L layers of kernel k an output
sees `reach` = 1 + L ⌊k/2⌋ pixels upwards and to the left, and as many less one to the right of those above.

Sampling keeps what every layer has computed: a new pixel costs one column of work in each h-layer, and a finished row
one row of work in each v-layer, instead of the whole network for each pixel.

Legend: B batch, C channels of x, W channels of a layer, F channels of the context, H × N pixels, n = ⌊k/2⌋ + 1.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GatedPixels"]

Chooser = Callable[[Tensor], Tensor]  # outputs at one pixel (B, O) → the pixel (B, C)


def _gate(a: Tensor, dim: int = 1) -> Tensor:
    left, right = a.chunk(2, dim)
    return left.tanh() * right.sigmoid()


class _Layer(nn.Module):
    """One gated layer of both stacks."""

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
    """x (B, C, H, N) and context (B, F, H, N) → (B, O, H, N), autoregressive in raster order."""

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

    def sample_naive(self, context: Tensor, choose: Chooser) -> Tensor:
        """The whole network for each pixel: the twin that `sample` is held to."""
        x = context.new_zeros(len(context), self.channels, *context.shape[2:])
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                x[:, :, i, j] = choose(self(x, context)[:, :, i, j])
        return x

    @torch.no_grad()
    def sample(self, context: Tensor, choose: Chooser) -> Tensor:
        """The same draws from what the layers remember."""
        x = context.new_zeros(len(context), self.channels, *context.shape[2:])
        rows, row = _Rows(self, x, context), _Row(self, x)
        for i in range(x.shape[2]):
            row.begin(rows.below(i))
            for j in range(x.shape[3]):
                row.seats[j].copy_(choose(row.outputs(j)))
            x[:, :, i] = row.pixels
        return x


class _Rows:
    """The v-stack, a row at a time."""

    def __init__(self, net: GatedPixels, x: Tensor, context: Tensor) -> None:
        self.net, self.x = net, x
        self.given = [layer.context(context).chunk(2, 1) for layer in net.layers]
        batch, _, high, wide = x.shape
        # what each layer takes in, with its padding above and at both sides
        self.inputs = [
            x.new_zeros(batch, layer.v.in_channels, high + layer.n - 1, wide + 2 * layer.side) for layer in net.layers
        ]

    def below(self, i: int) -> list[Tensor]:
        """What each h-layer adds in row i before it looks to the left: from above and from the context, (N, B, 2W)."""
        return [
            (layer.down(above) + d[:, :, i : i + 1])[:, :, 0].permute(2, 0, 1).contiguous()
            for layer, above, (_, d) in zip(self.net.layers, self._above(i), self.given, strict=True)
        ]

    def _above(self, i: int) -> Iterator[Tensor]:
        """V_l ∗ v_{l−1} in row i − 1 for each layer; above the first row there is nothing."""
        row = self.x[:, :, i - 1]
        for layer, (c, _), inputs in zip(self.net.layers, self.given, self.inputs, strict=True):
            if i == 0:
                yield self.x.new_zeros(len(self.x), c.shape[1], 1, self.x.shape[3])
                continue
            last, side = i - 1 + layer.n - 1, layer.side
            inputs[:, :, last, side : side + row.shape[-1]] = row
            above = layer.v(inputs[:, :, i - 1 : last + 1])
            row = _gate(above + c[:, :, i - 1 : i])[:, :, 0]
            yield above


class _Row:
    """The h-stack along a row, a pixel at a time; what an earlier row left in memory is written over before it is read.

    A pixel is so little work that calls are what it costs: every view of memory is made once, results are written where
    they are read next, and a bias is the weight of an input that is always 1.
    """

    def __init__(self, net: GatedPixels, x: Tensor) -> None:
        layers, batch, wide, width = list(net.layers), len(x), x.shape[3], net.hidden.in_channels
        # (B, padding + N, channels): what each layer takes in; the first sees one pixel less
        memory = [x.new_zeros(batch, m.n - (not m.first) + wide, m.h.in_channels) for m in layers]
        self.windows = [_windows(inputs, m.n) for m, inputs in zip(layers, memory, strict=True)]
        self.seats = memory[0].unbind(1)[layers[0].n :]  # where each pixel goes, (B, C)
        self.pixels = memory[0][:, layers[0].n :].transpose(1, 2)  # (B, C, N)
        # where a layer's result goes, (B, W): into what the next one takes in
        self.into = [inputs.unbind(1)[m.n - 1 :] for m, inputs in zip(layers[1:], memory[1:], strict=True)]
        self.into.append((x.new_empty(batch, width),) * wide)
        self.biases = [m.h.bias for m in layers]
        # (n, channels) flattened as the inputs lie in memory, 2W
        self.across = [m.h.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous() for m in layers]
        self.keep, self.hidden, self.out = [_matrix(m.keep) for m in layers], _matrix(net.hidden), _matrix(net.out)
        self.both = x.new_empty(batch, 2 * width)  # what γ takes
        self.left, self.right = self.both.chunk(2, 1)
        self.one, self.nothing = x.new_ones(batch, width + 1), x.new_zeros(batch, width)
        self.gated = self.one[:, :width]

    def begin(self, below: list[Tensor]) -> None:
        """A new row, to which each layer is given (N, B, 2W)."""
        self.below = [(given + bias).unbind(0) for given, bias in zip(below, self.biases, strict=True)]

    def outputs(self, j: int) -> Tensor:
        """The network's outputs at pixel j, (B, O)."""
        h = self.nothing
        for l, weight in enumerate(self.across):
            torch.addmm(self.below[l][j], self.windows[l][j], weight, out=self.both)
            torch.mul(self.left.tanh_(), self.right.sigmoid_(), out=self.gated)
            h = torch.addmm(h, self.one, self.keep[l], out=self.into[l][j])
        torch.clamp_min(h, 0, out=self.gated)
        torch.clamp_min(self.one @ self.hidden, 0, out=self.gated)
        return self.one @ self.out


def _windows(memory: Tensor, n: int) -> list[Tensor]:
    """(B, T, C) → views of the n columns from each on, (B, n·C)."""
    return [memory[:, j : j + n].flatten(1) for j in range(memory.shape[1] - n + 1)]


def _matrix(layer: nn.Conv2d) -> Tensor:
    """A convolution of single pixels as a matrix, its bias the last row: (inputs + 1, outputs)."""
    assert layer.bias is not None  # all layers here have one
    return torch.cat([layer.weight[:, :, 0, 0].T, layer.bias[None]])
