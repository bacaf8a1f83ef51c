"""The classifiers that are shipped as the feature extractors `mnist` and `glyphs`.

    BESTIARY_DATA=… python reproductions/features/train.py mnist     digits and clothes, twenty classes in one network
    python reproductions/features/train.py glyphs                    62 letters and digits, every factor varied

writes src/bestiary/measures/weights/NAME.safetensors and prints the accuracy on each test set.

Legend: N images.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from bestiary.data.load import load
from bestiary.measures.features import to_side
from bestiary.networks.classifier import Classifier
from bestiary.storage.atomic import atomic

WEIGHTS = Path(__file__).parents[2] / "src/bestiary/measures/weights"
# classifier → its data sets with the number of each one's first class, and their options
SETS: dict[str, dict[str, int]] = {"mnist": {"mnist": 0, "fashion-mnist": 10}, "glyphs": {"glyphs": 0}}
OPTIONS: dict[str, dict[str, object]] = {"glyphs": {"n": 120_000, "characters": "all", "seed": 1}}
CLASSES = {"mnist": 20, "glyphs": 62}


def part(name: str, of: str, first: int) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) in [0, 1] and their classes (N,), numbered from `first`."""
    data = load(name, **OPTIONS.get(name, {}))
    images = to_side(28)(data.spec.x.to_model(torch.from_numpy(data.part(of))))
    return images, torch.from_numpy(data.stored["label"][data.parts[of]]) + first


def fit_classifier(x: Tensor, y: Tensor, classes: int, steps: int, rate: float = 3e-3) -> Classifier:
    """Cross-entropy down by AdamW, one cycle of the rate; a batch is shifted by up to a pixel each way."""
    net = Classifier(1, classes)
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
    ask.add_argument("name", choices=SETS)
    ask.add_argument("--steps", type=int, default=12_000)
    ask.add_argument("--out", type=Path)
    options = ask.parse_args()
    torch.manual_seed(0)
    sets = SETS[options.name].items()
    x, y = (torch.cat(both) for both in zip(*(part(name, "train", first) for name, first in sets), strict=True))
    net = fit_classifier(x, y, CLASSES[options.name], options.steps)
    with atomic(options.out or WEIGHTS / f"{options.name}.safetensors") as file:  # shipped: whole or as it was
        file.write(save({name: value.contiguous() for name, value in net.state_dict().items()}))
    for name, first in sets:
        images, classes = part(name, "test", first)
        print(f"{name}: {accuracy(net, images, classes):.4f} of {len(images)} test images", flush=True)


if __name__ == "__main__":
    main()
