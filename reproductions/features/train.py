"""The classifier that is shipped as the feature extractor `mnist`: digits and clothes, twenty classes in one network.

    BESTIARY_DATA=… python reproductions/features/train.py

writes src/bestiary/measures/weights/mnist.safetensors and prints the accuracy on both test sets.

Legend: N images.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from bestiary.data.load import load
from bestiary.networks.classifier import Classifier
from bestiary.storage.atomic import atomic

OUT = Path(__file__).parents[2] / "src/bestiary/measures/weights/mnist.safetensors"
SETS = {"mnist": 0, "fashion-mnist": 10}  # and the number of each one's first class


def part(name: str, of: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) in [0, 1] and their classes (N,)."""
    data = load(name)
    images = data.spec.x.units(torch.from_numpy(data.part(of)))
    return images, torch.from_numpy(data.stored["label"][data.parts[of]]) + SETS[name]


def fitted(x: Tensor, y: Tensor, steps: int, rate: float = 3e-3) -> Classifier:
    """Cross-entropy down by AdamW, one cycle of the rate; a batch is shifted by up to a pixel each way."""
    net = Classifier(1, 20)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    for step in range(steps):
        rows = torch.randint(len(x), (128,))
        down, right = torch.randint(-1, 2, (2,)).tolist()
        loss = F.cross_entropy(net(torch.roll(x[rows], (down, right), (2, 3))), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        pace.step()
        if step % 1000 == 0:
            print(step, round(float(loss.detach()), 3), flush=True)
    return net.eval()


def accuracy(net: Classifier, x: Tensor, y: Tensor) -> float:
    """The share that the network tells right."""
    with torch.no_grad():
        hits = [net(a).argmax(1) == b for a, b in zip(x.split(500), y.split(500), strict=True)]
    return float(torch.cat(hits).double().mean())


def main() -> None:
    """Train, write, test."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--steps", type=int, default=12_000)
    ask.add_argument("--out", type=Path, default=OUT)
    given = ask.parse_args()
    torch.manual_seed(0)
    x, y = (torch.cat(both) for both in zip(*(part(name, "train") for name in SETS), strict=True))
    net = fitted(x, y, given.steps)
    with atomic(given.out) as file:  # the package ships it: whole or as it was
        file.write(save({name: value.contiguous() for name, value in net.state_dict().items()}))
    for name in SETS:
        images, classes = part(name, "test")
        print(f"{name}: {accuracy(net, images, classes):.4f} of {len(images)} test images", flush=True)


if __name__ == "__main__":
    main()
