"""Small classifiers of images and of rows; their last hidden layer gives features.

    images   conv 3×3, w → SiLU → conv 3×3 / 2, 2w → SiLU → conv 3×3 / 2, 4w → SiLU → means over a 3×3 grid
             → linear, F → SiLU → linear, classes
    rows     linear, 2F → SiLU → linear, F → SiLU → linear, classes

Legend: B batch, C channels, H height, W width, D columns, F features.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.networks.mlp import mlp

__all__ = ["Classifier", "RowClassifier"]


class Classifier(nn.Module):
    """(B, C, H, W) in [0, 1] → (B, classes) logits, and (B, F) features."""

    def __init__(self, channels: int, classes: int, width: int = 16, features: int = 64) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 3, 2, 1), nn.SiLU(),
        )  # fmt: skip
        self.hidden = nn.Linear(4 * width * 9, features)
        self.head = nn.Linear(features, classes)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer, (B, F)."""
        return F.silu(self.hidden(F.adaptive_avg_pool2d(self.convs(2 * x - 1), 3).flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class RowClassifier(nn.Module):
    """(B, D) → (B, classes) logits, and (B, F) features."""

    def __init__(self, columns: int, classes: int, features: int = 64) -> None:
        super().__init__()
        self.features = mlp([columns, 2 * features, features], "silu", last=True)
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
