"""A run that is loaded: its samples are a function of weights, n and seed; its data come in model units."""

import numpy as np
import pytest
import torch

from bestiary.errors import BestiaryError
from bestiary.run import Run, load, sample
from tests.runs.tiny import IMAGES, TABLE, tiny


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    (root / "t.csv").write_text(TABLE)
    return {
        "points": tiny(root / "runs"),
        "digits": tiny(root / "runs", "digits", steps=5),
        "images": tiny(root / "runs", IMAGES, "dcgan", steps=5),
        "table vae": tiny(root / "runs", root / "t.csv", steps=40),
        "table gan": tiny(root / "runs", root / "t.csv", "gan", steps=40),
    }


def test_samples_are_a_function_of_seed_and_number(runs):
    run = runs["points"]
    fresh = load(run.path)
    torch.manual_seed(5)
    noise = torch.initial_seed(), torch.get_rng_state()
    first = fresh.sample(5)  # the first builds the model, the second has it
    assert (torch.initial_seed(), True) == (noise[0], torch.equal(torch.get_rng_state(), noise[1]))
    assert np.array_equal(first, fresh.sample(5))
    assert np.array_equal(first, sample(run, 5))
    assert np.array_equal(first, sample(run.path, 5))
    assert not np.array_equal(first, fresh.sample(5, seed=1))


@pytest.mark.parametrize("kind", ["points", "images", "table gan"])
def test_a_sample_does_not_depend_on_how_many_follow(runs, kind):
    run = runs[kind]
    many = run.sample_x(150)
    assert torch.equal(many[:5], run.sample_x(5))
    assert torch.equal(many[:100], run.sample_x(100))
    assert len(many.flatten(1).unique(dim=0)) == 150  # each block has noise of its own


@pytest.mark.parametrize("kind", ["digits", "images"])
def test_samples_of_images_are_stored_like_the_data(runs, kind):
    run = runs[kind]
    drawn = run.sample(3)
    assert (drawn.dtype, drawn.shape) == (np.uint8, (3, 8, 8, 1))
    assert drawn.max() < run.spec.x.levels


@pytest.mark.parametrize("kind", ["table vae", "table gan"])
def test_samples_of_a_table_lie_in_its_support(runs, kind):
    run = runs[kind]
    x = run.sample_x(50)
    categories = x[:, 1:4]
    assert torch.allclose(categories.sum(1), torch.ones(50))
    assert (categories >= 0).all()
    columns = run.spec.x.support.to_columns(x.numpy())
    assert list(columns) == ["age", "town", "paid"]
    assert set(columns["town"]) <= {"Rome", "Köln", "Oslo"}
    assert np.isfinite(columns["age"]).all()
    if kind == "table vae":  # a draw from the likelihood, not its mean
        assert set(categories.flatten().tolist()) == {0.0, 1.0}


def test_parts_are_the_data_in_model_units(runs):
    run = runs["digits"]
    part = run.part("test")
    assert part.x.shape[1:] == (1, 8, 8)
    assert part.x.min() == 0
    assert part.x.max() == 1
    assert len(part) == len(part.beside["label"]) == len(run.dataset.parts["test"])
    some = run.part("test", 7)
    assert torch.equal(some.x, part.x[:7])
    assert torch.equal(some.beside["label"], part.beside["label"][:7])
    assert not torch.equal(run.part("test", 7, seed=1).x, some.x)
    with pytest.raises(BestiaryError, match="did you mean `test`"):
        run.part("tset")


def test_codes_and_decoded_codes(runs):
    run = runs["digits"]
    examples = run.part("test", 6)
    z = run.encode(examples)
    assert z.shape == (6, 2)
    assert torch.equal(run.observe(examples).x, run.observe(examples).x)  # greys are binarised by seed
    assert not torch.equal(run.observe(examples).x, run.observe(examples, seed=1).x)
    assert torch.equal(run.encode(run.observe(examples)), z)  # what was observed once stays as it is
    assert torch.equal(run.encode(run.part("test")), run.codes(run.part("test")))  # of one look
    assert torch.equal(run.encode(examples.x), z)
    assert run.decode(z.numpy()).shape == examples.x.shape
    with pytest.raises(BestiaryError, match="GAN has no encoder"):
        runs["images"].encode(examples)
    assert runs["images"].decode(torch.zeros(2, 2)).shape == (2, 1, 8, 8)


def test_samples_are_at_least_one(runs):
    with pytest.raises(BestiaryError, match="at least one"):
        runs["points"].sample(0)


def test_a_run_is_its_folder(runs, monkeypatch):
    run = runs["points"]
    assert (run.name, repr(run)) == (run.path.name, f"Run({str(run.path)!r})")
    monkeypatch.chdir(run.path.parents[1])
    assert load().path.resolve() == runs["table gan"].path.resolve()
    assert load().name == runs["table gan"].name
    assert Run("ring-vae").spec == run.spec
    with pytest.raises(BestiaryError, match="did you mean `ring-vae`"):
        load("ring-vea")


def test_a_report_is_written(runs):
    run = runs["table vae"]
    assert run.report() == run.path / "report.html"
    assert run.name in (run.path / "report.html").read_text()


def test_ones_own_critic_is_bounded_once(tmp_path) -> None:
    """Spectral norm changes the module that was given; the run and a second fit are given it again."""
    from torch import nn

    critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    for _ in range(2):
        run = tiny(tmp_path, "ring", "gan", steps=3, spectral=True, critic=critic)
        assert run.sample(4).shape == (4, 2)
