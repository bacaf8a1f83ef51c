"""Features of a classifier that is fitted, at judging time, to the labels that the data have.

    min over a network of  E CE(y, net(x))        AdamW, one cycle of the rate, about ten passes; F = 64

A tenth of the examples is kept to tell how good it is. Images with sides above 32 are resized to 32×32. The network is
a function of examples, labels and seed.

Legend: N examples, F features, C channels, H height, W width.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.errors import BestiaryError
from bestiary.measures.features import Extractor, check_examples, to_side, weights_hash
from bestiary.networks.classifier import Classifier, RowClassifier
from bestiary.training.device import seeded

__all__ = ["LEAST", "fit_label_features"]

LARGEST, WIDTH = 32, 8  # side of an image, and the classifier's first width
LR, BATCH, LEAST_STEPS, MOST_STEPS = 1e-2, 128, 150, 600  # seconds on one core
LEAST, MOST_TEST = 20, 1000  # examples that are needed, and that it is tested on


def fit_label_features(x: Tensor, y: Tensor, seed: int = 0, device: str | torch.device = "cpu") -> Extractor:
    """Features of a classifier fitted to labelled examples x (N, …), y (N,), a tenth of which tell how good it is."""
    classes, order = _of_labels(x, y), torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    test, fit = order.tensor_split([min(MOST_TEST, len(x) // 10)])
    resize = to_side(LARGEST) if x.ndim == 4 and max(x.shape[2:]) > LARGEST else lambda x: x
    with seeded(seed), torch.enable_grad():
        wide = x.shape[1]
        net = (Classifier(wide, classes, WIDTH) if x.ndim == 4 else RowClassifier(wide, classes)).to(device)
        _learn(net, lambda rows: (resize(x[rows].to(device)), y[rows].to(device)), fit)
    net.eval()
    result = Extractor(
        "labels", weights_hash(net), net.head.in_features, tuple(x.shape[1:]),
        lambda x: net.features(resize(x.to(device))), lambda x: net(resize(x.to(device))),
    )  # fmt: skip
    right = int((result.classes(x[test]).argmax(1) == y[test].cpu()).sum())
    return replace(result, about=f"classifier right on {right} of {len(test)} examples that it had not seen")


def _of_labels(x: Tensor, y: Tensor) -> int:
    """How many classes the labels are of."""
    if x.ndim not in (2, 4) or y.shape != (len(x),) or y.is_floating_point():
        raise BestiaryError(
            "features=labels need examples (N, C, H, W) or (N, columns) and as many whole numbers as labels; got"
            f" {tuple(x.shape)} and {str(y.dtype).removeprefix('torch.')} {tuple(y.shape)}"
        )
    if len(x) < LEAST or int(y.min()) < 0 or len(y.unique()) < 2:
        raise BestiaryError(
            f"features=labels need at least {LEAST} examples of two classes or more, counted from 0; there are {len(x)}"
        )
    check_examples(x, tuple(x.shape[1:]), "labels")
    return int(y.max()) + 1


def _learn(net: nn.Module, batch: Callable[[Tensor], tuple[Tensor, Tensor]], fit: Tensor) -> None:
    """Cross-entropy down by AdamW, for about ten passes but neither few nor many steps."""
    steps, size = min(MOST_STEPS, max(LEAST_STEPS, 10 * len(fit) // BATCH)), min(BATCH, len(fit))
    optimiser = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, steps)
    for _ in range(steps):
        given, y = batch(fit[torch.randint(len(fit), (size,))])
        loss = F.cross_entropy(net(given), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        pace.step()
