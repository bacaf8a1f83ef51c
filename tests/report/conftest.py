"""Fake run folders with their reports, made once for the room."""

from pathlib import Path

import pytest
from fake import KINDS, fake

from bestiary.report import write_comparison, write_report


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind → its page, with a run that holds next to nothing and a comparison of two runs."""
    root = tmp_path_factory.mktemp("runs")
    found = {kind: write_report(fake(kind, root)) for kind in KINDS}
    bare = root / "bare-run"
    bare.mkdir()
    (bare / "journal.jsonl").write_text('{"round": 100, "vae.total": 5.0}\n{"round": 200, "vae.to')
    found["bare"] = write_report(bare)
    found["comparison"] = write_comparison([root / "digits-vae", root / "digits-gan"], root / "comparison.html")
    return found
