"""A plan leaves nothing open, says why, and its command runs the same again."""

import re
import shlex

import numpy as np
import pytest
from torch import nn

from bestiary.data.dataset import Dataset
from bestiary.errors import BestiaryError
from bestiary.grammar.command_line import parse_words
from bestiary.run import fit
from bestiary.runs.plan import LEAST_STEPS, MOST_STEPS, PASSES, plan

LINES = [
    ("digits", "vae", {}),
    ("digits", "vae", {"latent": "5", "likelihood": "logistic", "beta": "linear(0,1,20)", "hidden": "32,16"}),
    ("digits", "dcgan", {"epochs": "2", "batch": "100", "lr": "1e-4"}),
    ("ring", "gan", {"n": "500", "seed": "3", "steps": "2k"}),
    ("ring", "vae", {"n": "500", "data.seed": "4", "seed": "3", "hidden": "()", "average": "0.99"}),
    ("a table.csv", "vae", {"label": "kind", "steps": "9"}),
]


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(40))
    (tmp_path / "a table.csv").write_text("one,two words,kind\n" + rows)


@pytest.mark.parametrize(("data", "model", "options"), LINES)
def test_the_command_plans_the_same_again(data, model, options):
    first = plan(data, model, options)
    program, verb, again, beast, *rest = shlex.split(first.command)
    assert (program, verb, again, beast) == ("bestiary", "fit", data, model)
    second = plan(again, beast, parse_words(rest))
    left = {"command", "inferred"}  # the second time nothing is left to infer
    assert {k: v for k, v in second.config().items() if k not in left} == {
        k: v for k, v in first.config().items() if k not in left
    }
    assert second.inferred == {}
    assert parse_words(rest) == parse_words(shlex.split(second.command)[4:])


def test_each_option_goes_where_it_is_known():
    made = plan("ring", "vae", {"n": 300, "data.seed": 7, "seed": 1, "latent": "3", "batch": 10})
    assert made.data_options == {"n": 300, "seed": 7}
    assert (made.model_options["latent"], made.recipe.batch, made.recipe.seed) == (3, 10, 1)
    assert len(made.dataset) == 300


@pytest.mark.parametrize(
    ("data", "model", "options", "says"),
    [
        ("digits", "vea", {}, "did you mean `vae`"),
        ("digits", nn.Identity(), {}, "unknown model"),
        ("b\udcffd", "vae", {}, "not text in UTF-8"),
        ("digts", "vae", {}, "did you mean `digits`"),
        ("digits", "vae", {"latnet": 3}, r"`latent` \(model\)"),
        ("digits", "vae", {"generator": nn.Identity()}, "unknown key `generator`"),
        ("digits", "vae", {"n": 3}, "unknown key `n`"),
        ("digits", "vae", {"steps": 3, "epochs": 2}, "say the same thing"),
        ("digits", "vae", {"latent": "many"}, "expected an integer"),
    ],
)
def test_a_slip_is_answered(data, model, options, says):
    with pytest.raises(BestiaryError, match=says):
        plan(data, model, options)


def test_what_is_inferred_is_said_with_its_reason():
    made = plan("digits", "vae")
    for key in ("likelihood", "network", "binarise", "steps"):
        value, reason = made.inferred[key]
        assert value == (made.recipe.steps if key == "steps" else made.model_options[key])
        assert len(reason.split()) > 2
        assert made.config()["inferred"][key] == {"value": str(value), "reason": reason}
    assert "auto" not in made.model_options.values()
    assert plan("digits", "vae", {"likelihood": "auto"}).inferred["likelihood"] == made.inferred["likelihood"]
    assert plan("digits", "gan", {"steps": 5}).inferred.keys() == {"network", "norm", "critic_norm", "validate"}
    given = {"steps": 5, "network": "mlp", "norm": "none", "critic_norm": "none", "validate": 5}
    assert not plan("ring", "gan", given).inferred


@pytest.mark.parametrize(
    ("model", "options", "validate"),
    [("gan", {"steps": 2400}, 200), ("gan", {"steps": 60_000}, 500), ("gan", {"steps": 100}, 50),
     ("gan", {"steps": 2400, "validate": 500}, 500), ("vae", {"steps": 2400}, 500)],
)  # fmt: skip
def test_games_are_looked_at_a_dozen_times(model: str, options: dict, validate: int) -> None:
    assert plan("ring", model, options).recipe.validate == validate


