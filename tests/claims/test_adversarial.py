"""The claims of the gallery's pages on games and samples, at a size of seconds."""

import json
from itertools import product
from math import log

import numpy as np
import pytest
import torch
from torch import nn

import bestiary as bst
from bestiary.data.batch import Batch
from bestiary.data.load import load
from bestiary.measures.copies import copy_share
from bestiary.measures.discrepancy import mmd_test, sliced_distances
from bestiary.measures.frechet import fid
from bestiary.measures.kernel_distance import kid
from bestiary.measures.manifold import prdc
from bestiary.measures.two_sample import two_sample_test
from bestiary.models.zoo import build
from bestiary.networks import dcgan
from bestiary.networks.mlp import mlp
from bestiary.objectives.games import nonsaturating, saturating
from bestiary.objectives.penalties import squared_slope
from bestiary.training.clock import Clock

QUIET = {"quiet": True, "validate": 0, "save": 0, "seed": 0, "precision": "fp32"}  # seeds are of one arithmetic


def test_against_a_better_critic_the_saturating_gradient_dies_and_the_other_grows_and_shakes() -> None:
    """Gaussians ten apart, four critics; by more than an order of magnitude, so that no chance is in it."""
    games = {"saturating": saturating(), "nonsaturating": nonsaturating()}
    shift, found = torch.tensor([10.0, 0.0]), {(name, step): [] for name in games for step in (0, 300)}
    for seed in range(4):
        torch.manual_seed(seed)
        critic = mlp([2, 64, 64, 1], "relu")
        adam = torch.optim.Adam(critic.parameters(), lr=1e-3)
        for step in range(301):
            if step in (0, 300):
                for name, game in games.items():
                    mean = shift.clone().requires_grad_()
                    logits = critic(torch.randn(1024, 2) + mean)[:, 0]
                    found[name, step] += torch.autograd.grad(game.generator(logits, logits).mean(), mean)
            loss = saturating().critic(critic(torch.randn(256, 2)), critic(torch.randn(256, 2) + shift)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    each = {key: torch.stack(slopes) for key, slopes in found.items()}
    sizes = {key: float(slopes.mean(0).norm()) for key, slopes in each.items()}
    spreads = {key: float(slopes.std(0).norm()) for key, slopes in each.items()}
    assert sizes["saturating", 300] < 0.1 * sizes["saturating", 0]
    assert sizes["nonsaturating", 300] > 5 * sizes["nonsaturating", 0]
    assert spreads["nonsaturating", 300] > 2 * spreads["nonsaturating", 0]


STARTS = {"over both": (0.3, 1.6), "beside one": (1.5, 0.6)}  # mean and deviation; modes are at ±2, of width 0.5


def test_forward_kl_covers_and_reverse_kl_seeks() -> None:
    """By quadrature: the forward fit has the moments of π wherever it starts; the reverse one is best by far at a mode;
    JSD has both answers, nearly as good as each other."""
    x = torch.linspace(-9, 9, 1801, dtype=torch.float64)
    normal = torch.distributions.Normal
    pi = 0.5 * normal(-2.0, 0.5).log_prob(x).exp() + 0.5 * normal(2.0, 0.5).log_prob(x).exp()

    def kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return 0.01 * (torch.special.xlogy(a, a) - a * b.clamp_min(1e-300).log()).sum()

    divergences = {
        "forward": lambda p: kl(pi, p),
        "jsd": lambda p: (kl(pi, (pi + p) / 2) + kl(p, (pi + p) / 2)) / 2,
        "reverse": lambda p: kl(p, pi),
    }
    found = {}
    for (name, divergence), (start, (mean, deviation)) in product(divergences.items(), STARTS.items()):
        m, s = (torch.tensor(v).double().requires_grad_() for v in (mean, log(deviation)))
        adam = torch.optim.Adam([m, s], lr=0.03)
        for _ in range(400):
            loss = divergence(normal(m, s.exp()).log_prob(x).exp())
            adam.zero_grad()
            loss.backward()
            adam.step()
        found[name, start] = (float(m.detach()), float(s.exp().detach()), float(loss.detach()))
    for start in STARTS:
        assert found["forward", start][:2] == pytest.approx((0, (4 + 0.25) ** 0.5), abs=0.02)
    assert found["reverse", "beside one"] == pytest.approx((2, 0.5, log(2)), abs=0.01)
    assert found["reverse", "over both"][2] > 2.5 * log(2)
    assert found["jsd", "over both"][:2] == pytest.approx((0, 2.04), abs=0.02)
    assert found["jsd", "beside one"][:2] == pytest.approx((2, 0.5), abs=0.02)
    assert found["jsd", "over both"][2] == pytest.approx(found["jsd", "beside one"][2], rel=0.1)


@pytest.mark.slow
def test_so_do_games_of_these_divergences(tmp_path) -> None:
    """A generator a z + b. KL widens from one mode until it holds both; the others stay where they start."""
    rng = np.random.default_rng(0)
    data = (rng.choice([-2.0, 2.0], 20_000) + 0.5 * rng.standard_normal(20_000)).astype(np.float32)[:, None]
    found, scale = {}, float(data.std())
    for divergence, (start, (mean, deviation)) in product(("kl", "jsd", "reverse_kl"), STARTS.items()):
        generator = nn.Linear(1, 1)
        with torch.no_grad():
            generator.weight.fill_(deviation / scale)
            generator.bias.fill_(mean / scale)
        steps = 1200 if divergence == "kl" else 600
        bst.fit(
            data, "f-gan", game=f"f({divergence})", latent=1, generator=generator, critic_hidden=(64, 64),
            lr=f"linear(0.006,0.001,{steps})", critic_lr=2e-3, critic_turns=3, steps=steps, batch=256, root=tmp_path,
            **QUIET,
        )  # fmt: skip
        a, b = (float(p.detach().flatten()[0]) * scale for p in generator.parameters())
        found[divergence, start] = (b, abs(a))
    assert found["kl", "over both"] == pytest.approx((0, 2.06), abs=0.2)
    assert found["kl", "beside one"][0] < 1.2
    assert found["kl", "beside one"][1] > 1.2
    assert found["jsd", "over both"] == pytest.approx((0, 2.04), abs=0.2)
    for divergence in ("jsd", "reverse_kl"):
        assert found[divergence, "beside one"] == pytest.approx((2, 0.5), abs=0.1)


@pytest.mark.slow
def test_what_collapses_on_the_ring_and_what_does_not(tmp_path) -> None:
    """A generator ten times faster than its critic: a heap, and modes without any sample, also with noise or a penalty
    alone; or a part of the samples at each. Modes are .77 apart; a sample belongs to one within .25, as to one of the
    eight would 35% of samples spread over a disc."""
    base = {
        "latent": 2, "hidden": (64, 64), "activation": "tanh", "batch": 128, "lr": 1e-3, "critic_lr": 1e-4,
        "steps": 1000,
    }  # fmt: skip
    ways = {
        "nothing": {}, "noise": {"noise": "linear(0.5,0,250)"}, "penalty": {"penalty": "r1(0.1)"},
        "packing": {"pack": 2, "critic_hidden": (128, 128)}, "minibatch": {"minibatch": 8}, "unrolling": {"unroll": 5},
        "wasserstein": {"game": "wasserstein", "penalty": "gp(0.1)", "critic_turns": 3, "critic_lr": 1e-3},
    }  # fmt: skip
    found = {}
    for name, options in ways.items():
        run = bst.fit("ring", "ns-gan", root=tmp_path, **QUIET, **{**base, **options})
        truth = run.dataset.truth
        d = torch.cdist(torch.from_numpy(run.sample(2500)).double(), torch.from_numpy(truth.means).double())
        found[name] = (d <= 0.25).double().mean(0)
    for name, shares in found.items():
        if name in ("nothing", "noise", "penalty"):
            assert (shares > 0.01).sum() <= 5, name
        else:
            assert shares.min() > 0.03, name
            assert shares.sum() > 0.45, name


@pytest.mark.slow
def test_neither_the_optimum_nor_one_turn_each_is_best(tmp_path) -> None:
    """Equally many turns in all: five of the critic a round come nearest and soonest, one each swings."""
    found = {}
    for k in (1, 5, 20):
        run, found[k] = None, []
        for turns in (500, 1500, 2000, 2500, 3000):
            if run is None:
                run = bst.fit(
                    "moons", "ns-gan", critic_turns=k, latent=4, hidden=(64, 64), lr=1e-3, batch=128,
                    steps=turns // (k + 1), root=tmp_path, **QUIET,
                )  # fmt: skip
            else:
                run = bst.fit(resume=run, steps=turns // (k + 1), quiet=True)
            found[k].append(float(sliced_distances(run.sample_x(1000), run.part("test", 1000).x).mean()))
    early, late = ({k: np.mean(d[part]) for k, d in found.items()} for part in (slice(1), slice(1, None)))
    assert 2 * early[5] < early[20]
    assert late[5] < 0.85 * late[20]
    assert 2 * late[20] < late[1]
    assert np.ptp(found[1][1:]) > 3 * np.ptp(found[5][1:])


@pytest.mark.slow
def test_clipping_drives_weights_to_the_ends_and_the_penalty_slopes_to_one(tmp_path) -> None:
    base = {"latent": 2, "hidden": (32, 32), "batch": 128, "steps": 120, "critic_turns": 5, "root": tmp_path}
    ends, slopes = {}, {}
    for name, options in (("wgan", {"lr": 5e-4}), ("wgan-gp", {"penalty": "gp(1)", "lr": 2e-3})):
        run = bst.fit("ring", name, **base, **QUIET, **options)
        critic = run.model.critic
        weights = torch.cat([p.detach().flatten() for p in critic.parameters() if p.ndim == 2])
        ends[name] = float((weights.abs() > 0.95 * weights.abs().max()).double().mean())
        x = torch.lerp(run.sample_x(500), run.part("train", 500).x, torch.rand(500, 1))
        slopes[name] = float(squared_slope(critic, x).sqrt().detach().median())
    assert ends["wgan"] > 0.3 > 0.1 > ends["wgan-gp"]
    assert 0.5 < slopes["wgan-gp"] < 1.5
    assert slopes["wgan"] < 0.1


@pytest.mark.slow
def test_great_samples_with_poor_likelihood_and_the_reverse() -> None:
    """p₂ = 0.01 π + 0.99 noise loses at most ln 100; p₁, kernels on the training examples, makes copies."""
    data, n = load("gaussian", dimensions=100, n=4000), 400
    train, test = data.part("train")[:1000], data.part("test")
    real, other = (torch.from_numpy(data.part(part)[:n]) for part in ("test", "validation"))
    rng, width = np.random.default_rng(0), 0.2
    noise = 3 * rng.standard_normal((n, 100))
    log_noise = -(test**2).sum(1) / 18 - 50 * log(2 * np.pi * 9)
    log_pi = data.truth.log_prob(test)
    log_p2 = np.logaddexp(log_pi + log(0.01), log_noise + log(0.99))
    assert (log_p2 >= log_pi - log(100) - 1e-9).all()
    p2 = torch.from_numpy(np.where(rng.random((n, 1)) < 0.99, noise, data.truth.sample(n, 3))).float()
    (told, *_), _ = two_sample_test(p2, real, other, "columns")
    assert told.low > 0.8
    p1 = torch.from_numpy(train[rng.integers(len(train), size=n)]).float() + width * torch.randn(n, 100)
    d = ((test[:, None] - train[None]) ** 2).sum(2)
    log_p1 = np.logaddexp.reduce(-d / (2 * width**2), axis=1) - log(len(train)) - 50 * log(2 * np.pi * width**2)
    assert (log_pi - log_p1).mean() > 100
    assert copy_share(p1, torch.from_numpy(train), torch.cat([real, other])).low > 0.9
    (told, *_), _ = two_sample_test(p1, real, other, "columns")
    assert told.low < 0.55  # its samples pass for data
    assert told.value < 0.6


@pytest.mark.slow
def test_three_equal_moments_are_not_enough_and_the_classifier_sees_it() -> None:
    g, width, n = torch.Generator().manual_seed(0), 0.2, 1500

    def signs() -> torch.Tensor:
        return torch.randn(n, 8, generator=g).sign() + width * torch.randn(n, 8, generator=g)

    real, other = signs(), signs()
    fake = (1 + width**2) ** 0.5 * torch.randn(n, 8, generator=g)
    frechet, kernel = fid(fake, real, other, "x"), kid(fake, real, other, "x", block=150)
    assert frechet.value < 3 * frechet.floor.value
    assert kernel.low < 0 < kernel.high
    (told, *_), _ = two_sample_test(fake, real, other, "x")
    assert told.low > 0.6


def test_a_two_sample_statistic_teaches_a_generator() -> None:
    torch.manual_seed(0)
    data = torch.from_numpy(load("moons").x)
    generator = mlp([4, 64, 64, 2], "silu")
    adam = torch.optim.Adam(generator.parameters(), lr=3e-3)

    def apart() -> tuple[float, float]:
        with torch.no_grad():
            return mmd_test(generator(torch.randn(300, 4)), data[-300:], 99)[:2]

    before, p = apart()
    assert p == 0.01  # none of 99 permutations
    for _ in range(120):
        both = torch.cat([generator(torch.randn(150, 4)), data[torch.randint(len(data) - 500, (150,))]])
        d = torch.cdist(both, both).square()
        k = sum(torch.exp(-d / (2 * w * w)) for w in (0.1, 0.3, 1.0))
        loss = k[:150, :150].mean() + k[150:, 150:].mean() - 2 * k[:150, 150:].mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    after, p = apart()
    assert after < 0.1 * before
    assert p > 0.05  # of fresh samples and examples that were not trained on


def test_joined_batches_give_another_gradient_whatever_their_size_and_small_ones_are_biased_and_noisy() -> None:
    data, clock = load("moons"), Clock(torch.tensor(0.0), 1)
    x = torch.from_numpy(data.x)

    def slope(joint: bool, rows: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        model = build("ns-gan", data.spec, latent=4, hidden=(32, 32), critic_norm="batch", joint=joint)
        torch.manual_seed(int(rows[0]))
        loss = model.critic_loss(Batch(x[rows]), clock)[0]["total"]
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.critic.parameters()))])

    limits = [slope(joint, torch.arange(20_000)) for joint in (False, True)]
    assert float(torch.nn.functional.cosine_similarity(*limits, dim=0)) < 0.7
    smallest = {}
    for joint in (False, True):
        g, biases, noises = torch.Generator().manual_seed(1), [], []
        for size in (16, 256):
            found = torch.stack([slope(joint, torch.randint(len(x), (size,), generator=g)) for _ in range(60)])
            biases.append(float((found.mean(0) - limits[joint]).square().sum() - found.var(0).sum() / 60))
            noises.append(float(found.var(0).sum()))
        assert biases[0] > 4 * max(biases[1], 0)
        assert noises[0] > 4 * noises[1]  # 16 where the gradient is a mean over the batch
        smallest[joint] = (
            biases[0] / float(limits[joint].square().sum()),
            noises[0] / float(limits[joint].square().sum()),
        )
    for mine, theirs in zip(smallest[True], smallest[False], strict=True):  # of the other gradient, less is lost
        assert 2 * mine < theirs


