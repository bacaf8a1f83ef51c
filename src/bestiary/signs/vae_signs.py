"""Signs of failing VAEs: posterior collapse, high latent or reconstruction loss, over-regularisation, overfitting.

They are read from these numbers of held-out examples:

    validation.kl          E KL(q(z|x)‖p(z)), nats: the rate
    validation.active      share of the dimensions d of z with E KL_d > 0.01; if KL_d is unknown, with
                           Var_x E[z_d|x] > 0.01 Var z_d
    validation.distortion  −E log p(x|z), with z from the posterior of x
    validation.swapped     the same with z from the posterior of another example; equal if the decoder ignores z
    validation.widened     what −ELBO would lose if q(z|x) were twice as wide in the dimensions that are active
    validation.structure   of images: variance along their main directions, 1 if they are noise (measures/structure.py)

Remedies are those of the lectures, without those that the run already has. Each sign states its thresholds.
"""

import torch

from bestiary.densities.density_names import PRIORS
from bestiary.grammar.part_calls import parse_part
from bestiary.grammar.schedules import parse_schedule, value_at
from bestiary.grammar.signatures import part_options
from bestiary.objectives.elbo import OBJECTIVES, elbo
from bestiary.signs.sign import Remedy, RunHistory, Sign, make_sign, option_number
from bestiary.training.clock import Clock

__all__ = ["collapse", "high_latent_loss", "high_reconstruction_loss", "noise", "over_regularised", "overfit"]

NUMBERS = ("validation.kl", "validation.active", "validation.distortion", "validation.swapped")
LEAST_GAIN = 0.5  # nats that z must save in the reconstruction loss
LEAST_GAIN_IF_WIDER = 1.0  # nats
MOST_OF_NOISE = 1.5  # structure of images: uniform noise has 0.9 to 1.1, digits have 3.8


