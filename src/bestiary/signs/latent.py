"""Signs of latent-variable models. The numbers, on examples kept from the fit:

    validation.kl          E KL(q(z|x)‖p(z)), nats: the rate
    validation.active      share of the dimensions d of z with E KL_d > 0.01, or Var_x E[z_d|x] where KL_d is unknown
    validation.distortion  −E log p(x|z), z from x's own posterior
    validation.swapped     the same with z from another's posterior: a decoder that ignores z loses nothing by it

Remedies are those of the lectures. Thresholds are stated at each sign.
"""

from bestiary.signs.sign import Remedy, Sign, Story

__all__ = ["collapse", "high_latent_loss", "high_reconstruction_loss", "over_regularised", "overfit"]

NEEDED = ("validation.kl", "validation.active", "validation.distortion", "validation.swapped")


def _annealing(story: Story) -> Remedy:
    n = max(1, story.rounds // 4)
    return Remedy("let the KL come in slowly, so that z is used first (annealing)", {"beta": f"linear(0,1,{n})"})


def _moved(story: Story, factor: float) -> str:
    """β on the way to 1 where it lies on the other side of it, else moved by the factor."""
    now = story.options.get("beta", 1.0)
    beta = float(now) if isinstance(now, int | float) else 1.0
    return "1" if (beta - 1) * (factor - 1) < 0 else f"{beta * factor:g}"


def collapse(story: Story) -> Sign | None:
    """q(z|x) is p(z): fewer than one dimension in twenty is active, or another example's z serves as well as its own
    (the reconstruction loss rises by less than 1%, and the rate is below half a nat)."""
    found = story.every(*NEEDED)
    if found is None or not story.grown:
        return None
    kl, active, own, other = found
    if active >= 0.05 and not (other - own < 0.01 * abs(own) and kl < 0.5):
        return None
    remedies = [
        _annealing(story),
        Remedy("leave some nats of KL free (free bits)", {"objective": "free_bits(3)", "beta": "1"}),
    ]
    if str(story.options.get("likelihood", "")).startswith("pixelcnn"):
        remedies.append(Remedy("a decoder that sees less (receptive field)", {"likelihood": "pixelcnn(layers=1)"}))
    says = (
        f"posterior collapse: {active:.0%} of the dimensions of z are active, KL {kl:.2f} nats; with the z of another"
        f" example the loss is {own:.4g} → {other:.4g}: the decoder ignores z"
    )
    return Sign("collapse", says, tuple(remedies))


def high_latent_loss(story: Story) -> Sign | None:
    """At most ln N nats of the rate can be information about which of N examples x is, so that the marginal KL, by
    which codes miss the prior, is at least rate − ln N; the sign is that this is more than two thirds of the rate."""
    found, examples = story.every("validation.kl"), story.last("validation.log_examples")
    if found is None or examples is None or not story.grown:
        return None
    (kl,) = found
    missed = kl - examples
    if missed < 2 / 3 * kl or kl < 1:
        return None
    says = (
        f"too high latent loss: KL {kl:.1f} nats, of which at least {missed:.1f} are codes that lie where p(z) does"
        " not: samples from p(z) fall between them"
    )
    richer = Remedy("a prior that can follow the codes", {"prior": "vamp"})
    return Sign("latent-loss", says, (richer, Remedy("weigh the KL more", {"beta": _moved(story, 4.0)})))


def high_reconstruction_loss(story: Story) -> Sign | None:
    """z tells little: with the z of another example the loss is less than 30% higher, though z is in use."""
    found = story.every(*NEEDED)
    if found is None or not story.grown or collapse(story) is not None:
        return None
    kl, active, own, other = found
    if own <= 0 or other - own >= 0.3 * own:
        return None
    says = (
        f"too high reconstruction loss: {own:.4g} nats, and {other:.4g} with the z of another example: z says little of"
        f" x (KL {kl:.2f} nats, {active:.0%} of its dimensions active)"
    )
    wider = Remedy("a larger network", {"hidden": "800,800"})
    return Sign("reconstruction-loss", says, (Remedy("weigh the KL less", {"beta": _moved(story, 0.25)}), wider))


def over_regularised(story: Story) -> Sign | None:
    """The KL weighs more than once (β > 1.5) and has switched off half of the dimensions or more."""
    found = story.every(*NEEDED)
    parts = [story.recent(f"vae.{term}") for term in ("total", "reconstruction", "kl")]
    if found is None or None in parts or not story.grown or str(story.options.get("objective", "elbo"))[:4] != "elbo":
        return None
    total, reconstruction, kl = (p for p in parts if p is not None)
    beta = (total - reconstruction) / max(kl, 1e-6)
    if beta <= 1.5 or found[1] > 0.5:
        return None
    says = f"over-regularised: the KL weighs β = {beta:.1f} times, {found[1]:.0%} of the dimensions of z are active"
    flow = Remedy("a prior that adapts to the codes instead of pressing them", {"prior": "maf", "beta": "1"})
    return Sign("over-regularised", says, (Remedy("weigh the KL once", {"beta": "1"}), flow))


def overfit(story: Story) -> Sign | None:
    """−ELBO on kept examples exceeds that of training batches by more than a tenth, and by more than its interval."""
    found = story.every("validation.distortion", "validation.kl", "validation.low", "validation.high")
    parts = [story.recent(f"vae.{term}") for term in ("reconstruction", "kl")]
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
    if prior.startswith("aggregated"):
        says += "; the aggregated posterior knows its training examples"
        return Sign("overfit", says, (Remedy("learned pseudo-inputs instead", {"prior": "vamp"}), stop))
    if prior.startswith(("vamp", "mixture")):
        return Sign("overfit", says, (Remedy("fewer components", {"prior": f"{prior.partition('(')[0]}(50)"}), stop))
    return Sign("overfit", says, (stop, Remedy("a smaller network", {"hidden": "100"})))
