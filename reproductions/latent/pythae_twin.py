"""pythae's VAE and VAMP in our protocol: its networks, losses and sampling; our batches, rounds, rate and estimator.

    PYTHONPATH=src BESTIARY_DATA=… .venv-rivals/bin/python reproductions/latent/pythae_twin.py --models vae vamp

    log w = log p(x|z) + log p(z) − log q(z|x),   p(z) = N(0, I)   or   1/K Σ_k q(z|u_k)

Its own `get_nll` cannot be used: it ignores the number of samples asked for, and the prior of its VAMP lacks the
constant of a Gaussian, D/2 log 2π. Here log w is made of what its encoder, decoder and pseudo-inputs give.

Legend: B batch, k samples, D latent, K components.
"""

import argparse
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from level import level
from protocol import BATCH, COMPONENTS, DATA, MLP, ROWS, SEEDS, rate
from torch import Tensor

from bestiary.data.batches import Batches
from bestiary.data.dataset import Dataset
from bestiary.data.load import load
from bestiary.densities.mixture import GaussianMixture
from bestiary.measures.bound import bound_numbers
from bestiary.studies.executor import Workers, write_results
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded, tune_cpu

HERE = Path(__file__).parent
Density = Callable[[Tensor], Tensor]  # z (k, B, D) → log p (k, B)


def build(name: str) -> Any:
    from pythae.models import VAE, VAMP, VAEConfig, VAMPConfig

    options = {"input_dim": (1, 28, 28), "latent_dim": MLP["latent"], "reconstruction_loss": "bce"}
    if name == "vae":
        return VAE(VAEConfig(**options))
    return VAMP(VAMPConfig(**options, number_components=COMPONENTS, linear_scheduling_steps=0))


def train(model: Any, batches: Batches, rounds: int) -> None:
    """Its `forward` gives the loss; Adam's rate falls as ours does. Greys are binarised anew at every look."""
    from pythae.data.datasets import DatasetOutput

    tune_cpu()  # without it denormal moments of Adam make a step several times as slow
    adam = torch.optim.Adam(model.parameters(), lr=rate(0, rounds))
    model.train()
    for i in range(rounds):
        adam.param_groups[0]["lr"] = rate(i, rounds)
        x = batches.at(i).x
        x = (torch.rand_like(x) < x).float() if batches.spec.levels > 2 else x
        adam.zero_grad()
        model(DatasetOutput(data=x, labels=None)).loss.backward()
        adam.step()
    model.eval()
    torch.set_flush_denormal(False)  # judged in the arithmetic of our runs


def _gauss(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    return -0.5 * ((z - mean).square() / log_var.exp() + log_var + math.log(2 * math.pi)).sum(-1)


def standard(model: Any) -> Density:
    return lambda z: _gauss(z, torch.zeros(()), torch.zeros(()))


def vamp(model: Any) -> Density:
    """1/K Σ_k q(z|u_k), with its constant."""
    u = model.encoder(model.pseudo_inputs(model.idle_input).view(-1, *model.model_config.input_dim))
    weight = u.embedding.new_full((len(u.embedding),), -math.log(len(u.embedding)))
    return GaussianMixture(weight, u.embedding, u.log_covariance).log_prob


PRIORS: dict[str, Callable[[Any], Density]] = {"vae": standard, "vamp": vamp}


def log_weights(model: Any, prior: Density, x: Tensor, k: int) -> Tensor:
    """log p(x, z) − log q(z|x) of k draws: (k, B)."""
    found = model.encoder(x)
    mean, log_var = found.embedding, found.log_covariance
    z = mean + torch.exp(log_var / 2) * torch.randn(k, *mean.shape)  # (k, B, D)
    given = model.decoder(z.flatten(0, 1)).reconstruction.view(k, len(x), -1)
    log_px = -F.binary_cross_entropy(given, x.flatten(1).expand_as(given), reduction="none").sum(2)
    return log_px + prior(z) - _gauss(z, mean, log_var)


def bounds(model: Any, prior: Density, x: Tensor, ks: Sequence[int], step: int = 100) -> Tensor:
    """L_k for each k, (R, B), each from the disjoint runs of k draws, as in `bestiary.measures.bound`."""
    most = max(ks)
    parts = [log_weights(model, prior, x, min(step, most - i)).double() for i in range(0, most, step)]
    w = torch.cat(parts)  # (most, B)
    rows = [w[: most // k * k].view(most // k, k, -1) for k in ks]
    return torch.stack([(r.logsumexp(1) - math.log(k)).mean(0) for r, k in zip(rows, ks, strict=True)])


def images(dataset: Dataset) -> Tensor:
    """The test images in the order of our runs, the permutation by seed 0; greys binarised by seed 0."""
    rows = dataset.parts["test"]
    order = np.random.Generator(np.random.PCG64(derive_seed(0, "part", "test"))).permutation(len(rows))
    x = dataset.rows(rows[order], ()).x
    with seeded(derive_seed(0, "observe")):
        return (torch.rand_like(x) < x).float() if dataset.spec.x.levels > 2 else x


def play(name: str, data: str, seed: int) -> dict[str, object]:
    """Train one and judge it, as it goes to results/."""
    logging.disable(logging.INFO)  # what pythae says of its own accord
    dataset, size = load(DATA[data]), ROWS[name].size
    torch.manual_seed(seed)
    model, start = build(name), time.perf_counter()
    train(model, Batches(dataset, BATCH, seed), size.rounds)
    seconds = time.perf_counter() - start
    with torch.no_grad(), seeded(derive_seed(0, "bound")):
        prior = PRIORS[name](model)
        all_of = images(dataset)
        judge = partial(bounds, model, prior)
        (elbo, nll, *_), table = bound_numbers(judge, all_of[: size.test], size.k, batch=10)
        curve = table.tolist()
        whole = level(judge, all_of, curve, size.wide)
    return {
        "model": f"pythae-{name}", "data": data, "seed": seed, "rounds": size.rounds, "batch": BATCH,
        "elbo": elbo.value, "nll": nll.value, "k": size.k, "test": size.test, "curve": curve, "all": whole,
        "fit_seconds": round(seconds, 1), "judge_seconds": round(time.perf_counter() - start - seconds, 1),
        "threads": torch.get_num_threads(), "torch": torch.__version__,
    }  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--models", nargs="+", default=list(PRIORS), choices=list(PRIORS))
    ask.add_argument("--data", nargs="+", default=["static"], choices=["static", "dynamic"])
    ask.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    ask.add_argument("--results", type=Path, default=HERE / "results", help="where the small JSON files go")
    ask.add_argument("--jobs", type=int, help="models side by side (left out: one for each core)")
    given = ask.parse_args()
    cases = {
        given.results / f"{data}-pythae-{name}-{seed}.json": (name, data, seed)
        for data in given.data for seed in given.seeds for name in given.models
    }  # fmt: skip
    with Workers(given.jobs) as workers:
        write_results(play, cases, workers)


if __name__ == "__main__":
    main()
