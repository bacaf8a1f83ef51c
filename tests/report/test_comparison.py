"""Several runs on one page: who is best, and when nobody is."""

import json

import pytest
from fake import fake
from test_page import parsed

from bestiary.errors import BestiaryError
from bestiary.report import write_comparison, write_report
from bestiary.report.comparison import _names, outcome
from bestiary.report.number_words import Mark, Number


def number(value, half, better="lower", **protocol):
    mark = None if value is None else Mark(value, value - half, value + half)
    return Number("n", "N", "nats", better, "", mark, None, None, protocol)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_best_is_who_lies_apart_whatever_the_order(better):
    rivals = [number(1, 0.4, better), number(2, 0.4, better), number(3, 0.4, better)]
    want = 1 if better == "lower" else 3
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        shuffled = [rivals[i] for i in order]
        best, _ = outcome(shuffled)
        assert best is not None
        assert shuffled[best].mark.value == want


@pytest.mark.parametrize(
    ("rivals", "says"),
    [
        ([number(1, 0.6), number(2, 0.6)], "intervals overlap"),
        ([number(1, 0.1, k=10), number(2, 0.1, k=100)], "protocols differ in k"),
        ([number(1, 0.1), number(None, 0)], "undefined"),
        ([number(1, 0.1, ""), number(2, 0.1, "")], "No direction"),
        ([number(1, 0.1)], "Only one run"),
    ],
)
def test_nobody_is_best_without_a_fair_and_clear_comparison(rivals, says):
    best, sentence = outcome(rivals)
    assert best is None
    assert says in sentence


def test_the_page_links_to_the_reports_that_are_there(tmp_path):
    runs = [fake("digits-vae", tmp_path / "runs of mine"), fake("digits-gan", tmp_path / "runs of mine")]
    write_report(runs[0])
    out = write_comparison(runs, tmp_path / "pages" / "both.html")
    links = [a["href"] for a in parsed(out).all("a")]
    assert links == ["../runs%20of%20mine/digits-vae/report.html"]
    text = out.read_text("utf-8")
    assert "No report yet" in text
    assert "digits-vae is best: its interval overlaps no other." in text


def test_runs_of_different_kinds_and_bare_runs_share_a_page(tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "journal.jsonl").write_text("")
    runs = [bare, *(fake(kind, tmp_path) for kind in ("ring-vae", "people-vae", "photos-dcgan"))]
    assert "bestiary judge" in write_comparison(runs, tmp_path / "all.html").read_text("utf-8")
    with pytest.raises(BestiaryError, match="at least one run"):
        write_comparison([], tmp_path / "none.html")


def test_the_same_protocol_with_other_weights_is_the_same_protocol():
    assert outcome([number(1, 0.1, weights="a"), number(2, 0.1, weights="b")])[0] == 0


def test_better_than_real_data_is_no_merit():
    held = Mark(2.0, 1.9, 2.1)

    def rivals(better: str, name: str, *values: float) -> list[Number]:
        floor, ceiling = (held, None) if better == "lower" else (Mark(0.1), held)
        return [Number(name, "N", "", better, "", Mark(v, v - 0.1, v + 0.1), floor, ceiling, {}) for v in values]

    best, sentence = outcome(rivals("lower", "n", 3.0, 1.0))
    assert best is None
    assert "below its floor, which is no merit" in sentence
    best, sentence = outcome(rivals("higher", "density", 1.0, 3.0))
    assert best is None
    assert "above its ceiling, which is no merit" in sentence
    assert outcome(rivals("higher", "density", 1.0, 1.8))[0] == 1  # above its floor, as it should be
    assert outcome(rivals("higher", "probe", 1.0, 3.0))[0] == 1  # codes may be read better than pixels


def test_runs_of_different_data_and_stale_ones_are_not_compared(tmp_path):
    runs = [fake("digits-vae", tmp_path), fake("digits-gan", tmp_path)]
    config = runs[1] / "config.toml"
    before = config.read_text("utf-8")
    config.write_text(before.replace("[data]", "[data]\nsplit_seed = 3"), "utf-8")
    text = write_comparison(runs, tmp_path / "both.html").read_text("utf-8")
    assert "different splits" in text
    assert "is best" not in text
    config.write_text(before, "utf-8")
    (runs[1] / "model.safetensors").write_bytes(b"fitted further")
    judged = runs[1] / "judgement.json"
    told = json.loads(judged.read_text("utf-8"))
    told["protocol"] = {**told.get("protocol", {}), "weights": "0" * 12}
    judged.write_text(json.dumps(told), "utf-8")
    assert "fitted further after it was judged" in write_comparison(runs, tmp_path / "both.html").read_text("utf-8")
    assert "fitted further since" in write_report(runs[1]).read_text("utf-8")


def test_a_stale_run_is_left_out_by_name_and_the_others_are_compared(tmp_path):
    runs = [fake("digits-vae", tmp_path / name).rename(tmp_path / name / name) for name in ("a", "b", "c")]
    for run, value, weights in zip(runs, (1.0, 2.0, 0.5), ("", "", "0" * 12), strict=True):
        (run / "model.safetensors").write_bytes(b"weights")
        number = {"name": "n", "title": "a distance", "value": value, "low": value - 0.1, "high": value + 0.1,
                  "unit": "", "better": "lower", "protocol": {}, "floor": None, "ceiling": None}  # fmt: skip
        told = {"numbers": [number], "protocol": {"weights": weights}, "verdict": [], "notes": []}
        (run / "judgement.json").write_text(json.dumps(told), "utf-8")
    text = write_comparison(runs, tmp_path / "all.html").read_text("utf-8")
    assert "a is best: its interval overlaps no other. c is left out: it was fitted further" in " ".join(text.split())


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    runs = [fake("digits-vae", tmp_path / "a"), fake("digits-vae", tmp_path / "b")]
    assert _names(runs) == ["a/digits-vae", "b/digits-vae"]
    assert _names([runs[0]]) == ["digits-vae"]


def test_the_summary_counts_clear_winners_among_shared_numbers(tmp_path):
    runs = [fake("digits-vae", tmp_path), fake("digits-gan", tmp_path)]
    text = write_comparison(runs, tmp_path / "both.html").read_text("utf-8")
    assert "Compared in 1 number, digits-vae is clearly best in 1." in text
    assert text.index("Distance to the nearest") < text.index("−log p(x), evidence bound")
