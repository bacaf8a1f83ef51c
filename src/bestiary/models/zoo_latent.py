"""The latent-variable half of the zoo: one function that composes, and the names that differ from it by a part.

    vae = posterior × prior × likelihood × objective
    ae  = encoder, code, decoder × likelihood

A comment beside a parameter is its help; a part that has options is called: prior=vamp(500).
"""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Literal

from torch import nn

from bestiary.data.spec import Spec
from bestiary.densities.density_names import LIKELIHOODS, POSTERIORS, PRIORS
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.posterior_and_prior import Place
from bestiary.errors import BestiaryError
from bestiary.grammar.options import called, like, made
from bestiary.grammar.schedules import Schedule, parse_schedule
from bestiary.models.auto_options import binarise as binarise_rule
from bestiary.models.auto_options import likelihood as likelihood_rule
from bestiary.models.auto_options import rules, vae_network
from bestiary.models.autoencoder import Autoencoder
from bestiary.models.checks import binariser, positive
from bestiary.models.condition import Condition, condition_of
from bestiary.models.model import Model
from bestiary.models.vae import VAE
from bestiary.models.vae_networks import VAE_NETWORKS, choose, features_of, must_give, tried
from bestiary.networks.conditioned import Conditioned, reader_width
from bestiary.objectives.elbo import OBJECTIVES, ObjectiveFunction
from bestiary.training.part import Part
from bestiary.training.player import Adam

__all__ = ["LATENT", "ae", "vae"]


@rules(likelihood=likelihood_rule, network=vae_network, binarise=binarise_rule)
def vae(
    spec: Spec,
    *,
    latent: int = 20,  # dimensions of z
    network: Literal["auto", "mlp", "conv"] = "auto",  # mlp: tanh, as in the lectures; conv follows the image's size
    hidden: tuple[int, ...] = (400,),  # widths of the mlp's hidden layers
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh",  # of the mlp; convolutions take SiLU
    width: int = 32,  # channels of the first convolution
    likelihood: str | Likelihood = "auto",  # p(x|z): bernoulli, gaussian, logistic, categorical, mixed, pixelcnn
    binarise: Literal["auto", "none", "dynamic", "threshold"] = "auto",  # greys under a likelihood of 0 and 1
    posterior: str | nn.Module = "diagonal",  # q(z|x); from Python a module, features → distribution
    prior: str | nn.Module = "standard",  # p(z); from Python a module, () → distribution
    objective: str | Part | ObjectiveFunction = "elbo",  # what is minimised; from Python a part or a function
    beta: float | Schedule = 1.0,  # weight of the KL in objective=elbo: a number or e.g. linear(0,1,2000)
    samples: int = 1,  # draws of z for each x
    condition: str = "none",  # what the model is told: fields beside x (label), or columns of a table, by commas
    lr: float | Schedule = 1e-3,  # Adam's rate
    encoder: nn.Module | None = None,  # from Python: (B, *shape) → (B, features); c beside x
    decoder: nn.Module | None = None,  # from Python: (B, latent + |c|) → (B, k·C, H, W) or (B, k·F), k of likelihood=
) -> Model:
    """Variational autoencoder: a lower bound on log p(x), an encoder and a decoder."""
    positive(latent=latent, samples=samples, width=width, hidden=min(hidden, default=1))
    c = condition_of(condition, spec)
    family = made("likelihood", likelihood, LIKELIHOODS, c.target)
    encode, decode, features = _networks(spec, c, latent, network, hidden, width, activation, encoder, decoder, family)
    q = made("posterior", posterior, POSTERIORS, features, latent)
    place = Place(spec, latent, infer=lambda x: q(encode(x)), condition=c.fields)
    model = VAE(
        spec,
        latent,
        encoder=encode,
        posterior=q,
        prior=made("prior", prior, PRIORS, place),
        decoder=decode,
        likelihood=family,
        objective=_objective(objective, parse_schedule(beta), samples),
        samples=samples,
        binarise=binariser(binarise, c.target, family),
        optimiser=Adam(parse_schedule(lr)),
        condition=c,
    )
    tried(model)
    return model


