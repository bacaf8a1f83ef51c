"""Run folders: no name is taken twice, any of them is found, and half a file is told from a whole one."""

import json
import os
import shutil
import threading

import pytest

from bestiary.errors import BestiaryError
from bestiary.run import Run, fit
from bestiary.runs.run_folder import create_run_folder, find_run, list_runs, point_latest_at
from bestiary.storage.run_files import note, read_config, read_env, read_judgement, update_env, write_config
from bestiary.version import FORMAT
from tests.runs.tiny import tiny

CONFIG = {
    "command": "bestiary fit x y",
    "version": "1",
    "format": FORMAT,
    "data": {"source": "x"},
    "spec": {"x": {}},
    "model": {"name": "y"},
    "training": {"seed": 0},
    "inferred": {},
    "origin": {"fingerprint": "0"},
}


def run(root, data="ring", model="vae", name=None):
    path = create_run_folder(root, data, model, name)
    write_config(path, CONFIG)
    point_latest_at(path)
    return path


def test_a_name_is_never_taken_twice(tmp_path):
    assert [run(tmp_path).name for _ in range(3)] == ["ring-vae", "ring-vae-2", "ring-vae-3"]
    (tmp_path / "file").write_text("")
    assert [run(tmp_path, name="file").name, run(tmp_path, name="other").name] == ["file-2", "other"]


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_made(tmp_path):
    """No file of safetensors can be opened under such a path."""
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/runs\xff")
    with pytest.raises(BestiaryError, match="not text in UTF-8: rename it"):
        tiny(folder)
    assert list(tmp_path.iterdir()) == []
    whole = run(tmp_path)
    other = whole.rename(os.fsdecode(os.fsencode(whole) + b"\xfe"))
    with pytest.raises(BestiaryError, match="not text in UTF-8: rename it"):
        find_run(other)


def test_fits_that_begin_together_get_a_folder_each(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(create_run_folder(tmp_path / "new", "a", "b"))) for _ in range(8)
    ]
    [t.start() for t in threads], [t.join() for t in threads]
    assert len(set(made)) == 8


@pytest.mark.parametrize(
    ("data", "stem"),
    [
        ("photos/", "photos-vae"),
        ("../my photos ü/", "my-photos-ü-vae"),
        ("a/table.v2.CSV", "table-v2-vae"),
        ("hf:user/Name", "name-vae"),
        ("..", "data-vae"),
        ("x" * 200, "x" * 40 + "-vae"),
    ],
)
def test_a_folder_is_named_after_data_and_model(tmp_path, data, stem):
    assert create_run_folder(tmp_path, data, "vae").name == stem


def test_latest_is_the_newest_and_is_not_counted(tmp_path):
    old, new = run(tmp_path), run(tmp_path)
    assert find_run("latest", tmp_path) == new.resolve()
    assert list_runs(tmp_path) == [old, new]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(old)  # a link of the user's own
    assert find_run(elsewhere) == find_run("elsewhere", tmp_path)
    assert find_run(elsewhere).samefile(old)
    assert list_runs(tmp_path / "none") == []


@pytest.mark.parametrize("name", ["", "..", ".", "latest", "a/b", "a b", "-x", ".hidden", "x" * 101, "a\n", "a\0"])
def test_a_name_that_cannot_be_one_is_refused(tmp_path, name):
    with pytest.raises(BestiaryError, match="--name"):
        create_run_folder(tmp_path / "runs", "ring", "vae", name)
    assert not (tmp_path / "runs").exists()


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for root in ("file", "dangling"):
        with pytest.raises(BestiaryError, match="is not a folder"):
            create_run_folder(tmp_path / root, "ring", "vae")
    with pytest.raises(BestiaryError, match="a part of the path is a file"):
        create_run_folder(tmp_path / "file" / "runs", "ring", "vae")


def test_a_run_is_found_by_name_and_by_path(tmp_path, monkeypatch):
    path = run(tmp_path, name="mine")
    assert find_run("mine", tmp_path) == find_run(path) == find_run(str(path), "elsewhere") == path
    monkeypatch.chdir(path)
    assert read_config(find_run(".")) == CONFIG


def test_a_name_nobody_knows_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(BestiaryError, match=r"There are no runs in .*bestiary fit"):
        find_run("mine", tmp_path)
    run(tmp_path, name="mine")
    (tmp_path / "no-run").mkdir()
    with pytest.raises(BestiaryError, match="did you mean `mine`") as caught:
        find_run("mien", tmp_path)
    assert "no-run" not in str(caught.value)
    for name in ("no-run", "a\0b"):
        with pytest.raises(BestiaryError, match="no run"):
            find_run(name, tmp_path)


def test_any_end_of_a_config_that_is_missing_is_noticed(tmp_path):
    path = run(tmp_path)
    whole = (path / "config.toml").read_bytes()
    for size in range(whole.index(b"[origin]")):
        (path / "config.toml").write_bytes(whole[:size])
        with pytest.raises(BestiaryError, match=r"config\.toml"):
            read_config(path)
    (path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BestiaryError, match="cannot be read"):
        read_config(path)


def test_facts_are_added_and_a_torn_file_of_them_is_begun_anew(tmp_path):
    update_env(tmp_path, a=1)
    update_env(tmp_path, b=2)
    assert read_env(tmp_path) == {"a": 1, "b": 2}
    for torn in ('{"a": 1', "", "[1]"):
        (tmp_path / "env.json").write_text(torn)
        assert read_env(tmp_path) == {}
    update_env(tmp_path, c=3)
    assert json.loads((tmp_path / "env.json").read_text()) == {"c": 3}


def test_the_log_is_a_courtesy(tmp_path):
    note(tmp_path, "one")
    note(tmp_path, "two")
    assert [line.split()[1] for line in (tmp_path / "log.txt").read_text().splitlines()] == ["one", "two"]
    note(tmp_path / "not there", "three")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("runs"), steps=1).path


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('name = "vae"', 'nam = "vae"'),
        ('name = "vae"', "name = 3"),
        ("[model]", "[modle]"),
        ("[data]", "[[data]]"),
        ('source = "ring"', ""),
        ("[spec]", "spec = 3\n[other]"),
        ('layout = "row"', "layout = [1]"),
        ('support = "reals"', 'support = "realz"'),
        ("shape = [2]", "shape = 2"),
    ],
)
def test_a_config_without_a_name_or_a_section_is_one_error_that_names_the_file(fitted, tmp_path, good, bad):
    path = shutil.copytree(fitted, tmp_path / "run")
    text = (path / "config.toml").read_text("utf-8")
    assert good in text
    (path / "config.toml").write_text(text.replace(good, bad, 1), "utf-8")
    with pytest.raises(BestiaryError, match=r"config.toml|support"):
        Run(path)


BROKEN = ("[]", "3", "null", '{"numbers": 3}', '{"numbers": [{}], "verdict": []}', "[" * 100_000, "\udcff", "{")


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_resumed_fit_ends_well_beside_a_judgement_that_cannot_be_read(fitted, tmp_path, text):
    path = shutil.copytree(fitted, tmp_path / "run")
    for name in ("judgement.json", "signs.json", "env.json"):
        (path / name).write_text(text, "utf-8", "surrogateescape")
    assert read_judgement(path) == {}
    again = fit(resume=path, steps=2, quiet=True, device="cpu")
    assert read_env(again.path)["finished"] is True
    assert "Not judged yet" in (again.path / "README.md").read_text("utf-8")
