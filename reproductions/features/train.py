"""The classifiers that are shipped as the feature extractors `mnist` and `glyphs`.

    BESTIARY_DATA=… python reproductions/features/train.py mnist     digits and clothes, twenty classes in one network
    python reproductions/features/train.py glyphs                    62 letters and digits, shifted and turned or not
    python reproductions/features/train.py glyphs --test             measure the weights that are there once more

writes src/bestiary/measures/weights/NAME.safetensors, with the accuracy on each test set among its metadata, which
protocols repeat.

Legend: N images.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor

from bestiary.data.load import load
from bestiary.measures.features import to_side
from bestiary.networks.classifier import Classifier
from bestiary.storage.atomic import atomic

WEIGHTS = Path(__file__).parents[2] / "src/bestiary/measures/weights"


class Source(NamedTuple):
    """A data set that a classifier learns."""

    title: str
    name: str
    first: int  # the number of its first class
    options: dict[str, object]


# Glyphs that are neither shifted nor turned are larger: of one range of sizes alone, those of the other are misread.
UPRIGHT = "family,weight,slant,size"
SETS = {
    "mnist": (Source("MNIST", "mnist", 0, {}), Source("Fashion-MNIST", "fashion-mnist", 10, {})),
    "glyphs": (
        Source("glyphs", "glyphs", 0, {"n": 100_000, "characters": "all", "seed": 1}),
        Source("upright glyphs", "glyphs", 0, {"n": 100_000, "characters": "all", "seed": 2, "vary": UPRIGHT}),
    ),
}
CLASSES = {"mnist": 20, "glyphs": 62}


def part(source: Source, of: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) in [0, 1] and their classes (N,)."""
    data = load(source.name, **source.options)
    images = to_side(28)(data.spec.x.to_model(torch.from_numpy(data.part(of))))
    return images, torch.from_numpy(data.stored["label"][data.parts[of]]) + source.first


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


def test_accuracy(net: Classifier, sources: tuple[Source, ...]) -> str:
    """The accuracy on each test set, in words."""
    found = []
    for source in sources:
        images, classes = part(source, "test")
        found.append(f"{accuracy(net, images, classes):.2%} of {len(images)} test images of {source.title}")
    return "classifier right on " + " and ".join(found)


def main() -> None:
    """Train or read the weights, test, write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("name", choices=SETS)
    ask.add_argument("--steps", type=int, default=12_000)
    ask.add_argument("--test", action="store_true")
    ask.add_argument("--out", type=Path)
    options = ask.parse_args()
    torch.manual_seed(0)
    sources, file = SETS[options.name], options.out or WEIGHTS / f"{options.name}.safetensors"
    if options.test:
        net = Classifier(1, CLASSES[options.name]).eval()
        net.load_state_dict(load_file(file))
    else:
        x, y = (torch.cat(both) for both in zip(*(part(source, "train") for source in sources), strict=True))
        net = fit_classifier(x, y, CLASSES[options.name], options.steps)
    accuracy_text = test_accuracy(net, sources)
    print(accuracy_text, flush=True)
    with atomic(file) as written:  # shipped: whole or as it was
        weights = {name: value.contiguous() for name, value in net.state_dict().items()}
        written.write(save(weights, {"accuracy": accuracy_text}))


if __name__ == "__main__":
    main()
