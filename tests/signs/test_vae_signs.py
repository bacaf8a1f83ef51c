"""Signs on histories written by hand, and on runs built to be ill and one that is not."""

import json
from pathlib import Path

import pytest

import bestiary as bst
from bestiary.models.zoo import build
from bestiary.models.zoo_latent import LATENT
from bestiary.runs.plan import Plan, plan
from bestiary.runs.run_signs import load_history, remedy_command
from bestiary.signs.sign import RunHistory, read_history
from bestiary.signs.signs import diagnose

HEALTHY = {"kl": 6.0, "active": 0.9, "distortion": 17.0, "swapped": 50.0, "low": -23.5, "high": -22.5,
           "bound": -23.0}  # fmt: skip


def history(round: int = 500, options: dict | None = None, vae: dict | None = None, **validation: float) -> RunHistory:
    made = RunHistory(1000, options, maps=True)
    made.add({"round": round, **{f"vae.{k}": v for k, v in (vae or {}).items()}})
    made.add({"round": round, **{f"validation.{k}": v for k, v in {**HEALTHY, **validation}.items()}})
    return made


TRAIN = {"total": 22.6, "reconstruction": 16.8, "kl": 5.8}
ILL = {
    "collapse": history(active=0.0, kl=0.02, swapped=17.01),
    "latent-loss": history(kl=60.0),  # and worth 33
    "reconstruction-loss": history(swapped=20.0),
    "over-regularised": history(active=0.3, options={"beta": 4.0}),
    "overfit": history(vae={"total": 15.0, "reconstruction": 10.0, "kl": 5.0}, options={"prior": "aggregated(500)"}),
}


def names(history: RunHistory) -> set[str]:
    return {sign.name for sign in diagnose(history)}


@pytest.mark.parametrize("name", ILL)
def test_an_ill_history_has_its_sign_and_a_remedy(name: str) -> None:
    (sign,) = [sign for sign in diagnose(ILL[name]) if sign.name == name]
    assert sign.remedies
    assert all(remedy.options for remedy in sign.remedies)


def test_a_healthy_history_has_none() -> None:
    assert not names(history(vae=TRAIN))


@pytest.mark.parametrize("name", ILL)
def test_youth_is_no_illness(name: str) -> None:
    """The same numbers before a fifth of the run is over."""
    young = RunHistory(1000, ILL[name].options)
    for key, series in ILL[name].series.items():
        young.add({"round": 100, key: series[-1][1]})
    assert not names(young)


def test_what_is_not_there_is_not_read() -> None:
    assert not names(RunHistory(10))
    generator = RunHistory(10)
    generator.add({"round": 9, "critic.total": 1.0, "validation.kl": float("nan")})
    assert not names(generator)


def test_a_torn_journal_is_read_as_far_as_it_goes(tmp_path) -> None:
    lines = [json.dumps({"round": 5, "vae.kl": 1.5}), '{"round": 6, "vae', "[1]", json.dumps({"vae.kl": 3})]
    (tmp_path / "journal.jsonl").write_text("\n".join(lines))
    assert read_history(tmp_path / "journal.jsonl", 10).latest("vae.kl") == 1.5
    assert read_history(tmp_path / "none", 10).round == 0


def fit(root, name: str, **options: object):
    small = {"steps": 400, "validate": 100, "log": 20, "latent": 4, "hidden": (64,), "seed": 0}
    return bst.fit("digits", "vae", root=root, name=name, quiet=True, **{**small, **options})


@pytest.mark.parametrize(
    ("sign", "options", "remedy"),
    [
        (None, {"steps": 800}, ""),
        ("collapse", {"beta": 100.0}, "beta=linear(0,1,100)"),
        ("latent-loss", {"beta": 0.01, "latent": 10}, "prior=vamp"),
        ("over-regularised", {"beta": 8.0, "steps": 800, "latent": 10}, "beta=1"),
    ],
)
def test_a_run_built_to_be_ill_shows_it(tmp_path, sign: str | None, options: dict, remedy: str) -> None:
    run = fit(tmp_path, "run", **options)
    found = {s["name"]: s for s in run.signs}
    if sign is None:
        assert not found
        return
    assert sign in found
    commands = [r["command"].replace("'", "") for r in found[sign]["remedies"]]
    assert any(remedy in c for c in commands), commands
    assert all(c.startswith("bestiary fit digits vae ") for c in commands)
    if sign == "collapse":
        log = (run.path / "log.txt").read_text()
        assert "posterior collapse" in log  # told while it was fitted
        run.report()
        assert "posterior collapse" in (run.path / "report.html").read_text()


