"""The reproductions of the adversarial half: scripts run, do not repeat themselves, and write their tables."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bestiary.measures.score import stacked_classes
from bestiary.models.zoo import build
from bestiary.runs.plan import plan
from tests.reproductions.scripts import imported


@pytest.fixture(scope="module")
def code() -> Iterator[SimpleNamespace]:
    with imported("adversarial", "jobs", "toys", "images") as scripts:
        yield scripts


def test_every_way_of_the_toys_runs_and_stands_in_the_table(code: SimpleNamespace, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for data in ("ring", "grid"):
        for way in code.toys.ways(data):
            file = results / f"toys-{data}-{way}-0.json"
            code.jobs.keep(code.toys.play(data, way, 0, False, 8), file)
            found = json.loads(file.read_text("utf-8"))
            assert 0 <= found["modes"] <= (8 if data == "ring" else 25)
            assert found["steps"] == 8
    text = code.toys.table(results)
    assert all(f"| {data} | {way} | 1 |" in text for data in ("ring", "grid") for way in code.toys.ways(data))
    assert "8.00 | 98.9" in text  # a perfect sampler reaches all, 98.89% of it near: 1 − exp(−9/2)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("data", ["ring", "grid"])
def test_every_way_of_the_toys_can_be_built_in_either_size(code: SimpleNamespace, data: str, full: bool) -> None:
    for way, (model, options) in code.toys.ways(data, full).items():
        made = plan(data, model, {"n": 500, **options})
        assert build(model, made.dataset.spec, **made.model_options).players(), way
    told = code.toys.table(Path("nowhere"))
    assert all(f"- `{way}`: `" in told for way in code.toys.ways(data))


def test_digits_of_three_channels_are_counted(code: SimpleNamespace) -> None:
    """Samples that are the training images have all of their classes; the divergence is from the data's shares, each of
    1000 classes counted once more."""
    x = torch.rand(40, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    run = SimpleNamespace(sample_x=lambda n, seed: x[:n], part=lambda part, n: (x[:n], stacked_classes(x[:n])))
    found = code.images.counted(run, 40)
    counts = torch.bincount(stacked_classes(x), minlength=1000).double()
    there = counts[counts > 0]
    assert found["modes"] == found["most"] == len(there)
    assert found["kl"] == pytest.approx(float((there / 40 * (there / 40 * 1040 / (there + 1)).log()).sum()))
    less = SimpleNamespace(sample_x=lambda n, seed: x[:1].expand(n, -1, -1, -1), part=run.part)
    one = code.images.counted(less, 40)
    assert one["modes"] == 1
    assert one["kl"] > found["kl"]


@pytest.mark.slow
def test_games_on_images_run_with_one_budget(code: SimpleNamespace, tmp_path: Path) -> None:
    images = code.images
    for way in ("dcgan", "wgan-gp"):
        found = images.play(images.QUICK_SET, way, 0, images.QUICK)
        model, options = images.WAYS[way]
        turns = options.get("critic_turns", 5 if model == "wgan-gp" else 1)
        assert found["rounds"] * (turns + 1) == images.QUICK.turns, way
        assert found["real"]["fid"] < found["fid"]
        assert found["real"]["covered"] > 0.5
        code.jobs.keep(found | {"data": "mnist", "turns": images.SMALL.turns}, tmp_path / f"images-mnist-{way}-0.json")
    text = images.page(tmp_path)
    assert all(f"| mnist | {way} | 1 |" in text for way in ("dcgan", "wgan-gp"))
    assert "| mnist | other real images |" in text


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_there_is_kept_and_what_fails_is_named(
    code: SimpleNamespace, tmp_path: Path, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    there, new, bad = (tmp_path / f"{name}.json" for name in ("there", "new", "bad"))
    there.write_text("{}")
    with pytest.raises(SystemExit, match="1 of 2 runs failed"):
        code.jobs.play_all(_number, {there: (0,), new: (4,), bad: (-1,)}, workers)
    assert there.read_text() == "{}"
    assert json.loads(new.read_text()) == {"root": 2.0}
    assert not bad.exists()
    assert "bad: ValueError" in capfd.readouterr().out


def _number(x: int) -> dict[str, float]:
    from math import sqrt

    return {"root": sqrt(x)}


def test_trying_cannot_overwrite_results(code: SimpleNamespace) -> None:
    for script, word in ((code.toys, ["--rounds", "3"]), (code.images, ["--quick"])):
        with pytest.raises(SystemExit):
            script.main(word)
