"""Trained by the loop, a linear VAE becomes the maximum-likelihood solution of probabilistic PCA.

    σ²* = mean of the F − D smallest eigenvalues of the covariance S,   W* = U_D (Λ_D − σ²* I)^{1/2} R,   b* = mean of x
    max (1/N) Σ log p(x) = −½ [F log 2π + Σ_{i ≤ D} log λ_i + (F − D) log σ²* + F]

(Tipping and Bishop 1999, J. R. Stat. Soc. B 61.) No model of this family has a larger likelihood, and the ELBO's only
maxima are those of the likelihood with orthogonal columns of W (Lucas et al. 2019, arXiv 1911.02469).
"""

from math import log, pi

import torch

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.grammar.schedules import Cosine
from bestiary.training.recipe import Recipe
from bestiary.training.trainer import Trainer
from tests.models.linear_gaussian import D, F, data, dataset, log_p, truth, untrained

STEPS, N = 300, 400


def test_training_reaches_the_maximum_likelihood_of_probabilistic_pca() -> None:
    x = data(N, *truth())
    eigenvalues, u = torch.linalg.eigh((x - x.mean(0)).T @ (x - x.mean(0)) / N)
    eigenvalues, u = eigenvalues.flip(0), u.flip(1)
    var = eigenvalues[D:].mean()
    most = float(-0.5 * (F * log(2 * pi) + eigenvalues[:D].log().sum() + (F - D) * var.log() + F))

    torch.manual_seed(0)
    model = untrained(lr=Cosine(0.1, 0.0, STEPS), samples=16)
    recipe = Recipe(steps=STEPS, batch=N, precision="fp32", validate=0, save=0)
    trainer = Trainer(model, model.players(), Batches(dataset(x), N), recipe)
    first = likelihood(model, x)
    for round in range(STEPS):
        trainer.play(round)
    last = likelihood(model, x)

    assert last <= most + 1e-4  # a maximum is one
    assert most - last < 0.005 * (most - first)
    w, b, log_var = (p.detach() for p in (model.decoder.net.weight, model.decoder.net.bias, model.likelihood.log_var))
    assert (b - x.mean(0)).abs().max() < 0.5 * (var / N).sqrt()  # half of what another sample would have changed
    assert (w - u[:, :D] @ u[:, :D].T @ w).norm() < 0.02 * w.norm()  # W spans the leading directions
    assert abs(float(log_var.exp() / var) - 1) < 0.02
    gram = w.T @ w
    assert (gram - gram.diag().diag()).norm() < 0.05 * gram.norm()  # the ELBO makes the columns orthogonal
    gap = log_p(x, w, b, log_var).double() - model.bound(Batch(x)).detach()
    assert float(gap.mean()) < 0.01 + 4.5 * float(gap.std()) / N**0.5  # and is then tight


def likelihood(model, x: torch.Tensor) -> float:
    with torch.no_grad():
        return float(log_p(x, model.decoder.net.weight, model.decoder.net.bias, model.likelihood.log_var).mean())
