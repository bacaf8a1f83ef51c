"""Several runs on one page: who is best, and when nobody is."""

import pytest
from fake import fake
from test_page import parsed

from bestiary.errors import BestiaryError
from bestiary.report import write_comparison, write_report
from bestiary.report.comparison import outcome
from bestiary.report.words import Mark, Number


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
        ([number(1, 0.6), number(2, 0.6)], "intervals meet"),
        ([number(1, 0.1, k=10), number(2, 0.1, k=100)], "protocols differ in k"),
        ([number(1, 0.1), number(None, 0)], "undefined"),
        ([number(1, 0.1, ""), number(2, 0.1, "")], "Neither more nor less"),
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
    assert "digits-vae is best: its interval lies apart from every other." in text


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


def test_beyond_its_floor_a_reading_is_no_better():
    floor = Mark(2.0, 1.9, 2.1)
    for better, near, far in (("lower", 3.0, 1.0), ("higher", 1.0, 3.0)):
        rivals = [Number("n", "N", "", better, "", Mark(v, v - 0.1, v + 0.1), floor, None, {}) for v in (near, far)]
        best, sentence = outcome(rivals)
        assert best is None
        assert "its floor, which is no merit" in sentence


def test_the_summary_counts_clear_winners_among_shared_numbers(tmp_path):
    runs = [fake("digits-vae", tmp_path), fake("digits-gan", tmp_path)]
    text = write_comparison(runs, tmp_path / "both.html").read_text("utf-8")
    assert "Of 1 number that more than one run has, digits-vae is clearly best in 1." in text
    assert text.index("Distance to the nearest") < text.index("−log p(x), evidence bound")
