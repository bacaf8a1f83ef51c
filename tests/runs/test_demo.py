"""The demo, made small: every beast is fitted, judged and reported, and a page shows them side by side."""

from bestiary.runs import demo
from tests.runs.tiny import SMALL, TINY


def test_every_beast_is_judged_and_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "BEASTS", tuple((model, {**SMALL[model], **TINY}) for model in ("vae", "dcgan")))
    runs = demo.demo(tmp_path / "runs", quiet=True)
    assert [run.name for run in runs] == ["demo-vae", "demo-dcgan"]
    for run in runs:
        assert (run.path / "judgement.json").is_file()
        assert (run.path / "report.html").is_file()
    page = (tmp_path / "runs" / "demo.html").read_text()
    assert all(run.name in page for run in runs)
    said = capsys.readouterr()
    assert said.out == said.err == ""
    assert [run.name for run in demo.demo(tmp_path / "runs", quiet=True)] == ["demo-vae-2", "demo-dcgan-2"]
    capsys.readouterr()
