"""The sections about what is inside: drawn from what is there, silent about what is not, whatever the files hold."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from bestiary.report.latent_section import bound_parts, signs
from bestiary.report.run_record import read

PARTS = {"distortion": 17.0, "mutual_information": 4.0, "total_correlation": 1.0, "dimension_kl": 0.5}


def folder(path, evidence=None, numbers=None):
    from safetensors.numpy import save_file

    (path / "config.toml").write_text('command = "x"\n')
    save_file(evidence or {"none": np.zeros(1)}, path / "evidence.safetensors")
    told = [{"name": k, "value": v} for k, v in (numbers or {}).items()]
    (path / "judgement.json").write_text(json.dumps({"numbers": told}))
    return read(path)


def test_parts_dimensions_and_curve_are_drawn(tmp_path):
    curve = np.array([[1, 23, 22, 24], [10, 22, 21, 23], [100, 21.5, 20.5, 22.5]], np.float32)
    dims = {"kl_dims": np.array([0.5, 0.001, 2.0], np.float32), "code_variance": np.array([0.3, 0.001, 0.9])}
    drawn = bound_parts(folder(tmp_path, {**dims, "k_curve": curve}, PARTS))
    assert set(drawn) == {"parts", "dims", "curve"}
    assert "mutual information 4.00 nats" in drawn["parts"]["bar"]
    assert drawn["parts"]["whole"] == "22.50"
    assert "2 of 3 dimensions of z are active" in drawn["dims"]
    assert drawn["dims"].count("bar pale") == 1
    assert "at k = 100" in drawn["curve"]


def widths(bar):
    return [float(rect.get("width")) for rect in ElementTree.fromstring(bar).iter("rect")]


def test_lengths_are_in_the_ratio_of_the_nats(tmp_path):
    parts = bound_parts(folder(tmp_path, None, PARTS))["parts"]
    for width, nats in zip(widths(parts["bar"]), PARTS.values(), strict=True):
        assert width == pytest.approx(700 * nats / 22.5 - 1.5, abs=0.01)


def test_nats_below_zero_are_told_and_have_no_length(tmp_path):
    """A density may be above 1; a part near 0 may come out below it."""
    parts = bound_parts(folder(tmp_path, None, {**PARTS, "distortion": -3.0, "dimension_kl": -0.001}))["parts"]
    assert [text for _, text in parts["lines"]] == ["−3.00", "4.00", "1.00", "0.00"]
    assert parts["whole"] == "2.00"
    assert widths(parts["bar"])[::3] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"distortion": 17.0, "rate": 6.0, "mutual_information": 4.0, "marginal_kl": 2.0}, 3),  # p(z) has no dimensions
        ({"distortion": 17.0, "rate": 6.0}, 2),  # nor has q(z) a density
    ],
)
def test_the_finest_parts_that_were_measured_are_drawn(tmp_path, numbers, told):
    parts = bound_parts(folder(tmp_path, None, numbers))["parts"]
    assert len(parts["lines"]) == told
    assert parts["whole"] == "23.00"


def test_a_loss_alone_is_no_bound(tmp_path):
    assert bound_parts(folder(tmp_path, None, {"distortion": 17.0})) is None


def test_without_kl_the_variance_of_codes_is_drawn(tmp_path):
    drawn = bound_parts(folder(tmp_path, {"code_variance": np.array([0.3, 0.001], np.float32)}))
    assert set(drawn) == {"spread"}
    assert drawn["spread"].count("bar pale") == 1


@pytest.mark.parametrize(
    "evidence",
    [
        {"code_variance": np.array([np.nan], np.float32)},
        {"k_curve": np.zeros((3, 4), np.float32)},
        {"k_curve": np.ones(4)},
    ],
)
def test_what_cannot_be_drawn_is_left_out(tmp_path, evidence):
    assert bound_parts(folder(tmp_path, evidence)) is None


@pytest.mark.parametrize("text", ["", "{", "[3, null]", '[{"says": 5}, {"remedies": 3}]', '{"a": 1}', "[" * 2000])
def test_torn_signs_are_no_error(tmp_path, text):
    (tmp_path / "signs.json").write_text(text)
    assert all(sign["says"] for sign in signs(folder(tmp_path)))


def test_signs_are_told_with_their_remedies(tmp_path):
    sign = {"name": "collapse", "says": "posterior collapse", "remedies": [{"says": "anneal", "command": "bestiary …"}]}
    (tmp_path / "signs.json").write_text(json.dumps([sign]))
    (found,) = signs(folder(tmp_path))
    assert found == {"says": "posterior collapse", "remedies": sign["remedies"]}
