"""Hub sets through a stand-in for the package `datasets`, which need not be installed."""

import io
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from bestiary.data.load import load
from bestiary.errors import BestiaryError


class Image:
    """The feature of an image column."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class ClassLabel:
    """The feature of a label column."""

    def __init__(self, names: list[str]) -> None:
        self.names = names


class Value:
    """The feature of any other column."""


class Table:
    """As much of a `datasets.Dataset` as is used."""

    def __init__(self, features: dict[str, Any], columns: dict[str, list[Any]]) -> None:
        self.features, self.columns = features, columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: str | int) -> Any:
        return (
            self.columns[key] if isinstance(key, str) else {name: column[key] for name, column in self.columns.items()}
        )

    def cast_column(self, name: str, feature: Any) -> "Table":
        assert not feature.decode
        return self


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    module = ModuleType("datasets")
    module.Image = Image  # type: ignore[attr-defined]
    module.load_dataset = lambda name, config, split: tables[f"{name}:{split}"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return tables


def png(value: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Pillow.new("L", (8, 8), value).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def test_an_image_column_becomes_images(hub: dict[str, Table]) -> None:
    features = {"picture": Image(), "label": ClassLabel(["no", "yes"])}
    hub["me/set:train"] = Table(features, {"picture": [png(10 * i) for i in range(6)], "label": [0, 1] * 3})
    data = load("hf:me/set")
    assert data.name == "me-set"
    assert data.x[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert data.spec.label.words == ("no", "yes")
    assert data.stored["label"].tolist() == [0, 1] * 3
    assert data.source["path"] == "hf:me/set"


def test_other_columns_become_a_table(hub: dict[str, Table]) -> None:
    columns = {"x": [0.5 * i for i in range(9)], "kind": ["a", "b", "a"] * 3, "y": [0, 1, 2] * 3}
    hub["t:train"] = Table({"x": Value(), "kind": Value(), "y": ClassLabel(["p", "q", "r"])}, columns)
    data = load("hf:t")
    assert data.spec.x.noun == "table"
    assert [c.name for c in data.spec.x.columns] == ["x", "kind"]
    assert data.spec.label.words == ("p", "q", "r")
    with pytest.raises(BestiaryError, match="no column `z`"):
        load("hf:t", label="z")


def test_other_columns_stand_beside_images(hub: dict[str, Table]) -> None:
    columns = {
        "image": [png(10 * i) for i in range(8)],
        "label": [0, 1] * 4,
        "text": [None if i == 3 else f"Ball {i}" for i in range(8)],
        "kind": ["p", "q"] * 4,
        "energy": [None if i == 5 else 0.5 * i for i in range(8)],
        "colour": [-1, 0, 1, 0] * 2,
        "codes": [[i, 1, 2] for i in range(8)],
        "low": [None if i == 6 else png(3 * i) for i in range(8)],
    }
    features = dict.fromkeys(columns, Value()) | {"image": Image(), "low": Image(), "label": ClassLabel(["no", "yes"]),
                                                 "colour": ClassLabel(["red", "blue"])}  # fmt: skip
    hub["m:train"] = Table(features, columns)
    data = load("hf:m")
    assert {f.name: f.layout for f in data.spec.beside} == {"text": "sequence", "kind": "label", "energy": "row",
                                                            "colour": "label", "low": "picture",
                                                            "label": "label"}  # fmt: skip
    assert data.stored["text?"].tolist() == [i != 3 for i in range(8)]
    assert data.stored["energy?"].tolist() == [i != 5 for i in range(8)]
    assert data.stored["colour?"].tolist() == [False, True, True, True] * 2
    assert data.spec["label"].words == ("no", "yes")
    note = data.source["note"]
    assert "left out codes: whole numbers (8, 3) may be" in note
    assert data.stored["low"][:, 0, 0, 0].tolist() == [0, 3, 6, 9, 12, 15, 0, 21]
    assert data.stored["low?"].tolist() == [i != 6 for i in range(8)]
    assert load("hf:m", tokens="codes").stored["codes"].tolist() == columns["codes"]
    assert load("hf:m", beside="kind").spec.names == ["kind", "label"]


def test_texts_of_a_table_are_captions_and_others_are_asked_for(hub: dict[str, Table]) -> None:
    columns = {
        "x": [0.5 * i for i in range(9)],
        "e": [1.0 * i for i in range(9)],
        "text": [f"Ball {i}" for i in range(9)],
    }
    hub["c:train"] = Table(dict.fromkeys(columns, Value()), columns)
    data = load("hf:c", beside="e")
    assert [c.name for c in data.spec.x.columns] == ["x"]
    assert {f.name: f.layout for f in data.spec.beside} == {"e": "row", "text": "sequence"}
    assert load("hf:c", drop="text").spec.names == []


def test_what_the_package_raises_is_said(hub: dict[str, Table]) -> None:
    with pytest.raises(BestiaryError, match="cannot load hf:nowhere"):
        load("hf:nowhere")
    with pytest.raises(BestiaryError, match="name the set"):
        load("hf:")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BestiaryError, match=r"bestiary\[hub\]"):
        load("hf:me/set")


def test_images_in_files_are_read(hub: dict[str, Table], tmp_path) -> None:
    cells = []
    for i in range(4):
        Pillow.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"{i}.png")
        cells.append({"bytes": None, "path": str(tmp_path / f"{i}.png")})
    hub["f:train"] = Table({"image": Image()}, {"image": cells})
    assert load("hf:f").x[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("hidden", [-1, None])
def test_hidden_labels_are_no_class(hub: dict[str, Table], hidden: int | None) -> None:
    features = {"picture": Image(), "label": ClassLabel(["no", "yes"])}
    pictures = [png(10 * i) for i in range(6)]
    hub["h:test"] = Table(features, {"picture": pictures, "label": [hidden] * 6})
    data = load("hf:h", part="test")
    assert data.spec.label is None
    assert "label" not in data.stored
    hub["h:some"] = Table(features, {"picture": pictures, "label": [0, 1, 0, 1, 0, hidden]})
    with pytest.raises(BestiaryError, match="1 of 6 rows have no label"):
        load("hf:h", part="some")
    hub["h:rows"] = Table({"x": Value(), "y": ClassLabel(["p"])}, {"x": [0.5 * i for i in range(9)], "y": [hidden] * 9})
    assert load("hf:h", part="rows").spec.label is None
