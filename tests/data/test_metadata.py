"""What files beside images say of them: read, matched by name, masked where missing, and never dropped silently."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bestiary.data.dataset import Dataset
from bestiary.data.load import load
from bestiary.data.spec import Spec, mask_name
from bestiary.errors import BestiaryError

N = 12


def folder(root: Path, n: int = N) -> Path:
    """Images that are grey of 10 i, so that a pixel tells which one it is."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.new("L", (6, 6), 10 * i).save(root / f"{i:02d}.png")
    return root


def jsonl(root: Path, rows: list[dict[str, Any]]) -> Path:
    (root / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return root


def zipped(root: Path) -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, f"top/{file.relative_to(root).as_posix()}")
    return path


def numbers(data: Dataset, name: str) -> np.ndarray:
    """In the units of the user's file."""
    (column,) = data.spec[name].columns
    return data.stored[name][:, 0] * column.support.scale + column.support.mean


def row(i: int) -> dict[str, Any]:
    return {
        "file_name": f"{i:02d}.png", "text": f"Ball number {i}, please", "kind": "ab"[i % 2], "energy": 0.5 * i,
        "count": i, "yes": i % 3 == 0, "pair": [0.5, i], "label": i % 4,
    }  # fmt: skip


def test_every_kind_of_column_from_a_folder_and_its_zip(tmp_path: Path) -> None:
    root = jsonl(folder(tmp_path / "a"), [row(i) for i in reversed(range(N))])
    for data in (load(root), load(zipped(root))):
        layouts = {f.name: f.layout for f in data.spec.beside}
        assert layouts == {"text": "sequence", "kind": "label", "energy": "row", "count": "row", "yes": "label",
                           "pair": "row", "label": "label"}  # fmt: skip
        assert not data.spec.masks
        assert (data.x[:, 0, 0, 0] // 10).tolist() == list(range(N))  # in the order of the files, not of the lines
        assert [data.spec["kind"].words[i] for i in data.stored["kind"]] == ["ab"[i % 2] for i in range(N)]
        np.testing.assert_allclose(numbers(data, "energy"), 0.5 * np.arange(N), atol=1e-5)
        assert data.stored["label"].tolist() == [i % 4 for i in range(N)]
        first = data.parts["train"][0]
        assert data.spec["text"].support.text_of(data.stored["text"][first]) == f"ball number {first}, please"
        assert Spec.from_dict(data.spec.to_dict()) == data.spec
        assert "took text as caption, kind as label, energy as numbers" in data.source["note"]


def test_null_and_absent_values_are_masked(tmp_path: Path) -> None:
    rows = [row(i) for i in range(N)]
    rows[1]["energy"] = rows[2]["text"] = rows[3]["kind"] = None
    del rows[4]["energy"], rows[4]["text"]
    rows[5]["text"] = ""
    data = load(jsonl(folder(tmp_path / "a"), rows))
    assert np.flatnonzero(~data.stored[mask_name("energy")]).tolist() == [1, 4]
    assert np.flatnonzero(~data.stored[mask_name("text")]).tolist() == [2, 4]  # an empty caption is one
    assert np.flatnonzero(~data.stored[mask_name("kind")]).tolist() == [3]
    assert not data.stored["text"][[2, 4, 5]].any()
    assert "2 of 12 examples lack energy" in data.source["note"]


def test_images_and_entries_that_do_not_meet_are_said(tmp_path: Path) -> None:
    rows = [row(i) for i in range(2, N)] + [{"file_name": "gone.png", "energy": 1.0}]
    data = load(jsonl(folder(tmp_path / "a"), rows))
    assert len(data) == N
    assert data.stored[mask_name("energy")].tolist() == [i >= 2 for i in range(N)]
    assert "the metadata name 1 image not there: gone.png" in data.source["note"]
    assert "the metadata lack 2 images: 00.png, 01.png" in data.source["note"]


def test_an_unreadable_image_takes_its_row_with_it(tmp_path: Path) -> None:
    root = jsonl(folder(tmp_path / "a"), [row(i) for i in range(N)])
    (root / "03.png").write_bytes(b"no image")
    (root / "07.txt").write_text("not read, since the metadata have a column called caption")
    data, kept = load(root), [i for i in range(N) if i != 3]
    assert (data.x[:, 0, 0, 0] // 10).tolist() == kept
    np.testing.assert_allclose(numbers(data, "count"), kept, atol=1e-4)
    assert data.stored["label"].tolist() == [i % 4 for i in kept]
    assert data.stored[mask_name("caption")].tolist() == [i == 7 for i in kept]


def test_a_table_says_the_same_as_lines_of_json(tmp_path: Path) -> None:
    root = folder(tmp_path / "a")
    lines = ["file_name,energy,kind,text"]
    lines += [f'{i:02d}.png,{"" if i == 4 else i / 2},{"NA" if i == 5 else "ab"[i % 2]},"Ball, {i}"' for i in range(N)]
    (root / "metadata.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    data = load(root)
    assert {f.name: f.layout for f in data.spec.beside} == {"energy": "row", "kind": "label", "text": "sequence"}
    assert np.flatnonzero(~data.stored[mask_name("energy")]).tolist() == [4]
    assert np.flatnonzero(~data.stored[mask_name("kind")]).tolist() == [5]
    np.testing.assert_allclose(numbers(data, "energy")[5:], 0.5 * np.arange(5, N), atol=1e-5)


def test_one_text_file_an_image_is_its_caption(tmp_path: Path) -> None:
    root = folder(tmp_path / "a")
    for i in (0, 1, 2, 5):
        (root / f"{i:02d}.txt").write_text(f" A Ball {i}\n" if i else "", encoding="utf-8")
    (root / "notes.txt").write_text("of no image")
    data = load(root)
    assert data.spec.names == ["caption"]
    assert np.flatnonzero(data.stored[mask_name("caption")]).tolist() == [0, 1, 2, 5]
    assert "1 .txt file beside no image: notes.txt" in data.source["note"]
    assert load(zipped(root)).spec["caption"] == data.spec["caption"]


def test_captions_in_folders_of_classes_and_of_parts(tmp_path: Path) -> None:
    for part, n in (("train", 12), ("test", 4)):
        for i in range(n):
            here = tmp_path / part / ("cat" if i % 2 else "dog")
            here.mkdir(parents=True, exist_ok=True)
            Image.new("L", (6, 6), 10 * i).save(here / f"{i}.png")
            (here / f"{i}.txt").write_text(f"{part} {i}")
    data = load(tmp_path)
    assert data.spec.names == ["label", "caption"]
    assert data.spec.label.words == ("cat", "dog")
    assert "test" not in data.spec["caption"].words  # the vocabulary is of the training part
    assert data.stored["label"].tolist() == [0] * 2 + [1] * 2 + [0] * 6 + [1] * 6


def test_paths_count_from_the_folder_of_the_metadata(tmp_path: Path) -> None:
    for part, n in (("train", 8), ("test", 3)):
        jsonl(folder(tmp_path / part, n), [{"file_name": f"./{i:02d}.png", "e": i + 0.5} for i in range(n)])
    data = load(tmp_path)
    assert not data.spec.masks
    np.testing.assert_allclose(numbers(data, "e"), data.x[:, 0, 0, 0] / 10 + 0.5, atol=1e-5)


def test_labels_of_the_metadata_come_before_those_of_folders(tmp_path: Path) -> None:
    folder(tmp_path / "cat", 6), folder(tmp_path / "dog", 6)
    jsonl(
        tmp_path,
        [{"file_name": f"{c}/{i:02d}.png", "label": f"{'ab'[i % 2]}"} for c in ("cat", "dog") for i in range(6)],
    )
    data = load(tmp_path)
    assert data.spec.label.words == ("a", "b")
    assert "not the names of the folders" in data.source["note"]
    assert load(tmp_path, beside="none").spec.label.words == ("cat", "dog")
    assert load(tmp_path, beside="none", label="none").spec.names == []


def test_columns_are_declared_by_name(tmp_path: Path) -> None:
    rows = [row(i) | {"codes": [i % 3, 1, 2], "scene": {"a": 1}} for i in range(N)]
    root = jsonl(folder(tmp_path / "a"), rows)
    note = load(root).source["note"]
    assert "left out codes: whole numbers (12, 3) may be tokens, factors or numbers: say tokens=codes" in note
    assert "left out scene: " in note
    data = load(root, tokens="codes", pad=2, label="count,kind", caption="text", beside="energy")
    assert {f.name: f.layout for f in data.spec.beside} == {"text": "sequence", "kind": "label", "energy": "row",
                                                            "count": "label", "codes": "sequence"}  # fmt: skip
    assert data.stored["codes"].tolist() == [[i % 3, 1, 2] for i in range(N)]
    with pytest.raises(BestiaryError, match="did you mean `kind`"):
        load(root, label="kin")


def with_pictures(root: Path) -> Path:
    """Each image has a smaller one of twice its grey; of three of them it is missing, not there or unreadable."""
    folder(root), (root / "0").mkdir()  # it comes before the images, so that rows and files are counted differently
    rows: list[dict[str, Any]] = []
    for i in range(N):
        Image.new("L", (3, 3), 20 * i).save(root / "0" / f"l{i}.png")
        rows.append({"file_name": f"{i:02d}.png", "low_file_name": f"0/l{i}.png", "mask": f"0/l{i}.png", "e": i + 0.5})
    rows[2]["low_file_name"], rows[4]["low_file_name"] = None, "0/gone.png"
    rows[2]["mask"] = rows[4]["mask"] = None
    (root / "0" / "l2.png").unlink(), (root / "0" / "l4.png").unlink()
    (root / "0" / "l7.png").write_bytes(b"no image")
    return jsonl(root, rows)


def test_images_beside_images(tmp_path: Path) -> None:
    root, there = with_pictures(tmp_path / "a"), [i not in (2, 4, 7) for i in range(N)]
    for data in (load(root), load(zipped(root)), load(root, size=4, stream="yes")):
        assert len(data) == N  # pictures beside x are no examples of x
        assert data.spec["low"].shape == (1, 3, 3)
        assert data.stored["low?"].tolist() == there
        low = data.stored["low"][:, 1, 1, 0]
        assert low.tolist() == [2 * x if present else 0 for x, present in zip(data.x[:, 1, 1, 0], there, strict=True)]
        assert "the metadata name 1 image not there: " in data.source["note"]
        assert "0/gone.png" in data.source["note"]
        np.testing.assert_allclose(numbers(data, "e"), data.x[:, 1, 1, 0] / 10 + 0.5, atol=1e-4)
        assert "lack" not in data.source["note"].replace("examples lack", "")
    declared = load(root, pictures="mask", beside="none")
    assert declared.spec.names == ["mask"]
    assert declared.stored["mask?"].tolist() == [i not in (2, 4, 7) for i in range(N)]


def test_pictures_that_are_all_there_stay_on_the_disk(tmp_path: Path) -> None:
    root = folder(tmp_path / "a")
    folder(root / "low")
    jsonl(root, [{"file_name": f"{i:02d}.png", "low_file_name": f"low/{i:02d}.png"} for i in range(N)])
    data = load(root, stream="yes")
    assert isinstance(data.stored["low"], np.memmap)
    assert np.array_equal(data.stored["low"], data.x)
    assert not data.spec.masks


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1 is no JSON"),
        ("[1]", "expected one object"),
        ('{"text": "a"}', "no file is named"),
        ('{"file_name": 3}', "no file is named"),
        ('{"file_name": "00.png"}\n{"file_name": "./00.png"}', "named twice"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_broken_lines_are_explained(tmp_path: Path, text: str, says: str) -> None:
    root = folder(tmp_path / "a")
    (root / "metadata.jsonl").write_text(text)
    with pytest.raises(BestiaryError, match=says):
        load(root)


@pytest.mark.parametrize(
    ("text", "says"),
    [("file_name,a\n00.png\n", "line 2: 1 cell "), ("a,a\n1,2\n", "same name"), ("a,b\n1,2\n", "no file is named")],
)
def test_broken_tables_are_explained(tmp_path: Path, text: str, says: str) -> None:
    root = folder(tmp_path / "a")
    (root / "metadata.csv").write_text(text)
    with pytest.raises(BestiaryError, match=says):
        load(root)
    assert load(root, beside="none").spec.names == []  # nothing is read that nobody asks for


def test_a_text_in_another_encoding_is_explained(tmp_path: Path) -> None:
    root = folder(tmp_path / "a")
    (root / "00.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(BestiaryError, match=r"00\.txt is not text in UTF-8"):
        load(root)


def test_texts_out_of_the_folder_are_not_read(tmp_path: Path) -> None:
    root = folder(tmp_path / "a")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "00.txt").symlink_to(tmp_path / "secret.txt")
    assert load(root).spec.names == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["metadata.jsonl", "metadata.csv", "00.txt"]),
    raw=st.one_of(
        st.binary(max_size=60), st.text(st.sampled_from('{}[]":,file_na.png01 \n\x00é'), max_size=80).map(str.encode)
    ),
)
def test_only_our_error_escapes_from_damaged_metadata(tmp_path: Path, name: str, raw: bytes) -> None:
    root = folder(tmp_path / "a", 4)
    for old in ("metadata.jsonl", "metadata.csv", "00.txt"):
        (root / old).unlink(missing_ok=True)
    (root / name).write_bytes(raw)
    try:
        data = load(root)
    except BestiaryError:
        return
    assert len(data) == 4
