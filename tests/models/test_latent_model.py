"""Models with an encoder and a decoder: what they report of −log p(x|z) is in the units of the file."""

from math import log

import numpy as np
import pytest
import torch

from bestiary.data.load import load
from bestiary.models.zoo import build
from bestiary.training.clock import Clock


@pytest.mark.parametrize("name", ["vae", "ae"])
def test_terms_and_vitals_are_densities_of_the_numbers_in_the_file(name: str) -> None:
    """Of the same lengths in kilometres and in metres: they differ by log 1000 for each number, as bounds do."""
    x = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    numbers = []
    for scale in (1.0, 1000.0):
        dataset = load(scale * x)
        torch.manual_seed(0)
        model = build(name, dataset.spec, latent=2, hidden=(8,))
        batch = dataset.rows(dataset.parts["train"])
        terms, _ = model.loss(batch, Clock(torch.zeros(()), 1))
        with torch.no_grad():
            numbers.append({k: float(v) for k, v in (terms | model.vitals(batch)).items()})
    moved = {k for k in numbers[0] if numbers[1][k] - numbers[0][k] == pytest.approx(3 * log(1000), abs=1e-2)}
    still = {k for k in numbers[0] if numbers[1][k] == pytest.approx(numbers[0][k], abs=1e-2)}
    assert moved == {"total", "reconstruction", "distortion", "swapped"} & numbers[0].keys()
    assert moved | still == numbers[0].keys()
