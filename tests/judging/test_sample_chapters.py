"""The battery of tests of samples: each finds what it is for; what examples do not allow is left out and said."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.load import load
from bestiary.data.spec import Spec, pictures, rows
from bestiary.data.support import Category, Column
from bestiary.errors import BestiaryError
from bestiary.judging import chapters
from bestiary.judging.case import Case, Sides, check_tests, choose_features
from bestiary.judging.judge import judge_case
from bestiary.judging.sample_chapters import columns_of

PLANE = rows(2)
NEIGHBOURS = ("exact_copies", "mirrored_copies", "near_copies", "fidelity", "coverage")


def normal(n: int, f: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def judged(fake: Tensor, real: Tensor, other: Tensor, spec: Spec = PLANE, tests="all", truth=None):
    """What samples alone tell: the numbers without those of nearest neighbours, the notes, what the classifier said."""
    check_tests(tests)
    features = None if tests == "none" else choose_features("auto", spec, 0)
    case = Case(
        spec=spec, examples=Batch(real), samples=Batch(fake), real=Batch(real), other=Batch(other), seen=Batch(real),
        held=None, spare=Batch(real[:0]), truth=truth, protocol={"split": "test"}, features=features, tests=tests,
    )  # fmt: skip
    judgement, evidence = judge_case(case)
    numbers = {n.name: n for n in judgement.numbers if n.name not in NEIGHBOURS}
    return numbers, list(judgement.notes), {k: v for k, v in evidence.items() if k in ("two_sample", "density_ratio")}


def test_what_is_real_stands_at_its_floor_and_what_is_not_beyond_it() -> None:
    """Of three sets of one law nothing is told; a shift is told by every test but those of spread and correlation."""
    real, other = normal(400, seed=1), normal(400, seed=2)
    same, notes, _ = judged(normal(400), real, other)
    assert not notes
    assert min(same["c2st"].protocol["p"], same["mmd"].protocol["p"]) > 0.01
    moved, _, drawn = judged(normal(400) + torch.tensor([1.0, 0]), real, other)
    for name in ("c2st", "c2st_auc", "fid", "sliced", "separation", "means"):
        assert moved[name].low > moved[name].floor.value, name
        assert moved[name].value > 2 * same[name].value or same[name].value < 0.6, name
    for name in ("kid", "c2st_jsd"):  # kid of blocks of 80, the divergence of half of the examples: wide intervals
        assert moved[name].value > moved[name].floor.high, name
    assert max(moved["c2st"].protocol["p"], moved["mmd"].protocol["p"]) < 0.01
    for name in ("precision", "recall", "density", "covered"):
        assert moved[name].value < moved[name].ceiling.value, name
    for name in ("spreads", "correlations"):
        assert moved[name].value < 4 * max(same[name].value, 0.5), name
    assert drawn["two_sample"].shape == (800, 2)
    assert drawn["density_ratio"].shape == (400, 2)
    # the ratio of densities told for data is above the one told for samples
    logit, of_data = drawn["density_ratio"].T
    assert logit[of_data > 0].mean() > logit[of_data == 0].mean() + 0.5


def test_every_number_says_how_it_was_made() -> None:
    found, _, _ = judged(normal(60), normal(60, seed=1), normal(60, seed=2))
    for number in found.values():
        assert {"n", "split"} <= set(number.protocol), number.name
        assert number.floor is not None or number.ceiling is not None, number.name
        for beside in filter(None, (number.floor, number.ceiling)):
            assert beside.low is None or beside.low <= beside.value <= beside.high, number.name
        assert number.title
        assert number.says


def test_modes_are_counted_where_they_are_known() -> None:
    ring, moons = (load(name).truth for name in ("ring", "two-gaussians"))
    real, other = (torch.from_numpy(ring.sample(300, seed)) for seed in (1, 2))
    collapsed = real[real[:, 0] > 0.9].repeat(8, 1)[:200]
    found, notes, _ = judged(collapsed, real, other, truth=ring)
    assert found["modes"].value < found["modes"].ceiling.value == 8
    assert found["mode_kl"].low > found["mode_kl"].floor.value
    assert any("exact repetitions" in note for note in notes)
    real, other = (torch.from_numpy(moons.sample(100, seed)) for seed in (1, 2))
    assert "modes" not in judged(real, other, real, truth=moons)[0]  # they overlap: none can be told from the other


def test_what_is_fast_leaves_out_what_is_slow_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_case: Case) -> None:
        raise AssertionError("this is not run")

    table = tuple(replace(chapter, judge=slow) if chapter.slow else chapter for chapter in chapters.CHAPTERS)
    monkeypatch.setattr("bestiary.judging.judge.CHAPTERS", table)
    found, notes, drawn = judged(normal(50), normal(50, seed=1), normal(50, seed=2), tests="fast")
    assert {"kid", "mmd", "sliced", "precision", "separation"} <= set(found)
    assert notes == ["Left out by tests=fast: classifier, fid."]
    assert not drawn
    assert judged(normal(50), normal(50), normal(50), tests="none") == ({}, [], {})
    with pytest.raises(BestiaryError, match="did you mean `fast`"):
        judged(normal(50), normal(50), normal(50), tests="fats")


def test_a_test_that_cannot_be_made_leaves_the_others_alone() -> None:
    flat = torch.ones(50, 2)
    found, notes, _ = judged(flat, flat, flat)
    assert found["c2st"].value == 0.5
    assert found["separation"].value == 0
    assert "mmd" not in found
    assert any(note.startswith("Left out: MMD") for note in notes)
    assert any("2 of 2 features" in note and "constant" in note for note in notes)


def test_few_examples_and_fewer_than_features_are_said() -> None:
    found, notes, _ = judged(normal(9), normal(9, seed=1), normal(9, seed=2))
    assert not found
    assert "Only 9 examples" in notes[0]
    wide = rows(40)
    found, notes, _ = judged(normal(30, 40), normal(30, 40, 1), normal(30, 40, 2), wide)
    assert "deficient" in found["fid"].protocol["rank"]
    assert any("only 30 examples for 40 features" in note for note in notes)


def test_too_many_columns_have_no_statistics_and_pictures_are_averaged() -> None:
    spec = rows(300)
    found, notes, _ = judged(normal(30, 300), normal(30, 300, 1), normal(30, 300, 2), spec, "fast")
    assert "separation" not in found
    assert any("statistics by column" in note and "300" in note for note in notes)
    image = pictures((3, 20, 12), 256)
    x = torch.rand(4, 3, 20, 12)
    (small, _, _), names, averaged = columns_of(Sides(x, x, x), image)
    assert small.shape == (4, len(names)) == (4, 3 * 10 * 6)
    assert "2×2 pixels" in averaged
    assert small[1, names.index("row 2, column 3, channel 2")] == pytest.approx(float(x[1, 1, 2:4, 4:6].mean()))
    grey = torch.rand(4, 1, 16, 16)
    assert columns_of(Sides(grey, grey, grey), pictures((1, 16, 16), 256))[2] == ""


def test_columns_are_named_as_in_the_file() -> None:
    spec = rows((Column("age"), Column("town", Category(("Rome", "Oslo")))))
    assert columns_of(Sides(*[torch.zeros(2, 3)] * 3), spec)[1] == ["age", "town=Rome", "town=Oslo"]
    assert columns_of(Sides(*[torch.zeros(2, 2)] * 3), PLANE)[1] == ["x1", "x2"]
