"""Signs of latent-variable models. The numbers, on examples kept from the fit:

    validation.kl          E KL(q(z|x)‖p(z)), nats: the rate
    validation.active      share of the dimensions d of z with E KL_d > 0.01; where KL_d is unknown, of those with
                           Var_x E[z_d|x] > 0.01 Var z_d
    validation.distortion  −E log p(x|z), z from x's own posterior
    validation.swapped     the same with z from another's posterior: a decoder that ignores z loses nothing by it

Remedies are those of the lectures, less those that the run has already. Thresholds are stated at each sign.
"""

import torch

from bestiary.densities.density_names import PRIORS
from bestiary.grammar.options import called, part_options
from bestiary.grammar.schedules import at, parse_schedule
from bestiary.objectives.elbo import OBJECTIVES, elbo
from bestiary.signs.sign import Remedy, Sign, Story, number, sign_of
from bestiary.training.clock import Clock

__all__ = ["collapse", "high_latent_loss", "high_reconstruction_loss", "over_regularised", "overfit"]

NEEDED = ("validation.kl", "validation.active", "validation.distortion", "validation.swapped")
LEAST = 0.5  # nats that z must be worth to the decoder


def collapse(story: Story) -> Sign | None:
    """The decoder ignores z: that of another example costs it less than half a nat."""
    found = story.every(*NEEDED)
    if found is None or not story.grown:
        return None
    kl, active, own, other = found
    if other - own >= LEAST:
        return None
    says = (
        f"posterior collapse: with the z of another example the reconstruction loss is {own:.4g} → {other:.4g}: the"
        f" decoder ignores z (KL {kl:.2f} nats, {active:.0%} of its dimensions active)"
    )
    n = max(1, story.rounds // 4)
    remedies = [
        Remedy("let the KL come in slowly, so that z is used first (annealing)", _beta(story, f"linear(0,1,{n})")),
        Remedy(
            "leave some nats of KL free (free bits)", {"objective": f"free_bits({_freer(story)})"} | _unweighted(story)
        ),
    ]
    if _sees_x(story):
        remedies.append(Remedy("a decoder that sees less (receptive field)", {"likelihood": "pixelcnn(layers=1)"}))
    return sign_of(story, "collapse", says, remedies)


def high_latent_loss(story: Story) -> Sign | None:
    """z costs more than it is worth: the rate, a nat or more, exceeds what the decoder loses with another's z. Were
    q(z|x) the posterior of x and q(z) the prior, it would lose −E_q(z) log p(x|z) + E_q(z|x) log p(x|z) ≥ the rate."""
    found = story.every(*NEEDED)
    if found is None or not story.grown or collapse(story) is not None:
        return None
    kl, _, own, other = found
    if kl < max(other - own, 1.0):
        return None
    says = (
        f"too high latent loss: z costs {kl:.1f} nats (KL) and is worth {other - own:.1f} to the decoder: codes lie"
        " where p(z) does not"
    )
    richer = [Remedy("a prior that can follow the codes", {"prior": _vamp(story)})] if not _follows(story) else []
    return sign_of(story, "latent-loss", says, [*richer, Remedy("weigh the KL more", _moved(story, 4.0))])


def high_reconstruction_loss(story: Story) -> Sign | None:
    """Of images: with the z of another example the loss is less than 30% higher, though z is in use. Not told of
    densities, whose loss may have any sign, nor of decoders that see x."""
    found = story.every(*NEEDED)
    if found is None or not story.grown or collapse(story) is not None or not story.maps or _sees_x(story):
        return None
    kl, active, own, other = found
    if own <= 0 or other - own >= 0.3 * own:
        return None
    says = (
        f"too high reconstruction loss: {own:.4g} nats, and {other:.4g} with the z of another example: z says little of"
        f" x (KL {kl:.2f} nats, {active:.0%} of its dimensions active)"
    )
    remedies = [Remedy("weigh the KL less", _moved(story, 0.25)), Remedy("a larger network", _sized(story, 2.0))]
    if active > 0.9:
        remedies.append(Remedy("more dimensions of z", {"latent": f"{2 * int(number(story, 'latent', 20))}"}))
    return sign_of(story, "reconstruction-loss", says, remedies)


def over_regularised(story: Story) -> Sign | None:
    """The KL weighs more than the reconstruction (β/λ > 1.5) and has switched off half of the dimensions or more."""
    found, beta = story.every(*NEEDED), _weight(story)
    if found is None or beta is None or not story.grown or beta <= 1.5 or found[1] > 0.5:
        return None
    says = f"over-regularised: the KL weighs {beta:.1f} times, {found[1]:.0%} of the dimensions of z are active"
    freer = Remedy(
        "a prior that adapts to the codes instead of pressing them", {"prior": _flow(story)} | _beta(story, "1")
    )
    return sign_of(story, "over-regularised", says, (Remedy("weigh the KL once", _beta(story, "1")), freer))


def overfit(story: Story) -> Sign | None:
    """−ELBO on kept examples exceeds that of training batches by more than a tenth, and by more than its interval."""
    found = story.every("validation.distortion", "validation.kl", "validation.low", "validation.high")
    parts = [story.term(name) for name in ("reconstruction", "kl")]
    if found is None or None in parts or not story.grown:
        return None
    kept, low, high = found[0] + found[1], found[2], found[3]
    fitted = sum(p for p in parts if p is not None)
    gap = kept - fitted
    if gap < max(0.1 * abs(fitted), high - low):
        return None
    prior = str(story.options.get("prior", "standard"))
    says = f"overfit: −ELBO is {fitted:.4g} nats on training batches and {kept:.4g} on examples kept from them"
    stop = Remedy("stop when the bound on kept examples no longer improves", {"patience": "5"})
    first, rest = ([], [stop]) if not story.options.get("patience") else ([], [])
    if prior.startswith("aggregated"):
        says += "; the aggregated posterior knows its training examples"
        first = [Remedy("learned pseudo-inputs instead", {"prior": _vamp(story)})]
    elif prior.startswith(("vamp", "mixture")):
        first = [Remedy("fewer components", {"prior": _fewer(prior)})]
    else:
        rest = [*rest, Remedy("a smaller network", _sized(story, 0.5))]
    return sign_of(story, "overfit", says, [*first, *rest])


# ------------------------------------------------------------------ what the run has


def _sees_x(story: Story) -> bool:
    return str(story.options.get("likelihood", "")).startswith("pixelcnn")


def _follows(story: Story) -> bool:
    """Whether p(z) is made of the codes."""
    return str(story.options.get("prior", "standard")).startswith(("vamp", "aggregated"))


def _weight(story: Story) -> float | None:
    """β/λ at this round; None where the objective is not the ELBO with weights."""
    said = story.options.get("objective", "elbo")
    if not isinstance(said, str):
        return None
    function, given = called("objective", said, OBJECTIVES)
    if function is not elbo:
        return None
    clock = Clock(torch.tensor(float(story.round)), story.rounds)
    beta, lam = given.get("beta", story.options.get("beta", 1.0)), given.get("lam", 1.0)
    beta, lam = (float(at(parse_schedule(value), clock)) for value in (beta, lam))
    return beta / lam if lam else None


# ------------------------------------------------------------------ what to write


def _beta(story: Story, value: str) -> dict[str, str]:
    """The options by which the KL weighs `value`, against a reconstruction that weighs once."""
    return {"beta": value} if story.options.get("objective", "elbo") == "elbo" else {"objective": "elbo", "beta": value}


def _unweighted(story: Story) -> dict[str, str]:
    """β given up, for an objective that has none."""
    return {} if story.options.get("beta", 1.0) == 1.0 else {"beta": "1"}


def _moved(story: Story, factor: float) -> dict[str, str]:
    """β on the way to 1 where it lies on the other side of it, else moved by the factor."""
    weight = _weight(story)
    beta = 1.0 if weight is None else weight
    return _beta(story, "1" if (beta - 1) * (factor - 1) < 0 else f"{beta * factor:g}")


def _freer(story: Story) -> str:
    """λ of free bits, in nats; twice what it is now."""
    said = str(story.options.get("objective", "elbo"))
    if not said.startswith("free_bits"):
        return "3"
    function, given = called("objective", said, OBJECTIVES)
    now = given.get("lam", part_options(function)["lam"][1])
    return f"{2 * now:g}" if isinstance(now, int | float) and now > 0 else "3"


def _vamp(story: Story) -> str:
    """Pseudo-inputs that start as training examples: no more of them than a quarter of these."""
    most = int(number(story, "examples", 2000)) // 4
    return "vamp" if most >= 500 else f"vamp({max(1, most)})"


def _flow(story: Story) -> str:
    """A flow needs two dimensions."""
    return "maf" if number(story, "latent", 20) > 1 else _vamp(story)


def _fewer(prior: str) -> str:
    builder, given = called("prior", prior, PRIORS)
    now = int(given.get("components", part_options(builder)["components"][1]))
    return f"{prior.partition('(')[0]}({max(1, now // 4)})"


def _sized(story: Story, factor: float) -> dict[str, str]:
    """The network's width times so much."""
    if story.options.get("network") == "conv":
        return {"width": f"{max(1, int(number(story, 'width', 32) * factor))}"}
    return {"hidden": ",".join(f"{max(1, int(h * factor))}" for h in story.options.get("hidden", (400,)))}
