"""The classifier that is shipped as the feature extractor `mnist`: digits and clothes, twenty classes in one network.

    BESTIARY_DATA=… python reproductions/features/train.py

writes src/bestiary/measures/weights/mnist.safetensors and prints the accuracy on both test sets.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from bestiary.data.batches import model_units
from bestiary.data.load import load
from bestiary.networks.classifier import Classifier

OUT = Path(__file__).parents[2] / "src/bestiary/measures/weights/mnist.safetensors"


def part(name: str, of: str, first: int) -> tuple[torch.Tensor, torch.Tensor]:
    data = load(name)
    return model_units(torch.from_numpy(data.part(of)), data.spec), torch.from_numpy(data.part_labels(of)) + first


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--steps", type=int, default=4000)
    steps = ask.parse_args().steps
    torch.manual_seed(0)
    sets = {"mnist": 0, "fashion-mnist": 10}
    fit = [part(name, "train", first) for name, first in sets.items()]
    x, y = (torch.cat(both) for both in zip(*fit, strict=True))
    net = Classifier(1, 20)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for step in range(steps):
        rows = torch.randint(len(x), (128,))
        shift = torch.randint(-2, 3, (2,))
        given = torch.roll(x[rows], tuple(shift.tolist()), (2, 3))
        loss = F.cross_entropy(net(given), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        pace.step()
        if step % 500 == 0:
            print(step, round(float(loss.detach()), 3), flush=True)
    net.eval()
    OUT.parent.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, OUT)
    for name, first in sets.items():
        images, labels = part(name, "test", first)
        with torch.no_grad():
            right = torch.cat(
                [net(a).argmax(1) == b for a, b in zip(images.split(500), labels.split(500), strict=True)]
            )
        print(f"{name}: {float(right.double().mean()):.4f} of {len(right)} test images", flush=True)


if __name__ == "__main__":
    main()
