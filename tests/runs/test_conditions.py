"""Runs that are told something: what they make of it, and that samples, walks and judgements keep to it."""

import numpy as np
import pytest
import torch

import bestiary as bst
from bestiary.data.columns import to_columns
from bestiary.errors import BestiaryError
from bestiary.runs.run_case import draw_samples, round_to_data
from bestiary.runs.sample_or_walk import sample_or_walk
from tests.runs.tiny import TABLE, tiny


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_images_of_an_energy(tmp_path, conditioning: str) -> None:
    """Bright as they are told to be; a run that is given other numbers is not taken for the same."""
    rng = np.random.default_rng(0)
    energy, angle = rng.uniform(1, 10, 800), rng.uniform(0, 1, 800)
    x = rng.uniform(0, 0.1, (800, 8, 8))
    x[:, 2:6, 2:6] += 0.09 * energy[:, None, None]
    data, beside = (255 * x).round().clip(0, 255).astype(np.uint8), np.stack([energy, angle], 1)
    run = bst.fit(
        data, "ns-gan", root=tmp_path, quiet=True, seed=0, save=0, numbers=beside, condition="vector", network="mlp",
        conditioning=conditioning, hidden=(64, 64), latent=4, steps=250, batch=64, lr=1e-3, validate=100,
    )  # fmt: skip
    low, high = (run.sample(100, condition=[e, 0.5])[:, 2:6, 2:6].mean() for e in (2, 9))
    assert high > 2 * low
    assert run.judge(n=40, tests="none").numbers
    again = bst.load(run.path, data=data, numbers=beside)
    assert (again.sample(8, condition=[3, 0.5]) == run.sample(8, condition=[3, 0.5])).all()
    with pytest.raises(BestiaryError, match="2 numbers came with each example, and now 1"):
        bst.load(run.path, data=data, numbers=energy).part("train")
    with pytest.raises(BestiaryError, match="condition of this run has 2 values"):
        run.sample(4, condition=[1.0])
    with pytest.raises(BestiaryError, match="come with numbers: use condition=numbers"):
        bst.fit(data, "cgan", root=tmp_path, quiet=True, numbers=beside)


def test_samples_of_a_label(tmp_path) -> None:
    run = tiny(tmp_path, "digits", "gan", steps=5, condition="label")
    three = run.sample(6, condition="3")
    assert np.array_equal(three, run.sample(6, condition=torch.full((6,), 3)))
    assert not torch.equal(run.sample_x(6, condition=3), run.sample_x(6, condition=4))
    many = [3] * 50 + [4] * 50  # rows go on over blocks
    both, apart = run.sample_x(100, condition=many), [run.sample_x(100, condition=label) for label in (3, 4)]
    assert torch.equal(both, torch.cat([apart[0][:50], apart[1][50:]]))
    assert torch.equal(run.sample_x(99, condition="3,4,5"), run.sample_x(99, condition=[3, 4, 5] * 33))
    assert np.array_equal(sample_or_walk(run, n=6, condition="3"), three)
    assert np.array_equal(run.sample(6, condition=torch.tensor(3)), three)
    assert sample_or_walk(run, n=8, walk="linear", condition="3").shape == (8, 8, 8, 1)
    a, b = (run.sample_x(6, truncation=0.5, condition=label) for label in (3, 4))
    assert not torch.equal(a, b)
    with pytest.raises(BestiaryError, match="takes no condition"):
        tiny(tmp_path, "ring", "gan", steps=5).sample(3, condition="3")


def test_arithmetic_and_reach_keep_the_condition(tmp_path) -> None:
    run = tiny(tmp_path, "digits", "gan", steps=5, condition="label")
    x, how = run.part("train", 3).x, {"steps": 3, "starts": 1, "condition": "3"}
    found = run.arithmetic(x, x[:2], x[1:], **how)
    made = run.model.show(found.z, {"label": torch.full((3,), 3)}).detach()
    assert torch.allclose(found.latent, made, atol=1e-6)
    with pytest.raises(BestiaryError, match="give condition="):
        run.arithmetic(x, x[:2], x[1:], steps=3, starts=1)
    drawn = []
    run.sample_x = lambda n, seed=0, **more: (drawn.append(more), torch.rand(n, 1, 8, 8))[1]
    run.reach(5, **how)
    assert drawn == [{"condition": "3"}]


def test_samples_of_a_table_hold_what_they_were_told(tmp_path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    run = tiny(tmp_path, tmp_path / "t.csv", "gan", steps=5, condition="town,paid")
    columns = to_columns(run.spec, run.sample(4, condition={"town": "Köln", "paid": 12}))
    assert set(columns["town"]) == {"Köln"}
    assert columns["paid"] == pytest.approx(12, abs=1e-4)


def test_a_condition_holds_for_a_whole_way_and_the_next_has_the_next(tmp_path) -> None:
    asked = []
    run = tiny(tmp_path, "digits", "gan", steps=2, condition="label")
    show = run.model.show
    run.model.show = lambda z, c: (asked.append(c["label"]), show(z, c))[1]
    run.walk(torch.zeros(3, 2), torch.ones(3, 2), 4, "linear", condition="3,5")
    assert asked.pop().tolist() == [3] * 4 + [5] * 4 + [3] * 4
    sample_or_walk(run, n=24, walk="linear", condition="3,5")
    assert [c.tolist() for c in asked] == [[3] * 8, [5] * 8, [3] * 8]


def test_a_judged_sample_is_told_the_condition_of_an_example_of_its_own(tmp_path) -> None:
    run = tiny(tmp_path, "digits", "gan", steps=2, condition="label")
    asked, sample = [], run.model.sample
    run.model.sample = lambda n, c: (asked.append(c["label"]), sample(n, c))[1]
    n = len(run.dataset.parts["train"])
    draw_samples(run, n, seed=0)
    told, trained = torch.cat(asked)[:n], run.part("train").beside["label"]
    assert torch.equal(told.bincount(minlength=10), trained.bincount(minlength=10))


def test_samples_of_a_table_are_judged_as_words(tmp_path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    run = tiny(tmp_path, tmp_path / "t.csv", "gan", steps=5)
    x = round_to_data(draw_samples(run, 50, seed=0), run.spec.x).x
    assert (run.sample_x(50)[:, 1:4].max(1).values < 0.99).any()
    assert set(x[:, 1:4].flatten().tolist()) == {0.0, 1.0}
