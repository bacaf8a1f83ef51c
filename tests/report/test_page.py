"""The page: one file, whole, escaped, the same twice, and never half written."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from fake import KINDS, fake, number
from safetensors.numpy import load_file, save_file

from bestiary.data.support import Reals
from bestiary.errors import BestiaryError
from bestiary.report import write_report
from bestiary.report.number_words import verdict
from bestiary.report.run_record import read

VOID = {"meta", "link", "img", "br"}
EVERY = [*KINDS, "bare", "comparison"]


class Reader(HTMLParser):
    """Checks that elements close in order; keeps what the tests ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, *tags):
        return [attrs for tag, attrs in self.seen if tag in tags]


def parsed(path):
    reader = Reader()
    reader.feed(path.read_text("utf-8"))
    reader.close()
    assert not reader.open
    return reader


@pytest.mark.parametrize("kind", EVERY)
def test_a_page_is_whole_small_and_asks_for_nothing(pages, kind):
    reader = parsed(pages[kind])
    assert pages[kind].stat().st_size < 1_500_000
    for _, attrs in reader.seen:
        for key in ("src", "href", "action", "data", "srcset"):
            if attrs.get(key):
                assert re.match(r"data:|#|digits-(vae|gan)/report\.html$", attrs[key])
    assert "url(" not in pages[kind].read_text("utf-8")
    assert "@import" not in pages[kind].read_text("utf-8")
    assert len(reader.all("script")) == 1
    policy = next(m["content"] for m in reader.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("kind", EVERY)
def test_a_page_can_be_read_aloud(pages, kind):
    reader = parsed(pages[kind])
    assert all(image["alt"] for image in reader.all("img"))
    assert all(svg["aria-label"] for svg in reader.all("svg"))
    levels = [int(tag[1]) for tag, _ in reader.seen if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    ids = [attrs["id"] for _, attrs in reader.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    labels = [attrs["aria-labelledby"] for attrs in reader.all("section")]
    assert set(labels) <= set(ids)


SECTIONS = {
    "digits-vae": {"samples", "numbers", "bound", "fit", "reconstructions", "latent", "neighbours", "repeat"},
    "digits-gan": {"samples", "numbers", "fit", "neighbours", "repeat"},
    "ring-vae": {"samples", "numbers", "fit", "repeat"},
    "people-vae": {"samples", "numbers", "fit", "neighbours", "repeat"},
    "bare": {"samples", "numbers", "fit", "repeat"},
}


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_page_has_the_sections_its_evidence_allows(pages, kind):
    assert {attrs["id"] for attrs in parsed(pages[kind]).all("section")} == SECTIONS[kind]


def test_what_is_missing_is_said_with_the_command_that_makes_it(pages):
    text = pages["bare"].read_text("utf-8")
    assert text.count("bestiary judge") == 2
    assert "config.toml is missing" in text
    assert "This run has not been judged yet." in text


def test_the_same_folder_gives_the_same_bytes(tmp_path):
    run = fake("digits-vae", tmp_path)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7 * 7 }} \ud800"


def test_names_that_look_like_code_are_harmless(tmp_path):
    """Every string of every file is nasty; the elements of the page stay those of the tame one."""
    tame = parsed(write_report(fake("people-vae", tmp_path / "tame")))
    run = fake("people-vae", tmp_path / "nasty")
    nasty = json.dumps(NASTY.replace("\ud800", ""))
    config = (run / "config.toml").read_text("utf-8")
    keep = {f'"{word}"' for word in ("row", "columns", "reals", "category")}  # else there is no spec to read
    swap = lambda m: m[0] if m[1] in keep else f"= {nasty}"  # noqa: E731
    config = re.sub(r'= ("[^"]*")', swap, config)
    config = re.sub(r'"(age|income|school|college)"', lambda m: nasty, config)
    (run / "config.toml").write_text(config, "utf-8")
    for name in ("env.json", "judgement.json"):
        text = (run / name).read_text("utf-8")
        text = re.sub(r': "[^"]*"', lambda m: ": " + json.dumps(NASTY), text)
        (run / name).write_text(text, "utf-8")
    (run / "journal.jsonl").write_text(json.dumps({"round": 1, f"vae.{NASTY}": 1.0, f"{NASTY}.total": 2.0}) + "\n")
    assert {column.name for column in read(run).spec.x.columns} == {NASTY.replace("\ud800", "")}
    out = write_report(run)
    reader = parsed(out)
    assert len(reader.all("script")) == 1
    assert len(reader.all("img")) == len(tame.all("img"))
    assert not any(key.startswith("on") for _, attrs in reader.seen for key in attrs)
    text = out.read_text("utf-8")
    assert "{{ 7 * 7 }}" in text
    assert "&lt;script&gt;" in text


def test_columns_are_shown_in_the_units_of_the_file(tmp_path, pages):
    text = pages["people-vae"].read_text("utf-8")
    incomes = re.search(r"income: median ([\d,]+) in the data, ([\d,]+) in the samples", text)
    evidence = read(pages["people-vae"].parent).evidence
    income = Reals(32_000.0, 14_000.0)
    for text, key in zip(incomes.groups(), ("data", "samples"), strict=True):
        raw = np.median(evidence[key][:, 1]) * income.scale + income.mean
        assert float(text.replace(",", "")) == pytest.approx(raw, rel=1e-3)


def test_the_verdict_is_made_of_the_numbers(pages):
    """Its sentences where it has some; else the weightiest number."""
    folder = read(pages["digits-vae"].parent)
    assert verdict(folder).endswith("nats.")
    spoken = replace(folder, judgement=folder.judgement | {"verdict": ["No class is missing.", 3, "All is well."]})
    assert verdict(spoken) == "No class is missing. All is well."
    assert verdict(replace(folder, judgement={})) == ""


def test_one_number_in_two_units_is_one_entry(tmp_path):
    run = fake("digits-gan", tmp_path)
    judgement = json.loads((run / "judgement.json").read_text())
    judgement["numbers"] = [
        number("a", "−ELBO", 23.35, 0.5, unit="nats"),
        number("b", "−ELBO", 0.526, 0.01, unit="bits/dim"),
        number("c", "share of copies", 0.25, 0.01, unit="share"),
    ]
    (run / "judgement.json").write_text(json.dumps(judgement))
    text = write_report(run).read_text("utf-8")
    assert text.count("<h3>−ELBO</h3>") == 1
    assert "or 0.526 bits/dim" in text
    assert "<h3>Share of copies</h3>" in text
    assert "0.250 share" not in text


def test_an_unfinished_fit_says_how_to_go_on(tmp_path):
    run = fake("digits-gan", tmp_path)
    env = json.loads((run / "env.json").read_text()) | {"finished": False, "why": "interrupted", "round": 700}
    (run / "env.json").write_text(json.dumps(env))
    text = write_report(run).read_text("utf-8")
    assert "This fit is not finished (interrupted)." in text
    assert "bestiary fit --resume" in text
    assert "700 of 2,000" in text


def test_a_failed_write_keeps_the_old_page_and_leaves_nothing_behind(tmp_path, monkeypatch):
    run = fake("digits-gan", tmp_path)
    before = write_report(run).read_bytes()
    names = sorted(os.listdir(run))

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bestiary.storage.atomic.os.fsync", full)
    with pytest.raises(BestiaryError, match="the disk is full"):
        write_report(run)
    assert sorted(os.listdir(run)) == names
    assert (run / "report.html").read_bytes() == before


def test_a_report_needs_no_torch(tmp_path):
    run = fake("digits-vae", tmp_path)
    code = (
        "import sys; from pathlib import Path; from bestiary.report import write_report;"
        "assert not {'PIL', 'jinja2', 'safetensors'} & sys.modules.keys();"
        "write_report(Path(sys.argv[1])); assert not {'torch', 'sklearn', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)


def test_points_outside_the_frame_are_counted(tmp_path):
    run = fake("ring-vae", tmp_path)
    evidence = load_file(run / "evidence.safetensors")
    evidence["model_samples"][:7] = 50.0
    save_file(evidence, run / "evidence.safetensors")
    text = write_report(run).read_text("utf-8")
    assert "Samples: 1,000 points over the true density, 7 of them outside the frame" in text


def test_data_the_model_was_fitted_to_is_not_called_unseen(tmp_path):
    run = fake("digits-vae", tmp_path)
    assert "has not seen" in write_report(run).read_text("utf-8")
    judgement = (run / "judgement.json").read_text().replace('"split": "test"', '"split": "train"')
    (run / "judgement.json").write_text(judgement)
    text = write_report(run).read_text("utf-8")
    assert "has not seen" not in text
    assert "Real examples, train part" in text
