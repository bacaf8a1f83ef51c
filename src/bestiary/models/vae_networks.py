"""Networks of a VAE by name, and checks of networks and parts that a user gives from Python.

A user's network is any `nn.Module`. It is called once on zeros, so that a wrong shape raises an error before training.

    encoder     (B, *shape) → (B, features), any number of features
    decoder     (B, latent) → (B, k · C, H, W) or (B, k · F), k = Likelihood.decoder_outputs
    generator   (B, latent) → (B, *shape), images in [−1, 1]
    critic      (B, *shape) → (B,) or (B, 1) logits
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.errors import BestiaryError, unknown_name
from bestiary.networks.conv import ConvDecoder, conv_encoder
from bestiary.networks.mlp import FlatInput, ShapedOutput, mlp

__all__ = [
    "VAE_NETWORKS", "check_draw", "check_module", "check_output", "choose", "count_features", "image_shape",
]  # fmt: skip


P = TypeVar("P")


class VaePair(NamedTuple):
    """Builders of an encoder and a decoder; see `_mlp_encoder` and `_mlp_decoder` for their arguments."""

    encoder: Callable[..., nn.Module]
    decoder: Callable[..., nn.Module]
    join: Literal["rows", "maps"]  # how the encoder takes c: see networks/conditioned.py


Shape = tuple[int, ...]


def _stack(shape: Shape, k: int) -> Shape:
    """The shape of k numbers for each number of an example, stacked in dimension 1."""
    return (k * shape[0], *shape[1:])


def _mlp_encoder(shape: Shape, condition_width: int, hidden: Sequence[int], width: int, activation: str) -> nn.Module:
    return FlatInput(*mlp([prod(shape) + condition_width, *hidden], activation, last=True).children())


def _mlp_decoder(latent: int, shape: Shape, hidden: Sequence[int], width: int, activation: str, k: int) -> nn.Module:
    shape = _stack(shape, k)
    return ShapedOutput(mlp([latent, *hidden[::-1], prod(shape)], activation), shape)


def _conv_encoder(shape: Shape, condition_width: int, hidden: Sequence[int], width: int, activation: str) -> nn.Module:
    return conv_encoder((shape[0] + condition_width, *shape[1:]), width)[0]


def _conv_decoder(latent: int, shape: Shape, hidden: Sequence[int], width: int, activation: str, k: int) -> nn.Module:
    return ConvDecoder(latent, shape, k * shape[0], width)


VAE_NETWORKS: dict[str, VaePair] = {
    "mlp": VaePair(_mlp_encoder, _mlp_decoder, "rows"),
    "conv": VaePair(_conv_encoder, _conv_decoder, "maps"),
}


def image_shape(field: Field) -> Shape:
    """The shape (C, H, W) of images. Raises BestiaryError for other data, which have no convolutions."""
    if not field.is_spatial:
        raise BestiaryError(f"convolutional networks need images, and this is a {field.noun}: use network=mlp")
    return field.shape


def choose(table: dict[str, P], name: str, field: Field) -> P:
    """The networks called `name`. Raises BestiaryError if there are none, or if they need images and x are none."""
    if name not in table:
        raise unknown_name("network", name, table)
    if name != "mlp":
        image_shape(field)
    return table[name]


def _call(network: nn.Module, x: Tensor, option: str) -> Tensor:
    """network(x) in evaluation mode. Raises BestiaryError if it fails or returns no tensor."""
    training = network.training
    network.eval()  # running moments do not change
    try:
        with torch.no_grad():
            out = network(x.to(next(network.parameters(), x).device))
    except Exception as error:  # a user's code may raise anything
        message = (str(error).splitlines() or [""])[0]
        raise BestiaryError(
            f"{option} does not take a tensor of shape {tuple(x.shape)}: {type(error).__name__} {message}".rstrip()
        ) from error
    finally:
        network.train(training)
    if not isinstance(out, Tensor):
        raise BestiaryError(f"{option} must return one tensor; it returned a {type(out).__name__}")
    return out


def count_features(encoder: nn.Module, shape: Sequence[int]) -> int:
    """The number of features that an encoder returns for inputs (B, *shape). Raises BestiaryError if it has none."""
    check_module(encoder, "encoder")
    out = _call(encoder, torch.zeros(2, *shape), "encoder=")
    if out.ndim != 2 or len(out) != 2:
        raise BestiaryError(
            f"encoder= must map (B, {_text(shape)}) to (B, features); for B=2 it returned {tuple(out.shape)}"
        )
    return out.shape[1]


def check_output(network: nn.Module, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> None:
    """Raise BestiaryError unless a user's network maps (2, *inputs) to (2, *outputs). `name`: its option."""
    check_module(network, name)
    out = _call(network, torch.zeros(2, *inputs), f"{name}=")
    if tuple(out.shape) != (2, *outputs) and not (name == "critic" and tuple(out.shape) == (2,)):
        raise BestiaryError(
            f"{name}= must map (B, {_text(inputs)}) to (B, {_text(outputs)}); for B=2 it returned {tuple(out.shape)}"
        )


def check_draw(model: Any) -> None:
    """Raise BestiaryError unless a VAE's posterior, prior and objective fit each other, tested on two examples."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            batch = model.spec.random_batch(2, model.reads()).to(model.device)
            k, code, draw = model.samples, model.code, model.draw(batch, model.samples)
            for name, log_prob in (("posterior", draw.log_qz), ("prior", draw.log_pz)):
                if tuple(draw.z.shape) != (k, 2, *code.shape) or tuple(log_prob.shape) != (k, 2):
                    shape = _text(code.shape)
                    raise BestiaryError(
                        f"{name}= must give one distribution over all {shape} dimensions of z: z of shape (K, B,"
                        f" {shape}) and log_prob of shape (K, B); for K={k}, B=2 they are {tuple(draw.z.shape)},"
                        f" {tuple(log_prob.shape)}"
                    )
            draw.log_px = torch.zeros(k, 2, device=draw.x.device)  # any values, since only the objective is tested
            model.objective.terms(draw)
    except (BestiaryError, MemoryError):
        raise
    except Exception as error:  # a user's parts may raise anything
        message = (str(error).splitlines() or [""])[0]
        raise BestiaryError(f"posterior, prior and objective do not fit: {type(error).__name__} {message}") from error
    finally:
        model.train(training)


def check_module(part: object, name: str) -> None:
    """Raise BestiaryError unless a user's part is a torch.nn.Module. `name`: its option."""
    if not isinstance(part, nn.Module):
        raise BestiaryError(f"{name}= takes a torch.nn.Module, which can be given from Python only; got {part!r}")


def _text(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
