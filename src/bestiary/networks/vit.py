"""The vision transformer ViT (Dosovitskiy et al. 2021, arXiv 2010.11929) in the form of DINO's files (Caron et al.
2021, arXiv 2104.14294): ViT-S/16 has 12 blocks of width 384 with 6 heads.

    h₀ = [cls, W · patch₁, …, W · patch_T] + positions
    h ← h + proj(attention(LayerNorm(h)))             attention: softmax(q kᵀ / √64) v for each head of width 64
    h ← h + fc₂(GELU(fc₁(LayerNorm(h))))              features: LayerNorm(h)'s first row

The parameters have the names of facebookresearch/dino and timm; the sizes are read from the shapes of the weights. ε of
LayerNorm is 10⁻⁶. Images must have the size that the positions were trained for: resize others first.

Legend: B batch, P patch side, T tokens, E width, h heads.
"""

from collections.abc import Mapping
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HEAD_WIDTH", "Attention", "ViT", "build_vit"]

HEAD_WIDTH = 64  # width of a head in ViT-Ti, -S and -B alike
EPS = 1e-6


class Attention(nn.Module):
    """Self-attention: (B, T, E) → (B, T, E)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        b, t, width = h.shape
        q, k, v = self.qkv(h).view(b, t, 3, self.heads, HEAD_WIDTH).permute(2, 0, 3, 1, 4)  # each (B, h, T, 64)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, width))


class _Block(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attn = Attention(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, hidden), "fc2": nn.Linear(hidden, width)})

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attn(self.norm1(h))
        return h + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(h))))


class ViT(nn.Module):
    """Normalised images (B, 3, side, side) → features (B, E): the class token of the last block."""

    def __init__(self, side: int = 224, patch: int = 16, width: int = 384, depth: int = 12, hidden: int = 1536) -> None:
        super().__init__()
        self.side = side
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, (side // patch) ** 2 + 1, width) * 0.02)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList(_Block(width, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(width, EPS)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)  # (B, T − 1, E)
        h = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], 1) + self.pos_embed
        for block in self.blocks:
            h = block(h)
        return self.norm(h)[:, 0]


def build_vit(weights: Mapping[str, Tensor]) -> ViT:
    """A new ViT with the sizes of these weights. The weights are not loaded."""
    width, _, patch, _ = weights["patch_embed.proj.weight"].shape
    depth = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
    side = isqrt(weights["pos_embed"].shape[1] - 1) * patch
    return ViT(side, patch, width, depth, len(weights["blocks.0.mlp.fc1.bias"]))