def test_an_overfitted_optimal_prior_shows_it(tmp_path) -> None:
    """The aggregated posterior of few examples, a wide network, many rounds: training batches are known by heart."""
    import numpy as np
    from sklearn.datasets import load_digits

    few = np.ascontiguousarray(load_digits().images[:200, :, :, None].astype(np.uint8) * 15)
    small = {"steps": 900, "validate": 300, "log": 30, "latent": 8, "hidden": (256,), "batch": 64}
    run = bst.fit(few, "vae", root=tmp_path, quiet=True, prior="aggregated(100)", binarise="threshold",
                  likelihood="bernoulli", **small)  # fmt: skip
    (sign,) = [s for s in run.signs if s["name"] == "overfit"]
    assert "aggregated" in sign["says"]
    assert "vamp" in sign["remedies"][0]["command"]


@pytest.mark.parametrize(("beta", "more", "less"), [(1.0, "4", "0.25"), (0.01, "1", "0.0025"), (8.0, "32", "1")])
def test_a_remedy_is_never_what_was_done(beta: float, more: str, less: str) -> None:
    ill = {name: history(options={"beta": beta}, **told) for name, told in
           {"latent-loss": {"kl": 60.0}, "reconstruction-loss": {"swapped": 20.0, "kl": 2.0}}.items()}  # fmt: skip
    found = {name: [r.options.get("beta") for s in diagnose(ill[name]) if s.name == name for r in s.remedies]
             for name in ill}  # fmt: skip
    assert more in found["latent-loss"]
    assert less in found["reconstruction-loss"]


def of_run(what: Plan, ill: RunHistory) -> RunHistory:
    """The same numbers in a run that was planned so."""
    made = load_history(Path("nowhere"), what, ill.rounds)
    for key, series in ill.series.items():
        made.add({"round": series[-1][0], key: series[-1][1]})
    return made


RUNS = [("digits", name, {}) for name in LATENT if name not in ("ae", "dae")] + [
    ("digits", "vae", given) for given in (
        {"network": "conv"}, {"latent": 1}, {"patience": 5}, {"beta": "linear(0,1,250)"}, {"beta": 4.0},
        {"objective": "free_bits(3)"}, {"objective": "free_bits(3)", "prior": "vamp(300)"}, {"objective": "capacity"},
        {"objective": "iwae", "samples": 5}, {"objective": "dip"}, {"objective": "elbo(beta=8)"},
        {"objective": "elbo(lam=4)"}, {"prior": "aggregated(100)"}, {"prior": "mixture(10)", "hidden": (800, 800)},
        {"likelihood": "pixelcnn(layers=1)"},
    )
] + [("ring", "vae", {}), ("ring", "flow-prior-vae", {})]  # fmt: skip


@pytest.mark.parametrize(("data", "model", "given"), RUNS)
def test_remedies_can_be_typed_and_built_and_change_something(data: str, model: str, given: dict) -> None:
    """Of every kind of run: what a remedy says is accepted, and is not what the run has already."""
    what = plan(data, model, {"steps": 3000, **given})
    for name, ill in ILL.items():
        for sign in diagnose(of_run(what, ill)):
            for remedy in sign.remedies:
                again = plan(data, model, {**what.command_options, **remedy.options})
                assert (again.model_options, again.recipe) != (what.model_options, what.recipe), (name, remedy)
                assert remedy_command(what, remedy.options).startswith(f"bestiary fit {data} {model} ")
                if "beta" in remedy.options and "objective" in what.model_options:
                    assert str(again.model_options["objective"]).startswith(("elbo", "free_bits")), (name, remedy)
                build(model, what.dataset.spec, **again.model_options)


