"""The one door: names, paths and options are told apart, and every mistake is answered."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bestiary.data
from bestiary.data.files import plain_name
from bestiary.data.load import catalogue, describe, load, loader
from bestiary.data.spec import Field, Spec, pictures, rows
from bestiary.data.standard_sets import SETS
from bestiary.data.support import Column, Levels
from bestiary.data.toys import TOYS
from bestiary.errors import BestiaryError
from bestiary.storage.atomic import atomic


@pytest.mark.parametrize(
    ("word", "guess"), [("digts", "digits"), ("minst", "mnist"), ("rign", "ring"), ("spirla", "spiral")]
)
def test_a_typo_is_answered_with_the_nearest_name(word: str, guess: str) -> None:
    with pytest.raises(BestiaryError, match=f"did you mean `{guess}`"):
        load(word)


@pytest.mark.parametrize("path", ["photos/", "no/such.csv", "missing.npy", "", " ", "a\0b", "x" * 5000, "~nobody/x"])
def test_a_path_that_is_not_there_is_said(path: str) -> None:
    with pytest.raises(BestiaryError):
        load(path)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30).filter(lambda s: not Path(s.replace("\0", "")).exists() and s not in (*SETS, *TOYS)))
def test_no_word_escapes_our_error(word: str) -> None:
    with pytest.raises(BestiaryError):
        load(word)


def test_unknown_kinds_of_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"")
    with pytest.raises(BestiaryError, match=r"\.npy"):
        load(tmp_path / "x.pkl")


def test_options_are_checked_by_name_and_kind() -> None:
    with pytest.raises(BestiaryError, match="did you mean `seed`"):
        load("ring", seeed=1)
    with pytest.raises(BestiaryError, match="whole number"):
        load("ring", n="many")
    with pytest.raises(BestiaryError, match="whole number"):
        load("ring", n=2.5)
    with pytest.raises(BestiaryError, match="yes or"):
        load("mnist", download="perhaps")
    assert len(load("ring", n="100").x) == 100


@pytest.mark.parametrize("name", [*(name for name in SETS if name == "digits"), *TOYS])
def test_describe_is_plain_and_complete(name: str) -> None:
    import json

    data = load(name)
    told = describe(data)
    assert json.loads(json.dumps(told)) == told
    assert sum(told["parts"].values()) == told["examples"] == len(data.x)
    assert (told["entropy_nats"] is None) == (name not in TOYS)
    assert told["source"]["fingerprint"]


@pytest.mark.parametrize(
    ("spec", "likelihood"),
    [
        (pictures((1, 8, 8), 2), "bernoulli"),
        (pictures((3, 8, 8), 2), "bernoulli"),
        (pictures((1, 8, 8)), "bernoulli"),
        (pictures((3, 8, 8)), "logistic"),
        (Spec(Field("x", "picture", (1, 8, 8), Levels(256, is_photograph=True))), "logistic"),
        (Spec(Field("x", "picture", (1, 8, 8), Levels(2, is_photograph=True))), "bernoulli"),
        (rows(2), "gaussian"),
        (rows([Column("a"), Column("b")]), "gaussian"),
    ],
)
def test_the_likelihood_that_fits(spec: Spec, likelihood: str) -> None:
    assert spec.x.likelihood.value == likelihood


def test_photographs_are_not_binarised_and_ink_is(tmp_path: Path) -> None:
    """A photograph is no probability of ink: a Bernoulli would throw its greys away, and call that a likelihood."""
    draw = np.random.default_rng(0)
    photographs = draw.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    ink = np.where(draw.random((20, 8, 8)) < 0.1, photographs, 255 * (photographs > 128)).astype(np.uint8)
    for i in range(20):
        for name, images in (("photographs", photographs), ("ink", ink)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(images[i]).save(tmp_path / name / f"{i:02d}.png")
    for source in (photographs, photographs / 255, tmp_path / "photographs"):
        data = load(source)
        assert data.spec.x.likelihood == ("logistic", "greys, not ink, of 256 levels")
        assert Spec.from_dict(data.spec.to_dict()) == data.spec
    for data in (load(ink), load(tmp_path / "ink"), load("digits"), load("glyphs", n=20)):
        assert data.spec.x.likelihood.value == "bernoulli"


def test_the_catalogue_names_every_set_and_its_place() -> None:
    listed = catalogue()
    assert list(listed) == [*SETS, *TOYS]
    assert all(entry.keys() == {"description", "shape", "where", "here"} for entry in listed.values())
    assert listed["digits"]["here"] == "yes"
    assert listed["mnist"]["here"] == "no"


def test_loaders_show_their_options() -> None:
    import inspect

    for source in ("digits", "gaussian", np.zeros((5, 2)), "hf:a/b"):
        parameters = inspect.signature(loader(source)).parameters.values()
        assert all(p.default is not inspect.Parameter.empty for p in parameters)


def test_the_public_names_of_the_room() -> None:
    for name in bestiary.data.__all__:
        assert getattr(bestiary.data, name).__name__ == name
    with pytest.raises(AttributeError, match="it has"):
        _ = bestiary.data.nothing


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic(path) as file:
            file.write(b"new")
            raise OSError(28, "No space left on device")

    with pytest.raises(BestiaryError, match="disk is full"):
        write_half()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    with atomic(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


@given(st.text(max_size=100))
def test_plain_names_are_safe(text: str) -> None:
    name = plain_name(text)
    assert name
    assert not set(name) & set("/\\ \0:;|&$`'\"<>*?\n")
    assert not name.startswith((".", "-"))


def test_what_is_shown_of_a_folder_has_no_control_characters(tmp_path: Path) -> None:
    """A file name may hold the escape sequences that a terminal obeys, and so may names in metadata."""
    for i in range(6):
        Image.new("L", (8, 8), 30 * i).save(tmp_path / f"{i}.png")
    (tmp_path / "bad\x1b[2J.png").write_bytes(b"no")
    rows = [{"file_name": f"{i}.png", "size\x1b[2J": i / 2, "kind": f"k\x07{i % 2}"} for i in range(6)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = load(tmp_path)
    assert data.spec.names == ["size [2J", "kind"]
    shown = json.dumps(describe(data), ensure_ascii=False)
    assert "\\u001b" not in shown
    assert "\\u0007" not in shown
    assert "bad [2J.png" in shown


def test_a_copy_between_folders_is_named_when_they_are_loaded(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for part, n in (("train", 8), ("val", 3), ("test", 4)):
        (tmp_path / part).mkdir()
        for i in range(n):
            Image.fromarray(draw.integers(0, 256, (6, 6), dtype=np.uint8)).save(tmp_path / part / f"{i}.png")
    assert "shared" not in load(tmp_path).source
    (tmp_path / "test" / "9.png").write_bytes((tmp_path / "train" / "2.png").read_bytes())
    assert (
        load(tmp_path).source["shared"].startswith("1 of 5 examples of the test part also stand in the training part")
    )
    assert "shared" not in load(tmp_path, stream="yes").source
