"""Conditions in words: labels by name or number, numbers in the file's units, captions; what is not one is refused."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bestiary.data.spec import Field, Spec, label, mask_name, numbers, pictures, rows
from bestiary.data.support import Category, Column, Levels, Reals
from bestiary.data.vocabulary import Vocabulary
from bestiary.errors import BestiaryError
from bestiary.models.condition import parse_condition

PETS = pictures((1, 8, 8), 2, label(("cat", "dog", "10", "newt")))
ROWS = rows([Column("age", Reals(30.0, 5.0)), Column("town", Category(("Rome", "Oslo", "Köln"))), Column("paid")])
Y1, Y2 = Column("y1", Reals(30.0, 5.0)), Column("y2", Reals(0.0, 2.0))
SHOWERS, ONE = (pictures((1, 8, 8), 2, numbers(columns)) for columns in ([Y1, Y2], [Y1]))
CAPTION = Field("caption", "sequence", (4,), Vocabulary(("<pad>", "<unknown>", "a", "red", "cat")))
SKETCH = Field("sketch", "picture", (1, 4, 4), Levels(2))
TOLD = rows(3, label(("cat", "dog"), optional=True), numbers([Y1, Y2], "energy", optional=True), CAPTION, SKETCH)
EVERY = "label,energy,caption"


def read(words: Any, spec: Spec, text: str) -> dict[str, list]:
    return {name: values.tolist() for name, values in parse_condition(text, spec).read(words).items()}


@pytest.mark.parametrize(("words", "rows"), [
    ("cat", [0]), ("dog, newt", [1, 3]), ("(dog,cat)", [1, 0]), (3, [3]), ("3", [3]), ("10", [2]), ([0, "dog"], [0, 1]),
    ("label:dog", [1]), ({"label": "dog"}, [1]), ({"label": ["dog", 0]}, [1, 0]), (np.array([3, 0]), [3, 0]),
])  # fmt: skip
def test_labels_by_name_or_number(words: Any, rows: list[int]) -> None:
    assert read(words, PETS, "label") == {"label": rows}


@pytest.mark.parametrize("words", [
    {"town": "Oslo", "age": 40}, "town:Oslo,age:40", "age: 40, town: Oslo", "(age:40,town:Oslo)",
])  # fmt: skip
@pytest.mark.parametrize("text", ["age,town", "town,age"])
def test_columns_in_the_units_of_the_file(words: Any, text: str) -> None:
    assert read(words, ROWS, text) == {"age": [[2.0]], "town": [[0.0, 1.0, 0.0]]}


def test_a_single_column_needs_no_name() -> None:
    assert read("Köln", ROWS, "town") == {"town": [[0.0, 0.0, 1.0]]}
    assert read("35", ROWS, "(age)") == {"age": [[1.0]]}


@pytest.mark.parametrize("words", [
    [40, -1], (40.0, "-1"), {"y2": -1, "y1": 40}, "y1:40,y2:-1", "40,-1", np.array([40.0, -1.0]), [[40, -1]],
    {"numbers": [40, -1]},
])  # fmt: skip
def test_numbers_beside_x_in_the_units_of_the_file(words: Any) -> None:
    assert read(words, SHOWERS, "vector") == read(words, SHOWERS, "numbers") == {"numbers": [[2.0, -0.5]]}


@pytest.mark.parametrize("words", [40, "40", [40], "y1:40", np.array(40.0), {"y1": 40}])
def test_one_number_beside_x_needs_no_name(words: Any) -> None:
    assert read(words, ONE, "vector") == {"numbers": [[2.0]]}


def test_rows_of_numbers_are_as_many_conditions() -> None:
    assert read([[40, -1], [30, 0]], SHOWERS, "vector") == {"numbers": [[2.0, -0.5], [0.0, 0.0]]}
    assert read({"numbers": [[40, -1], [30, 0]]}, SHOWERS, "vector") == {"numbers": [[2.0, -0.5], [0.0, 0.0]]}
    assert read({"y1": [40, 30], "y2": 0}, SHOWERS, "vector") == {"numbers": [[2.0, 0.0], [0.0, 0.0]]}
    assert read({"numbers": [40, 30]}, ONE, "vector") == {"numbers": [[2.0], [0.0]]}
    assert read([40, 30], ONE, "vector") == read("40,30", ONE, "vector") == {"numbers": [[2.0], [0.0]]}
    for wrong in ([], [1], [[1, 2], 3], {"y1": 1}, {0: 3}, "a,b", [np.nan, 1], {"y1": 1, "y2": 2, "y3": 3}):
        with pytest.raises(BestiaryError):
            read(wrong, SHOWERS, "vector")


def test_a_column_of_that_name_is_meant_where_no_numbers_stand_beside_x() -> None:
    own = rows([Column("vector", Reals(1.0, 2.0)), Column("other")])
    assert read("vector:5", own, "vector") == {"vector": [[2.0]]}


def test_captions_are_tokens() -> None:
    """An unknown word is said to be one; a comma belongs to the caption."""
    assert read("A red cat", TOLD, "caption") == {"caption": [[2, 3, 4, 0]]}
    assert read("a cat, red", TOLD, "caption") == {"caption": [[2, 4, 1, 3]]}
    assert read(["a dog", ""], TOLD, "caption") == {"caption": [[2, 1, 0, 0], [0, 0, 0, 0]]}


@pytest.mark.parametrize("words", [
    {"label": "dog", "y1": 40, "y2": -1, "caption": "red cat"}, "label:dog,y1:40,y2:-1,caption:red cat",
    {"label": 1, "energy": [40, -1], "caption": "Red cat"}, ["dog", 40, -1, "red cat"],
])  # fmt: skip
def test_several_fields_at_once_all_of_them_known(words: Any) -> None:
    assert read(words, TOLD, EVERY) == {
        "label": [1], mask_name("label"): [True], "energy": [[2.0, -0.5]], mask_name("energy"): [True],
        "caption": [[3, 4, 0, 0]],
    }  # fmt: skip


def test_what_a_batch_is_told_is_read_as_it_is() -> None:
    """Tensors by the field's name, masks and pictures too; masks that are not given say that all is known."""
    told = parse_condition("label,energy,caption,sketch", TOLD)
    c = told.of(TOLD.random_batch(5))
    again = told.read(c)
    assert again.keys() == c.keys()
    assert all(torch.equal(again[name], c[name]) for name in c)
    bare = told.read({name: values for name, values in c.items() if name in told.names})
    assert bare[mask_name("label")].all()
    with pytest.raises(BestiaryError, match="unknown field of this model's condition `lable`: did you mean `label`"):
        told.read({"lable": torch.tensor([0])})


