"""Signs on stories told by hand, and on runs built to be ill and one that is not."""

import json

import pytest

import bestiary as bst
from bestiary.signs.sign import Story, told
from bestiary.signs.signs import diagnose

HEALTHY = {"kl": 6.0, "active": 0.9, "distortion": 17.0, "swapped": 50.0, "low": -23.5, "high": -22.5,
           "bound": -23.0, "log_examples": 7.3}  # fmt: skip


def story(round: int = 500, options: dict | None = None, vae: dict | None = None, **validation: float) -> Story:
    made = Story(1000, options)
    made.add({"round": round, **{f"vae.{k}": v for k, v in (vae or {}).items()}})
    made.add({"round": round, **{f"validation.{k}": v for k, v in {**HEALTHY, **validation}.items()}})
    return made


TRAIN = {"total": 22.6, "reconstruction": 16.8, "kl": 5.8}
ILL = {
    "collapse": story(active=0.0, kl=0.02, swapped=17.01),
    "latent-loss": story(kl=60.0),
    "reconstruction-loss": story(swapped=20.0),
    "over-regularised": story(active=0.3, vae={"total": 24.0, "reconstruction": 16.0, "kl": 2.0}),
    "overfit": story(vae={"total": 15.0, "reconstruction": 10.0, "kl": 5.0}, options={"prior": "aggregated(500)"}),
}


def names(told: Story) -> set[str]:
    return {sign.name for sign in diagnose(told)}


@pytest.mark.parametrize("name", ILL)
def test_an_ill_story_has_its_sign_and_a_remedy(name: str) -> None:
    (sign,) = [sign for sign in diagnose(ILL[name]) if sign.name == name]
    assert sign.remedies
    assert all(remedy.options for remedy in sign.remedies)


def test_a_healthy_story_has_none() -> None:
    assert not names(story(vae=TRAIN))


@pytest.mark.parametrize("name", ILL)
def test_youth_is_no_illness(name: str) -> None:
    """The same numbers before a fifth of the run is over."""
    young = Story(1000, ILL[name].options)
    for key, series in ILL[name].series.items():
        young.add({"round": 100, key: series[-1][1]})
    assert not names(young)


def test_what_is_not_there_is_not_read() -> None:
    assert not names(Story(10))
    generator = Story(10)
    generator.add({"round": 9, "critic.total": 1.0, "validation.kl": float("nan")})
    assert not names(generator)


def test_a_torn_journal_is_read_as_far_as_it_goes(tmp_path) -> None:
    lines = [json.dumps({"round": 5, "vae.kl": 1.5}), '{"round": 6, "vae', "[1]", json.dumps({"vae.kl": 3})]
    (tmp_path / "journal.jsonl").write_text("\n".join(lines))
    assert told(tmp_path / "journal.jsonl", 10).last("vae.kl") == 1.5
    assert told(tmp_path / "none", 10).round == 0


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
    ill = {name: story(options={"beta": beta}, **told) for name, told in
           {"latent-loss": {"kl": 60.0}, "reconstruction-loss": {"swapped": 20.0}}.items()}  # fmt: skip
    found = {name: [r.options.get("beta") for s in diagnose(ill[name]) if s.name == name for r in s.remedies]
             for name in ill}  # fmt: skip
    assert more in found["latent-loss"]
    assert less in found["reconstruction-loss"]
