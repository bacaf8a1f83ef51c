"""The sections about what is inside: drawn from what is there, silent about what is not, whatever the files hold."""

import json

import numpy as np
import pytest

from bestiary.report.anatomy import made_of, signs
from bestiary.report.folder import read

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
    drawn = made_of(folder(tmp_path, {"kl_dims": np.array([0.5, 0.001, 2.0], np.float32), "k_curve": curve}, PARTS))
    assert set(drawn) == {"parts", "dims", "curve"}
    assert "mutual information 4 nats" in drawn["parts"]
    assert "2 of 3 above 0.01 nats" in drawn["dims"]
    assert drawn["dims"].count("bar pale") == 1
    assert "at k = 100" in drawn["curve"]


@pytest.mark.parametrize(
    "evidence",
    [{"kl_dims": np.array([np.nan], np.float32)}, {"k_curve": np.zeros((3, 4), np.float32)}, {"k_curve": np.ones(4)}],
)
def test_what_cannot_be_drawn_is_left_out(tmp_path, evidence):
    assert made_of(folder(tmp_path, evidence)) is None


@pytest.mark.parametrize("text", ["", "{", "[3, null]", '[{"says": 5}, {"remedies": 3}]', '{"a": 1}', "[" * 2000])
def test_torn_signs_are_no_error(tmp_path, text):
    (tmp_path / "signs.json").write_text(text)
    assert all(sign["says"] for sign in signs(folder(tmp_path)))


def test_signs_are_told_with_their_remedies(tmp_path):
    sign = {"name": "collapse", "says": "posterior collapse", "remedies": [{"says": "anneal", "command": "bestiary …"}]}
    (tmp_path / "signs.json").write_text(json.dumps([sign]))
    (found,) = signs(folder(tmp_path))
    assert found == {"says": "posterior collapse", "remedies": sign["remedies"]}
