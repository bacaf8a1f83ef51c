"""Reading a run folder: everything optional, nothing trusted."""

import json
from pathlib import Path

import numpy as np
import pytest
from fake import KINDS, fake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from bestiary.errors import BestiaryError
from bestiary.grammar.command_line import command
from bestiary.report import write_report
from bestiary.report.run_record import READERS, read


def test_a_torn_last_line_costs_only_itself(tmp_path):
    run = fake("digits-gan", tmp_path)
    whole = read(run).journal["critic.real"]
    text = (run / "journal.jsonl").read_text()
    (run / "journal.jsonl").write_text(text[:-20])
    torn = read(run).journal["critic.real"]
    assert len(torn[0]) == len(whole[0]) - 1
    assert np.array_equal(torn[1], whole[1][:-1])


def test_a_round_written_twice_counts_once_and_odd_values_are_gaps(tmp_path):
    rows = [
        {"round": 2, "a.b": 1.0},
        {"round": 1, "a.b": float("nan")},
        {"round": 2, "a.b": 3.0},
        {"a.b": 9.0},
        {"round": 3, "a.b": "x"},
    ]
    (tmp_path / "journal.jsonl").write_text("\n".join(map(json.dumps, rows)))
    x, y = read(tmp_path).journal["a.b"]
    assert x.tolist() == [1, 2]
    assert np.isnan(y[0])
    assert y[1] == 3.0


def test_evidence_of_the_wrong_shape_is_left_out_and_named(tmp_path):
    run = fake("digits-vae", tmp_path)
    evidence = load_file(run / "evidence.safetensors")
    evidence["samples"] = np.zeros((4, 9, 9, 1), np.uint8)
    save_file(evidence, run / "evidence.safetensors")
    folder = read(run)
    assert "samples" not in folder.evidence
    assert "data" in folder.evidence
    assert any("`samples`" in note and "8 × 8 × 1" in note for note in folder.notes)
    assert "`samples`" in write_report(run).read_text("utf-8")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("how", ["gone", "empty", "halved", "garbage", "folder"])
def test_any_file_may_be_gone_or_torn(tmp_path, name, how):
    run = fake("people-vae", tmp_path)
    path = run / name
    whole = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "gone":
        path.write_bytes({"empty": b"", "halved": whole[: len(whole) // 2], "garbage": b"\xff\x00{[" * 50}[how])
    text = write_report(run).read_text("utf-8")
    assert "<h1>" in text
    if name in ("judgement.json", "evidence.safetensors"):
        assert "bestiary judge" in text


def test_without_a_config_the_shape_is_read_from_the_evidence(tmp_path):
    run = fake("digits-vae", tmp_path)
    (run / "config.toml").unlink()
    folder = read(run)
    assert folder.spec is not None
    assert (folder.spec.x.layout, folder.spec.shape, folder.spec.x.levels) == ("picture", (1, 8, 8), 17)
    assert not folder.known


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(BestiaryError, match="there is no run folder"):
        write_report(tmp_path / "none")
    with pytest.raises(BestiaryError, match="not a run folder"):
        write_report(tmp_path)


def test_commands_are_written_from_here_and_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("judge", tmp_path / "runs" / "a b") == "bestiary judge 'runs/a b'"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
number_keys = ("name", "title", "value", "low", "high", "unit", "better", "floor", "ceiling", "protocol", "says")
judgements = st.fixed_dictionaries(
    {},
    optional={
        "made": json_values,
        "notes": json_values,
        "protocol": json_values,
        "numbers": json_values
        | st.lists(st.dictionaries(st.sampled_from(number_keys), json_values | st.floats(), max_size=8), max_size=3),
    },
)
lines = st.lists(
    st.dictionaries(
        st.sampled_from(("round", "epoch", "vae.kl", "validation.bound", "validation.low", ".")), json_values
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(judgement=judgements | json_values, env=json_values, journal=lines, config=st.binary(max_size=40))
def test_no_json_brings_the_page_down(tmp_path: Path, judgement, env, journal, config):
    (tmp_path / "judgement.json").write_text(json.dumps(judgement))
    (tmp_path / "env.json").write_text(json.dumps(env))
    (tmp_path / "journal.jsonl").write_text("\n".join(map(json.dumps, journal)))
    (tmp_path / "config.toml").write_bytes(config)
    assert "</html>" in write_report(tmp_path).read_text("utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {kind: fake(kind, root) for kind in KINDS}


WHOLE: dict[Path, dict[str, np.ndarray]] = {}


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_no_evidence_brings_the_page_down(runs, data, kind):
    """Any array may be gone, short, of another type, constant, or full of what is not finite."""
    run = runs[kind]
    whole = WHOLE.setdefault(run, load_file(run / "evidence.safetensors"))
    kept = {}
    for key, array in whole.items():
        fate = data.draw(st.sampled_from(["whole", "gone", "one", "none", "odd", "type"]), key)
        value = data.draw(st.sampled_from([0.0, 1e30, -7.5, np.nan, np.inf]), "value")
        odd = np.full(array.shape, value, array.dtype if array.dtype.kind == "f" else np.float32)
        fates = {"whole": array, "one": array[:1], "none": array[:0], "odd": odd, "type": array.astype(np.int32)}
        if fate in fates:
            kept[key] = np.ascontiguousarray(fates[fate])
    save_file(kept, run / "evidence.safetensors")
    assert "</html>" in write_report(run).read_text("utf-8")
