"""Features in which distances between samples are taken: named, hashed, computed in blocks on any device.

    pixels   x itself (columns of a table)
    random   a convolutional network whose weights are random, orthogonal and fixed by a seed: F = 512. It has learned
             nothing, and so prefers nothing
    mnist    64 features of a small classifier of MNIST's digits and Fashion-MNIST's clothes that comes with the package
             (reproductions/features/train.py made it); grey images of other sizes are resized to 28×28
    FILE     a local file of weights, .safetensors: such a classifier, Inception-v3 or DINO's ViT-S/16, told by its keys

A number that depends on features carries their name and the hash of their weights, since it means nothing without them.

Legend: N examples, F features, C channels, H height, W width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown
from bestiary.networks.classifier import Classifier

__all__ = ["FEATURES", "Extractor", "extractor", "fitting"]

MNIST = Path(__file__).parent / "weights" / "mnist.safetensors"
LARGEST_GREY = 64  # grey images up to this side are taken to be drawings such as the classifier knows
WIDTHS = (32, 64, 128)
BLOCK = 256


@dataclass(frozen=True)
class Extractor:
    """x in model units (N, …) → features (N, F), and what they are called."""

    name: str
    hash: str  # of the weights; empty where there are none
    run: Callable[[Tensor], Tensor]
    logits: Callable[[Tensor], Tensor] | None = None  # of a classifier

    def __call__(self, x: Tensor, block: int = BLOCK) -> Tensor:
        return self._blocks(self.run, x, block)

    def classes(self, x: Tensor, block: int = BLOCK) -> Tensor:
        """(N, classes) logits."""
        assert self.logits is not None
        return self._blocks(self.logits, x, block)

    @property
    def says(self) -> str:
        """For protocols: the name, and the hash of the weights."""
        return f"{self.name}@{self.hash}" if self.hash else self.name

    def _blocks(self, run: Callable[[Tensor], Tensor], x: Tensor, block: int) -> Tensor:
        with torch.no_grad():
            return torch.cat([run(part).float().cpu() for part in x.split(block)])


def _hash(net: nn.Module) -> str:
    found = sha256()
    for name, value in sorted(net.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:8]


def _pixels(spec: Spec, seed: int, device: torch.device) -> Extractor:
    return Extractor("pixels" if spec.kind == "image" else "columns", "", lambda x: x.flatten(1))


def _random(spec: Spec, seed: int, device: torch.device) -> Extractor:
    if spec.kind != "image":
        raise BestiaryError(f"features=random are of images, and this is a {spec.kind}: use features=pixels")
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for a, b in zip((spec.shape[0], *WIDTHS), WIDTHS, strict=False):
            conv = nn.Conv2d(a, b, 4, 2, 1)
            nn.init.orthogonal_(conv.weight, 2**0.5)
            nn.init.normal_(conv.bias, 0, 0.1)  # type: ignore[arg-type]
            layers += [conv, nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval().to(device)
    return Extractor("random", _hash(net), lambda x: net(2 * x.to(device) - 1))


def _mnist(spec: Spec, seed: int, device: torch.device) -> Extractor:
    if spec.kind != "image" or spec.shape[0] != 1:
        raise BestiaryError("features=mnist are of grey images: use features=random for others")
    return _classifier(MNIST, "mnist", spec, device)


def _classifier(file: Path, name: str, spec: Spec, device: torch.device) -> Extractor:
    """A classifier of ours from its file."""
    weights = _read(file)
    first, head = weights["convs.0.weight"], weights["head.weight"]
    net = Classifier(first.shape[1], len(head), first.shape[0], head.shape[1])
    net.load_state_dict(weights)
    net.eval().to(device)
    if spec.shape[0] != first.shape[1]:
        raise BestiaryError(f"{file.name} is of images with {first.shape[1]} channels; these have {spec.shape[0]}")

    def sized(x: Tensor) -> Tensor:
        x = x.to(device)
        return x if x.shape[2:] == (28, 28) else F.interpolate(x, (28, 28), mode="bilinear", antialias=True)

    return Extractor(name, _hash(net), lambda x: net.features(sized(x)), lambda x: net(sized(x)))


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise BestiaryError(f"there is no file {file}: features= takes {', '.join(FEATURES)} or a .safetensors file")
    try:
        return load_file(file)
    except SafetensorError as error:
        raise BestiaryError(f"{file} is not a safetensors file: {error}") from error


FEATURES: dict[str, Callable[[Spec, int, torch.device], Extractor]] = {
    "pixels": _pixels,
    "random": _random,
    "mnist": _mnist,
}

# a key by which a file is known → how it is read
FILES: dict[str, Callable[[Path, str, Spec, torch.device], Extractor]] = {"convs.0.weight": _classifier}


def _from_file(file: Path, spec: Spec, device: torch.device) -> Extractor:
    weights = _read(file)
    for key, reader in FILES.items():
        if key in weights:
            return reader(file, file.stem, spec, device)
    raise BestiaryError(
        f"{file} holds the weights of no network that is known here (its keys begin {', '.join(list(weights)[:3])});"
        f" known are files with the keys {', '.join(FILES)}"
    )


def extractor(name: str, spec: Spec, seed: int = 0, device: str | torch.device = "cpu") -> Extractor:
    """Features by name or by a file of weights."""
    if name.endswith(".safetensors"):
        return _from_file(Path(name), spec, torch.device(device))
    if name not in FEATURES:
        raise unknown("features", name, FEATURES)
    return FEATURES[name](spec, seed, torch.device(device))


def fitting(spec: Spec) -> tuple[str, str]:
    """The features that `auto` means for such data, and why."""
    if spec.kind != "image":
        return "pixels", f"a {spec.kind} is its own features"
    if spec.shape[0] == 1 and max(spec.shape[1:]) <= LARGEST_GREY:
        return "mnist", "small grey images"
    return "random", "no network is shipped that knows such images"
