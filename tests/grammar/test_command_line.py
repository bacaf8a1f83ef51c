"""`parse_words` and `format_words` are inverse, every option finds its section, and no line gives a bare traceback."""

import shlex
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.errors import BestiaryError
from bestiary.grammar.command_line import format_words, parse_words, route
from bestiary.grammar.signatures import option_comments, signature_options
from bestiary.grammar.values import value_text

FLAGS = ("--name", "--device", "--resume")


def vae(spec, *, latent: int = 20, likelihood: Literal["auto", "bernoulli"] = "auto", beta: float = 1.0):
    """A model."""


def load(n: int = 1000, seed: int = 0, size: int | None = None):
    """A data set."""


@dataclass(frozen=True)
class Recipe:
    steps: int = 2000  # rounds to play
    batch: int = 128  # examples in a batch
    seed: int = 0


SECTIONS = {"data": load, "model": vae, "training": Recipe}

keys = st.from_regex(r"[a-z_][a-z0-9_]{0,8}(\.[a-z][a-z0-9_]{0,5})?", fullmatch=True)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
values = st.one_of(scalars, st.lists(st.integers(), max_size=4).map(tuple))


@given(st.dictionaries(keys, values, max_size=6))
def test_words_undo_to_words(options):
    assert parse_words(shlex.split(format_words(options))) == {key: value_text(value) for key, value in options.items()}


@given(st.lists(st.one_of(st.text(max_size=12), st.from_regex(r"-{0,2}[a-z]{0,5} ?=? ?[a-z0-9]{0,4}")), max_size=6))
def test_any_line_is_read_or_explained(line):
    try:
        found = parse_words(line, FLAGS)
    except BestiaryError:
        return
    assert [f"{key}={value}" for key, value in found.items()] == line


@given(
    st.dictionaries(
        st.one_of(st.sampled_from(["latent", "steps", "seed", "data.seed", "beta"]), st.text(max_size=8)),
        st.text(max_size=8),
        max_size=5,
    )
)
def test_any_options_are_routed_or_explained(options):
    try:
        found = route(options, SECTIONS)
    except BestiaryError:
        return
    assert sum(map(len, found.values())) == len(options)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["steps", "=", "2000"], "steps=2000"),
        (["steps=", "2000"], "steps=2000"),
        (["steps", "=2000"], "steps=2000"),
        (["--steps", "2000"], "write steps=2000"),
        (["--steps=2000"], "write steps=2000"),
        (["--batch-size", "32"], "write batch_size=32"),
        (["--nam", "x"], "did you mean --name?"),
        (["-n", "5"], "write n=5"),
        (["--"], "steps=2000"),
        (["note=two", "words"], "note='two words'"),
        (["steps"], "steps=…"),
        (["=3"], "no key before"),
        (["2x=3"], "no key before"),
        (["a=1", "b=2", "a=3"], "given twice"),
    ],
)
def test_a_slip_is_named_with_what_to_write(line, says):
    with pytest.raises(BestiaryError) as caught:
        parse_words(line, FLAGS)
    assert says in str(caught.value)


def test_an_equals_sign_in_a_value_belongs_to_the_value():
    assert parse_words(["label=a=b", "empty="]) == {"label": "a=b", "empty": ""}


def test_options_are_parameters_with_a_default_or_a_name():
    def part(x, /, y, width: int = 3, *, depth: int, **rest): ...

    assert signature_options(part) == {"width": (int, 3), "depth": (int, signature_options(part)["depth"][1])}
    assert signature_options(Recipe) == {"steps": (int, 2000), "batch": (int, 128), "seed": (int, 0)}
    assert signature_options(partial(load, 5)) == {"seed": (int, 0), "size": (int | None, None)}
    assert signature_options(partial(vae, beta=4.0))["beta"] == (float, 4.0)


def test_an_annotation_that_only_a_type_checker_can_see_lets_the_value_pass():
    def part(*, encoder: "Nowhere" = None): ...  # noqa: F821

    assert route({"encoder": "mine"}, {"model": part}) == {"model": {"encoder": "mine"}}


def test_comments_come_from_the_source():
    assert option_comments(Recipe) == {"steps": "rounds to play", "batch": "examples in a batch"}
    assert option_comments(partial(Recipe)) == option_comments(Recipe)
    assert option_comments(len) == {}


def test_each_key_goes_to_the_section_that_knows_it():
    found = route({"n": "2k", "beta": 4, "latent": "10", "steps": "1e4"}, SECTIONS)
    assert found == {"data": {"n": 2000}, "model": {"beta": 4.0, "latent": 10}, "training": {"steps": 10_000}}


def test_a_key_that_several_know_is_the_last_ones_unless_its_section_is_named():
    assert route({"seed": "1"}, SECTIONS)["training"] == {"seed": 1}
    found = route({"seed": "1", "data.seed": "2"}, SECTIONS)
    assert (found["data"], found["training"]) == ({"seed": 2}, {"seed": 1})
    with pytest.raises(BestiaryError, match="given twice"):
        route({"steps": "1", "training.steps": "2"}, SECTIONS)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("bta", r"`beta` \(model\)"),
        ("stpes", r"`steps` \(training\)"),
        ("model.laten", r"`latent` \(model\)"),
        ("zzzz", "latent"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_and_its_section(key, says):
    with pytest.raises(BestiaryError, match=says):
        route({key: "1"}, SECTIONS)


def test_sections_may_be_tables_of_options():
    assert route({"size": "32"}, {"data": {"size": (int | None, None)}}) == {"data": {"size": 32}}
