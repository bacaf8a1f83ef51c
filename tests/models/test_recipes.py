"""Recipes by name: what `recipe=paper` says, what wins over it, where it is refused, where it is written down."""

import pytest

from bestiary.errors import BestiaryError
from bestiary.models.recipes import RECIPES
from bestiary.runs.plan import plan
from bestiary.storage.run_files import read_config
from tests.runs.tiny import tiny


@pytest.mark.parametrize("model", RECIPES)
def test_what_a_recipe_says_is_planned_with_its_reason(model: str) -> None:
    planned = plan("digits", model, {"recipe": "paper"})
    given = RECIPES[model]["paper"]
    for key, value in given.items():
        assert planned.command_options[key] == value, key
        assert planned.inferred[key].reason == "recipe=paper", key


def test_recipes_of_papers_differ_from_what_measurement_made() -> None:
    same = set()
    for model in RECIPES:
        fast, paper = plan("digits", model, {"recipe": "fast"}), plan("digits", model, {"recipe": "paper"})
        assert fast.command_options == plan("digits", model).command_options
        same |= {model} if (fast.model_options, fast.recipe) == (paper.model_options, paper.recipe) else set()
    assert same <= {"dcgan"}  # whose paper holds what measurement found, so far


def test_an_option_beside_a_recipe_wins() -> None:
    planned = plan("digits", "wgan", {"recipe": "paper", "lr": 1e-3, "batch": 32})
    options = planned.command_options
    assert (options["lr"], planned.recipe.batch, options["optimiser"]) == (1e-3, 32, "rmsprop")
    assert "lr" not in planned.inferred


def test_a_trick_by_its_own_name_stands_in_the_recipe() -> None:
    planned = plan("ring", "pac-gan", {"recipe": "paper", "noise": 0.1})
    assert planned.command_options["tricks"] == "pack(2),noise(0.1)"


def test_a_recipe_that_nobody_wrote_is_answered_with_those_that_are() -> None:
    with pytest.raises(BestiaryError, match="unknown recipe of wgan `papr`: did you mean `paper`"):
        plan("digits", "wgan", {"recipe": "papr"})
    with pytest.raises(BestiaryError, match="unknown recipe of gan `paper`"):
        plan("digits", "gan", {"recipe": "paper"})


def test_a_run_is_what_its_recipe_said_whatever_the_recipe_says_later(tmp_path, monkeypatch) -> None:
    run = tiny(tmp_path, "ring", "wgan", recipe="paper", hidden=(8,))
    config = read_config(run.path)
    assert (config["model"]["lr"], config["model"]["tricks"]) == (5e-5, "weight_clip(0.01)")
    assert config["inferred"]["lr"]["reason"] == "recipe=paper"
    assert "recipe" not in config["command"]
    monkeypatch.setitem(RECIPES["wgan"], "paper", {"lr": 1.0})
    assert run.model.critic_options.optimiser.lr == 5e-5
