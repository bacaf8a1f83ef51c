"""The claims of the gallery's page on what one does with a generator, at a size of seconds."""

import numpy as np
import pytest
import torch
from torch import nn

import bestiary as bst
from bestiary.codes.analogies import analogy
from bestiary.data.load import load
from bestiary.measures.neighbours import nearest

QUIET = {"quiet": True, "validate": 0, "save": 0, "seed": 0, "precision": "fp32", "batch": 64}


def drawn(part: str, bold: bool) -> np.ndarray:
    """Digits as 8-bit greys (n, H, W, 1): a pixel of a bold one is the darkest of a square of four."""
    x = np.pad((load("digits").part(part) * (255.0 / 16)).round().astype(np.uint8), ((0, 0), (2, 2), (2, 2), (0, 0)))
    if bold:
        x = np.maximum(x, np.roll(x, 1, 2))
        x = np.maximum(x, np.roll(x, 1, 1))
    return x


def units(x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> bst.Run:
    both = np.concatenate([drawn("train", bold) for bold in (False, True)])
    root = tmp_path_factory.mktemp("runs")
    return bst.fit(both, "vae", root=root, latent=16, hidden=(128,), lr=3e-3, steps=400, **QUIET)


def off(x: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return (x - truth).square().flatten(1).mean(1).sqrt()


def test_arithmetic_of_codes_is_nearer_to_the_truth_than_that_of_pixels(run) -> None:
    """Digits that were not seen are made bold: by the paired differences, far beyond their standard error."""
    thin, bold = (units(drawn("train", which)) for which in (False, True))
    given, truth = (units(drawn("test", which)) for which in (False, True))
    found = run.arithmetic(given, thin, bold)
    error = off(found.latent, truth)
    for other in (found.pixels, bold.mean(0).expand_as(truth), given):
        gain = off(other, truth) - error
        assert float(gain.mean()) > 6 * float(gain.std()) / len(gain) ** 0.5
    assert error.mean() < 1.3 * off(run.decode(run.codes(truth)), truth).mean()  # near what it can make at all


def test_where_factors_add_up_in_codes_it_is_exact() -> None:
    """x = exp(W z), z = who + glasses: codes find the woman with glasses, and pixels miss her."""
    torch.manual_seed(0)
    who, glasses, w = torch.randn(2, 6), torch.randn(6), torch.randn(20, 6)

    def look(z: torch.Tensor) -> torch.Tensor:
        return (z @ w.T).exp()

    def code(x: torch.Tensor) -> torch.Tensor:
        return x.log() @ torch.linalg.pinv(w).T

    man, woman = look(who).split(1)
    man_glasses, truth = look(who + glasses).split(1)
    assert torch.allclose(look(analogy(code(man_glasses), code(man), code(woman))), truth, rtol=1e-3)
    assert off(analogy(man_glasses, man, woman), truth) > 0.1 * off(woman, truth)


def test_walks_are_smooth_where_a_look_up_jumps(run) -> None:
    def roughness(x: torch.Tensor) -> torch.Tensor:
        steps = x.flatten(2).diff(dim=1).norm(dim=2)
        return steps.amax(1) / steps.mean(1)

    real = units(np.concatenate([drawn("train", bold) for bold in (False, True)]))
    ends = units(drawn("test", False))[:31]
    z, t = run.codes(ends), torch.linspace(0, 1, 33).view(1, 33, 1, 1, 1)
    faded = (1 - t) * ends[:-1, None] + t * ends[1:, None]
    looked_up = real[nearest(faded.flatten(0, 1), real)[1][:, 0]].view_as(faded)
    walked = run.walk(z[:-1], z[1:], 33)
    assert torch.allclose(roughness(faded), torch.ones(30), atol=1e-3)
    assert roughness(walked).max() < 4
    assert roughness(looked_up).min() > 2 * roughness(walked).median()


def test_inversion_tells_what_a_generator_leaves_out(tmp_path) -> None:
    """A generator of one of two modes: it finds its own samples, and the other mode it cannot make."""
    rng = np.random.default_rng(0)
    data = (rng.choice([-3.0, 3.0], (400, 1)) + 0.1 * rng.standard_normal((400, 2))).astype(np.float32)
    half = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())  # within (0, 1)², and the modes are standardised to ±(1, 1)
    nn.init.eye_(half[0].weight)
    options = {"generator": half, "latent": 2, "hidden": (8,), "lr": 1e-9, "steps": 1, "root": tmp_path}
    run = bst.fit(data, "gan", **{**QUIET, **options})
    number = run.reach(40, starts=2, steps=100, prior=0.0)
    assert number.floor.high < 0.02
    assert number.low > 5 * number.floor.high


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory) -> bst.Run:
    both = np.concatenate([drawn("train", bold) for bold in (False, True)])
    options = {"latent": 16, "width": 24, "steps": 1200, "lr": 1e-3, "average": 0.99}
    return bst.fit(both, "dcgan", root=tmp_path_factory.mktemp("dcgan"), **options, **QUIET)


@pytest.mark.slow
def test_codes_of_a_dcgan_add_up_and_its_walks_are_smooth(dcgan) -> None:
    """Codes by inversion: nearer to the truth than pixels by the paired differences; no walk jumps as look-ups do."""
    thin, bold = (units(drawn("train", which)) for which in (False, True))
    given, truth = (units(drawn("test", which)) for which in (False, True))
    found = dcgan.arithmetic(given, thin[:200], bold[:200])
    for other in (found.pixels, bold.mean(0).expand_as(truth), given):
        gain = off(other, truth) - off(found.latent, truth)
        assert float(gain.mean()) > 3 * float(gain.std()) / len(gain) ** 0.5
    z = dcgan.codes(given[:31])
    steps = dcgan.walk(z[:-1], z[1:], 33).flatten(2).diff(dim=1).norm(dim=2)
    assert float((steps.amax(1) / steps.mean(1)).median()) < 3  # of a look-up of training examples it is 12
