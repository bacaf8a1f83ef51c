"""torchmetrics and prdc: the same distances of the same features.

    fid           torchmetrics' Fréchet distance of features that are given
    kid           torchmetrics' kernel distance, 100 subsets of 1000
    prdc          prdc's four numbers

torchmetrics asks for a network that makes features; ours hands on what it is given.
"""

import warnings

import torch
from prdc import compute_prdc
from protocol import serve
from sets import case
from settings import NEIGHBOURS, SUBSET, SUBSETS
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.metric import Metric


class Given(torch.nn.Module):
    """Features as they are."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        return x


def _computed(metric: Metric, real: Tensor, fake: Tensor) -> object:
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute()


def fid(real: Tensor, fake: Tensor) -> object:
    return _computed(FrechetInceptionDistance(feature=Given(real.shape[1])), real, fake)


def kid(real: Tensor, fake: Tensor) -> object:
    given, size = Given(real.shape[1]), min(SUBSET, len(real) // 5)
    return _computed(KernelInceptionDistance(feature=given, subsets=SUBSETS, subset_size=size), real, fake)


def prdc(real: Tensor, fake: Tensor) -> object:
    return compute_prdc(real.numpy(), fake.numpy(), NEIGHBOURS)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
    cases = {"fid": case(fid), "kid": case(kid), "prdc": case(prdc)}
    serve(cases, ("torchmetrics", "prdc", "scikit-learn"))
