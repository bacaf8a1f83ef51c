"""Extractors: deterministic, hashed, the same in blocks of any size; the shipped weights; files; bad input."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from bestiary.data.dataset import Dataset
from bestiary.data.glyphs import CHARACTERS
from bestiary.data.load import load
from bestiary.data.spec import Spec, label, pictures, rows
from bestiary.errors import BestiaryError
from bestiary.measures.features import FEATURES, MNIST, extractor, fitting, weights_hash
from bestiary.measures.score import class_numbers
from bestiary.networks.classifier import Classifier
from bestiary.networks.inception import Inception
from bestiary.networks.vit import ViT

GREY, COLOUR, TABLE = pictures((1, 28, 28), 256), pictures((3, 16, 16), 256), rows(5)
NAMES = np.array(list(CHARACTERS["all"]))
Loader = Callable[..., tuple[Tensor, np.ndarray, Dataset]]


@pytest.mark.parametrize("name", FEATURES)
def test_the_same_always_and_in_blocks_of_any_size(name: str) -> None:
    x = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    one, two = extractor(name, GREY, 3), extractor(name, GREY, 3)
    torch.testing.assert_close(one(x, 20), two(x, 7), atol=1e-5, rtol=1e-5)
    assert one.says == two.says
    assert one(x).shape == (20, one.dimension) == (20, {"pixels": 784, "random": 512, "mnist": 64, "glyphs": 64}[name])
    assert not one(x).requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", FEATURES)
def test_devices_agree(name: str) -> None:
    x = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    a, b = extractor(name, GREY), extractor(name, GREY, device="cuda")
    assert a.hash == b.hash
    torch.testing.assert_close(a(x), b(x), atol=1e-4, rtol=1e-4)


def test_fp32_is_asked_for_and_the_callers_choice_given_back() -> None:
    before, seen = torch.backends.cudnn.allow_tf32, []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.backends.cudnn.allow_tf32)
        return x.flatten(1)

    replace(extractor("pixels", COLOUR), run=look)(torch.rand(2, 3, 16, 16))
    assert (seen, torch.backends.cudnn.allow_tf32) == ([False], before)


def test_other_weights_have_another_hash() -> None:
    a, b = (extractor("random", COLOUR, seed) for seed in (0, 1))
    assert a.hash != b.hash
    assert a(torch.rand(2, 3, 16, 16)).shape == (2, 512)
    net = Classifier(1, 3)
    before = weights_hash(net)
    net.head.bias.data[0] += 1e-6
    assert weights_hash(net) != before


def test_asking_for_features_leaves_the_callers_noise_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    extractor("random", COLOUR)
    assert torch.equal(torch.rand(3), expected)


def test_the_shipped_classifier_knows_digits_it_was_not_made_for() -> None:
    """scikit-learn's 8×8 digits, resized: far above chance, so that its features mean something there too."""
    data = load("digits")
    digits = data.rows(np.arange(len(data)))
    found = extractor("mnist", data.spec)
    assert "resized to 28×28" in found.about
    assert "resized" not in extractor("mnist", GREY).about
    logits = found.classes(digits.x)
    assert float((logits[:, :10].argmax(1) == digits.beside["label"]).double().mean()) > 0.3


