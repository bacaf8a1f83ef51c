"""`bestiary data FILE` counts columns as the user does, lists the keys of the file, and keeps those that were typed."""

import json

import pytest

from bestiary.cli import app as cli


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BESTIARY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def table(tmp_path):
    rows = (f"{i},{i * 37 % 11 + i % 7 / 10},{i % 2 * 2 - 1},{'abc'[i % 3]}" for i in range(60))
    (tmp_path / "t.csv").write_text("\n".join(["id,mass,sign,kind", *rows]) + "\n")
    return "t.csv"


def test_columns_are_counted_and_not_their_components(table, capsys):
    assert cli.main(["data", table]) == 0
    out = capsys.readouterr().out
    assert out.startswith("t: 60 rows of 4 columns\n")
    assert "drop=id" in out
    assert "categories=sign" in out


def test_the_keys_of_a_file_are_listed_with_their_defaults(table, capsys):
    cli.main(["data", table])
    words = capsys.readouterr().out.split()
    for word in ("label=", "categories=", "drop=", "missing=", "validation=0.1", "split_seed=0"):
        assert word in words


def test_the_next_command_keeps_the_keys(table, capsys):
    cli.main(["data", table, "drop=id", "categories=sign,kind", "split_seed=3"])
    assert "bestiary fit t.csv vae drop=id categories=sign,kind split_seed=3" in capsys.readouterr().out
    cli.main(["data", table])
    assert capsys.readouterr().out.endswith("bestiary fit t.csv vae\n")


def test_a_fit_says_what_was_left_out_of_a_file_and_nothing_of_a_named_set(table, capsys):
    assert cli.main(["fit", table, "vae", "--dry-run"]) == 0
    assert "  note: id looks like row numbers and is fitted as a number: drop=id" in capsys.readouterr().out
    assert cli.main(["fit", "digits", "vae", "--dry-run"]) == 0
    assert "note:" not in capsys.readouterr().out


def test_json_holds_the_facts_alone(table, capsys):
    cli.main(["data", table, "--json"])
    about = json.loads(capsys.readouterr().out)
    assert about["columns"] == ["id", "mass", "sign", "kind"]
    assert "keys" not in about
