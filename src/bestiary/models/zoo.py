"""The zoo: named models, each a short composition. One line of `MODELS` makes a name known everywhere.

A model here is a function of the data's spec and of its options; the options are its keyword parameters, so that the
command line, `bestiary models NAME` and Python all read them off the same signature. A comment beside a parameter is
its help.
"""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any, Literal, TypeVar

from torch import nn

from bestiary.data.spec import Spec
from bestiary.densities.latent import POSTERIORS, PRIORS
from bestiary.densities.likelihoods import LIKELIHOODS, Bernoulli, Likelihood
from bestiary.errors import BestiaryError, unknown
from bestiary.models.gan import GAN
from bestiary.models.infer import infer
from bestiary.models.model import Model
from bestiary.models.parts import GAN_NETWORKS, VAE_NETWORKS, choose, features_of, must_give
from bestiary.models.vae import VAE
from bestiary.objectives.games import GAMES, Game
from bestiary.objectives.latent import OBJECTIVES, Objective
from bestiary.training.clock import Schedule, parse_schedule
from bestiary.training.player import Adam

__all__ = ["MODELS", "build"]

T = TypeVar("T")


def vae(
    spec: Spec,
    *,
    latent: int = 20,  # dimensions of z
    network: Literal["auto", "mlp", "conv"] = "auto",  # mlp: tanh, as in the lectures; conv follows the image's size
    hidden: tuple[int, ...] = (400,),  # widths of the mlp's hidden layers
    width: int = 32,  # channels of the first convolution
    likelihood: str | Likelihood = "auto",  # bernoulli, gaussian, logistic, mixed
    binarise: Literal["auto", "none", "dynamic", "threshold"] = "auto",  # greys under bernoulli
    posterior: str | nn.Module = "diagonal",  # q(z|x); from Python a module, features → distribution
    prior: str | nn.Module = "standard",  # p(z); from Python a module, () → distribution
    objective: str | Objective = "elbo",  # what is maximised; from Python a function of a Draw
    beta: float | Schedule = 1.0,  # weight of the KL: a number or e.g. linear(0,1,2000)
    samples: int = 1,  # draws of z for each x
    lr: float | Schedule = 1e-3,  # Adam's rate
    encoder: nn.Module | None = None,  # from Python: (B, *shape) → (B, features)
    decoder: nn.Module | None = None,  # from Python: (B, latent) → (B, per·C, H, W) or (B, per·F)
) -> Model:
    """Variational autoencoder: a lower bound on log p(x), an encoder and a decoder."""
    _positive(latent=latent, samples=samples, width=width, hidden=min(hidden, default=1))
    family = _made("likelihood", likelihood, LIKELIHOODS, spec)
    nets = choose(VAE_NETWORKS, network, spec)
    shape = (family.per * spec.shape[0], *spec.shape[1:])
    if decoder is not None:
        must_give(decoder, "decoder", [latent], shape)
    encode = nets.inward(spec, latent, hidden, width) if encoder is None else encoder
    return VAE(
        spec,
        latent,
        encoder=encode,
        posterior=_made("posterior", posterior, POSTERIORS, features_of(encode, spec), latent),
        prior=_made("prior", prior, PRIORS, latent),
        decoder=nets.outward(spec, latent, hidden, width, family.per) if decoder is None else decoder,
        likelihood=family,
        objective=_weighted(objective, parse_schedule(beta)),
        samples=samples,
        binarise=_binariser(binarise, spec, isinstance(family, Bernoulli)),
        optimiser=Adam(parse_schedule(lr)),
    )


