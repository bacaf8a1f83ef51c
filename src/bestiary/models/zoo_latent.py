"""Latent-variable models of the zoo: `vae`, `ae`, and variants of them with other defaults.

    vae = posterior × prior × likelihood × objective
    ae  = encoder, code, decoder × likelihood

The comment beside a parameter is its help. A part with options is written as a call: prior=vamp(500).
"""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Literal

from torch import nn

from bestiary.data.spec import Spec
from bestiary.densities.density_names import LIKELIHOODS, POSTERIORS, PRIORS
from bestiary.densities.likelihoods import Likelihood
from bestiary.densities.posterior_and_prior import PriorSetting, as_posterior
from bestiary.errors import BestiaryError
from bestiary.grammar.part_calls import build_part, parse_part
from bestiary.grammar.ranges import NotNegative, Size
from bestiary.grammar.schedules import Rate, Schedule, Weight, parse_schedule
from bestiary.grammar.signatures import with_defaults
from bestiary.models.auto_options import binarise_rule, likelihood_rule, rules, vae_network_rule
from bestiary.models.autoencoder import Autoencoder
from bestiary.models.checks import check_binarise
from bestiary.models.condition import Condition, parse_condition
from bestiary.models.model import Model
from bestiary.models.vae import VAE
from bestiary.models.vae_networks import VAE_NETWORKS, check_draw, check_output, choose, count_features
from bestiary.networks.conditioned import Conditioned, reader_width
from bestiary.objectives.elbo import OBJECTIVES, ObjectiveFunction
from bestiary.training.part import Part
from bestiary.training.player import Adam

__all__ = ["LATENT", "ae", "vae"]


@rules(likelihood=likelihood_rule, network=vae_network_rule, binarise=binarise_rule)
def vae(
    spec: Spec,
    *,
    latent: Size = 20,  # dimensions of z
    network: Literal["auto", "mlp", "conv"] = "auto",  # mlp: tanh, as in the lectures; conv follows the image's size
    hidden: tuple[Size, ...] = (400,),  # widths of the mlp's hidden layers
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh",  # of the mlp; convolutions take SiLU
    width: Size = 32,  # channels of the first convolution
    likelihood: str | Likelihood = "auto",  # p(x|z): bernoulli, gaussian, logistic, categorical, mixed, pixelcnn
    binarise: Literal["auto", "none", "dynamic", "threshold"] = "auto",  # greys under a likelihood of 0 and 1
    posterior: str | nn.Module = "diagonal",  # q(z|x); from Python a module, features → distribution
    prior: str | nn.Module = "standard",  # p(z); from Python a module, () → distribution
    objective: str | Part | ObjectiveFunction = "elbo",  # the loss that is minimised; from Python a part or a function
    beta: Weight = 1.0,  # weight of the KL in objective=elbo: a number or e.g. linear(0,1,2000)
    samples: Size = 1,  # draws of z for each x
    condition: str = "none",  # fields beside x (label), or columns of a table, joined by commas
    lr: Rate = 1e-3,  # Adam's rate
    encoder: nn.Module | None = None,  # from Python: (B, *shape) → (B, features); c beside x
    decoder: nn.Module | None = None,  # from Python: (B, latent + |c|) → (B, k·C, H, W) or (B, k·F), k of likelihood=
) -> Model:
    """Variational autoencoder: a lower bound on log p(x), an encoder and a decoder."""
    c = parse_condition(condition, spec)
    family = build_part("likelihood", likelihood, LIKELIHOODS, c.target)
    encoder_c, decoder_c, features = _networks(
        spec, c, latent, network, hidden, width, activation, encoder, decoder, family
    )
    q = build_part("posterior", posterior, POSTERIORS, features, latent)
    place = PriorSetting(spec, latent, infer=lambda x: q(encoder_c(x)), condition=c.fields)
    model = VAE(
        spec,
        encoder=encoder_c,
        posterior=as_posterior(q, latent),
        prior=build_part("prior", prior, PRIORS, place),
        decoder=decoder_c,
        likelihood=family,
        objective=_objective(objective, parse_schedule(beta), samples),
        samples=samples,
        binarise=check_binarise(binarise, c.target, family),
        optimiser=Adam(parse_schedule(lr)),
        condition=c,
    )
    check_draw(model)
    return model


