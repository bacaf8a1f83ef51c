"""Winograd convolutions: kernel 4, stride 2, padding 1, with a third to a half of the multiplications; and transposes.

Such a convolution is a convolution with kernel 2 and stride 1 over the four phases (p, q) of the padded image:

    y[o, h, w] = Σ_{c,p,q} Σ_{s,t ∈ {0,1}} w[o, c, 2s + p, 2t + q] x[c, 2(h + s) + p − 1, 2(w + t) + q − 1]

and along one axis m outputs of kernel 2 need n = m + 1 products instead of 2m (Winograd 1980; Lavin and Gray 2016,
arXiv 1509.09308). Take distinct numbers a_0 … a_{m−1} and the n×n matrix V with V[j, k] = a_k^j and the last column
(0 … 0, 1). Write a window as d = V t. Then for j < m

    g_0 d_j + g_1 d_{j+1} = Σ_k a_k^j (g_0 + a_k g_1) t_k + [j = m − 1] g_1 t_m        y = S [(G g) ⊙ (V⁻¹ d)]

so, with one matrix A per axis that combines padding, phases, windows and V⁻¹, for each window

    y = S [Σ (A x Aᵀ) · (G w Gᵀ)] Sᵀ          Σ over c, p, q: n² matrix products

and the transpose is Aᵀ [(Sᵀ y S) · (G w Gᵀ)] A. All of it is matrix products, so autograd computes first and higher
gradients with as few multiplications. We differ from the paper in the kernel, and in dividing the rows of G and the
columns of S by their norms and multiplying A's rows by them, since fp32 loses fewer digits if all numbers have a
similar size. The error is 2e-6 of the result's norm for m = 4 and 8e-6 for m = 7; that of the plain sum is 3e-7.

Legend: B batch, C channels in, O channels out, H W large side, h w small side, t windows on an axis.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["convolve", "transpose", "windows"]

# The a_k: small numbers whose powers stay near 1. The order is that of the measured errors, smallest first.
NODES = (0, 1, -1, 1 / 2, -2, -1 / 2, 2)


def _window_length(side: int) -> int:
    """m, the outputs in one window: the largest that divides `side`, or 0 if none does."""
    return max((m for m in range(2, len(NODES) + 1) if side % m == 0), default=0)


def windows(side: int) -> int:
    """The number of windows on an axis with `side` outputs; 0 if no window length divides it.

    >>> [windows(side) for side in (4, 7, 8, 10, 11)]
    [1, 1, 2, 2, 0]
    """
    m = _window_length(side)
    return side // m if m else 0


@dataclass(frozen=True)
class _Axis:
    """The matrices A, G, S of one axis, and the sizes m, n, t."""

    a: np.ndarray  # (n·t·2, large)
    g: np.ndarray  # (n, 2)
    s: np.ndarray  # (m, n)
    m: int
    n: int
    t: int


@lru_cache
def _axis(large: int) -> _Axis:
    small, m = large // 2, _window_length(large // 2)
    n, t = m + 1, small // m
    nodes = np.array(NODES[:m])
    last = np.eye(n)[:, -1:]
    v = np.hstack([np.vander(nodes, n, increasing=True).T, last])
    g = np.vstack([np.stack([np.ones(m), nodes], 1), [0.0, 1.0]])
    s = v[:m].copy()
    s[-1, -1] = 1.0
    norm_g, norm_s = np.linalg.norm(g, axis=1), np.linalg.norm(s, axis=0)
    inverse = np.linalg.inv(v) * (norm_g * norm_s)[:, None]
    a = np.zeros((n, t, 2, 2 * small + 2))  # the last axis is a padded row of the image
    for k in range(t):
        for p in range(2):
            a[:, k, p, 2 * m * k + p :][:, : 2 * n : 2] = inverse
    a = a[..., 1 : 1 + large]  # drop the padding, which is 0; an odd side has one pixel more
    return _Axis(a.reshape(n * t * 2, large), g / norm_g[:, None], s / norm_s, m, n, t)


def _multiply_both_sides(left: np.ndarray, x: Tensor, right: np.ndarray) -> Tensor:
    """left · x · rightᵀ for each image and channel: (B, H, W, C) → (B, rows of left, rows of right, C)."""
    b, h, w, c = x.shape
    rows = torch.matmul(torch.from_numpy(left).to(x), x.reshape(b, h, w * c))
    return torch.matmul(torch.from_numpy(right).to(x), rows.view(-1, w, c)).view(b, len(left), len(right), c)


def _taps(w: Tensor, v: _Axis, u: _Axis, order: tuple[int, ...]) -> Tensor:
    """G w Gᵀ for kernels (4, 4, ·, ·), with their dimensions (s, p, t, q, ·, ·) permuted to `order`."""
    taps = w.reshape(2, 2, 2, 2, *w.shape[2:]).permute(order).reshape(4, -1)
    return torch.from_numpy(np.kron(v.g, u.g)).to(w) @ taps


def convolve(x: Tensor, w: Tensor) -> Tensor:
    """`conv2d(x, w, stride=2, padding=1)`: (B, C, H, W) and (O, C, 4, 4) → (B, O, h, w)."""
    v, u = _axis(x.shape[2]), _axis(x.shape[3])
    n, b, c, o = v.n * u.n, x.shape[0], x.shape[1], w.shape[0]
    d = _multiply_both_sides(v.a, x.permute(0, 2, 3, 1), u.a).view(b, v.n, v.t, 2, u.n, u.t, 2 * c)
    d = d.permute(1, 4, 0, 2, 5, 3, 6).reshape(n, -1, 4 * c)  # (n·n, B·t·t, 4·C)
    y = torch.bmm(d, _taps(w.permute(2, 3, 1, 0), v, u, (0, 2, 1, 3, 4, 5)).view(n, 4 * c, o))
    y = torch.from_numpy(np.kron(v.s, u.s)).to(y) @ y.view(n, -1)  # (m·m, B·t·t·O)
    y = y.view(v.m, u.m, b, v.t, u.t, o).permute(2, 3, 0, 4, 1, 5).contiguous()
    return y.view(b, v.t * v.m, u.t * u.m, o).permute(0, 3, 1, 2)


def transpose(y: Tensor, w: Tensor, size: tuple[int, int]) -> Tensor:
    """`conv_transpose2d(y, w, stride=2, padding=1)`: (B, O, h, w) and (O, C, 4, 4) → (B, C, H, W); `size` is (H, W)."""
    v, u = _axis(size[0]), _axis(size[1])
    n, b, o, c = v.n * u.n, y.shape[0], y.shape[1], w.shape[1]
    y = y.permute(0, 2, 3, 1).reshape(b, v.t, v.m, u.t, u.m, o).permute(2, 4, 0, 1, 3, 5)
    d = torch.from_numpy(np.kron(v.s, u.s).T).to(y) @ y.reshape(v.m * u.m, -1)  # (n·n, B·t·t·O)
    x = torch.bmm(d.view(n, -1, o), _taps(w.permute(2, 3, 0, 1), v, u, (0, 2, 4, 1, 3, 5)).view(n, o, 4 * c))
    x = x.view(v.n, u.n, b, v.t, u.t, 2, 2 * c).permute(2, 0, 3, 5, 1, 4, 6)
    x = x.reshape(b, v.n * v.t * 2, u.n * u.t * 2, c)
    return _multiply_both_sides(v.a.T, x, u.a.T).permute(0, 3, 1, 2)
