"""A spec says what x and what stands beside it are, and reads itself back from a config."""

import json

import numpy as np
import pytest
import torch

from bestiary.data.load import load
from bestiary.data.spec import Field, Spec, label, mask_name, numbers, pictures, rows, sequence
from bestiary.data.support import Category, Column, Levels, Reals
from bestiary.data.vocabulary import Vocabulary
from bestiary.data.word_support import Words
from bestiary.errors import BestiaryError

MANY = tuple(map(str, range(100)))
FIELDS = {
    "picture": Field("x", "picture", (5, 4, 6), Levels(17)),
    "grid": Field("x", "grid", (2, 4, 6), Reals(1.0, 2.0)),
    "shower": Field("x", "grid", (3, 7), Reals(0.0, 2.0, 0.0, 0.0)),
    "grid of codes": Field("x", "grid", (4, 4), Words(MANY)),
    "vector": Field("x", "row", (3,), Reals()),
    "table": rows((Column("a", Reals(1, 2)), Column("b", Category(("u", "v"))))).x,
    "tokens": sequence(MANY, 5, "x", pad=99),
    "tokens without pad": sequence("abc", 5, "x", pad=None),
    "caption": Field("x", "sequence", (4,), Vocabulary(("<pad>", "<unknown>", "ball"))),
    "label": label(("cat", "dog"), "x"),
    "optional numbers": numbers((Column("energy", Reals(5, 3)),), "x", optional=True),
}
ALL = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)


def beside(field: Field) -> Spec:
    """A spec of pictures with the field beside them."""
    named = Field("other", field.layout, field.shape, field.support, field.optional)
    return pictures((1, 2, 2), 2, named)


@ALL
def test_a_spec_reads_itself_back(field: Field) -> None:
    for spec in (Spec(field), beside(field)):
        assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@ALL
def test_drawn_examples_are_of_the_field(field: Field) -> None:
    stored = field.random_stored(6, np.random.default_rng(0))
    x = field.to_model(torch.as_tensor(stored))
    assert tuple(x.shape) == (6, *field.shape)
    field.refuse(x)
    np.testing.assert_allclose(field.to_stored(x).numpy(), stored, rtol=1e-6, atol=1e-6)
    batch = beside(field).random_batch(6)
    assert tuple(batch.beside["other"].shape) == (6, *field.shape)
    assert (mask_name("other") in batch.beside) == field.optional
    assert beside(field).random_batch(6, names=[]).beside == {}


@ALL
def test_other_shapes_and_kinds_are_refused(field: Field) -> None:
    x = field.to_model(torch.as_tensor(field.random_stored(6, np.random.default_rng(0))))
    with pytest.raises(BestiaryError, match="shape"):
        field.refuse(x[..., None])
    with pytest.raises(BestiaryError, match="takes"):
        field.refuse(x.float() if field.support.is_integer else x.long())


@ALL
def test_each_field_has_a_likelihood_and_a_reason(field: Field) -> None:
    value, reason = field.likelihood
    assert value in field.support.likelihoods(field.channels)
    assert reason


def test_log_scale_of_an_example_is_the_sum_over_its_numbers() -> None:
    assert FIELDS["grid"].log_scale == pytest.approx(48 * np.log(2))
    assert FIELDS["table"].log_scale == pytest.approx(np.log(2))


def test_two_fields_of_one_name_and_wrong_axes_are_refused() -> None:
    with pytest.raises(BestiaryError, match="two fields are called y"):
        rows(2, label("ab", "y"), label("cd", "y"))
    with pytest.raises(BestiaryError, match="a picture has 3 axes"):
        Field("x", "picture", (4, 6), Levels())
    with pytest.raises(BestiaryError, match="the columns of x have 1 components"):
        Field("x", "row", (2,), FIELDS["optional numbers"].support)
    with pytest.raises(BestiaryError, match="unknown support `lewels`: did you mean `levels`"):
        Field.from_dict({**FIELDS["picture"].to_dict(), "support": "lewels"})


def test_the_label_is_the_only_one_or_the_one_that_is_called_so() -> None:
    assert rows(2).label is None
    assert rows(2, label("ab", "kind")).label.name == "kind"
    assert rows(2, label("ab", "kind"), label("cd", "colour")).label is None
    assert rows(2, label("ab", "kind"), label("cd")).label.name == "label"
    assert rows(2, label("ab", optional=True)).masks == ["label?"]


def test_specs_and_data_sets_are_printed_in_one_line() -> None:
    columns = [Column(f"c{i}", Category(tuple(f"w{i}-{j}" for j in range(50)))) for i in range(40)]
    spec = rows(columns, label(("cat", "dog")))
    assert repr(spec) == "Spec(Field(x: table of 2000, numbers and categories); beside it label)"
    dataset = load("digits")
    assert repr(dataset).startswith(
        "Dataset(digits: 1,797 examples, 1,437 train, 180 validation, 180 test; Spec(Field(x:"
    )
    assert len(repr(dataset)) < 200