def collapse(history: RunHistory) -> Sign | None:
    """The decoder ignores z: with the z of another example it loses less than half a nat."""
    values = history.latest_values(*NUMBERS)
    if values is None or not history.is_mature:
        return None
    kl, active, own, other = values
    if other - own >= LEAST_GAIN or noise(history) is not None:
        return None
    message = (
        f"posterior collapse: the decoder ignores z. With the z of another example its loss is {other:.4g} nats instead"
        f" of {own:.4g} (KL {kl:.2f} nats, {active:.0%} of the dimensions of z are active)"
    )
    n = max(1, history.rounds // 4)
    free_bits = {"objective": f"free_bits({_more_free_bits(history)})"} | _without_beta(history)
    remedies = [
        Remedy("raise the weight of the KL slowly, so that z is used first (annealing)",
               _beta_options(history, f"linear(0,1,{n})")),
        Remedy("make some nats of KL free (free bits)", free_bits),
    ]  # fmt: skip
    if _decoder_sees_x(history):
        remedies.append(Remedy("use a decoder with a smaller receptive field", {"likelihood": "pixelcnn(layers=1)"}))
    return make_sign(history, "collapse", message, remedies)


def high_latent_loss(history: RunHistory) -> Sign | None:
    """z costs more than it gains. The rate is at least one nat, and −ELBO falls by a nat or more if q(z|x) is made
    twice as wide; or the rate exceeds the loss with the z of another example.

    If −ELBO was minimised, no other width is better. If q(z|x) were the true posterior and q(z) the prior, the loss
    −E_q(z) log p(x|z) + E_q(z|x) log p(x|z) would be at least the rate. Not while the weight of the KL still rises.
    """
    values = history.latest_values(*NUMBERS)
    if values is None or not history.is_mature or collapse(history) is not None or _kl_weight_rises(history):
        return None
    kl, _, own, other = values
    gain = history.latest("validation.widened") or 0.0
    if kl < 1.0 or (kl < other - own and gain < LEAST_GAIN_IF_WIDER):
        return None
    message = (
        f"too high latent loss: z costs {kl:.1f} nats of KL and saves {other - own:.1f} nats of reconstruction loss:"
        " codes lie where p(z) is small"
        if kl >= other - own
        else f"too high latent loss: z costs {kl:.1f} nats of KL, more than it is worth: with a posterior twice as wide"
        f" −ELBO would be {gain:.1f} nats lower"
    )
    prior = Remedy("use a prior that can follow the codes", {"prior": _vamp_prior(history)})
    weight = Remedy("give the KL more weight", _scaled_beta_options(history, 4.0))
    remedies = [weight] if _prior_follows_codes(history) else [prior, weight]
    return make_sign(history, "latent-loss", message, remedies if kl >= other - own else remedies[::-1])


def noise(history: RunHistory) -> Sign | None:
    """Images whose pixels are independent: no model can compress them, and no option helps."""
    structure = history.latest("validation.structure")
    if structure is None or structure > MOST_OF_NOISE:
        return None
    message = (
        f"the data look like noise: along their main directions held-out images vary {structure:.2f} times as much as"
        " along any other (independent pixels: 1; photographs, letters: above 3). There is nothing to learn"
    )
    return make_sign(history, "noise", message, [
        Remedy("look at the data: bestiary data shows whether the images were read as they were meant"),
    ])  # fmt: skip


def high_reconstruction_loss(history: RunHistory) -> Sign | None:
    """For images: with the z of another example the loss is less than 30% higher, although z is used.

    Not for densities, whose loss may be negative, nor for decoders that see x.
    """
    values = history.latest_values(*NUMBERS)
    if values is None or not history.is_mature or collapse(history) is not None:
        return None
    if not history.maps or _decoder_sees_x(history) or noise(history) is not None:
        return None
    kl, active, own, other = values
    if own <= 0 or other - own >= 0.3 * own:
        return None
    message = (
        f"too high reconstruction loss: {own:.4g} nats, and only {other:.4g} with the z of another example: z contains"
        f" little of x (KL {kl:.2f} nats, {active:.0%} of the dimensions of z are active)"
    )
    remedies = [
        Remedy("give the KL less weight", _scaled_beta_options(history, 0.25)),
        Remedy("use a larger network", _network_size_options(history, 2.0)),
    ]
    if active > 0.9:
        latent = 2 * int(option_number(history, "latent", 20))
        remedies.append(Remedy("use more dimensions of z", {"latent": f"{latent}"}))
    return make_sign(history, "reconstruction-loss", message, remedies)


def over_regularised(history: RunHistory) -> Sign | None:
    """The KL has more weight than the reconstruction (β/λ > 1.5), and at most half of the dimensions are active or the
    rate is below one nat."""
    values, weight = history.latest_values(*NUMBERS), _kl_weight(history)
    if values is None or weight is None or not history.is_mature:
        return None
    kl, active = values[:2]
    if weight <= 1.5 or (active > 0.5 and kl >= 1.0):
        return None
    message = (
        f"over-regularised: the KL has weight {weight:.1f}, z holds {kl:.2g} nats, and {active:.0%} of its dimensions"
        " are active"
    )
    plain = _beta_options(history, "1")
    return make_sign(history, "over-regularised", message, (
        Remedy("give the KL weight 1", plain),
        Remedy("use a prior that adapts to the codes", {"prior": _flow_prior(history)} | plain),
    ))  # fmt: skip


def overfit(history: RunHistory) -> Sign | None:
    """−ELBO on held-out examples exceeds that on training batches by a tenth of it, and by its interval's length."""
    values = history.latest_values("validation.distortion", "validation.kl", "validation.low", "validation.high")
    training_terms = [history.main_term(name) for name in ("reconstruction", "kl")]
    if values is None or None in training_terms or not history.is_mature:
        return None
    distortion, kl, low, high = values
    held_out, training = distortion + kl, sum(term for term in training_terms if term is not None)
    if held_out - training < max(0.1 * abs(training), high - low):
        return None
    message = f"overfit: −ELBO is {training:.4g} nats on training batches and {held_out:.4g} on held-out examples"
    prior = str(history.options.get("prior", "standard"))
    stop = Remedy("stop when the bound on held-out examples no longer improves", {"patience": "5"})
    remedies = [] if history.options.get("patience") else [stop]
    if prior.startswith("aggregated"):
        message += "; the aggregated posterior contains its training examples"
        remedies = [Remedy("use learned pseudo-inputs", {"prior": _vamp_prior(history)}), *remedies]
    elif prior.startswith(("vamp", "mixture")):
        remedies = [Remedy("use fewer components", {"prior": _smaller_prior(prior)}), *remedies]
    else:
        remedies = [*remedies, Remedy("use a smaller network", _network_size_options(history, 0.5))]
    return make_sign(history, "overfit", message, remedies)


# ------------------------------------------------------------------ properties of the run


def _decoder_sees_x(history: RunHistory) -> bool:
    return str(history.options.get("likelihood", "")).startswith("pixelcnn")


def _prior_follows_codes(history: RunHistory) -> bool:
    """Whether p(z) is a mixture of posteriors."""
    return str(history.options.get("prior", "standard")).startswith(("vamp", "aggregated"))


def _kl_weight_rises(history: RunHistory) -> bool:
    """Whether the weight of the KL will be higher at the end."""
    now, end = _kl_weight(history), _kl_weight(history, history.rounds)
    return now is not None and end is not None and now < 0.9 * end


def _kl_weight(history: RunHistory, round: int | None = None) -> float | None:
    """β/λ in a round, by default the present one; None unless the objective is the ELBO."""
    objective = history.options.get("objective", "elbo")
    if not isinstance(objective, str):
        return None
    function, options = parse_part("objective", objective, OBJECTIVES)
    if function is not elbo:
        return None
    clock = Clock(torch.tensor(float(history.round if round is None else round)), history.rounds)
    beta, lam = options.get("beta", history.options.get("beta", 1.0)), options.get("lam", 1.0)
    beta, lam = (float(value_at(parse_schedule(value), clock)) for value in (beta, lam))
    return beta / lam if lam else None


# ------------------------------------------------------------------ options of remedies


def _beta_options(history: RunHistory, beta: str) -> dict[str, str]:
    """The options that give the KL the weight β in the ELBO."""
    is_elbo = history.options.get("objective", "elbo") == "elbo"
    return {"beta": beta} if is_elbo else {"objective": "elbo", "beta": beta}


def _without_beta(history: RunHistory) -> dict[str, str]:
    """The options for an objective that has no β."""
    return {} if history.options.get("beta", 1.0) == 1.0 else {"beta": "1"}


def _scaled_beta_options(history: RunHistory, factor: float) -> dict[str, str]:
    """The options that multiply β by the factor; or set it to 1 if it is on the other side of 1."""
    weight = _kl_weight(history)
    beta = 1.0 if weight is None else weight
    return _beta_options(history, "1" if (beta - 1) * (factor - 1) < 0 else f"{beta * factor:g}")


def _more_free_bits(history: RunHistory) -> str:
    """λ of free bits in nats: twice the present one, or 3."""
    objective = str(history.options.get("objective", "elbo"))
    if not objective.startswith("free_bits"):
        return "3"
    function, options = parse_part("objective", objective, OBJECTIVES)
    lam = options.get("lam", part_options(function)["lam"][1])
    return f"{2 * lam:g}" if isinstance(lam, int | float) and lam > 0 else "3"


def _vamp_prior(history: RunHistory) -> str:
    """A VampPrior with at most a quarter as many pseudo-inputs as training examples, from which they start."""
    components = int(option_number(history, "examples", 2000)) // 4
    return "vamp" if components >= 500 else f"vamp({max(1, components)})"


def _flow_prior(history: RunHistory) -> str:
    """A flow; a VampPrior if z has one dimension only, which flows do not allow."""
    return "maf" if option_number(history, "latent", 20) > 1 else _vamp_prior(history)


def _smaller_prior(prior: str) -> str:
    """The same prior with a quarter of its components."""
    builder, options = parse_part("prior", prior, PRIORS)
    components = int(options.get("components", part_options(builder)["components"][1]))
    return f"{prior.partition('(')[0]}({max(1, components // 4)})"


def _network_size_options(history: RunHistory, factor: float) -> dict[str, str]:
    """The options that multiply the network's width by the factor."""
    if history.options.get("network") == "conv":
        return {"width": f"{max(1, int(option_number(history, 'width', 32) * factor))}"}
    return {"hidden": ",".join(f"{max(1, int(h * factor))}" for h in history.options.get("hidden", (400,)))}
