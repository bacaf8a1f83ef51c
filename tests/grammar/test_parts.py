"""Parts by name and by call: options reach the builder, and every error says what to write."""

import re
from contextlib import suppress
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bestiary.data.spec import rows
from bestiary.errors import BestiaryError
from bestiary.grammar.calls import parse_call, split_arguments
from bestiary.grammar.part_calls import build_part, parse_part, part_signature
from bestiary.grammar.part_lists import list_part_options, merge_part_options
from bestiary.grammar.schedules import Linear, Schedule
from bestiary.grammar.signatures import option_comments, part_options, signature_options, with_defaults
from bestiary.models.tricks.packing import Packing
from bestiary.models.tricks.table import TRICKS, parse_tricks, trick_options
from bestiary.models.zoo import MODELS, PART_LISTS, build


def vamp(place, *, components: int = 500, start: Literal["data", "free"] = "data", rate: float | Schedule = 1.0):
    return place, components, start, rate


TABLE = {"vamp": vamp, "standard": lambda place: place}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("vamp", {}),
        ("vamp()", {}),
        ("vamp(200)", {"components": 200}),
        ("vamp(2k, free)", {"components": 2000, "start": "free"}),
        (" vamp( start = free ) ", {"start": "free"}),
        ("vamp(10,rate=linear(0,1,20))", {"components": 10, "rate": Linear(0.0, 1.0, 20)}),
        ("standard", {}),
    ],
)
def test_a_call_fills_options_in_order_or_by_name(text: str, options: dict) -> None:
    builder, found = parse_part("prior", text, TABLE)
    assert found == options
    builder("here", **found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vmap(3)", "did you mean `vamp`"),
        ("vamp(componets=3)", "did you mean `components`"),
        ("vamp(3", "has parentheses that do not match. Write a name, or a call such as prior=vamp(components=500"),
        ("vamp(3))", "`vamp(3))` has parentheses that do not match"),
        ("vamp(x)", "prior=vamp(x): components=x cannot be used: expected an integer; for example components=2000"),
        ("vamp(start=fre)", "did you mean"),
        ("vamp(1,components=2)", "given twice"),
        ("vamp(start=free,3)", "`3` follows a named option: name it too"),
        ("vamp(1,free,1,1)", "`1` is one value too many: vamp takes vamp(components=500"),
        ("standard(1)", "standard takes no options: write prior=standard"),
        ("", "neither a name"),
        ("vamp(rate=linear(0,1))", "write linear(start,stop,steps)"),
        ("vamp 3", "`vamp 3` is neither a name nor a call of one"),
    ],
)
def test_an_error_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(BestiaryError, match=re.escape(says)):
        parse_part("prior", text, TABLE)


@given(st.text(alphabet="vamp(),=123 ()linear", max_size=30))
def test_no_text_crashes(text: str) -> None:
    with suppress(BestiaryError):
        parse_part("prior", text, TABLE)
    with suppress(BestiaryError):
        parse_call(text)


@given(st.lists(st.from_regex(r"[a-z0-9]+(\([a-z0-9,]*\))?", fullmatch=True), min_size=1, max_size=5))
def test_split_undoes_join(arguments: list[str]) -> None:
    assert split_arguments(",".join(arguments)) == arguments
    assert parse_call(f"f({','.join(arguments)})").arguments == [(None, argument) for argument in arguments]


def test_a_part_is_a_name_or_a_module() -> None:
    module = nn.Identity()
    assert build_part("prior", module, TABLE, 1) is module
    assert build_part("prior", "vamp(3)", TABLE, "p") == ("p", 3, "data", 1.0)
    with pytest.raises(BestiaryError, match="takes a name or a"):
        build_part("prior", 3, TABLE)
    assert part_signature("vamp", part_options(vamp)) == "vamp(components=500,start=data,rate=1.0)"


def test_a_variant_has_its_own_defaults_and_the_help_of_the_whole() -> None:
    beta, base = signature_options(MODELS["beta-vae"]), signature_options(MODELS["vae"])
    assert beta.keys() == base.keys()
    assert (beta["beta"][1], base["beta"][1]) == (4.0, 1.0)
    assert option_comments(MODELS["beta-vae"]) == option_comments(MODELS["vae"])
    assert with_defaults(lambda x, *, a=1: a, "says", a=2)(0) == 2


@pytest.mark.parametrize("name", ["vae", "ae", "gan"])
def test_every_option_has_its_help(name: str) -> None:
    assert signature_options(MODELS[name]).keys() <= option_comments(MODELS[name]).keys()


@pytest.mark.parametrize(
    ("model", "given", "tricks"),
    [
        ("gan", {"pack": 2, "noise": Linear(0.1, 0, 20)}, "pack(2),noise(linear(0.1,0,20))"),
        ("gan", {"spectral": True, "joint": "yes"}, "spectral,joint"),
        ("gan", {"tricks": "noise(0.5),pack(3)", "pack": 2}, "noise(0.5),pack(2)"),  # the own name is the later word
        ("gan", {"augment": ("cutout", "colour")}, "augment((cutout,colour))"),
        ("gan", {"noise": 0.0, "spectral": False, "unroll": 0, "augment": ()}, ""),
        ("wgan", {"weight_clip": 0.1}, "weight_clip(0.1)"),
        ("wgan", {"weight_clip": 0}, ""),  # what the name itself has can be left out
        ("pac-gan", {"matching": 2.0}, "pack(2),matching(2.0)"),
    ],
)
def test_a_trick_by_its_own_name_stands_among_the_others(model: str, given: dict, tricks: str) -> None:
    found = merge_part_options(MODELS[model], {**given, "latent": 3}, PART_LISTS)
    assert found == {"tricks": tricks, "latent": 3}
    assert merge_part_options(MODELS[model], found, PART_LISTS) == found
    assert trick_options(tricks).keys() == parse_tricks(tricks).keys()


def test_every_trick_has_a_name_of_its_own_on_adversarial_models_alone() -> None:
    assert list_part_options(MODELS["gan"], PART_LISTS).keys() == TRICKS.keys()
    assert list_part_options(MODELS["vae"], PART_LISTS) == {}
    with pytest.raises(BestiaryError, match="unknown option of vae `pack`"):
        build("vae", rows(3), pack=2)


def test_tricks_of_ones_own_stand_beside_those_by_name() -> None:
    model = build("gan", rows(3), tricks=["noise(0.1)", Packing(m=2)])
    assert list(model.tricks) == ["noise", "pack"]
    assert model.batch_multiple == 2
    with pytest.raises(BestiaryError, match="put noise among them"):
        build("gan", rows(3), tricks=[Packing(m=2)], noise=0.1)
    for wrong, says in (
        ("pack(2),pack(3)", "names pack twice"),
        ("pakc(2)", "did you mean `pack`"),
        ([3], "int is no Trick"),
        (3, "or a list; got int"),
    ):
        with pytest.raises(BestiaryError, match=says):
            build("gan", rows(3), tricks=wrong)
