"""The claims of the gallery's pages on latent variables, at a size of seconds."""

import json

import numpy as np
import pytest
import torch

import bestiary as bst
from bestiary.data.batch import Batch
from bestiary.data.load import load
from bestiary.densities.diagonal_gaussian import DiagonalNormal, StandardNormal
from bestiary.densities.mixture import GaussianMixture, mixture_of
from bestiary.models.zoo import build
from bestiary.training.device import seeded

SMALL = {"steps": 300, "hidden": (64,), "validate": 0, "save": 0, "log": 10, "seed": 0}


def fit(root, model: str = "vae", **options: object) -> bst.Run:
    return bst.fit("digits", model, root=root, quiet=True, **{**SMALL, **options})


def observed(run: bst.Run, part: str = "test") -> Batch:
    return run.observe(run.part(part))


def test_both_gradients_have_the_same_mean_and_the_score_varies_far_more() -> None:
    """∇_μ E[−½|x − z|² + log p(z) − log q(z)] = x − 2μ in closed form; D = 10."""
    torch.manual_seed(0)
    n, d = 20_000, 10
    x, mean = torch.randn(d), torch.randn(d).expand(n, d).clone().requires_grad_()
    q, p = DiagonalNormal(mean, torch.full((n, d), -1.0)), StandardNormal(torch.zeros(1, d))
    z = q.rsample()
    f = -0.5 * (x - z).square().sum(-1) + p.log_prob(z) - q.log_prob(z)
    (slope,) = torch.autograd.grad(f.sum(), mean, retain_graph=True)
    (log_slope,) = torch.autograd.grad(q.log_prob(z.detach()).sum(), mean)
    score, exact = f.detach()[:, None] * log_slope, x - 2 * mean[0].detach()
    for estimate in (slope, score):
        assert ((estimate.mean(0) - exact).abs() < 4.5 * estimate.std(0) / n**0.5).all()
    assert score.var(0).mean() > 100 * slope.var(0).mean()


def test_no_prior_beats_the_aggregated_posterior_on_its_own_examples() -> None:
    """E_x E_q log p(z) over N examples is largest at p = q(z); Jensen, for any mixture, the standard, a shifted q."""
    torch.manual_seed(0)
    q = DiagonalNormal(2 * torch.randn(200, 3), torch.randn(200, 3) - 1)
    z = q.rsample((500,)).reshape(-1, 1, 3)
    best = mixture_of(q)
    others = {
        "standard": StandardNormal(torch.zeros(1, 3)),
        "half of it": mixture_of(DiagonalNormal(q.mean[:100], q.log_var[:100])),
        "shifted": mixture_of(DiagonalNormal(q.mean + 0.3, q.log_var)),
        "wider": mixture_of(DiagonalNormal(q.mean, q.log_var + 0.5)),
        "fitted": GaussianMixture(torch.zeros(1), q.mean.mean(0)[None], (q.variance + q.mean**2).mean(0).log()[None]),
    }
    for name, p in others.items():
        gap = best.log_prob(z) - p.log_prob(z)
        assert float(gap.mean()) > 3 * float(gap.std()) / len(gap) ** 0.5, name