def test_z_that_is_more_precise_than_it_is_worth_is_a_high_latent_loss() -> None:
    """β=.01: the rate is below what z saves, but not its last nats; a weight that still rises will mend it."""
    precise = {"kl": 29.0, "distortion": 16.0, "swapped": 66.0, "widened": 5.4}
    (sign,) = diagnose(history(options={"beta": 0.01}, **precise))
    assert sign.name == "latent-loss"
    assert sign.remedies[0].options == {"beta": "1"}
    assert not names(history(options={"beta": "linear(0,1,1000)"}, **precise))
    assert not names(history(**{**precise, "widened": -3.0}))


def test_noise_is_told_as_such_and_no_larger_network_is_advised(tmp_path) -> None:
    import numpy as np

    images = np.random.default_rng(0).integers(256, size=(400, 8, 8, 1)).astype(np.uint8)
    run = bst.fit(images, "vae", root=tmp_path, quiet=True, steps=60, validate=30, latent=4, hidden=(16,))
    assert [sign["name"] for sign in run.signs] == ["noise"]
    assert "look like noise" in (run.path / "log.txt").read_text()
    poor = {"kl": 2.0, "swapped": 20.0}
    assert names(history(structure=1.0, **poor)) == {"noise"}
    assert names(history(structure=4.0, **poor)) == {"reconstruction-loss"}


def test_few_dimensions_that_the_decoder_uses_are_no_collapse() -> None:
    assert "collapse" not in names(history(active=0.03, kl=10.0, distortion=100.0, swapped=180.0))


def test_what_z_costs_is_held_against_what_it_is_worth() -> None:
    """A rate far above ln N is no illness where the decoder has all of it."""
    assert not names(history(kl=138.0, distortion=10.0, swapped=400.0))
    assert names(history(kl=138.0, distortion=10.0, swapped=100.0)) == {"latent-loss"}


@pytest.mark.parametrize(("options", "ill"), [
    ({"beta": 4.0}, True), ({"beta": "linear(0,4,1000)"}, True), ({"beta": "linear(0,4,2000)"}, False),
    ({"objective": "elbo(beta=4,lam=4)"}, False), ({"objective": "elbo(lam=0.25)"}, True),
    ({"objective": "free_bits(2)", "beta": 1.0}, False), ({}, False),
])  # fmt: skip
def test_the_weight_of_the_kl_is_read_from_the_options(options: dict, ill: bool) -> None:
    assert ("over-regularised" in names(history(active=0.3, options=options))) == ill
    assert ("over-regularised" in names(history(kl=0.7, options=options))) == ill


@pytest.mark.parametrize("options", [{"likelihood": "pixelcnn(layers=4)"}])
def test_what_a_decoder_that_sees_x_does_not_need_of_z_is_no_illness(options: dict) -> None:
    assert not names(history(distortion=80.0, kl=9.0, swapped=95.0, options=options))
    assert names(history(distortion=80.0, kl=9.0, swapped=95.0)) == {"reconstruction-loss"}


def test_after_an_early_stop_the_signs_are_those_of_the_weights_that_were_kept(tmp_path) -> None:
    import numpy as np
    from sklearn.datasets import load_digits

    few = np.ascontiguousarray(load_digits().images[:300, :, :, None].astype(np.uint8) * 15)
    small = {"steps": 3000, "validate": 50, "log": 10, "latent": 8, "hidden": (256,), "batch": 64, "lr": 4e-3}
    ink = {"binarise": "threshold", "likelihood": "bernoulli"}
    run = bst.fit(few, "vae", root=tmp_path, quiet=True, patience=5, **ink, **small)
    ended = json.loads((run.path / "env.json").read_text())
    assert "early stop" in ended["why"]
    best = int(ended["why"].rsplit(" ", 1)[1])
    assert names(read_history(run.path / "journal.jsonl", 3000)) == {"overfit"}  # why it stopped
    assert not names(read_history(run.path / "journal.jsonl", 3000, until=best))
    assert not run.signs
