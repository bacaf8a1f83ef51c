"""The reproductions of the latent half: scripts run, do not repeat themselves, go on; the twin's estimator is right.

Run on 8×8 digits for eight rounds; numbers of this size are not looked at, only what must hold for any.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bestiary as bst
from bestiary.grammar.schedules import parse_schedule
from bestiary.studies.executor import write_results
from bestiary.training.clock import Clock
from tests.reproductions.scripts import imported


@pytest.fixture(scope="module")
def code() -> Iterator[SimpleNamespace]:
    with imported("latent", "protocol", "level", "table", "run", "pythae_twin") as scripts:
        yield scripts


@pytest.fixture(scope="module")
def played(code: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All models, one seed."""
    folder = tmp_path_factory.mktemp("latent")
    code.run.main(_words(folder, "0"))
    return folder


def _words(folder: Path, *seeds: str) -> list[str]:
    return [
        "--quick",
        "--jobs",
        "1",
        "--seeds",
        *seeds,
        "--out",
        str(folder / "runs"),
        "--results",
        str(folder / "results"),
    ]


def test_every_model_runs_and_stands_in_the_table(code: SimpleNamespace, played: Path) -> None:
    text = (played / "RESULTS.md").read_text("utf-8")
    for name, row in code.protocol.ROWS.items():
        found = json.loads((played / "results" / f"digits-{name}-0.json").read_text("utf-8"))
        assert found["nll"] <= found["elbo"], name  # from the same draws: Jensen's inequality holds without noise
        assert (found["k"], found["test"]) == (20, 20)
        assert math.isfinite(found["all"])
        assert f"| {row.says} |" in text


def test_what_is_finished_is_not_repeated(code: SimpleNamespace, played: Path) -> None:
    file = played / "results" / "digits-vae-0.json"
    before = json.loads(file.read_text("utf-8"))
    file.unlink()  # the run is there, its judgement is not
    weights = sorted((played / "runs").glob("*/model.safetensors"))
    times = [path.stat().st_mtime_ns for path in weights]
    with ThreadPoolExecutor(1) as thread:
        write_results(code.run.play, code.run.cases_of(code.run.asked(_words(played, "0"))), thread)
    assert [path.stat().st_mtime_ns for path in weights] == times
    after = json.loads(file.read_text("utf-8"))
    times = {"fit_seconds", "judge_seconds"}
    assert {k: v for k, v in after.items() if k not in times} == {k: v for k, v in before.items() if k not in times}


def test_a_run_that_was_stopped_goes_on(code: SimpleNamespace, played: Path, tmp_path: Path) -> None:
    size = code.protocol.QUICK
    job = code.run.job_of("vae", "digits", 0, size.rounds)
    how = {"name": job.name, "root": tmp_path, "quiet": True, "time_limit": 1e-3}
    stopped = bst.fit(job.source, job.model, **how, **job.options)
    env = json.loads((stopped.path / "env.json").read_text("utf-8"))
    assert env["round"] < size.rounds
    found = code.run.play("vae", "digits", 0, size, tmp_path)
    whole = json.loads((played / "results" / "digits-vae-0.json").read_text("utf-8"))
    assert found["nll"] == whole["nll"]
    assert [p for p in tmp_path.iterdir() if p.is_dir() and not p.is_symlink()] == [stopped.path]  # in its own folder


def test_a_quick_run_is_kept_out_of_the_results(code: SimpleNamespace) -> None:
    with pytest.raises(SystemExit):
        code.run.main(["--quick"])


def test_sizes_and_rows_agree(code: SimpleNamespace) -> None:
    rows, groups = code.protocol.ROWS, {}
    for row in rows.values():
        groups.setdefault(row.group, set()).add((row.size, row.full, row.options["hidden"], row.options["latent"]))
    assert all(len(kinds) == 1 for kinds in groups.values())
    for better, worse in code.protocol.DIRECTIONS:
        assert rows[better].group == rows[worse].group
    for i, rounds in ((0, 10), (3, 10), (10, 10)):
        clock = Clock(torch.tensor(float(i)), rounds)
        ours = parse_schedule(code.protocol.learning_rate(rounds))
        assert float(ours(clock)) == pytest.approx(code.protocol.rate(i, rounds), rel=1e-5)


def test_students_interval(code: SimpleNamespace) -> None:
    from scipy.stats import t

    middle, half = code.table.interval([1.0, 2.0, 4.0])
    low, high = t.interval(0.95, 2, loc=7 / 3, scale=math.sqrt(7 / 3 / 3))
    assert (middle - half, middle + half) == pytest.approx((low, high), abs=1e-3)