def gan(
    spec: Spec,
    *,
    latent: int = 64,  # dimensions of z
    network: Literal["mlp", "dcgan"] = "mlp",  # generator and critic
    hidden: tuple[int, ...] = (256, 256),  # widths of the mlp's hidden layers
    width: int = 64,  # channels next to the image
    game: str | Game = "nonsaturating",  # what critic and generator minimise
    critic_turns: int = 1,  # turns of the critic for one of the generator
    lr: float | Schedule = 2e-4,  # Adam's rate, of both
    beta1: float = 0.5,  # Adam's momentum, of both
    generator: nn.Module | None = None,  # from Python: (B, latent) → (B, *shape), images in [−1, 1]
    critic: nn.Module | None = None,  # from Python: (B, *shape) → (B,) logits
) -> Model:
    """Generative adversarial network: samples without a likelihood."""
    _positive(latent=latent, critic_turns=critic_turns, width=width, hidden=min(hidden, default=1))
    if not 0 <= beta1 < 1:
        raise BestiaryError(f"beta1={beta1} must lie in [0, 1): 0.5 averages about the last 2 gradients")
    adam = Adam(parse_schedule(lr), (beta1, 0.999))
    nets = choose(GAN_NETWORKS, network, spec)
    if generator is not None:
        must_give(generator, "generator", [latent], spec.shape)
    if critic is not None:
        must_give(critic, "critic", spec.shape, [1])
    return GAN(
        spec,
        latent,
        generator=nets.outward(spec, latent, hidden, width) if generator is None else generator,
        critic=nets.inward(spec, latent, hidden, width) if critic is None else critic,
        game=_pick("game", game, GAMES) if isinstance(game, str) else game,
        critic_turns=critic_turns,
        critic_optimiser=adam,
        generator_optimiser=adam,
    )


def dcgan(
    spec: Spec,
    *,
    latent: int = 100,  # dimensions of z
    width: int = 64,  # channels next to the image
    game: str | Game = "nonsaturating",  # what critic and generator minimise
    critic_turns: int = 1,  # turns of the critic for one of the generator
    lr: float | Schedule = 2e-4,  # Adam's rate, of both
    generator: nn.Module | None = None,  # from Python: (B, latent) → (B, *shape) in [−1, 1]
    critic: nn.Module | None = None,  # from Python: (B, *shape) → (B,) logits
) -> Model:
    """The DCGAN recipe: strided convolutions, BatchNorm, Adam 2e-4 with β₁ = 0.5."""
    options = {"latent": latent, "width": width, "game": game, "critic_turns": critic_turns, "lr": lr}
    return gan(spec, network="dcgan", generator=generator, critic=critic, **options)  # type: ignore[arg-type]


MODELS: dict[str, Callable[..., Model]] = {"vae": vae, "gan": gan, "dcgan": dcgan}


def build(name: str, spec: Spec, **options: object) -> Model:
    """The model of that name for data of that spec; options left at `auto` are inferred."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    whole, _ = infer(MODELS[name], spec, options)
    known = signature(MODELS[name]).parameters.keys() - {"spec"}
    for option in whole.keys() - known:
        raise unknown(f"option of {name}", option, known)
    return MODELS[name](spec, **whole)


def _pick(what: str, name: str, table: Mapping[str, T]) -> T:
    if name not in table:
        raise unknown(what, name, table)
    return table[name]


def _made(what: str, part: Any, table: Mapping[str, Callable[..., T]], *arguments: object) -> T:
    """A part by its name, or the module that stands in its place."""
    if isinstance(part, str):
        return _pick(what, part, table)(*arguments)
    if not isinstance(part, nn.Module):
        raise BestiaryError(f"{what}= takes a name or a torch.nn.Module; got {part!r}")
    return part  # type: ignore[return-value]


def _weighted(objective: str | Objective, beta: float | Schedule) -> Objective:
    if not isinstance(objective, str) and beta != 1.0:
        raise BestiaryError(
            f"beta={beta} belongs to the objectives that have a name; give it to your function yourself"
        )
    if not isinstance(objective, str) and not callable(objective):
        raise BestiaryError(f"objective= takes a name or a function of a Draw; got {objective!r}")
    if isinstance(objective, str):
        return partial(_pick("objective", objective, OBJECTIVES), beta=beta)
    return objective


def _positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise BestiaryError(f"{name}={number} must be at least 1")


def _binariser(asked: str, spec: Spec, bernoulli: bool) -> Literal["none", "dynamic", "threshold"]:
    if asked == "none" and bernoulli and spec.levels > 2:
        raise BestiaryError(
            f"likelihood=bernoulli needs x in {{0, 1}}, and these images have {spec.levels} levels:"
            " use binarise=dynamic, binarise=threshold or likelihood=logistic"
        )
    if asked != "none" and not bernoulli:
        raise BestiaryError(f"binarise={asked} belongs to likelihood=bernoulli; leave it out")
    return asked  # type: ignore[return-value]
