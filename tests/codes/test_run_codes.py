"""What a run does with its codes: draws, truncates, walks, inverts and adds them, for each kind of data and model."""

import numpy as np
import pytest
import torch
from scipy.stats import t

from bestiary.codes.inversion import Inversion, inversion_number
from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError
from bestiary.measures.number import Number
from bestiary.models.model import Encodes
from bestiary.run import Run
from bestiary.runs.sample_or_walk import sample_or_walk
from tests.runs.tiny import IMAGES, TABLE, tiny

QUICK = {"starts": 2, "steps": 6}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("runs")
    (root / "t.csv").write_text(TABLE)
    return {
        "toy gan": tiny(root / "runs", model="gan"),
        "image vae": tiny(root / "runs", "digits", steps=5),
        "image gan": tiny(root / "runs", IMAGES, "dcgan", steps=5),
        "table vae": tiny(root / "runs", root / "t.csv"),
        "table gan": tiny(root / "runs", root / "t.csv", "gan"),
        "ae": tiny(root / "runs", "digits", "ae", steps=5),
        "vamp": tiny(root / "runs", "digits", steps=5, prior="vamp(5)"),
        "labels": tiny(root / "runs", "digits", "gan", steps=5, condition="label"),
        "labels vae": tiny(root / "runs", "digits", steps=5, condition="label"),
    }


SAMPLERS = ("toy gan", "image vae", "image gan", "table vae", "table gan", "vamp")
PLAIN = (*SAMPLERS[:-1],)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_codes_are_drawn_by_seed_and_decoded_to_what_samples_are(runs, kind) -> None:
    run = runs[kind]
    z = run.sample_z(6)
    assert z.shape == (6, 2)
    assert torch.equal(z, run.sample_z(6))
    assert not torch.equal(z, run.sample_z(6, seed=1))
    assert run.decode(z).shape == (6, *run.spec.shape)


@pytest.mark.parametrize("kind", PLAIN)
def test_truncated_samples_are_less_varied(runs, kind) -> None:
    run = runs[kind]
    assert run.sample_z(300, truncation=0.5).abs().max() <= 0.5
    assert run.sample_z(300).abs().max() > 0.5
    a, b = (run.sample_x(300, truncation=0.01) for _ in "ab")
    assert torch.equal(a, b)
    assert a.shape == run.sample_x(300).shape
    assert run.sample(3, truncation=0.5).dtype == run.sample(3).dtype
    if "gan" in kind:  # the samples of a VAE of a table have the noise of its likelihood too
        assert a.flatten(1).var(0).sum() < 0.01 * run.sample_x(300).flatten(1).var(0).sum()
    if kind == "table vae":
        assert set(a[:, 1:4].flatten().tolist()) == {0.0, 1.0}  # drawn, as by sample()


def test_without_truncation_samples_are_what_they_were(runs) -> None:
    for kind in SAMPLERS:
        assert torch.equal(runs[kind].sample_x(5), runs[kind].sample_x(5, truncation=None))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_walk_decodes_the_codes_between_its_ends(runs, kind) -> None:
    run = runs[kind]
    a, b = run.sample_z(2)
    x = run.walk(a, b, 5, "linear")
    assert x.shape == (5, *run.spec.shape)
    assert torch.allclose(x[[0, 2, 4]], run.decode(torch.stack([a, (a + b) / 2, b])), atol=1e-5)
    many = run.walk(torch.stack([a, b]), torch.stack([b, a]), 5)
    assert many.shape == (2, 5, *run.spec.shape)
    assert torch.allclose(many[0], many[1].flip(0), atol=1e-5)


@pytest.mark.parametrize("kind", [*SAMPLERS, "ae"])
def test_examples_are_inverted_whatever_the_model(runs, kind) -> None:
    run = runs[kind]
    x = run.part("test", 5).x
    found = run.invert(x, **QUICK)
    assert found.z.shape == (5, 2)
    assert torch.allclose(found.x, run.decode(found.z), atol=1e-5)
    assert torch.equal(found.z, run.invert(x.numpy(), **QUICK).z)
    in_pieces = run.invert(x, batch=2, **QUICK)
    assert torch.allclose(found.z, in_pieces.z, atol=1e-3)
    worse = run.invert(x, starts=1, steps=1, lr=1e-9, prior=0.0)
    if not isinstance(run.model, Encodes):
        assert run.invert(x, starts=2, steps=60, prior=0.0).error.mean() < worse.error.mean()
    else:  # the encoder's code is where it starts
        assert torch.allclose(worse.z, run.codes(x), atol=1e-5) or run.config["model"]["binarise"] == "dynamic"