def test_a_flow_prior_is_a_flow_posterior_with_equal_gradients() -> None:
    """Bounds and the gradients of all weights, of one model read in both ways on one batch."""
    torch.manual_seed(0)
    model = build("flow-prior-vae", load("digits").spec, latent=4, hidden=(16,))
    with torch.no_grad():
        for p in model.prior.parameters():
            p.add_(0.1 * torch.randn_like(p))
    x, weights = (torch.rand(16, 1, 8, 8) < 0.5).float(), [p for p in model.parameters() if p.requires_grad]
    found = []
    for swapped in (False, True):
        with seeded(1):
            q, p = model.infer(x), model.prior()
            z = q.rsample((1,))
        log_q, log_p = q.log_prob(z), p.log_prob(z)
        if swapped:
            epsilon, log_det = p.backward(z)
            z, log_q = p.forward(epsilon)[0], log_q - log_det
            log_p = StandardNormal(torch.zeros(1, 4)).log_prob(epsilon)
        bound = model.px(z[0]).log_prob(x) + (log_p - log_q)[0]
        found.append((bound.detach(), torch.autograd.grad(bound.mean(), weights)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-4, rtol=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("version", ["i", "ii"])
def test_dip_draws_the_moments_to_the_identity(tmp_path, version: str) -> None:
    def distance(run: bst.Run) -> float:
        q = run.model.infer(observed(run, "train").x)
        c = np.cov(q.mean.detach().T.numpy())
        c = c + np.diag(q.variance.mean(0).detach().numpy()) if version == "ii" else c
        return float(np.square(c - np.eye(len(c))).sum())

    plain, dip = (fit(tmp_path, latent=4, objective=o) for o in ("elbo(beta=0.2)", f"dip({version})"))
    assert distance(dip) < 0.25 * distance(plain)


@pytest.mark.slow
def test_free_bits_keep_the_rate_at_lambda_where_the_elbo_gives_it_up(tmp_path) -> None:
    """A decoder that sees far: the plain rate stays below λ = 4, the other reaches it but for a tenth."""
    small = {"likelihood": "pixelcnn(layers=3,width=8)", "latent": 8, "steps": 200, "batch": 64, "lr": 3e-3}
    plain, free = (fit(tmp_path, "vae", objective=o, **small) for o in ("elbo", "free_bits(4)"))

    def rate(run: bst.Run) -> float:
        lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
        return float(np.mean([line["vae.kl"] for line in lines[-3:]]))

    assert rate(plain) < 3.3
    assert rate(free) > 3.6


def test_annealing_begins_with_the_reconstruction_alone(tmp_path) -> None:
    """β = 0 at the start: early the rate is far above that of a fit whose KL weighs 1 at once."""
    runs = [fit(tmp_path, beta=b, latent=8) for b in (1.0, "linear(0,1,300)")]
    lines = [[json.loads(t) for t in (r.path / "journal.jsonl").read_text().splitlines()] for r in runs]
    early = [line[5]["vae.kl"] for line in lines]
    assert early[1] > 2 * early[0]
    assert lines[1][-1]["vae.kl"] < early[1]


def test_beta_trades_rate_for_distortion(tmp_path) -> None:
    """Rates fall and distortions rise with β; at 30 nothing is left in z."""
    found = []
    for beta in (0.05, 1.0, 30.0):
        run = fit(tmp_path, beta=beta, latent=6)
        with torch.no_grad():
            found.append({k: float(v) for k, v in run.model.vitals(observed(run)).items()})
    rates, losses = [f["kl"] for f in found], [f["distortion"] for f in found]
    assert rates == sorted(rates, reverse=True)
    assert losses == sorted(losses)
    assert found[2]["active"] == 0


def test_more_dimensions_tell_more_until_they_do_not_pay(tmp_path) -> None:
    def bound(latent: int) -> torch.Tensor:
        run = fit(tmp_path, latent=latent, steps=500)
        with torch.no_grad(), seeded(0):
            return run.model.bound(observed(run), 20)

    two, eight = bound(2), bound(8)
    gain = eight - two  # paired over test examples
    assert float(gain.mean()) > 3 * float(gain.std()) / len(gain) ** 0.5


def test_classes_are_neighbours_on_the_manifold(tmp_path) -> None:
    run = fit(tmp_path, latent=2, steps=600)
    part = run.part("test")
    codes, labels = run.encode(part), part.beside["label"]
    same = labels[torch.cdist(codes, codes).fill_diagonal_(torch.inf).argmin(1)] == labels
    assert float(same.float().mean()) > 0.1 + 3 * (0.09 / len(part)) ** 0.5
