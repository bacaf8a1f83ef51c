"""The networks of a VAE by name, and the checks of parts a user brings.

A part given from Python is any `nn.Module`: its output is tried once on zeros, so that a wrong shape is told before any
training starts.

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
from bestiary.errors import BestiaryError, unknown
from bestiary.networks.conv import ConvDecoder, conv_encoder
from bestiary.networks.mlp import Flat, Shaped, mlp

__all__ = ["VAE_NETWORKS", "choose", "features_of", "maps", "must_be_module", "must_give", "tried"]


P = TypeVar("P")


class Pair(NamedTuple):
    """Two networks that face each other."""

    inward: Callable[..., nn.Module]
    outward: Callable[..., nn.Module]
    join: Literal["rows", "maps"]  # where c stands beside x


Shape = tuple[int, ...]


def _stack(shape: Shape, k: int) -> Shape:
    """The shape of k numbers for each number of an example, stacked in dimension 1."""
    return (k * shape[0], *shape[1:])


def _mlp_encoder(shape: Shape, told: int, hidden: Sequence[int], width: int, activation: str) -> nn.Module:
    return Flat(*mlp([prod(shape) + told, *hidden], activation, last=True).children())


def _mlp_decoder(latent: int, shape: Shape, hidden: Sequence[int], width: int, activation: str, k: int) -> nn.Module:
    shape = _stack(shape, k)
    return Shaped(mlp([latent, *hidden[::-1], prod(shape)], activation), shape)


def _conv_encoder(shape: Shape, told: int, hidden: Sequence[int], width: int, activation: str) -> nn.Module:
    return conv_encoder((shape[0] + told, *shape[1:]), width)[0]


def _conv_decoder(latent: int, shape: Shape, hidden: Sequence[int], width: int, activation: str, k: int) -> nn.Module:
    return ConvDecoder(latent, shape, k * shape[0], width)


VAE_NETWORKS: dict[str, Pair] = {
    "mlp": Pair(_mlp_encoder, _mlp_decoder, "rows"),
    "conv": Pair(_conv_encoder, _conv_decoder, "maps"),
}


def maps(field: Field) -> tuple[int, ...]:
    """The shape of images; what convolves takes nothing else."""
    if not field.maps:
        raise BestiaryError(f"convolutional networks need images, and this is a {field.noun}: use network=mlp")
    return field.shape


def choose(table: dict[str, P], name: str, field: Field) -> P:
    """The pair of networks of that name, for this kind of data."""
    if name not in table:
        raise unknown("network", name, table)
    if name != "mlp":
        maps(field)
    return table[name]


def _try(part: nn.Module, x: Tensor, what: str) -> Tensor:
    was = part.training
    part.eval()  # no running moments are touched
    try:
        with torch.no_grad():
            out = part(x.to(next(part.parameters(), x).device))
    except Exception as error:  # it is the user's code: anything can come
        first = (str(error).splitlines() or [""])[0]
        raise BestiaryError(
            f"{what} does not take a tensor of shape {tuple(x.shape)}: {type(error).__name__} {first}".rstrip()
        ) from error
    finally:
        part.train(was)
    if not isinstance(out, Tensor):
        raise BestiaryError(f"{what} must give one tensor; it gave a {type(out).__name__}")
    return out


def features_of(encoder: nn.Module, shape: Sequence[int]) -> int:
    """How many features an encoder gives of inputs of a shape."""
    must_be_module(encoder, "encoder")
    out = _try(encoder, torch.zeros(2, *shape), "encoder=")
    if out.ndim != 2 or len(out) != 2:
        raise BestiaryError(
            f"encoder= must map (B, {_text(shape)}) to (B, features); for B=2 it gave {tuple(out.shape)}"
        )
    return out.shape[1]


def must_give(part: nn.Module, name: str, given: Sequence[int], wanted: Sequence[int]) -> None:
    """Try a part that a user brought: (2, *given) must become (2, *wanted)."""
    must_be_module(part, name)
    out = _try(part, torch.zeros(2, *given), f"{name}=")
    if tuple(out.shape) != (2, *wanted) and not (name == "critic" and tuple(out.shape) == (2,)):
        raise BestiaryError(
            f"{name}= must map (B, {_text(given)}) to (B, {_text(wanted)}); for B=2 it gave {tuple(out.shape)}"
        )


def tried(model: Any) -> None:
    """Look once at any two examples: q, p and the objective must fit, before anything else is made."""
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            batch = model.spec.drawn(2, model.reads()).to(model.device)
            k, code, draw = model.samples, model.code, model.draw(batch, model.samples)
            for name, found in (("posterior", draw.log_qz), ("prior", draw.log_pz)):
                if tuple(draw.z.shape) != (k, 2, *code.shape) or tuple(found.shape) != (k, 2):
                    shape = _text(code.shape)
                    raise BestiaryError(
                        f"{name}= must give a distribution over z of {shape} dimensions as a whole: z of shape (K, B,"
                        f" {shape}) and log_prob of shape (K, B); for K={k}, B=2 they are {tuple(draw.z.shape)},"
                        f" {tuple(found.shape)}"
                    )
            draw.log_px = torch.zeros(k, 2, device=draw.x.device)  # any values do: what is tried is the objective
            model.objective.terms(draw)
    except BestiaryError:
        raise
    except Exception as error:  # parts may be the user's code: anything can come
        first = (str(error).splitlines() or [""])[0]
        raise BestiaryError(f"posterior, prior and objective do not fit: {type(error).__name__} {first}") from error
    finally:
        model.train(was)


def must_be_module(part: object, name: str) -> None:
    """Raise unless a part that a user brought is a module."""
    if not isinstance(part, nn.Module):
        raise BestiaryError(f"{name}= takes a torch.nn.Module and so can be given from Python only; got {part!r}")


def _text(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