def test_a_generator_finds_its_own_samples_again(runs) -> None:
    run = runs["toy gan"]
    x = run.sample_x(20)
    assert run.invert(x, prior=0.0).error.median() < 0.01 * x.std()


@pytest.mark.parametrize("kind", ["image vae", "image gan"])
def test_arithmetic_stands_beside_the_same_in_pixels(runs, kind) -> None:
    run = runs[kind]
    x, minus, plus = (run.part("train", n, seed=n).x for n in (4, 3, 2))
    how = {} if isinstance(run.model, Encodes) else QUICK
    found = run.arithmetic(x, minus, plus, **how)
    codes = [run.codes(part, **how) for part in (x, minus, plus)]
    assert torch.allclose(found.z, codes[0] - codes[1].mean(0) + codes[2].mean(0), atol=1e-6)
    assert torch.allclose(found.latent, run.decode(found.z))
    assert torch.allclose(found.pixels, x - minus.mean(0) + plus.mean(0), atol=1e-6)
    same = run.arithmetic(x, minus, minus, **how)
    assert torch.allclose(same.pixels, x, atol=1e-6)
    assert torch.allclose(same.z, codes[0], atol=1e-5)


def test_a_set_is_encoded_in_blocks(runs, monkeypatch) -> None:
    run = runs["image vae"]
    x = run.part("train", 30)
    whole = run.encode(x)
    monkeypatch.setattr("bestiary.codes.encoding.BLOCK", 7)
    assert torch.allclose(run.encode(x), whole, atol=1e-6)


def test_reach_is_the_mean_error_beside_that_of_own_samples(runs) -> None:
    number = runs["toy gan"].reach(10, seed=3, steps=6, starts=2)
    assert number.low < number.value < number.high
    assert number.protocol["n"] == 10
    assert (number.protocol["split"], number.protocol["steps"]) == ("test", 6)
    held, own = torch.zeros(4, 1), torch.ones(4, 1)
    errors = {0.0: torch.tensor([1.0, 2.0, 3.0, 4.0]), 1.0: torch.tensor([0.0, 0.1, 0.0, 0.1])}
    number: Number = inversion_number(lambda x: Inversion(x, x, errors[float(x[0, 0])]), held, own, {})
    assert (number.value, number.floor.value) == (2.5, pytest.approx(0.05))
    assert number.high - 2.5 == pytest.approx(float(t.ppf(0.975, 3)) * (5 / 3) ** 0.5 / 2)


def test_a_conditional_run_walks_and_inverts_under_a_condition(runs) -> None:
    run = runs["labels"]
    z, each = run.sample_z(4), {"label": torch.arange(4)}
    x = run.walk(z[0], z[1], 4, "linear", condition="3")
    ends = run.model.show(z[:2], {"label": torch.tensor([3, 3])})
    assert torch.allclose(x[[0, 3]], ends.detach(), atol=1e-5)
    assert not torch.allclose(x, run.walk(z[0], z[1], 4, "linear", condition="4"), atol=1e-5)
    made = run.model.show(z, each).detach()
    assert torch.equal(run.decode(z, condition="0,1,2,3"), made)
    for batch in (2, 256):  # each row under its own label, also in pieces
        found = run.invert(made, condition=each, batch=batch, starts=2, steps=60, prior=0.0)
        assert torch.allclose(found.x, run.model.show(found.z, each).detach(), atol=1e-5)
    assert found.error.max() < 0.02
    beside = run.invert(Batch(made, each), starts=2, steps=60, prior=0.0)  # what stands beside examples is their own
    assert torch.equal(beside.z, found.z)


