"""Extractors: deterministic, hashed, the same in blocks of any size; the shipped classifier's weights; bad names."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bestiary.data.load import load
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError
from bestiary.measures.features import FEATURES, extractor, fitting
from bestiary.networks.classifier import Classifier

GREY, COLOUR, TABLE = Spec("image", (1, 28, 28), 256), Spec("image", (3, 16, 16), 256), Spec("vector", (5,))


@pytest.mark.parametrize("name", FEATURES)
def test_the_same_always_and_in_blocks_of_any_size(name: str) -> None:
    x = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    one, two = extractor(name, GREY, 3), extractor(name, GREY, 3)
    torch.testing.assert_close(one(x, 20), two(x, 7), atol=1e-5, rtol=1e-5)
    assert one.says == two.says
    assert one(x).shape == (20, {"pixels": 784, "random": 512, "mnist": 64}[name])


def test_other_weights_have_another_hash() -> None:
    a, b = (extractor("random", COLOUR, seed) for seed in (0, 1))
    assert a.hash != b.hash
    assert a(torch.rand(2, 3, 16, 16)).shape == (2, 512)


def test_asking_for_features_leaves_the_callers_noise_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    extractor("random", COLOUR)
    assert torch.equal(torch.rand(3), expected)


def test_the_shipped_classifier_knows_digits_it_was_not_made_for() -> None:
    """scikit-learn's 8×8 digits, resized: far above chance, so that its features mean something there too."""
    data = load("digits")
    x = torch.from_numpy(data.stored).permute(0, 3, 1, 2).float() / 16
    logits = extractor("mnist", data.spec).classes(x)
    assert float((logits[:, :10].argmax(1) == torch.from_numpy(data.labels)).double().mean()) > 0.3


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


def test_what_does_not_fit_is_refused() -> None:
    for name, spec, says in (
        ("mnits", GREY, "did you mean `mnist`"),
        ("mnist", COLOUR, "use features=random"),
        ("random", TABLE, "use features=pixels"),
        ("gone.safetensors", GREY, "there is no file"),
    ):
        with pytest.raises(BestiaryError, match=says):
            extractor(name, spec)


def test_what_auto_means() -> None:
    assert [fitting(s)[0] for s in (GREY, COLOUR, TABLE)] == ["mnist", "random", "pixels"]