@pytest.mark.parametrize(
    ("better", "worse", "says"),
    [
        ([1.0, 1.1, 1.2], [3.0, 3.1, 3.2], "apart"),
        ([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], "intervals overlap"),
        ([2.0, 3.0, 4.1], [1.0, 2.0, 3.0], "intervals overlap"),
        ([3.0, 3.1, 3.2], [1.0, 1.1, 1.2], "**apart, the other way round**"),
    ],
)
def test_directions_are_told_as_they_are(
    code: SimpleNamespace, better: list[float], worse: list[float], says: str
) -> None:
    difference, verdict = code.table.verdict(better, worse)
    assert verdict == says
    assert difference == pytest.approx(sum(worse) / 3 - sum(better) / 3)


def test_the_level_on_all_images_is_what_k_samples_on_all_would_give(code: SimpleNamespace) -> None:
    """Where L_k differs from L_j by the same amount for every image, the two-phase estimate is exact."""
    hardness = torch.linspace(50, 150, 1000)
    gap = {1: 6.0, 10: 2.5, 5000: 0.0}

    def bounds(x: Tensor, ks: Sequence[int]) -> Tensor:
        return torch.stack([-(x + gap[k]) for k in ks])

    curve = [[float(k), float(hardness[:100].mean()) + g] for k, g in gap.items()]
    assert code.level.level(bounds, hardness, curve, 10) == pytest.approx(float(hardness.mean()), rel=1e-6)


# The twin's estimator, without pythae: anything with its encoder and decoder will do.

D, PIXELS = 2, 5


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean, self.log_var = nn.Linear(PIXELS, D), nn.Linear(PIXELS, D)

    def forward(self, x: Tensor) -> SimpleNamespace:
        return SimpleNamespace(embedding=self.mean(x.flatten(1)), log_covariance=self.log_var(x.flatten(1)))


class _Rival(nn.Module):
    """A VAE or VAMP with pythae's names for its parts; `sight` is how much the decoder heeds z."""

    def __init__(self, sight: float) -> None:
        super().__init__()
        self.encoder, self.net = _Encoder(), nn.Linear(D, PIXELS)
        self.net.weight.data.mul_(sight)
        self.decoder: Callable[[Tensor], Any] = lambda z: SimpleNamespace(reconstruction=self.net(z).sigmoid())
        self.pseudo_inputs, self.idle_input = nn.Linear(3, PIXELS), torch.eye(3)
        self.model_config = SimpleNamespace(input_dim=(1, 1, PIXELS))


def _grid() -> tuple[Tensor, float]:
    axis = torch.linspace(-12, 12, 401, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis).float()
    return z[:, None], float(axis[1] - axis[0]) ** 2  # (k, 1, D)


@pytest.mark.parametrize("name", ["vae", "vamp"])
def test_the_twins_prior_integrates_to_one(code: SimpleNamespace, name: str) -> None:
    torch.manual_seed(0)
    z, cell = _grid()
    with torch.no_grad():
        density = code.pythae_twin.PRIORS[name](_Rival(1.0))(z).exp()
    assert float(density.double().sum()) * cell == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["vae", "vamp"])
def test_the_twins_bound_nears_the_integral(code: SimpleNamespace, name: str) -> None:
    """log p(x) = log ∫ p(x|z) p(z) dz on a grid in two dimensions; L_k rises to it."""
    torch.manual_seed(1)
    model, twin = _Rival(3.0), code.pythae_twin
    x = (torch.rand(4, 1, 1, PIXELS) < 0.5).float()
    z, cell = _grid()
    with torch.no_grad():
        prior = twin.PRIORS[name](model)
        logits = model.net(z[:, 0])  # (G, P)
        log_px = logits @ x.flatten(1).T - nn.functional.softplus(logits).sum(1, keepdim=True)  # (G, 4)
        exact = (log_px + prior(z)).double().logsumexp(0) + math.log(cell)
        rows = twin.bounds(model, prior, x, [1, 100, 20_000], step=1000)
    assert (rows.diff(dim=0) > 0).all()
    torch.testing.assert_close(rows[-1], exact, atol=0.05, rtol=0)


def test_the_twin_is_judged_on_our_images(code: SimpleNamespace, played: Path) -> None:
    job = code.run.job_of("vae", "digits", 0, code.protocol.QUICK.rounds)
    run = bst.load(played / "runs" / job.name)
    ours = run.observe(run.part("test", None, 0)).x
    torch.testing.assert_close(code.pythae_twin.images(run.dataset), ours, atol=0, rtol=0)