def test_pictures_of_walks_lead_from_sample_to_sample(runs) -> None:
    run = runs["image gan"]
    x = sample_or_walk(run, n=16, seed=2, walk="linear")
    assert (x.shape, x.dtype) == ((16, 8, 8, 1), np.uint8)
    assert np.array_equal(x, sample_or_walk(run, n=16, seed=2, walk="linear"))
    assert np.array_equal(x[7], x[8])
    assert not np.array_equal(x, sample_or_walk(run, n=16, seed=2, walk="spherical"))
    assert np.array_equal(sample_or_walk(run, n=3, seed=1), run.sample(3, 1))
    assert np.array_equal(sample_or_walk(run, n=3, truncation=0.5), run.sample(3, truncation=0.5))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda runs: runs["vamp"].sample(4, truncation=0.7), "prior=standard"),
        (lambda runs: runs["toy gan"].sample(4, truncation=-1), "above 0"),
        (lambda runs: runs["ae"].sample_z(4), "no p"),
        (lambda runs: runs["toy gan"].sample_z(0), "at least one"),
        (lambda runs: runs["toy gan"].invert(torch.zeros(2, 2), starts=0), "at least one start"),
        (lambda runs: runs["toy gan"].invert(torch.zeros(0, 2)), "at least one example"),
        (lambda runs: runs["toy gan"].invert(torch.zeros(2, 3)), "makes x of shape"),
        (lambda runs: runs["labels"].walk(torch.zeros(2), torch.ones(2)), "needs a condition, label: give condition="),
        (lambda runs: runs["labels"].decode(torch.zeros(3, 2)), "needs a condition, label: give condition="),
        (lambda runs: runs["labels"].invert(torch.zeros(3, 1, 8, 8)), "needs a condition, label: give condition="),
        (lambda runs: runs["toy gan"].walk(torch.zeros(2), torch.ones(2), condition="1"), "takes no"),
        (lambda runs: runs["image vae"].walk(torch.zeros(2), torch.ones(2), condition="1"), "takes no"),
        (lambda runs: runs["toy gan"].walk(torch.zeros(3), torch.ones(3)), "codes of this run have shape"),
        (lambda runs: runs["labels"].invert(torch.zeros(3, 1, 8, 8), condition="1,2"), "a row for each"),
        (lambda runs: sample_or_walk(runs["toy gan"], n=12, walk="linear"), "multiple"),
        (lambda runs: sample_or_walk(runs["toy gan"], n=0, walk="linear"), "multiple"),
    ],
)
def test_mistakes_are_explained(runs, wrong, says) -> None:
    with pytest.raises(BestiaryError, match=says):
        wrong(runs)


def test_examples_as_part_gives_them_have_the_same_code_by_every_way(runs) -> None:
    """Greys are binarised once, by seed, also if the examples have been observed before."""
    run = runs["image vae"]
    assert run.config["model"]["binarise"] == "dynamic"
    examples = run.part("test", 300)
    z = run.encode(examples, seed=3)
    assert not torch.equal(z, run.encode(examples, seed=4))
    for same in (run.codes(examples, seed=3), run.encode(examples.x, seed=3), run.encode(run.observe(examples, 3))):
        assert torch.equal(z, same)
    assert torch.equal(z[:5], run.codes(run.part("test", 5), seed=3))


def test_codes_of_a_conditional_model_are_decoded_under_the_condition_that_is_given(runs) -> None:
    run = runs["labels vae"]
    examples = run.part("test", 6)
    z = run.codes(examples)
    with pytest.raises(BestiaryError, match="needs a condition, label"):
        run.decode(z)
    under = [run.decode(z, label) for label in ("3", "4", "3")]
    assert torch.equal(under[0], under[2])
    assert not torch.equal(under[0], under[1])
    run.sample(4, condition="5")  # what was drawn before leaves nothing behind
    assert torch.equal(run.decode(z, "3"), under[0])


def test_codes_of_another_shape_are_refused(runs) -> None:
    for z in (torch.zeros(3, 5), torch.zeros(2)):
        with pytest.raises(BestiaryError, match=r"the codes of this run have shape \(N, 2\)"):
            runs["image vae"].decode(z)
