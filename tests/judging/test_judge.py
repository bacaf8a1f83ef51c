"""Judging: every number with its protocol, interval and floor; what cannot be compared is refused."""

import json
from math import log

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bestiary.errors import BestiaryError
from bestiary.judging import code_chapters
from bestiary.judging.judge import judge_case
from bestiary.measures.number import Judgement
from bestiary.run import fit, judge, load
from bestiary.runs import run_case
from bestiary.storage.run_files import weights_hash
from tests.runs.tiny import IMAGES, TABLE, VECTORS, tiny

QUICK = {"n": 60, "k": 3, "tests": "fast"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("judged")
    (root / "t.csv").write_text(TABLE)
    return root


@pytest.fixture(scope="module")
def digits(root):
    run = tiny(root, "digits", steps=30)
    return run, run.judge(**QUICK)


def test_a_fit_that_was_stopped_is_judged_as_such(root):
    run = tiny(root, time_limit=1e-3, save=1)
    reached = json.loads((run.path / "env.json").read_text("utf-8"))["round"]
    assert reached < 20
    assert f"not finished: these are the weights of round {reached}" in " ".join(run.judge(**QUICK).notes)


def test_it_is_said_that_samples_are_means(root, digits):
    assert any("means E[x|z]" in note for note in digits[1].notes)
    assert not any("means E[x|z]" in note for note in tiny(root, steps=5).judge(**QUICK).notes)  # numbers: drawn


def by_name(judgement):
    return {number.name: number for number in judgement.numbers}


# numbers of the anatomy; the parts of the bound are neither good nor bad by themselves
PARTS = ("distortion", "rate", "mutual_information", "marginal_kl", "total_correlation", "dimension_kl")
BETTER = {**dict.fromkeys(PARTS, ""), "active_units": "higher", "probe": "higher", "distance_ratio": ""}
HIGHER = {"precision", "recall", "density", "covered"}
TWO_SAMPLE = HIGHER | {"kid", "mmd", "sliced"}
COLUMNS = {"separation", "means", "spreads", "correlations", "dependence"}


def test_every_number_can_be_repeated_and_read(digits):
    run, judgement = digits
    assert judgement.protocol == {"split": "test", "seed": 0, "weights": weights_hash(run.path)}
    for number in judgement.numbers:
        assert {"n", "split", "seed"} <= set(number.protocol), number.name
        if number.low is not None:
            assert "interval" in number.protocol, number.name
            assert number.low - 1e-9 <= number.value <= number.high + 1e-9
        assert number.title
        assert number.unit
        assert number.says
        assert number.better == BETTER.get(number.name, "higher" if number.name in HIGHER else "lower")
    found = by_name(judgement)
    bounds, samples = {"nll_elbo", "bpd_elbo", "nll_iwae", "bpd_iwae"}, {"copied", "fidelity", "coverage"}
    assert set(found) >= bounds | samples | BETTER.keys() | TWO_SAMPLE | COLUMNS
    assert (found["nll_elbo"].protocol["k"], found["nll_iwae"].protocol["k"]) == (1, 3)
    assert found["nll_elbo"].protocol["binarised"] == "once, by seed"
    assert all(found[name].floor is not None for name in ("copied", "fidelity", "coverage"))


def test_all_tests_are_made_unless_told_otherwise(digits):
    """And the features may be those of a classifier of the data's own labels."""
    run, judgement = digits
    whole = run.judge(n=60, k=3, features="labels")
    more = {"c2st", "c2st_auc", "c2st_jsd", "fid", "score", "classes", "class_kl"}
    assert set(by_name(whole)) == set(by_name(judgement)) | more
    assert whole["fid"].protocol["features"].startswith("labels@")
    found = load_file(run.path / "evidence.safetensors")
    assert found["two_sample"].shape == (120, 2)
    assert found["density_ratio"].shape == (60, 2)
    assert run.report().is_file()
    run.judge(**QUICK)


def test_samples_are_compared_at_the_levels_of_the_data(root, monkeypatch):
    """A GAN gives real numbers and the digits have 17 levels, which alone would tell them."""
    cases = []
    monkeypatch.setattr("bestiary.run.judge_case", lambda case: (cases.append(case), judge_case(case))[1])
    found = by_name(tiny(root, "digits", "gan", steps=5).judge(n=60, features="pixels", tests="fast"))
    assert "row " in found["separation"].says
    assert found["kid"].protocol["features"] == "pixels"
    for x in (*cases[0].sides, cases[0].points.samples):
        assert torch.equal((16 * x).round(), 16 * x)


def test_modes_of_a_toy(root):
    found = by_name(tiny(root, "ring", "gan", n=1000, steps=5).judge(**QUICK | {"n": 100}))
    assert found["modes"].ceiling.value == 8
    assert found["high_quality"].high < 1


def test_labels_are_needed_for_features_of_labels(root):
    with pytest.raises(BestiaryError, match="these have none: use features=auto"):
        tiny(root, "ring", "gan", steps=5).judge(n=60, features="labels")


def test_bits_are_nats_over_log_two_for_each_pixel(digits):
    found = by_name(digits[1])
    for name in ("elbo", "iwae"):
        nats, bits = found[f"nll_{name}"], found[f"bpd_{name}"]
        assert bits.unit == "bits/dim"
        for end in ("value", "low", "high"):
            assert getattr(bits, end) == pytest.approx(getattr(nats, end) / log(2) / 64)


@pytest.mark.parametrize(("data", "likelihood", "discrete"), [
    ("digits", "logistic", True), ("digits", "gaussian", False), ("ring", "gaussian", False),
])  # fmt: skip
def test_bits_are_for_probabilities_only(root, data, likelihood, discrete):
    found = by_name(tiny(root, data, likelihood=likelihood, steps=5).judge(**QUICK))
    assert ("bpd_elbo" in found) == discrete
    assert found["nll_elbo"].protocol["of"] == ("probability" if discrete else "density")


def test_the_same_judgement_is_made_again(digits):
    run, judgement = digits
    again = load(run.path).judge(**QUICK)
    assert again.numbers == judgement.numbers
    assert run.judge(**QUICK, seed=1).numbers != judgement.numbers
    run.judge(**QUICK)


def test_what_is_written_is_what_was_found(digits):
    run, judgement = digits
    run.judge(**QUICK)
    written = json.loads((run.path / "judgement.json").read_text(), parse_constant=pytest.fail)
    assert set(written) == {"made", "verdict", "protocol", "numbers", "notes"}
    again = Judgement.from_dict(written)
    assert again.numbers == judgement.numbers
    assert again.to_dict() == written


def test_the_card_has_the_numbers_until_the_weights_change(root):
    run = tiny(root, steps=10)
    run.judge(**QUICK)
    card = (run.path / "README.md").read_text()
    assert "| −ELBO |" in card
    assert "of older weights" not in card
    fit(resume=run.path, steps=15, quiet=True)
    assert "of older weights" in (run.path / "README.md").read_text()
    load(run.path).judge(**QUICK)
    assert "of older weights" not in (run.path / "README.md").read_text()


def test_no_bound_beats_the_entropy(root):
    """−L ≥ −E log p(x) ≥ entropy of π, up to the noise of the examples that were drawn."""
    run = fit("gaussian", "vae", root=root, quiet=True, n=2000, latent=2, hidden=(32,), steps=600, lr=3e-3, validate=0)
    found = by_name(run.judge(n=200, k=20, tests="none"))
    truth = run.dataset.truth
    exact = -torch.as_tensor(truth.log_prob(run.part("test", 200).x.numpy())).mean()
    for name in ("nll_elbo", "nll_iwae"):
        number = found[name]
        assert number.floor.value == pytest.approx(truth.entropy)
        assert number.high >= truth.entropy
        assert number.value >= exact - 0.05  # paired on the same examples: E_π log π/p ≥ 0
    assert found["nll_elbo"].value - exact < 0.5  # and it has learnt something


def test_evidence_of_images(digits):
    run, _ = digits
    found = load_file(run.path / "evidence.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    image = (8, 8, 1)
    assert shapes == {
        "samples": (60, *image), "data": (60, *image), "reconstructed_from": (16, *image),
        "reconstructions": (16, *image), "codes": (60, 2), "code_labels": (60,), "codes_2d": (60, 2),
        "manifold": (225, *image), "neighbour_of": (12, *image), "neighbours": (12, 4, *image),
        "neighbour_distances": (12, 4), "k_curve": (2, 4), "kl_dims": (2,),
        "code_variance": (2,),
    }  # fmt: skip
    assert all(found[name].dtype == torch.uint8 for name in ("samples", "data", "neighbours", "manifold"))
    assert found["samples"].max() < run.spec.x.levels
    assert torch.equal(found["codes_2d"], found["codes"])
    train = torch.as_tensor(run.dataset.part("train"))
    assert (train == found["neighbours"][0, 0]).flatten(1).all(1).any()
    steps = found["neighbour_distances"].diff(dim=1)
    assert (steps >= 0).all()


@pytest.mark.parametrize(("data", "model"), [("ring", "vae"), ("t.csv", "gan"), (VECTORS, "vae"), (IMAGES, "dcgan")])
def test_evidence_of_everything_else(root, data, model):
    run = tiny(root, root / data if isinstance(data, str) and "." in data else data, model, steps=5)
    names = {n.name for n in run.judge(**QUICK).numbers}
    assert names >= {"copied", "fidelity", "coverage"}
    found = load_file(run.path / "evidence.safetensors")
    assert ("codes" in found) == (model == "vae")
    assert ("truth_density" in found) == (isinstance(data, str) and data == "ring")
    assert found["samples"].dtype == (torch.uint8 if model == "dcgan" else torch.float32)
    if "truth_density" in found:
        left, right, bottom, top = found["extent"].tolist()
        cell = (right - left) * (top - bottom) / 160**2
        assert 0.5 < float(found["truth_density"].sum() * cell) < 1.5
    assert run.report().is_file()


def test_distances_among_codes(digits):
    run, judgement = digits
    found = by_name(run.judge(**QUICK, space="latent"))
    assert found["fidelity"].protocol["space"] == "latent"
    assert found["fidelity"].value != by_name(judgement)["fidelity"].value
    run.judge(**QUICK)


def test_the_floor_of_training_examples_is_not_themselves(root):
    judgement = tiny(root, "digits", steps=5).judge(n=2000, k=1, split="train", tests="none")
    found = by_name(judgement)
    assert "probe" not in found
    assert any("No linear probe" in note for note in judgement.notes)
    assert found["fidelity"].floor.value > 0.01
    assert not {"nll_iwae", "bpd_iwae"} & set(found)  # L_1 is said once


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_fitted_to_judge_sees_nothing_that_is_compared(digits, monkeypatch, split):
    run, fitted = digits[0], []
    learn, read = run_case.fit_label_features, code_chapters.probe
    monkeypatch.setattr(run_case, "fit_label_features", lambda x, *rest: (fitted.append(x), learn(x, *rest))[1])
    monkeypatch.setattr(
        code_chapters, "probe", lambda a, b, raw, *rest: (fitted.append(raw[0]), read(a, b, raw, *rest))[1]
    )
    run.judge(**QUICK | {"split": split, "features": "labels"})
    features, probe = fitted
    compared = [run.part(split, 60).x.flatten(1), run.part("train", 60).x.flatten(1)]
    assert not any((torch.cdist(features.flatten(1), x) == 0).any() for x in compared)
    assert not any((torch.cdist(probe.flatten(1), x) == 0).any() for x in compared)
    assert len(probe) > 900
    run.judge(**QUICK)


def test_features_of_labels_need_examples_of_their_own(root):
    with pytest.raises(BestiaryError, match="smaller n"):
        tiny(root, "digits", steps=5).judge(n=2000, k=1, split="train", features="labels")


def test_samples_that_are_not_finite_are_told_of(root, monkeypatch):
    run = tiny(root, "digits", "gan", steps=5)
    x = run.sample_x(60)
    x[3, 0, 2, 2] = torch.nan
    monkeypatch.setattr(run, "sample_x", lambda n, *rest, **options: x)
    found = run.judge(**QUICK)
    assert any("1 of 60 samples hold values that are not finite" in note for note in found.notes)
    assert not {"copied", "fid", "c2st"} & set(by_name(found))


def test_copies_are_not_looked_for_where_columns_are_told(root):
    found = tiny(root, root / "t.csv", "gan", steps=5, condition="town").judge(**QUICK)
    assert not {"copied", "distance_ratio"} & set(by_name(found))
    assert any("conditions of training examples" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 3}, "at least 4"),
        ({"k": 0}, "at least one draw"),
        ({"split": "tset"}, "did you mean `test`"),
        ({"tests": "fats"}, "did you mean `fast`"),
        ({"features": "minst"}, "did you mean `mnist`"),
        ({"space": "pixel"}, "did you mean `pixels`"),
    ],
)
def test_a_slip_is_answered(digits, options, says):
    with pytest.raises(BestiaryError, match=says):
        digits[0].judge(**options)


