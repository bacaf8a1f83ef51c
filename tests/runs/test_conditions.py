"""Conditions in words: labels by name or number, columns in the units of the file; what is not one is refused."""

import numpy as np
import pytest
import torch

import bestiary as bst
from bestiary.data.batches import Batch
from bestiary.data.columns import to_columns
from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError
from bestiary.models.condition import condition_of
from bestiary.runs.conditions import told
from bestiary.runs.judge import _samples
from bestiary.runs.walks import sampled
from tests.runs.tiny import TABLE, tiny

PETS = Spec("image", (1, 8, 8), 2, classes=("cat", "dog", "10", "newt"))
ROWS = Spec("table", (4,), columns=(Column("age", 30.0, 5.0), Column("town", categories=("Rome", "Oslo", "Köln"))))


@pytest.mark.parametrize(("said", "rows"), [
    ("cat", [0]), ("dog, newt", [1, 3]), ("(dog,cat)", [1, 0]), (3, [3]), ("3", [3]), ("10", [2]), ([0, "dog"], [0, 1]),
])  # fmt: skip
def test_labels_by_name_or_number(said, rows) -> None:
    assert told(said, PETS, "label").tolist() == rows


@pytest.mark.parametrize("said", [
    {"town": "Oslo", "age": 40}, "town:Oslo,age:40", "age: 40, town: Oslo", "(age:40,town:Oslo)",
])  # fmt: skip
def test_columns_in_the_units_of_the_file(said) -> None:
    assert told(said, ROWS, "age,town").tolist() == [[2.0, 0.0, 1.0, 0.0]]
    assert told(said, ROWS, "town,age").tolist() == [[0.0, 1.0, 0.0, 2.0]]


SHOWERS = Spec("image", (1, 8, 8), 2, beside=(Column("y1", 30.0, 5.0), Column("y2", 0.0, 2.0)))


@pytest.mark.parametrize("said", [
    [40, -1], (40.0, "-1"), {"y2": -1, "y1": 40}, "y1:40,y2:-1", "40,-1", np.array([40.0, -1.0]), [[40, -1]],
])  # fmt: skip
def test_numbers_beside_x_in_the_units_of_the_file(said) -> None:
    assert told(said, SHOWERS, "vector").tolist() == [[2.0, -0.5]]


@pytest.mark.parametrize("said", [40, "40", [40], "y1:40", np.array(40.0)])
def test_one_number_beside_x_needs_no_name(said) -> None:
    assert told(said, Spec("image", (1, 8, 8), 2, beside=SHOWERS.beside[:1]), "vector").tolist() == [[2.0]]


def test_rows_of_numbers_are_as_many_conditions() -> None:
    assert told([[40, -1], [30, 0]], SHOWERS, "vector").tolist() == [[2.0, -0.5], [0.0, 0.0]]
    one = Spec("image", (1, 8, 8), 2, beside=SHOWERS.beside[:1])
    assert told([40, 30], one, "vector").tolist() == told("40,30", one, "vector").tolist() == [[2.0], [0.0]]
    for wrong in ([], [1], [[1, 2], 3], {"y1": 1}, {0: 3}, "a,b", [np.nan, 1], {"y1": 1, "y2": 2, "y3": 3}):
        with pytest.raises(BestiaryError):
            told(wrong, SHOWERS, "vector")


def test_a_column_of_that_name_is_meant_where_no_numbers_stand_beside_x() -> None:
    rows = Spec("table", (2,), columns=(Column("vector", 1.0, 2.0), Column("other")))
    assert told("vector:5", rows, "vector").tolist() == [[2.0]]
    assert condition_of("vector", rows).of(Batch(torch.eye(2))).tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_images_of_an_energy(tmp_path, conditioning: str) -> None:
    """Bright as they are told to be; a run that is given other numbers is not taken for the same."""
    rng = np.random.default_rng(0)
    energy, angle = rng.uniform(1, 10, 800), rng.uniform(0, 1, 800)
    x = rng.uniform(0, 0.1, (800, 8, 8))
    x[:, 2:6, 2:6] += 0.09 * energy[:, None, None]
    data, beside = (255 * x).round().clip(0, 255).astype(np.uint8), np.stack([energy, angle], 1)
    run = bst.fit(
        data, "ns-gan", root=tmp_path, quiet=True, seed=0, save=0, labels=beside, condition="vector", network="mlp",
        conditioning=conditioning, hidden=(64, 64), latent=4, steps=250, batch=64, lr=1e-3, validate=100,
    )  # fmt: skip
    low, high = (run.sample(100, condition=[e, 0.5])[:, 2:6, 2:6].mean() for e in (2, 9))
    assert high > 2 * low
    assert run.judge(n=40, tests="none").numbers
    again = bst.load(run.path, data=data, labels=beside)
    assert (again.sample(8, condition=[3, 0.5]) == run.sample(8, condition=[3, 0.5])).all()
    with pytest.raises(BestiaryError, match="2 numbers came with each example, and now 1"):
        bst.load(run.path, data=data, labels=energy).part("train")
    with pytest.raises(BestiaryError, match="told 2 numbers"):
        run.sample(4, condition=[1.0])
    with pytest.raises(BestiaryError, match="come with numbers, condition=vector"):
        bst.fit(data, "cgan", root=tmp_path, quiet=True, labels=beside)


