"""Features in which distances between samples are taken: named, hashed, computed in blocks on any device.

    pixels   x itself (columns of a table)
    random   a convolutional network whose weights are random, orthogonal and fixed by a seed: three convolutions 4×4/2
             of widths 32, 64, 128 with ReLU, then means over a 2×2 grid, F = 512. It has learned nothing, and so
             prefers nothing
    mnist    64 features of a small classifier of MNIST's digits and Fashion-MNIST's clothes that comes with the package
             (reproductions/features made it); grey images of other sizes are resized to 28×28
    glyphs   64 features of a second one, of the 62 letters and digits of the set `glyphs`. Where the data's labels say
             which characters there are, only these are its classes: without c in the data, a small C counts as C
    FILE     a local file of weights, .safetensors, told by its keys: such a classifier, or
             Inception-v3   2048 features; resized to 299×299 bilinearly without antialiasing, as pytorch-fid does, then
                            taken to [−1, 1]
             DINO's ViT     384 features of ViT-S/16; resized to 224×224 bicubically with antialiasing, then normalised
                            by ImageNet's means and deviations

Features of a classifier fitted to the data's own labels: measures/label_features.py.

A number that depends on features carries their name and the hash of their weights, since it means nothing without them.
Computed in fp32, on CUDA too (no TF32), so that devices agree.

Legend: N examples, F features, C channels, H height, W width.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bestiary.data.glyphs import CHARACTERS
from bestiary.data.spec import Inferred, Spec
from bestiary.errors import BestiaryError, unknown_name
from bestiary.networks import inception
from bestiary.networks.classifier import Classifier
from bestiary.networks.vit import build_vit
from bestiary.training.device import seeded

__all__ = ["FEATURES", "Extractor", "check_examples", "extractor", "fitting", "to_side", "weights_hash"]

MNIST, GLYPHS = (Path(__file__).parent / "weights" / f"{name}.safetensors" for name in ("mnist", "glyphs"))
GREY = range(28, 33)  # sides of grey images that may be such drawings as the shipped classifier knows
KNOWN_TO_MNIST = ("mnist", "fashion-mnist", "binarized-mnist")  # sets that it has learned
LEAST_SIDE = 8  # of images that three convolutions halve
WIDTHS = (32, 64, 128)  # of the random network
BLOCK, DEEP_BLOCK = 256, 32  # examples at a time: 32 of Inception's first maps, 299 wide, are 400 MB
FAR = 8.0  # beyond what noise takes an image in [0, 1] to, and below nearly all levels
MOST_DARK = 0.05  # share of values below −½ that noise about [0, 1] does not have while it keeps to [−1, 1]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Extractor:
    """x in model units (N, …) → features (N, F), and what they are called."""

    name: str
    hash: str  # of the weights; empty where there are none
    dimension: int  # F
    shape: tuple[int, ...]  # of the examples; images may be of other sizes
    run: Callable[[Tensor], Tensor]
    logits: Callable[[Tensor], Tensor] | None = None  # of a classifier
    block: int = BLOCK  # examples at a time
    about: str = ""  # what is done to x first, or how good the classifier is: for protocols

    def __call__(self, x: Tensor, block: int | None = None) -> Tensor:
        return self._blocks(self.run, x, block)

    def classes(self, x: Tensor, block: int | None = None) -> Tensor:
        """(N, classes) logits."""
        if self.logits is None:
            raise BestiaryError(f"features={self.name} have no classes: a score needs a classifier's features")
        return self._blocks(self.logits, x, block)

    @property
    def says(self) -> str:
        """For protocols: the name, and the hash of the weights."""
        return f"{self.name}@{self.hash}" if self.hash else self.name

    def _blocks(self, run: Callable[[Tensor], Tensor], x: Tensor, block: int | None) -> Tensor:
        check_examples(x, self.shape, self.name)
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return torch.cat([run(part).float().cpu() for part in x.split(block or self.block)])


def check_examples(x: Tensor, shape: tuple[int, ...], name: str) -> None:
    """Refuse what features would be made of silently: other shapes, levels 0 to 255, images in [−1, 1], NaN."""
    if x.ndim != 1 + len(shape) or x.shape[1] != shape[0]:
        raise BestiaryError(f"features={name} are of examples {shape}; these are {tuple(x.shape[1:])}")
    if not bool(x.isfinite().all()):
        raise BestiaryError("examples hold values that are not finite (NaN or inf): they have no features")
    if len(shape) < 3 or not len(x):
        return
    low, high = float(x.min()), float(x.max())
    signed = -1.001 < low < -0.5 and high < 1.001 and float((x < -0.5).double().mean()) > MOST_DARK
    if signed or max(-low, high) > FAR:
        raise BestiaryError(
            f"images must be in [0, 1]; these lie in [{low:.3g}, {high:.3g}]: divide levels by 255, or take [−1, 1] to"
            " [0, 1] by (x + 1)/2"
        )


def weights_hash(net: nn.Module) -> str:
    """Eight hexadecimal digits that other weights would not have."""
    result = sha256()
    for name, value in sorted(net.state_dict().items()):
        result.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return result.hexdigest()[:8]


def _pixels(spec: Spec, seed: int, device: torch.device) -> Extractor:
    name = "columns" if spec.x.layout == "row" else "pixels"
    return Extractor(name, "", spec.dimensions, spec.shape, lambda x: x.flatten(1))


def _random(spec: Spec, seed: int, device: torch.device) -> Extractor:
    if not spec.x.is_picture:
        raise BestiaryError(f"features=random are of images, and this is a {spec.x.noun}: use features=pixels")
    if min(spec.shape[1:]) < LEAST_SIDE:
        raise BestiaryError(
            f"features=random halve images three times, and these are {spec.shape}: use features=pixels"
        )
    layers: list[nn.Module] = []
    with seeded(seed):
        for a, b in zip((spec.shape[0], *WIDTHS), WIDTHS, strict=False):
            conv = nn.Conv2d(a, b, 4, 2, 1)
            nn.init.orthogonal_(conv.weight, 2**0.5)
            nn.init.normal_(conv.bias, 0, 0.1)  # type: ignore[arg-type]
            layers += [conv, nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval().to(device)
    # not of the weights: an orthogonal matrix differs in its last digits from machine to machine
    tag = sha256(f"{net} {seed}".encode()).hexdigest()[:8]
    return Extractor("random", tag, 4 * WIDTHS[-1], spec.shape, lambda x: net(2 * x.to(device) - 1))


def _mnist(spec: Spec, seed: int, device: torch.device) -> Extractor:
    if not spec.x.is_picture or spec.shape[0] != 1:
        raise BestiaryError("features=mnist are of grey images: use features=random for others")
    return _classifier(_read(MNIST), MNIST, spec, device)


def _glyphs(spec: Spec, seed: int, device: torch.device) -> Extractor:
    if not spec.x.is_picture or spec.shape[0] != 1:
        raise BestiaryError("features=glyphs are of grey images: use features=random for others")
    result, label = _classifier(_read(GLYPHS), GLYPHS, spec, device), spec.label
    characters, logits = CHARACTERS["all"], result.logits
    if label is None or len(label.words) == len(characters) or not set(label.words) <= set(characters):
        return result
    assert logits is not None  # it is a classifier
    columns = [characters.index(word) for word in label.words]
    about = f"{result.about}; classes: the {len(columns)} characters of the data"
    return replace(result, logits=lambda x: logits(x)[:, columns], about=about)


FEATURES: dict[str, Callable[[Spec, int, torch.device], Extractor]] = {
    "pixels": _pixels,
    "random": _random,
    "mnist": _mnist,
    "glyphs": _glyphs,
}


def _classifier(weights: dict[str, Tensor], file: Path, spec: Spec, device: torch.device) -> Extractor:
    """A classifier of ours."""
    first, head = weights["convs.0.weight"], weights["head.weight"]
    net = Classifier(first.shape[1], len(head), first.shape[0], head.shape[1])
    _load(net, weights, file, device)
    if spec.shape[0] != first.shape[1]:
        raise BestiaryError(f"{file.name} is of images with {first.shape[1]} channels; these have {spec.shape[0]}")
    resize = to_side(28)
    about = [_accuracy(file), "" if spec.shape[1:] == (28, 28) else "resized to 28×28, bilinear with antialiasing"]
    return Extractor(
        file.stem, weights_hash(net), head.shape[1], spec.shape,
        lambda x: net.features(resize(x.to(device))), lambda x: net(resize(x.to(device))),
        about="; ".join(filter(None, about)),
    )  # fmt: skip


def to_side(side: int, mode: str = "bilinear", antialias: bool = True) -> Callable[[Tensor], Tensor]:
    """Resizing to squares; images of that size stay as they are."""
    resize = partial(F.interpolate, size=(side, side), mode=mode, antialias=antialias, align_corners=False)
    return lambda x: x if x.shape[2:] == (side, side) else resize(x)


def _rgb(spec: Spec, file: Path) -> Callable[[Tensor], Tensor]:
    """Grey images thrice."""
    if spec.shape[0] not in (1, 3):
        raise BestiaryError(f"{file.name} is of images with 3 channels; these have {spec.shape[0]}")
    return lambda x: x.expand(-1, 3, -1, -1)


def _inception(weights: dict[str, Tensor], file: Path, spec: Spec, device: torch.device) -> Extractor:
    weights, rgb = inception.torchvision_names(weights), _rgb(spec, file)
    classes = len(weights["fc.weight"]) if "fc.weight" in weights else 0
    net = inception.Inception(classes)
    _load(net, weights, file, device)
    resize = to_side(inception.SIDE, antialias=False)

    def ready(x: Tensor) -> Tensor:
        return 2 * resize(rgb(x.to(device))) - 1

    return Extractor(
        "inception" if net.is_fid_version else "inception-torchvision", weights_hash(net), inception.FEATURES,
        spec.shape,
        lambda x: net.features(ready(x)), (lambda x: net(ready(x))) if classes else None, DEEP_BLOCK,
        f"resized to {inception.SIDE}×{inception.SIDE}, bilinear without antialiasing, in [−1, 1]",
    )  # fmt: skip


def _dino(weights: dict[str, Tensor], file: Path, spec: Spec, device: torch.device) -> Extractor:
    rgb = _rgb(spec, file)
    net = build_vit(weights)
    _load(net, weights, file, device)
    resize = to_side(net.side, "bicubic")
    mean, scale = (torch.tensor(v, device=device).view(3, 1, 1) for v in IMAGENET)

    def ready(x: Tensor) -> Tensor:
        return (resize(rgb(x.to(device))).clamp(0, 1) - mean) / scale  # bicubic weights overshoot

    return Extractor(
        "dino", weights_hash(net), net.norm.weight.numel(), spec.shape, lambda x: net(ready(x)), None, DEEP_BLOCK,
        f"resized to {net.side}×{net.side}, bicubic with antialiasing, normalised as ImageNet",
    )  # fmt: skip


# the keys by which a file is known → how it is read
FILES: dict[tuple[str, ...], Callable[[dict[str, Tensor], Path, Spec, torch.device], Extractor]] = {
    ("convs.0.weight", "hidden.weight", "head.weight"): _classifier,
    ("Mixed_7c.branch_pool.conv.weight",): _inception,
    ("blocks.3.2.branch_pool.conv.weight",): _inception,  # pytorch-fid's wrapper
    ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.bias"): _dino,
}


def _read(file: Path) -> dict[str, Tensor]:
    """A file's weights."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise BestiaryError(f"there is no file {file}: features= takes {', '.join(FEATURES)} or a .safetensors file")
    try:
        return load_file(file)
    except SafetensorError as error:
        raise BestiaryError(f"{file} is not a safetensors file: {error}") from error