def test_a_file_of_weights(tmp_path: Path) -> None:
    net = Classifier(3, 4, width=4, features=8)
    save_file(net.state_dict(), tmp_path / "mine.safetensors")
    found = extractor(str(tmp_path / "mine.safetensors"), COLOUR)
    x = torch.rand(2, 3, 28, 28)
    torch.testing.assert_close(found(x), net.features(x).detach())
    assert found.name == "mine"
    with pytest.raises(BestiaryError, match="3 channels; these have 1"):
        extractor(str(tmp_path / "mine.safetensors"), GREY)
    save_file({"who": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BestiaryError, match="no network that is known"):
        extractor(str(tmp_path / "other.safetensors"), GREY)
    (tmp_path / "torn.safetensors").write_bytes(b"nothing")
    with pytest.raises(BestiaryError, match="not a safetensors file"):
        extractor(str(tmp_path / "torn.safetensors"), GREY)


def test_the_shipped_file_is_small_and_can_be_read_by_all() -> None:
    assert MNIST.stat().st_size < 500_000
    assert MNIST.stat().st_mode & 0o444 == 0o444
    by_path = extractor(str(MNIST), GREY)
    assert by_path.says == extractor("mnist", GREY).says


def test_inception_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resized without antialiasing, taken to [−1, 1], grey thrice; its head gives logits."""
    torch.manual_seed(0)
    net = Inception(1008).eval()
    save_file(net.state_dict(), tmp_path / "pt_inception.safetensors")
    found = extractor(str(tmp_path / "pt_inception.safetensors"), GREY)
    assert (found.name, found.dimension, "299×299" in found.about) == ("inception", 2048, True)
    assert found(torch.rand(2, 1, 20, 20), 1).shape == (2, 2048)
    assert found.classes(torch.rand(1, 1, 20, 20)).shape == (1, 1008)
    monkeypatch.setattr(Inception, "features", lambda self, x: x)  # what the network is given
    for side in (28, 320):
        x = torch.rand(2, 1, side, side)
        large = 2 * F.interpolate(x, (299, 299), mode="bilinear").repeat(1, 3, 1, 1) - 1
        torch.testing.assert_close(found(x, 1), large)
    with pytest.raises(BestiaryError, match="images with 3 channels; these have 2"):
        extractor(str(tmp_path / "pt_inception.safetensors"), pictures((2, 8, 8), 256))
    short = {k: v for k, v in net.state_dict().items() if k != "Mixed_5b.branch1x1.conv.weight"}
    save_file(short, tmp_path / "short.safetensors")
    with pytest.raises(BestiaryError, match=r"Missing key.*Mixed_5b\.branch1x1"):
        extractor(str(tmp_path / "short.safetensors"), GREY)


def test_dino_from_a_file_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ViT(side=32, patch=8, width=128, depth=1, hidden=16).half()
    save_file(net.state_dict(), tmp_path / "vit.safetensors")
    found = extractor(str(tmp_path / "vit.safetensors"), COLOUR)
    assert (found.name, found.dimension, found.logits) == ("dino", 128, None)
    x = torch.rand(3, 3, 32, 32)
    mean, scale = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(found(x, 2), net.float()((x - mean) / scale))
    assert found(torch.rand(2, 3, 16, 16)).shape == (2, 128)  # resized
    with pytest.raises(BestiaryError, match="have no classes"):
        found.classes(x)


def test_examples_that_would_give_silent_numbers_are_refused() -> None:
    x = torch.rand(4, 1, 28, 28)
    for name in FEATURES:
        found = extractor(name, GREY)
        for bad, says in (
            (x * 255, "divide levels by 255"),
            (2 * x - 1, "x \\+ 1"),
            (-9 * x, "divide levels"),
            (x.clone().index_fill_(0, torch.tensor([2]), float("nan")), "not finite"),
            (x.expand(-1, 3, -1, -1), "these are"),
            (x[0], "these are"),
        ):
            with pytest.raises(BestiaryError, match=says):
                found(bad)
        found(x + torch.randn(x.shape))  # a Gaussian likelihood's samples


def test_what_does_not_fit_is_refused() -> None:
    for name, spec, says in (
        ("mnits", GREY, "did you mean `mnist`"),
        ("mnist", COLOUR, "use features=random"),
        ("random", TABLE, "use features=pixels"),
        ("gone.safetensors", GREY, "there is no file"),
        (str(MNIST), TABLE, "use features=pixels"),
    ):
        with pytest.raises(BestiaryError, match=says):
            extractor(name, spec)


def test_what_auto_means() -> None:
    assert [fitting(s)[0] for s in (GREY, COLOUR, TABLE)] == ["random", "random", "pixels"]
    for name in ("mnist", "fashion-mnist", "binarized-mnist"):
        assert fitting(GREY, data=name)[0] == "mnist"
    assert "features=mnist" in fitting(GREY, data="faces").reason  # a classifier of digits sees one class in faces
    assert fitting(pictures((1, 8, 8), 17))[0] == "random"  # too small for the shipped network


def test_random_features_are_named_by_what_they_are() -> None:
    """By seed and network: the last digits of an orthogonal matrix depend on the machine and its threads."""
    names = {(seed, s.shape): extractor("random", s, seed).says for seed in (0, 1) for s in (GREY, COLOUR)}
    assert len(set(names.values())) == 4
    before = torch.get_num_threads()
    torch.set_num_threads(before % 2 + 1)
    try:
        assert extractor("random", GREY).says == names[0, GREY.shape]
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def glyphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Images in model units, what character each is, and their set; in a cache of their own."""
    monkeypatch.setenv("BESTIARY_CACHE", str(tmp_path))

    def loaded(**options: object) -> tuple[Tensor, np.ndarray, Dataset]:
        data = load("glyphs", **options)
        return data.rows(np.arange(len(data.x))).x, np.array(data.spec["label"].words)[data.stored["label"]], data

    return loaded


@pytest.mark.parametrize(
    ("vary", "least"),
    [("all", 0.975), ("none", 0.99), ("family,weight,slant", 0.99), ("family,weight,slant,size", 0.99)],
)
def test_the_shipped_classifier_reads_glyphs_it_has_not_seen(glyphs: Loader, vary: str, least: float) -> None:
    """In the sizes of glyphs that are shifted or turned and of those that are not; upside down it reads few."""
    x, shown, data = glyphs(n=720, seed=7, vary=vary)
    read = extractor("glyphs", replace(data.spec, beside=()))  # told nothing of the characters: 62 classes

    def accuracy(x: Tensor) -> float:
        return float((NAMES[read.classes(x).argmax(1)] == shown).mean())

    assert accuracy(x) > least
    assert accuracy(x.flip(2)) < 0.5
    assert read(x).shape == (720, 64)


def test_auto_takes_it_for_glyphs_alone(glyphs: Loader) -> None:
    data = glyphs(n=3)[2]
    assert fitting(data.spec, data.modes).value == "glyphs"
    assert fitting(data.spec).value == "random"  # grey images of that size, of which nothing more is known


def test_classes_of_glyphs_are_the_characters_of_the_data(glyphs: Loader) -> None:
    """The letter I of some fonts is as good as l, which is no class where the data have none."""
    x, shown, data = glyphs(n=320, characters="BESTIARY", seed=7)
    read = extractor("glyphs", data.spec)
    logits = read.classes(x)
    assert logits.shape == (320, 8)
    assert (np.array(data.spec["label"].words)[logits.argmax(1)] == shown).mean() > 0.99
    assert "the 8 characters" in read.about
    assert read.says == extractor("glyphs", GREY).says  # features and weights are the same
    reached, kl = class_numbers(logits.argmax(1), logits.argmax(1), 8, read.says)
    assert reached.value == 8
    assert kl.value < 0.01
    others = Spec(data.spec.x, (label(("cat", "dog")),))
    assert extractor("glyphs", others).classes(x).shape == (320, 62)


def test_what_is_no_glyph_is_not_told_to_be_of_every_character(glyphs: Loader) -> None:
    """Noise, blank and grey images fall into few classes: none of them passes for a set of letters."""
    x, _, data = glyphs(n=450, seed=7)
    read, g = extractor("glyphs", data.spec), torch.Generator().manual_seed(0)
    real = read.classes(x).argmax(1)
    garbage = (torch.rand(x.shape, generator=g), (torch.rand(x.shape, generator=g) < 0.2).float(), 0 * x, 0 * x + 0.5)
    for images in garbage:
        reached, kl = class_numbers(read.classes(images).argmax(1), real, 45, read.says)
        assert reached.value < 25
        assert kl.value > 1
    assert class_numbers(real, real, 45, read.says)[0].value == 45


@pytest.mark.parametrize("name", ["mnist", "glyphs"])
def test_shipped_classifiers_say_how_good_they_are(name: str) -> None:
    """In the words that training wrote beside the weights."""
    about = extractor(name, GREY).about
    assert re.fullmatch(r"classifier right on \d\d\.\d\d% of 10000 test images of .*", about)
    assert extractor(name, pictures((1, 32, 32), 256)).about.startswith(f"{about}; resized")