def test_a_single_column_needs_no_name() -> None:
    assert told("Köln", ROWS, "town").tolist() == [[0.0, 0.0, 1.0]]
    assert told("35", ROWS, "(age)").tolist() == [[1.0]]


@pytest.mark.parametrize(("said", "spec", "wanted", "why"), [
    ("cow", PETS, "label", "unknown label `cow`"),
    (4, PETS, "label", "0 … 3"),
    ([], PETS, "label", "names no label"),
    (None, PETS, "label", "unknown label `None`"),
    ("cat", PETS, "none", "takes no condition"),
    ("town:Paris,age:3", ROWS, "age,town", "Paris"),
    ("age:3", ROWS, "age,town", "must say town too"),
    ("age:old", ROWS, "age", "must be a number"),
    ("street:3", ROWS, "age", "street"),
    ("3", ROWS, "age,town", "say name:value"),
    (2.7, PETS, "label", "unknown label `2.7`"),
    (float("inf"), PETS, "label", "unknown label `inf`"),
    ("age:nan", ROWS, "age", "finite"),
    ("age:3,age:4", ROWS, "age", "twice"),
    (torch.zeros(0, dtype=torch.long), PETS, "label", "no rows"),
])  # fmt: skip
def test_what_is_no_condition_is_refused(said, spec, wanted, why) -> None:
    with pytest.raises(BestiaryError, match=why):
        told(said, spec, wanted)


def test_samples_of_a_label(tmp_path) -> None:
    run = tiny(tmp_path, "digits", "gan", steps=5, condition="label")
    three = run.sample(6, condition="3")
    assert np.array_equal(three, run.sample(6, condition=torch.full((6,), 3)))
    assert not torch.equal(run.sample_x(6, condition=3), run.sample_x(6, condition=4))
    both = run.sample_x(5, condition=[3, 3, 3, 4, 4], batch=3)  # rows go on over batches
    apart = [run.sample_x(5, condition=label, batch=3) for label in (3, 4)]
    assert torch.equal(both, torch.cat([apart[0][:3], apart[1][3:]]))
    assert torch.equal(run.sample_x(5, condition="3,4", batch=3), run.sample_x(5, condition=[3, 4, 3, 4, 3], batch=3))
    assert np.array_equal(sampled(run, n=6, condition="3"), three)
    assert np.array_equal(run.sample(6, condition=torch.tensor(3)), three)
    assert sampled(run, n=8, walk="linear", condition="3").shape == (8, 8, 8, 1)
    a, b = (run.sample_x(6, truncation=0.5, condition=label) for label in (3, 4))
    assert not torch.equal(a, b)
    with pytest.raises(BestiaryError, match="takes no condition"):
        tiny(tmp_path, "ring", "gan", steps=5).sample(3, condition="3")


def test_arithmetic_and_reach_keep_the_condition(tmp_path) -> None:
    run = tiny(tmp_path, "digits", "gan", steps=5, condition="label")
    x, how = run.part("train", 3)[0], {"steps": 3, "starts": 1, "condition": "3"}
    found = run.arithmetic(x, x[:2], x[1:], **how)
    made = run.model.decode(found.z, torch.full((3,), 3)).detach()
    assert torch.allclose(found.latent, made, atol=1e-6)
    with pytest.raises(BestiaryError, match="say under which"):
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
    decode = run.model.decode
    run.model.decode = lambda z, c: (asked.append(c), decode(z, c))[1]
    run.walk(torch.zeros(3, 2), torch.ones(3, 2), 4, "linear", condition="3,5")
    assert asked.pop().tolist() == [3] * 4 + [5] * 4 + [3] * 4
    sampled(run, n=24, walk="linear", condition="3,5")
    assert [c.tolist() for c in asked] == [[3] * 8, [5] * 8, [3] * 8]


def test_a_judged_sample_is_told_the_condition_of_an_example_of_its_own(tmp_path) -> None:
    run = tiny(tmp_path, "digits", "gan", steps=2, condition="label")
    asked, sample = [], run.model.sample
    run.model.sample = lambda n, c: (asked.append(c), sample(n, c))[1]
    n = len(run.dataset.parts["train"])
    _samples(run, n, seed=0)
    counts = torch.cat(asked).sum(0)
    assert counts.tolist() == np.bincount(run.part("train")[1].numpy(), minlength=10).tolist()


def test_samples_of_a_table_are_judged_as_words(tmp_path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    run = tiny(tmp_path, tmp_path / "t.csv", "gan", steps=5)
    x = _samples(run, 50, seed=0)
    assert (run.sample_x(50)[:, 1:4].max(1).values < 0.99).any()
    assert set(x[:, 1:4].flatten().tolist()) == {0.0, 1.0}
