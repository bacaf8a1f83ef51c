"""Autoencoders: the code that loses least is the one of PCA; noise in, x out; no p(z), no samples."""

import pytest
import torch
from torch import nn

from bestiary.data.batch import Batch
from bestiary.data.spec import rows
from bestiary.errors import BestiaryError
from bestiary.models.zoo import build
from bestiary.training.clock import Clock

CLOCK = Clock(torch.tensor(0.0), 10)
VECTOR = rows(5)


def test_the_loss_is_what_the_code_loses() -> None:
    torch.manual_seed(0)
    model, batch = build("ae", VECTOR, latent=2, hidden=(8,)), Batch(torch.randn(7, 5))
    terms, _ = model.players()[0].loss(batch, CLOCK)
    torch.testing.assert_close(terms["total"], model.distortion(batch).mean())
    assert model.encode(batch).shape == (7, 2)
    assert model.show(model.encode(batch)).shape == (7, 5)


def test_a_linear_autoencoder_reaches_pca() -> None:
    """The least square error of a linear code of d numbers is the sum of the last eigenvalues (Baldi, Hornik 1989)."""
    torch.manual_seed(0)
    x = torch.randn(400, 5) @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2]))
    x = x - x.mean(0)
    encoder = nn.Sequential(nn.Linear(5, 5, bias=False))
    model = build("ae", VECTOR, latent=2, encoder=encoder, decoder=nn.Linear(2, 5), likelihood="gaussian")
    optimiser = torch.optim.LBFGS(
        [*encoder.parameters(), *model.to_code.parameters(), *model.decoder.parameters()],
        max_iter=300, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (model.show(model.encode(Batch(x))) - x).square().sum(1).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    best = torch.linalg.eigvalsh(x.T @ x / 400)[:3].sum()
    torch.testing.assert_close(closure().detach(), best, rtol=2e-3, atol=0)


def test_noise_goes_in_and_x_comes_out() -> None:
    torch.manual_seed(0)
    model, x = build("dae", VECTOR, latent=2, hidden=(8,), noise=0.5), torch.randn(7, 5)
    seen = []
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    torch.manual_seed(1)
    terms, _ = model.loss(Batch(x), CLOCK)
    noise = seen[0] - x
    assert 0.3 < float(noise.std()) < 0.7
    code = model.encode(Batch(seen[0]))
    torch.testing.assert_close(terms["total"], model.distortion(Batch(x), code).mean())  # x itself is to come out


def test_noise_is_not_negative() -> None:
    with pytest.raises(BestiaryError, match="noise=-1"):
        build("dae", VECTOR, noise=-1.0)