def test_codes_need_an_encoder(root):
    with pytest.raises(BestiaryError, match="needs an encoder"):
        tiny(root, "ring", "gan", steps=5).judge(space="latent")


@pytest.mark.parametrize("data", [VECTORS[:3], IMAGES[:3]])
def test_three_examples_are_judged_as_far_as_they_go(root, data):
    run = tiny(root, data, steps=5)
    judgement = run.judge(**QUICK)
    assert "copied" not in by_name(judgement)
    assert any("too few examples" in note for note in judgement.notes)
    assert by_name(judgement)["nll_elbo"].low is None or np.isnan(by_name(judgement)["nll_elbo"].low)
    assert load_file(run.path / "evidence.safetensors")["codes_2d"].shape == (1, 2)
    assert run.report().is_file()


def test_judge_takes_a_run_or_two_sides(digits):
    for given in ({}, {"real": "digits"}, {"run": digits[0], "real": "digits", "fake": "digits"}):
        with pytest.raises(BestiaryError, match="--real A --fake B"):
            judge(**given)
    assert judge(digits[0].path, **QUICK).numbers == digits[1].numbers


def test_an_autoencoder_is_judged_on_its_codes(root):
    run = tiny(root, "digits", "ae", steps=5, latent=3)
    found = by_name(run.judge(n=60))
    assert set(found) == {"code_bits", "distortion", "distortion_quantised", "probe"}
    assert "k_curve" not in load_file(run.path / "evidence.safetensors")
    with pytest.raises(BestiaryError, match="does not sample"):
        run.sample(3)
    run.report()