@rules(likelihood=likelihood_rule, network=vae_network_rule, binarise=binarise_rule)
def ae(
    spec: Spec,
    *,
    latent: Size = 20,  # dimensions of the code
    network: Literal["auto", "mlp", "conv"] = "auto",  # mlp: tanh, as in the lectures; conv follows the image's size
    hidden: tuple[Size, ...] = (400,),  # widths of the mlp's hidden layers
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh",  # of the mlp; convolutions take SiLU
    width: Size = 32,  # channels of the first convolution
    likelihood: str | Likelihood = "auto",  # p(x|z): −log p(x|z) is the reconstruction loss
    binarise: Literal["auto", "none", "dynamic", "threshold"] = "auto",  # greys under a likelihood of 0 and 1
    noise: NotNegative = 0.0,  # σ of the noise that is added to the encoder's input
    condition: str = "none",  # fields beside x (label), or columns of a table, joined by commas
    lr: Rate = 1e-3,  # Adam's rate
    encoder: nn.Module | None = None,  # from Python: (B, *shape) → (B, features); c beside x
    decoder: nn.Module | None = None,  # from Python: (B, latent + |c|) → (B, k·C, H, W) or (B, k·F), k of likelihood=
) -> Model:
    """Autoencoder: compresses and extracts features; it has no p(z) and does not sample."""
    c = parse_condition(condition, spec)
    family = build_part("likelihood", likelihood, LIKELIHOODS, c.target)
    encoder_c, decoder_c, features = _networks(
        spec, c, latent, network, hidden, width, activation, encoder, decoder, family
    )
    return Autoencoder(
        spec,
        latent,
        encoder=encoder_c,
        to_code=nn.Linear(features, latent),
        decoder=decoder_c,
        likelihood=family,
        noise=noise,
        binarise=check_binarise(binarise, c.target, family),
        optimiser=Adam(parse_schedule(lr)),
        condition=c,
    )


LATENT: dict[str, Callable[..., Model]] = {
    "ae": ae,
    "dae": with_defaults(ae, "Denoising autoencoder: reconstructs x from x with noise.", noise=0.3),
    "vae": vae,
    "beta-vae": with_defaults(
        vae, "β-VAE: the KL has weight β, for separate factors at the price of detail.", beta=4.0
    ),
    "annealed-vae": with_defaults(
        vae, "KL annealing: β rises from 0 to 1, so that z is used first.", beta="linear(0,1,2000)"
    ),
    "free-bits-vae": with_defaults(
        vae, "Free bits: max(λ, KL), so that z keeps at least λ nats.", objective="free_bits(2)"
    ),
    "iwae": with_defaults(vae, "Importance weighted: the bound L_K of K draws.", objective="iwae", samples=50),
    "dip-vae": with_defaults(vae, "DIP-VAE: pulls the covariance of q(z) to the identity.", objective="dip"),
    "iaf-vae": with_defaults(vae, "An inverse autoregressive flow as posterior.", posterior="iaf"),
    "mixture-vae": with_defaults(vae, "A mixture of Gaussians as prior.", prior="mixture"),
    "vamp-vae": with_defaults(vae, "VampPrior: p(z) is the mean of q(z|u) over learned pseudo-inputs u.", prior="vamp"),
    "flow-prior-vae": with_defaults(vae, "An autoregressive flow as prior, trained with the rest.", prior="maf"),
    "pixel-vae": with_defaults(
        vae, "A PixelCNN of limited reach decodes, so that z carries global structure.", likelihood="pixelcnn"
    ),
}


def _networks(
    spec: Spec, c: Condition, latent: int, network: str, hidden: tuple[int, ...], width: int, activation: str,
    encoder: nn.Module | None, decoder: nn.Module | None, family: Likelihood,
) -> tuple[Conditioned, Conditioned, int]:  # fmt: skip
    """Encoder and decoder by name, or the user's, which are checked; and the number of the encoder's features."""
    pair, shape = choose(VAE_NETWORKS, network, spec.x), c.target.shape
    c_width, k = reader_width(c.fields), family.decoder_outputs
    if decoder is not None:
        check_output(decoder, "decoder", [latent + c_width], (k * shape[0], *shape[1:]))
    if encoder is None:
        encoder, join = pair.encoder(spec.shape, c_width, hidden, width, activation), pair.join
    else:
        join = "maps"
    if decoder is None:
        decoder = pair.decoder(latent + c_width, shape, hidden, width, activation, k)
    inputs = (spec.dimensions + c_width,) if join == "rows" and c_width else (spec.shape[0] + c_width, *spec.shape[1:])
    features = count_features(encoder, inputs)
    return Conditioned(encoder, c.fields, join), Conditioned(decoder, c.fields), features


def _objective(
    objective: str | Part | ObjectiveFunction, beta: float | Schedule, samples: int
) -> Part | ObjectiveFunction:
    """The objective of a text such as `dip(ii)`, with β if it has one; an object from Python as it is.

    Raises BestiaryError if its options or `beta` do not fit it.
    """
    if not isinstance(objective, str):
        if not callable(objective):
            raise BestiaryError(f"objective= takes a name or a function of a Draw; got {objective!r}")
        if beta != 1.0:
            raise BestiaryError(f"beta={beta} belongs to objective=elbo: leave it out, your function may have its own")
        return objective
    function, options = parse_part("objective", objective, OBJECTIVES)
    if "groups" in options and options.get("per") != "group":
        raise BestiaryError(
            f"objective={objective}: groups= does nothing without per=group: add it, or leave groups= out"
        )
    if beta != 1.0:
        if "beta" not in signature(function).parameters:
            raise BestiaryError(
                f"beta={beta} does nothing with objective={objective}: leave it out, or use objective=elbo"
            )
        if "beta" in options:
            raise BestiaryError(f"β is given twice, beta={beta} and objective={objective}: keep one of them")
        options["beta"] = beta
    if objective.startswith("iwae") and samples < 2:
        raise BestiaryError("objective=iwae with samples=1 is the ELBO: use samples=5 or more, or objective=elbo")
    return partial(function, **options)