@pytest.mark.slow
def test_the_wasserstein_critics_loss_follows_the_distance_and_the_standard_ones_does_not(tmp_path) -> None:
    """Stages of a fit: −loss against the sliced distance of samples to data, the mean correlation over two seeds."""
    ways = {"wgan-gp": {"penalty": "gp(1)", "lr": 1e-3}, "ns-gan": {"lr": 1e-3}}
    found = dict[str, list[float]]()
    for name, seed in product(ways, (0, 1)):
        run, told = None, []
        for steps in range(20, 181, 40):
            how = {"log": 20, "quiet": True, "steps": steps}
            options = {**QUIET, **how, **ways[name], "seed": seed, "network": "mlp", "batch": 64, "root": tmp_path}
            run = bst.fit("digits", name, **options) if run is None else bst.fit(resume=run, **how)
            lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
            last = [line for line in lines if "critic.real" in line][-1]
            loss = last["critic.fake"] - last["critic.real"] if name == "wgan-gp" else last["critic.total"]
            real, fake = run.part("test").x.flatten(1), run.sample_x(1000).flatten(1)
            told.append((-loss, float(sliced_distances(fake, real).mean())))
        found.setdefault(name, []).append(float(np.corrcoef(np.array(told).T)[0, 1]))
    assert np.mean(found["wgan-gp"]) > 0.7
    assert np.mean(found["ns-gan"]) < 0.3