def test_steps_are_passes_over_the_training_part(monkeypatch):
    n = len(plan("ring", "vae").dataset.parts["train"])
    for options in ({}, {"batch": 1}, {"batch": 10_000}):
        steps = plan("ring", "gan", options).recipe.steps
        wish = -(-PASSES * n // options.get("batch", 128))
        assert steps == min(MOST_STEPS, max(LEAST_STEPS, wish))
    for epochs, batch in ((3, 64), (0.5, 100)):
        recipe = plan("ring", "gan", {"epochs": epochs, "batch": batch}).recipe
        assert (recipe.steps - 1) * batch < epochs * n <= recipe.steps * batch
        assert recipe.epochs is None  # said once
    assert plan("ring", "gan", {"steps": 7}).recipe.steps == 7


def test_what_a_command_line_cannot_hold_is_a_line_of_python():
    x, y = np.arange(40.0).reshape(20, 2), [0, 1] * 10
    made = plan(x, "vae", {"encoder": nn.Linear(2, 3), "labels": y, "beta": "linear(0,1,9)", "latent": 2})
    config = made.config()
    assert (config["data"], config["model"]["encoder"]) == (
        {"source": "array", "labels": "given from Python: list"},
        "given from Python: Linear",
    )
    seen = {}

    class bst:  # the line, run
        fit = staticmethod(lambda *args, **options: seen.update(options, args=args))

    line = made.command.replace("Linear(…)", "part").replace("list(…)", "y")
    eval(line, {"bst": bst, "x": x, "y": y, "part": made.model_options["encoder"]})
    source, model = seen.pop("args")
    assert plan(source, model, seen).config()["model"] == config["model"]


def test_a_relative_path_is_kept_with_the_folder_it_was_relative_to(tmp_path):
    assert plan("a table.csv", "vae").config()["origin"]["folder"] == str(tmp_path)
    assert "folder" not in plan(tmp_path / "a table.csv", "vae").config()["origin"]
    assert "folder" not in plan("ring", "vae").config()["origin"]


def test_a_plan_holds_the_data():
    assert isinstance(plan("ring", "vae", {"n": 50}).dataset, Dataset)


@pytest.mark.parametrize(
    "options",
    [
        {"beta": "linear(0,1,300)"},
        {"lr": "cosine(1e-3,0,300)"},
        {"objective": "free_bits(linear(0,2,300))"},
        {"objective": "capacity(nats=cyclic(0,25,300))"},
    ],
)
def test_a_schedule_that_would_never_end_is_refused(options):
    with pytest.raises(BestiaryError, match="it would never end"):
        plan("digits", "vae", {**options, "steps": 200})
    assert plan("digits", "vae", {**options, "steps": 300}).recipe.steps == 300


def test_a_default_schedule_must_end_too():
    with pytest.raises(BestiaryError, match=r"steps=2000 or more"):
        plan("digits", "annealed-vae", {"steps": 200})


def test_packs_that_do_not_fill_a_batch_are_refused(tmp_path):
    """Before there is a folder, with the next batch that they fill."""
    with pytest.raises(BestiaryError, match="pack=3 does not divide batch=64: use batch=66"):
        fit("ring", "gan", pack=3, batch=64, root=tmp_path / "runs", quiet=True)
    with pytest.raises(BestiaryError, match="pack=2 does not divide batch=31"):
        fit("ring", "pac-gan", batch=31, root=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 10_000_000}, "batch=10000000 is more than the 1,437 training examples: use batch=128"),
        ({"epochs": float("inf")}, "epochs=inf cannot be used: expected a finite number, above 0 and at most 1e"),
        ({"epochs": "1e300"}, "at most 1e+06"),
        ({"clip": "inf"}, "clip=inf cannot be used: expected a finite number"),
        ({"lr": "-1"}, "lr=-1 cannot be used: expected a finite number or a schedule, above 0; for example lr=0.001"),
        ({"hidden": "("}, "hidden=( cannot be used"),
        ({"latent": "1e9"}, "at least 1 and at most 100000"),
        ({"prior": "vamp(1e9)"}, "components=1e9 cannot be used"),
        ({"prior": "nsf(bins=0)"}, "bins=0 cannot be used"),
        ({"steps": "9" * 30}, "steps=9999"),
        ({"likelihood": "pixelcnn(width=1e5)"}, "likelihood=pixelcnn(width=1e5) makes it too large"),
    ],
)
def test_numbers_out_of_range_are_refused_while_planning(options: dict[str, object], says: str) -> None:
    with pytest.raises(BestiaryError, match=re.escape(says)):
        plan("digits", "vae", options)