@rules(likelihood=likelihood_rule, network=vae_network, binarise=binarise_rule)
def ae(
    spec: Spec,
    *,
    latent: int = 20,  # dimensions of the code
    network: Literal["auto", "mlp", "conv"] = "auto",  # mlp: tanh, as in the lectures; conv follows the image's size
    hidden: tuple[int, ...] = (400,),  # widths of the mlp's hidden layers
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh",  # of the mlp; convolutions take SiLU
    width: int = 32,  # channels of the first convolution
    likelihood: str | Likelihood = "auto",  # p(x|z): −log p(x|z) is what is lost in the code
    binarise: Literal["auto", "none", "dynamic", "threshold"] = "auto",  # greys under a likelihood of 0 and 1
    noise: float = 0.0,  # σ: x + σ ε in, x out
    condition: str = "none",  # what the model is told: fields beside x (label), or columns of a table, by commas
    lr: float | Schedule = 1e-3,  # Adam's rate
    encoder: nn.Module | None = None,  # from Python: (B, *shape) → (B, features); c beside x
    decoder: nn.Module | None = None,  # from Python: (B, latent + |c|) → (B, k·C, H, W) or (B, k·F), k of likelihood=
) -> Model:
    """Autoencoder: compresses and makes features; it has no p(z) and does not sample."""
    positive(latent=latent, width=width, hidden=min(hidden, default=1))
    if not 0 <= noise < float("inf"):
        raise BestiaryError(f"noise={noise}: the standard deviation of what is added to x must be finite and ≥ 0")
    c = condition_of(condition, spec)
    family = made("likelihood", likelihood, LIKELIHOODS, c.target)
    encode, decode, features = _networks(spec, c, latent, network, hidden, width, activation, encoder, decoder, family)
    return Autoencoder(
        spec,
        latent,
        encoder=encode,
        to_code=nn.Linear(features, latent),
        decoder=decode,
        likelihood=family,
        noise=noise,
        binarise=binariser(binarise, c.target, family),
        optimiser=Adam(parse_schedule(lr)),
        condition=c,
    )


LATENT: dict[str, Callable[..., Model]] = {
    "ae": ae,
    "dae": like(ae, "Denoising autoencoder: x + ε in, x out.", noise=0.3),
    "vae": vae,
    "beta-vae": like(vae, "β-VAE: the KL weighs β times, for factors apart at the price of detail.", beta=4.0),
    "annealed-vae": like(vae, "KL annealing: β rises from 0 to 1, so that z is used first.", beta="linear(0,1,2000)"),
    "free-bits-vae": like(vae, "Free bits: max(λ, KL), so that z keeps at least λ nats.", objective="free_bits(2)"),
    "iwae": like(vae, "Importance weighted: the bound L_K of K draws.", objective="iwae", samples=50),
    "dip-vae": like(vae, "DIP-VAE: the moments of q(z) drawn to the identity.", objective="dip"),
    "iaf-vae": like(vae, "An inverse autoregressive flow as posterior.", posterior="iaf"),
    "mixture-vae": like(vae, "A mixture of Gaussians as prior.", prior="mixture"),
    "vamp-vae": like(vae, "VampPrior: p(z) is the mean of q(z|u) over learned pseudo-inputs u.", prior="vamp"),
    "flow-prior-vae": like(vae, "An autoregressive flow as prior, trained with the rest.", prior="maf"),
    "pixel-vae": like(vae, "A PixelCNN of limited sight decodes; what is global is left to z.", likelihood="pixelcnn"),
}


def _networks(
    spec: Spec, c: Condition, latent: int, network: str, hidden: tuple[int, ...], width: int, activation: str,
    encoder: nn.Module | None, decoder: nn.Module | None, family: Likelihood,
) -> tuple[Conditioned, Conditioned, int]:  # fmt: skip
    """Encoder and decoder by name, or the user's own, tried; and how many features the encoder gives."""
    nets, told, shape = choose(VAE_NETWORKS, network, spec.x), reader_width(c.fields), c.target.shape
    k = family.decoder_outputs
    if decoder is not None:
        must_give(decoder, "decoder", [latent + told], (k * shape[0], *shape[1:]))
    down = nets.inward(spec.shape, told, hidden, width, activation) if encoder is None else encoder
    up = nets.outward(latent + told, shape, hidden, width, activation, k) if decoder is None else decoder
    join = nets.join if encoder is None else "maps"
    flat = (spec.dimensions + told,) if join == "rows" and told else (spec.shape[0] + told, *spec.shape[1:])
    return Conditioned(down, c.fields, join), Conditioned(up, c.fields), features_of(down, flat)


def _objective(
    objective: str | Part | ObjectiveFunction, beta: float | Schedule, samples: int
) -> Part | ObjectiveFunction:
    """An objective by its name or call, with β where it has one."""
    if not isinstance(objective, str):
        if not callable(objective):
            raise BestiaryError(f"objective= takes a name or a function of a Draw; got {objective!r}")
        if beta != 1.0:
            raise BestiaryError(f"beta={beta} belongs to objective=elbo; give it to your function yourself")
        return objective
    function, options = called("objective", objective, OBJECTIVES)
    for key, value in {"beta": beta, **options}.items():
        least = min(value.start, value.stop) if isinstance(value, Schedule) else value
        if isinstance(least, int | float) and not 0 <= least < float("inf"):
            raise BestiaryError(f"{key}={value} of objective={objective} must be finite and not negative")
    if "groups" in options and options.get("per") != "group":
        raise BestiaryError(f"objective={objective}: groups= does nothing without per=group")
    if beta != 1.0:
        if "beta" not in signature(function).parameters:
            raise BestiaryError(f"beta={beta} belongs to objective=elbo; {objective} does not weight the KL by it")
        if "beta" in options:
            raise BestiaryError(f"β is given twice, beta={beta} and objective={objective}: keep one of them")
        options["beta"] = beta
    if objective.startswith("iwae") and samples < 2:
        raise BestiaryError("objective=iwae with samples=1 is the ELBO: give samples=5 or more, or use objective=elbo")
    return partial(function, **options)