@pytest.mark.slow
def test_generators_that_the_standard_game_does_not_fit(tmp_path) -> None:
    """One DCGAN critic, equally many turns: with BatchNorm both games reach about as much; without, or as an MLP, the
    Wasserstein game reaches more."""
    nets = {
        "dcgan": {"network": "dcgan", "width": 16},
        "constant": {"network": "dcgan", "width": 16, "norm": "none", "constant": True},
        "mlp": {"network": "mlp", "hidden": (512, 512, 512, 512)},
    }
    games = {"wgan-gp": ("none", {"penalty": "gp(1)", "steps": 200}), "ns-gan": ("batch", {"steps": 600})}
    for name, net in nets.items():
        reached = {}
        for game, (norm, options) in games.items():
            torch.manual_seed(0)
            critic = dcgan.critic((1, 8, 8), 16, norm)
            run = bst.fit("digits", game, critic=critic, root=tmp_path, batch=64, lr=1e-3, **QUIET, **net, **options)
            real = run.part("test").x.flatten(1)
            reached[game] = prdc(real, run.sample_x(len(real)).flatten(1)).covered
        if name == "dcgan":
            assert 2 / 3 < reached["wgan-gp"] / reached["ns-gan"] < 3 / 2
        else:
            assert reached["wgan-gp"] > 1.5 * reached["ns-gan"], name
