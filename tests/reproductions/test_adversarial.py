"""The reproductions of the adversarial half: scripts run, do not repeat themselves, and write their tables."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bestiary.data.batch import Batch
from bestiary.measures.score import stacked_classes
from bestiary.models.zoo import build
from bestiary.runs.plan import plan
from bestiary.runs.run_folder import list_runs
from bestiary.studies.executor import write_results
from tests.reproductions.scripts import imported


@pytest.fixture(scope="module")
def code() -> Iterator[SimpleNamespace]:
    with imported("adversarial", "tables", "toys", "images") as scripts:
        yield scripts


@pytest.mark.slow
@pytest.mark.parametrize("data", ["ring", "grid"])
def test_every_way_of_the_toys_runs_and_stands_in_the_table(code: SimpleNamespace, tmp_path: Path, data: str) -> None:
    cases = {tmp_path / f"toys-{data}-{way}-0.json": (data, way, 0, False, 8) for way in code.toys.ways(data)}
    with ThreadPoolExecutor(1) as thread:
        write_results(code.toys.play, cases, thread)
    for file in cases:
        result = json.loads(file.read_text("utf-8"))
        assert 0 <= result["modes"] <= (8 if data == "ring" else 25)
        assert result["steps"] == 8
    text = code.toys.table(tmp_path)
    assert all(f"| {data} | {way} | 1 |" in text for way in code.toys.ways(data))
    assert "8.00 | 98.9" in text  # a perfect sampler reaches all, 98.89% of it near: 1 − exp(−9/2)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("data", ["ring", "grid"])
def test_every_way_of_the_toys_can_be_built_in_either_size(code: SimpleNamespace, data: str, full: bool) -> None:
    for way in code.toys.ways(data, full):
        job = code.toys.job_of(data, way, 0, full)
        made = plan(data, job.model, {**job.options, "n": 500})
        assert build(job.model, made.dataset.spec, **made.model_options).players(), way
    told = code.toys.table(Path("nowhere"))
    assert all(f"- `{way}`: `" in told for way in code.toys.ways(data))


def test_digits_of_three_channels_are_counted(code: SimpleNamespace) -> None:
    """Samples that are the training images have all of their classes; the divergence is from the data's shares, each of
    1000 classes counted once more."""
    x = torch.rand(40, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    run = SimpleNamespace(
        sample_x=lambda n, seed: x[:n], part=lambda part, n: Batch(x[:n], {"label": stacked_classes(x[:n])})
    )
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
        result = json.dumps(found | {"data": "mnist", "turns": images.SMALL.turns})
        (tmp_path / f"images-mnist-{way}-0.json").write_text(result, "utf-8")
    text = images.page(tmp_path)
    assert all(f"| mnist | {way} | 1 |" in text for way in ("dcgan", "wgan-gp"))
    assert "| mnist | other real images |" in text


def test_a_run_that_is_kept_is_not_made_again(code: SimpleNamespace, tmp_path: Path) -> None:
    one, other = (code.toys.play("ring", "ns-gan", 0, False, 8, tmp_path) for _ in range(2))
    assert one | {"seconds": 0} == other | {"seconds": 0}
    assert [run.name for run in list_runs(tmp_path)] == [code.toys.job_of("ring", "ns-gan", 0, False, 8).name]


def test_the_script_writes_results_and_page(
    code: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code.toys, "Workers", ThreadPoolExecutor)  # no new processes: these would import torch again
    size = ["--data", "ring", "--ways", "ns-gan", "--seeds", "2", "--rounds", "8", "--jobs", "1"]
    code.toys.main([*size, "--results", str(tmp_path)])
    names = ["TOYS.md", "toys-ring-ns-gan-0.json", "toys-ring-ns-gan-1.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert "| ring | ns-gan | 2 |" in (tmp_path / "TOYS.md").read_text("utf-8")


def test_trying_cannot_overwrite_results(code: SimpleNamespace) -> None:
    for script, word in ((code.toys, ["--rounds", "3"]), (code.images, ["--quick"])):
        with pytest.raises(SystemExit):
            script.main(word)