def test_one_tensor_is_in_model_units() -> None:
    pets, towns = parse_condition("label", PETS), parse_condition("age,town", ROWS)
    assert pets.read(torch.tensor([2, 0]))["label"].tolist() == [2, 0]
    assert pets.read(torch.tensor(2))["label"].tolist() == [2]
    c = towns.read(torch.tensor([[2.0, 0.0, 1.0, 0.0]]))
    assert (c["age"].tolist(), c["town"].tolist()) == ([[2.0]], [[0.0, 1.0, 0.0]])
    for wrong in (torch.zeros(3, 2), torch.zeros(4)):
        with pytest.raises(
            BestiaryError, match=r"the condition age, town is a tensor of shape \(n, 4\) in model units; got"
        ):
            towns.read(wrong)


@pytest.mark.parametrize(("words", "spec", "text", "why"), [
    ("cow", PETS, "label", "unknown label `cow`"),
    (4, PETS, "label", "unknown label `4`. Known: 10, cat"),
    ([], PETS, "label", "names no label: give one, e.g. condition=cat"),
    (None, PETS, "label", "unknown label `None`"),
    ("cat", PETS, "none", "takes no condition"),
    ("town:Paris,age:3", ROWS, "age,town", "unknown value of town `Paris`"),
    ("age:3", ROWS, "age,town", "must give town too"),
    ("age:old", ROWS, "age", "must be a finite number"),
    ("street:3", ROWS, "age", "street"),
    ("3", ROWS, "age,town", "give name:value"),
    (2.7, PETS, "label", "unknown label `2.7`"),
    (float("inf"), PETS, "label", "unknown label `inf`"),
    ("age:nan", ROWS, "age", "finite"),
    ("age:3,age:4", ROWS, "age", "twice"),
    (torch.zeros(0, dtype=torch.long), PETS, "label", "no rows"),
    ([1.0], SHOWERS, "vector", "has 2 values, y1, y2"),
    ({"y1": [1, 2], "y2": [1, 2, 3]}, SHOWERS, "vector", "2 and 3 values: give the same number for each name"),
    ({"numbers": [1, 2, 3]}, SHOWERS, "vector", "numbers has 2 columns, y1, y2: give a value for each; got 3"),
    ({"numbers": [[1, 2], [3]]}, SHOWERS, "vector", "numbers has 2 columns, y1, y2: give a value for each; got 1"),
    ({"sketch": "a cat"}, TOLD, "sketch", "takes sketch from Python only"),
])  # fmt: skip
def test_what_is_no_condition_is_refused(words: Any, spec: Spec, text: str, why: str) -> None:
    with pytest.raises(BestiaryError) as error:
        read(words, spec, text)
    assert why in str(error.value)


some = st.one_of(st.integers(-1, 3), st.sampled_from(["cat", "x", "1,2"]), st.lists(st.integers(0, 2), max_size=3))
words = st.one_of(
    st.text(alphabet="catdog10:,() y12energy.-", max_size=20),
    st.lists(some, max_size=4),
    st.dictionaries(st.sampled_from(["label", "energy", "caption", "y1", "y2"]), some),
)


@given(words, st.sampled_from(["label", "energy", "caption", EVERY]))
def test_whatever_is_said_is_refused_or_fits(words: Any, text: str) -> None:
    told = parse_condition(text, TOLD)
    with suppress(BestiaryError):
        c = told.read(words)
        n = len(next(iter(c.values())))
        assert n > 0
        told.refuse(c, n)