def test_a_flow_posterior_is_judged_without_pairs(root):
    found = by_name(tiny(root, "digits", "vae", steps=5, latent=3, posterior="iaf(steps=1,width=8)").judge(**QUICK))
    assert {"distortion", "rate", "active_units", "nll_iwae"} <= set(found)
    assert "mutual_information" not in found  # a density of z drawn for another x costs D passes


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_a_prior_that_does_not_factorise_has_no_dimensions(root, posterior):
    run = tiny(root, "digits", "vae", steps=5, latent=3, posterior=posterior, prior="vamp(20)")
    found = by_name(run.judge(n=60, k=3, tests="none"))
    assert not {"total_correlation", "dimension_kl"} & set(found)
    told = found["mutual_information"].value + found["marginal_kl"].value
    assert told == pytest.approx(found["rate"].value, abs=1e-9)
    evidence = load_file(run.path / "evidence.safetensors")
    assert "kl_dims" not in evidence
    assert len(evidence["code_variance"]) == 3
    run.report()


def test_the_parts_are_in_the_units_of_the_file(root):
    """Columns far from unit scale: the parts add up to the bound on log p(raw)."""
    x = np.random.default_rng(0).normal(size=(400, 3)) * [0.01, 100, 3]
    run = tiny(root, x, "vae", steps=20, latent=2)
    assert abs(run.spec.log_scale) > 0.5
    found = by_name(run.judge(n=60, k=1, tests="none"))
    whole = found["distortion"].value + found["mutual_information"].value + found["marginal_kl"].value
    assert abs(whole - found["nll_elbo"].value) < found["nll_elbo"].high - found["nll_elbo"].low


def test_the_parts_of_the_bound_add_up_to_it(digits):
    """On draws of their own: within the intervals of both."""
    found = by_name(digits[1])
    parts = found["distortion"].value + found["mutual_information"].value + found["marginal_kl"].value
    assert abs(parts - found["nll_elbo"].value) < found["nll_elbo"].high - found["nll_elbo"].low