def _accuracy(file: Path) -> str:
    """How good a classifier is, in words: what its training wrote beside the weights, or nothing."""
    from safetensors import safe_open

    with safe_open(file, "pt") as weights:
        return (weights.metadata() or {}).get("accuracy", "")


def _load(net: nn.Module, weights: dict[str, Tensor], file: Path, device: torch.device) -> None:
    """Weights into a network that is ready to run."""
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise BestiaryError(f"{file} is not such a network as its keys told: {error}") from error
    net.eval().to(device)


def _from_file(file: Path, spec: Spec, device: torch.device) -> Extractor:
    weights = _read(file)
    if not spec.x.is_picture:
        raise BestiaryError(f"{file.name} is of images, and this is a {spec.x.noun}: use features=pixels")
    for keys, reader in FILES.items():
        if all(key in weights for key in keys):
            return reader(weights, file, spec, device)
    known = "; ".join(", ".join(keys) for keys in FILES)
    raise BestiaryError(
        f"{file} holds the weights of no network that is known here (its keys begin {', '.join(sorted(weights)[:3])});"
        f" known are files with the keys: {known}"
    )


def extractor(name: str, spec: Spec, seed: int = 0, device: str | torch.device = "cpu") -> Extractor:
    """Features by name or by a file of weights."""
    if name.endswith(".safetensors"):
        return _from_file(Path(name), spec, torch.device(device))
    if name not in FEATURES:
        raise unknown_name("features", name, FEATURES)
    return FEATURES[name](spec, seed, torch.device(device))


def fitting(spec: Spec, modes: str = "", data: str = "") -> Inferred:
    """The features that `auto` means for such data, and why; `modes`: how their modes are counted, `Dataset.modes`;
    `data`: the name of the set, since a classifier is right only on what it has learned."""
    if modes == "glyphs":
        return Inferred("glyphs", "letters and digits that its classifier knows")
    if not spec.x.is_picture:
        return Inferred("pixels", f"a {spec.x.noun} is its own features")
    if data in KNOWN_TO_MNIST:
        return Inferred("mnist", f"its classifier has learned {data}")
    if min(spec.shape[1:]) < LEAST_SIDE:
        return Inferred("pixels", "images too small to be halved")
    if spec.shape[0] == 1 and all(side in GREY for side in spec.shape[1:]):
        more = "; if they are handwritten digits or clothes as in MNIST, features=mnist tells more"
        return Inferred("random", f"no classifier is shipped that is known to fit these grey images{more}")
    return Inferred("random", "no network is shipped that knows such images")
