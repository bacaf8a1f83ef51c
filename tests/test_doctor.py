"""The doctor names each fault with its fix, and goes on where a check raises."""

import importlib.metadata
import json

import pytest

from bestiary import doctor
from bestiary.cli.app import main


def test_this_installation_is_healthy_and_every_warning_has_a_fix(tmp_path):
    found = doctor.examine(tmp_path / "runs")
    assert found["healthy"], found
    assert {f["topic"] for f in found["findings"]} == {
        "python",
        "packages",
        "torch",
        "devices",
        "files",
        "data",
    }
    assert all(f["fix"] for f in found["findings"] if f["state"] != "fine")
    assert not (tmp_path / "runs").exists()  # it looks and changes nothing
    json.dumps(found)


@pytest.mark.parametrize(
    ("installed", "state", "message"),
    [
        ({"alpha": "2.1"}, "broken", "beta"),
        ({"alpha": "1.9", "beta": "1"}, "broken", "older than 2.0"),
        ({"alpha": "2.10+cpu", "beta": "1"}, "fine", "alpha 2.10+cpu"),
    ],
)
def test_packages_are_compared_by_number(monkeypatch, installed, state, message):
    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    lines = ["alpha>=2.0", "beta", "gamma>=1; extra == 'hub'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    monkeypatch.setattr(importlib.metadata, "version", version)
    core, hub = doctor.run_check("packages", doctor._packages)
    assert (core.state, hub.state) == (state, "warning")
    assert message in core.message
    assert hub.fix == "pip install 'bestiary[hub]'"


def test_a_checkout_that_is_not_installed_reads_its_own_list(monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    installed = doctor._requirements()
    monkeypatch.setattr(importlib.metadata, "requires", nowhere)
    assert len(doctor._requirements()[doctor.CORE]) == len(installed[doctor.CORE])


@pytest.mark.parametrize("error", [ImportError("no libcudart"), OSError("torn library")])
def test_a_torch_that_does_not_import_is_a_finding(monkeypatch, error):
    def load(name):
        raise error

    monkeypatch.setattr("importlib.import_module", load)
    (finding,) = doctor.run_check("torch", doctor._torch)
    assert finding.state == "broken"
    assert str(error) in finding.message
    assert finding.fix


def test_a_check_that_fails_itself_is_a_finding():
    def check():
        yield doctor.Finding("x", "first", "fine", "")
        raise RuntimeError("what?")

    first, second = doctor.run_check("x", check)
    assert (first.state, second.state, second.message) == ("fine", "broken", "RuntimeError: what?")


def test_a_place_where_runs_cannot_be_is_broken_and_changes_the_exit_code(tmp_path, capsys):
    (tmp_path / "runs").write_text("a file, not a folder")
    assert main(["doctor", "--runs", str(tmp_path / "runs")]) == 1
    assert "--runs DIR" in " ".join(capsys.readouterr().out.split())  # wrapped anywhere


def test_the_exit_code_of_health_is_zero(tmp_path, capsys):
    assert main(["doctor", "--json", "--runs", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"]


def test_data_that_are_not_where_they_should_be_are_said(monkeypatch, tmp_path):
    monkeypatch.setenv("BESTIARY_DATA", str(tmp_path / "gone"))
    found = doctor.run_check("data", doctor._data)
    assert (found[0].name, found[0].state) == ("BESTIARY_DATA", "warning")


def test_sets_that_are_not_here_come_with_a_way_to_get_them(monkeypatch, tmp_path):
    monkeypatch.delenv("BESTIARY_DATA", raising=False)
    monkeypatch.setenv("BESTIARY_CACHE", str(tmp_path))
    found = {f.name: f for f in doctor.run_check("data", doctor._data)}
    assert "digits" in found["sets"].message
    assert found["mnist"].fix == "bestiary data mnist --download"
