"""The standard sets by name, each with the split that publications use, or a note that there is none.

    digits            8×8, 17 levels, 1,797; in scikit-learn: no file needed
    glyphs            32×32, 256 levels, any number, drawn here: data/glyphs.py
    mnist             28×28, 256 levels; test the official 10,000, validation the last 10,000 of training
    fashion-mnist     the same form and split
    stacked-mnist     28×28×3: three digits of MNIST as the channels, 1000 modes (arXiv 1611.02163)
    binarized-mnist   Larochelle's fixed binarisation of MNIST: 50,000 + 10,000 + 10,000
    omniglot          28×28, 17 levels (ink in 4×4 cells of the padded 105×105 drawing), or size=105 binary
    frey              28×20, 256 levels, 1,965 frames of one face
    cifar10           32×32×3
    dsprites          64×64, binary; five labels: shape, scale, orientation, position_x, position_y

Images are stored (N, H, W, C) uint8; labels int64 (N,).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bestiary.data import formats
from bestiary.data.dataset import Dataset
from bestiary.data.files import fingerprint, in_memory
from bestiary.data.glyphs import load_glyphs
from bestiary.data.locations import find_files, local_files
from bestiary.data.pixels import levels_of
from bestiary.data.spec import Field, Spec, label
from bestiary.data.splits import consecutive_parts, split_parts
from bestiary.errors import BestiaryError

__all__ = ["SETS", "StandardSet"]

_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
_CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SHAPES = ("square", "ellipse", "heart")
_FACTORS = ("colour", "shape", "scale", "orientation", "position_x", "position_y")  # colour in some files only
_STACKED = tuple(f"{number:03d}" for number in range(1000))


@dataclass(frozen=True)
class StandardSet:
    """A named set: its description, its loader and files, its licence and authors."""

    description: str
    shape: str
    load: Callable[..., Dataset]
    forms: tuple[tuple[str, ...], ...]  # the files it needs, in any one of several forms; () needs none
    licence: str
    cite: str

    def local_files(self) -> list[Path] | None:
        """The files that would be read, if they are here; an empty list if none is needed."""
        return local_files(self.forms) if self.forms else []


def _images(
    name: str,
    images: np.ndarray,
    levels: int,
    parts: dict[str, np.ndarray],
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
    modes: str = "",
    **source: str,
) -> Dataset:
    """(N, H, W) or (N, H, W, C) bytes → a data set, its source completed from the table below."""
    stored = images[..., None] if images.ndim == 3 else images
    height, width, channels = stored.shape[1:]
    facts = {"licence": SETS[name].licence, "cite": SETS[name].cite}
    beside = {} if labels is None else {"label": labels.astype(np.int64)}
    x = Field("x", "picture", (channels, height, width), levels_of(stored, levels))
    spec = Spec(x, (label(classes),) if beside else ())
    if not isinstance(stored, np.memmap):
        facts["fingerprint"] = fingerprint(stored)
    return Dataset(name, spec, {"x": stored, **beside}, parts, modes=modes, source=source | facts)


def _digits(validation: float = 0.1, test: float = 0.1, split_seed: int = 0) -> Dataset:
    """validation, test: shares held out; split_seed: of the split."""
    table = formats.sklearn_digits()  # (1797, 65): 64 pixels of 0 … 16, and the digit
    images, labels = table[:, :64].reshape(-1, 8, 8).astype(np.uint8), table[:, 64]
    parts = split_parts(len(images), validation, test, split_seed)
    note = "there is no official split: a random one by shares"
    return _images("digits", images, 17, parts, labels, _DIGITS, origin="scikit-learn", note=note)


_IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _idx_files(folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in _IDX)


def _idx_set(name: str, classes: tuple[str, ...], download: bool) -> Dataset:
    paths = find_files(name, SETS[name].forms, download)
    fit_images, fit_labels, test_images, test_labels = (formats.read_idx(path) for path in paths)
    images, labels = np.concatenate([fit_images, test_images]), np.concatenate([fit_labels, test_labels])
    if len(images) != len(labels) or len(fit_images) != len(fit_labels) or len(fit_images) <= 10_000:
        raise BestiaryError(f"the files in {paths[0].parent} do not belong together: fetch all four again")
    parts = consecutive_parts(len(fit_images) - 10_000, 10_000, len(test_images))
    note = "test: the official one; validation: the last 10,000 of the official training part"
    return _images(name, images, 256, parts, labels, classes, path=str(paths[0].parent), note=note)


def _mnist(download: bool = False) -> Dataset:
    """download: fetch the files if they are nowhere."""
    return _idx_set("mnist", _DIGITS, download)


def _fashion_mnist(download: bool = False) -> Dataset:
    """download: fetch the files if they are nowhere."""
    return _idx_set("fashion-mnist", _CLOTHES, download)


def _stacked_mnist(n: int = 50_000, seed: int = 0, download: bool = False) -> Dataset:
    """n: training images, a fifth as many of the other parts; seed: of the draw; download: fetch MNIST's files."""
    if n < 10:
        raise BestiaryError(f"n={n}: stacked-mnist needs at least 10 training images")
    digits, draw = _mnist(download), np.random.default_rng(seed)
    sizes = {"train": n, "validation": n // 5, "test": n // 5}
    rows = np.concatenate([draw.choice(digits.parts[name], (size, 3)) for name, size in sizes.items()])
    images, labels = digits.x[..., 0][rows].transpose(0, 2, 3, 1), digits.stored["label"][rows] @ [100, 10, 1]
    note = "channels are three digits drawn from the same part of MNIST, and the label is the number they make"
    parts = consecutive_parts(*sizes.values())
    path = digits.source["path"]
    return _images("stacked-mnist", images, 256, parts, labels, _STACKED, "digits", path=path, note=note)


def _binarized_mnist(download: bool = False) -> Dataset:
    """download: fetch the files if they are nowhere."""
    paths = find_files("binarized-mnist", SETS["binarized-mnist"].forms, download)
    if paths[0].suffix == ".npz":
        packed = formats.read_npz(paths[0], "train", "valid", "test")
        bits = [np.unpackbits(part, axis=1) for part in packed]  # (n, 98) → (n, 784)
    else:
        bits = [formats.read_amat(path) for path in paths]
    images = np.concatenate(bits).reshape(-1, 28, 28)
    note = (
        "Larochelle's fixed binarisation and parts. In its files the test part is sorted by digit; here its "
        "rows come in a fixed shuffled order, so that any prefix is a fair sample. There are no labels"
    )
    parts = consecutive_parts(*(len(part) for part in bits))
    return _images("binarized-mnist", images, 2, parts, path=str(paths[0].parent), note=note)


def _omniglot(size: int = 28, by: str = "drawings", download: bool = False) -> Dataset:
    """size: 28 or 105; by: hold out drawings, or characters never seen; download: fetch the files."""
    if size not in (28, 105):
        raise BestiaryError(f"size={size}: omniglot comes as size=28 (17 levels) or size=105 (binary, as drawn)")
    if by not in ("drawings", "characters"):
        raise BestiaryError(f"by={by}: hold out by=drawings (any character) or by=characters (unseen alphabets)")
    paths = find_files("omniglot", SETS["omniglot"].forms, download)
    drawings, alphabet, names, background = formats.read_omniglot(paths)
    n = len(drawings)
    if by == "drawings":
        parts = split_parts(n, 1345 / n, 8070 / n)
        split = "1,345 validation and 8,070 test drawings at random (as many as Burda, not the same ones)"
    else:
        training_alphabets, test_alphabets = np.flatnonzero(background), np.flatnonzero(~background)
        inner = split_parts(len(training_alphabets), 0.1, 0.1)
        held_out = np.concatenate([inner["validation"], inner["test"]])
        parts = {
            "train": training_alphabets[inner["train"]],
            "validation": training_alphabets[held_out],
            "test": np.random.default_rng(0).permutation(test_alphabets),
        }
        split = "test: Lake's evaluation alphabets; validation: a fifth of the background drawings at random"
    note = f"{split}. Not Burda's 28×28 file: numbers on the two are comparable, not the same"
    images, levels = (formats.downsample(drawings), 17) if size == 28 else (drawings, 2)
    return _images("omniglot", images, levels, parts, alphabet, names, path=str(paths[0].parent), note=note)


def _frey(validation: float = 200 / 1965, test: float = 200 / 1965, split_seed: int = 0) -> Dataset:
    """validation, test: shares held out; split_seed: of the split."""
    (path,) = find_files("frey", SETS["frey"].forms, download=False)
    if path.suffix == ".npz":
        (images,) = formats.read_npz(path, "images")
    else:
        from scipy.io import loadmat

        with formats.file_errors(path):
            images = loadmat(path)["ff"].T.reshape(-1, 28, 20).astype(np.uint8)
    parts = split_parts(len(images), validation, test, split_seed)
    note = (
        "no official split: 200 and 200 frames at random. Neighbouring frames of the film are nearly the same, "
        "so a held-out frame has close relatives in training"
    )
    return _images("frey", images, 256, parts, path=str(path), note=note)


def _cifar10(download: bool = False) -> Dataset:
    """download: fetch the files if they are nowhere."""
    paths = find_files("cifar10", SETS["cifar10"].forms, download)
    if paths[0].suffix == ".gz":
        images, labels = formats.read_cifar(paths[0])
        parts = consecutive_parts(45_000, 5_000, 10_000)
        note = "test: the official one; validation: the last 5,000 of the official training part"
    else:
        keys = ("train_images", "test_images", "train_labels", "test_labels")
        fit, test, fit_labels, test_labels = formats.read_npz(paths[0], *keys)
        images, labels = np.concatenate([fit, test]), np.concatenate([fit_labels, test_labels])
        held_out = len(fit) // 10
        parts = consecutive_parts(len(fit) - held_out, held_out, len(test))
        note = (
            f"A PART of CIFAR-10: the first {len(fit):,} of 50,000 training and the first {len(test):,} of "
            f"10,000 test images. Numbers on it are not numbers on CIFAR-10"
        )
    return _images("cifar10", images, 256, parts, labels, _CIFAR, path=str(paths[0]), note=note)


def _dsprites(part: str = "random", stream: bool | None = None, download: bool = False) -> Dataset:
    """part: random (20,000) or grid (46,080), if the whole is not here; stream: read from disk as needed."""
    if part not in ("random", "grid"):
        raise BestiaryError(f"part={part}: the parts of dsprites are part=random and part=grid")
    complete, random, grid = SETS["dsprites"].forms
    (path,) = find_files("dsprites", (complete, random if part == "random" else grid), download)
    classes, values = formats.read_npz(path, "latents_classes", "latents_values")
    if path.name == Path(complete[0]).name:
        images = in_memory(formats.map_array(path, "imgs"), stream)
        note = "the whole set, every combination of factors once; no official split: a random one"
    else:
        (images,) = formats.read_npz(path, "imgs")
        description = "20,000 drawn at random" if part == "random" else "a grid of 46,080"
        note = f"A PART of dSprites: {description} of its 737,280 images; no official split: a random one"
    dataset = _images("dsprites", images, 2, split_parts(len(images)), path=str(path), note=note)
    factors = _factors(classes, values)
    stored = dataset.stored | {f.name: codes for f, codes in factors}  # type: ignore[operator]
    return replace(dataset, spec=Spec(dataset.spec.x, tuple(f for f, _ in factors)), stored=stored)


def _factors(classes: np.ndarray, values: np.ndarray) -> list[tuple[Field, np.ndarray]]:
    """Columns of dSprites, classes and their values → a label each; a colour that never changes is no factor."""
    fields = []
    for name, column, value in zip(_FACTORS[-classes.shape[1] :], classes.T, values.T, strict=True):
        _, first, codes = np.unique(column, return_index=True, return_inverse=True)
        words = [_SHAPES[int(v) - 1] if name == "shape" else f"{v:.3g}" for v in value[first]]
        if name != "colour" or len(first) > 1:
            fields.append((label(words, name), codes.reshape(-1).astype(np.int64)))
    return fields


_LECUN = "LeCun, Cortes and Burges; LeCun et al. 1998"
_SALAKHUTDINOV = "Salakhutdinov and Murray 2008; Larochelle and Murray 2011"
_AMAT = tuple(f"binarized-mnist/binarized_mnist_{part}.amat" for part in ("train", "valid", "test"))
_OMNIGLOT_ZIPS = ("omniglot/images_background.zip", "omniglot/images_evaluation.zip")
_SPRITES_NPZ = "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"

SETS: dict[str, StandardSet] = {
    "digits": StandardSet(
        "handwritten digits, small", "8×8 grey, 1,797", _digits,
        (), "CC BY 4.0", "Alpaydin and Kaynak 1998, UCI",
    ),
    "glyphs": StandardSet(
        "letters and digits in 16 styles, drawn here", "32×32 grey, as many as asked", load_glyphs,
        (), "fonts of matplotlib: DejaVu (Bitstream Vera licence), STIX", "none needed",
    ),
    "mnist": StandardSet(
        "handwritten digits", "28×28 grey, 70,000", _mnist,
        (_idx_files("mnist"),), "CC BY-SA 3.0, as commonly stated", _LECUN,
    ),
    "fashion-mnist": StandardSet(
        "articles of clothing", "28×28 grey, 70,000", _fashion_mnist,
        (_idx_files("fashion-mnist"),), "MIT", "Xiao, Rasul and Vollgraf 2017",
    ),
    "stacked-mnist": StandardSet(
        "three digits as three channels", "28×28 colour, 70,000 or as asked", _stacked_mnist,
        (_idx_files("mnist"),), "CC BY-SA 3.0, as commonly stated", f"{_LECUN}; Metz et al. 2016",
    ),
    "binarized-mnist": StandardSet(
        "MNIST, fixed binarisation", "28×28 binary, 70,000", _binarized_mnist,
        (("mnist-static/binarized_mnist.npz",), _AMAT), "none stated; from MNIST", _SALAKHUTDINOV,
    ),
    "omniglot": StandardSet(
        "characters of 50 alphabets", "28×28 grey (or 105×105 binary), 32,460", _omniglot,
        (("omniglot/omniglot.npz",), _OMNIGLOT_ZIPS), "MIT", "Lake, Salakhutdinov and Tenenbaum 2015",
    ),
    "frey": StandardSet(
        "frames of one face", "28×20 grey, 1,965", _frey,
        (("frey/frey.npz",), ("frey/frey_rawface.mat",)), "none stated", "Roweis and Frey",
    ),
    "cifar10": StandardSet(
        "small photographs of ten kinds", "32×32 colour, 60,000", _cifar10,
        (("cifar10/cifar-10-binary.tar.gz",), ("cifar10-part/cifar10-part.npz",)), "none stated", "Krizhevsky 2009",
    ),
    "dsprites": StandardSet(
        "sprites of known factors", "64×64 binary, 737,280", _dsprites,
        ((_SPRITES_NPZ,), ("dsprites-part/dsprites_subset.npz",), ("dsprites-part/dsprites_downsampled.npz",)),
        "Apache-2.0", "Matthey et al. 2017",
    ),
}  # fmt: skip
