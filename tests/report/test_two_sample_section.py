"""The curve of the two-sample classifier: its area is the AUC by pairs, its ends are fixed; a section with figures."""

import numpy as np
import pytest
from fake import fake
from safetensors.numpy import load_file, save_file

from bestiary.report import write_report
from bestiary.report.run_record import read
from bestiary.report.two_sample_section import roc, two_sample_plots


@pytest.mark.parametrize("levels", [4, 1000])  # with many ties, with few
def test_the_area_is_the_share_of_pairs_in_order(levels):
    rng = np.random.default_rng(0)
    real = rng.random(60) < 0.4
    logits = rng.integers(0, levels, 60) + real * levels / 3.0
    x, y = roc(logits, real)
    pairs = [(a > b) + (a == b) / 2 for a in logits[real] for b in logits[~real]]
    assert (np.diff(x) * (y[1:] + y[:-1])).sum() / 2 == pytest.approx(np.mean(pairs))
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()


def _with(tmp_path, **more):
    run = fake("digits-gan", tmp_path)
    save_file(load_file(run / "evidence.safetensors") | more, run / "evidence.safetensors")
    return run


def test_a_section_is_there_when_the_evidence_is(tmp_path):
    rng = np.random.default_rng(1)
    real = (np.arange(80) < 40).astype(np.float32)
    pairs = np.stack([rng.normal(size=80).astype(np.float32) + real, real], 1)
    run = _with(tmp_path, two_sample=pairs, density_ratio=pairs)
    text = write_report(run).read_text("utf-8")
    assert 'id="two_sample"' in text
    assert "the area below is 0." in text
    assert "Logarithm of the ratio of densities: median" in text


@pytest.mark.parametrize("bad", [
    np.zeros((5, 3), np.float32), np.full((5, 2), np.nan, np.float32), np.ones((5, 2), np.float32),
])  # fmt: skip
def test_evidence_that_tells_nothing_draws_nothing(tmp_path, bad):
    run = _with(tmp_path, two_sample=bad)
    assert two_sample_plots(read(run)) is None
    assert 'id="two_sample"' not in write_report(run).read_text("utf-8")
