"""Signs of games. The numbers, on examples kept from the fit (models/vitals.py) and of the players' turns:

    validation.near, covered, diversity, repeats     what samples are like beside the examples
    validation.told_apart                            chance that the critic ranks an example above a sample
    validation.known                                 chance that it ranks one that it was trained on above another
    validation.pull                                  mean slope of the generator's game by the logit of a sample
    validation.copied                                share of samples that copy training examples: at least so many
    generator.gradient                               norm of the generator's gradient at the line

Remedies are those of the lectures, less those that the run has already. Thresholds are stated at each sign.
"""

from itertools import pairwise

from bestiary.signs.sign import Remedy, Sign, Story, number, sign_of

__all__ = ["memorisation", "mode_collapse", "non_finite", "oscillation", "overpowering", "vanishing"]


def mode_collapse(story: Story) -> Sign | None:
    """Samples are like data (near ≥ 0.3) but reach less than half of it; or they are half as spread as the data, or a
    third of them repeat another; or of what was once reached less than half is left."""
    found = story.every("validation.near", "validation.covered", "validation.diversity", "validation.repeats")
    if found is None or not story.grown:
        return None
    near, covered, diversity, repeats = found
    best = max(value for _, value in story.series["validation.covered"])
    ill = (near >= 0.3 and covered < 0.5) or diversity < 0.5 or repeats > 1 / 3 or (best > 0.3 and covered < best / 2)
    if not ill:
        return None
    says = (
        f"mode collapse: samples reach {covered:.0%} of the data ({best:.0%} at best), are spread {diversity:.2f} times"
        f" as far, and {repeats:.0%} of them repeat another"
    )
    more = 2 * int(number(story, "pack", 1))
    fits = number(story, "batch", more) % more == 0
    return sign_of(story, "mode-collapse", says, (
        *_played(story),
        *([Remedy("let the critic see several samples side by side (packing)", {"pack": f"{more}"})] if fits else []),
        *([Remedy("let the critic compare the samples of a batch (minibatch discrimination)", _compared(story))]
          if not _played(story) else []),
        *_unrolled(story),
        Remedy("blur data and samples at first, so that they overlap (instance noise)", _blur(story)),
        *([_wasserstein(story, "a distance with a slope wherever mass is missing (Wasserstein)")]
          if not _played(story) else []),
    ))  # fmt: skip


def vanishing(story: Story) -> Sign | None:
    """The critic ranks examples above samples with a chance of more than 0.9, and the slope of the generator's loss by
    its logit is below 0.05: of the saturating game it is −D, which is as small as the critic is sure."""
    found = story.every("validation.told_apart", "validation.pull")
    if found is None or not story.grown or found[0] <= 0.9 or found[1] >= 0.05:
        return None
    gradient = story.term("gradient")
    says = (
        f"vanishing gradient: the critic tells {found[0]:.1%} of pairs apart, and the generator's loss has a slope of"
    )
    says += f" {found[1]:.2g} by its verdict" + (f" (norm of the gradient {gradient:.2g})" if gradient else "")
    return sign_of(story, "vanishing-gradient", says, (
        Remedy("the game whose gradient does not vanish where the critic is sure", {"game": "nonsaturating"}),
        *_never_sure(story),
        _wasserstein(story, "a distance instead of odds (Wasserstein)"),
    ))  # fmt: skip


def overpowering(story: Story) -> Sign | None:
    """The critic ranks examples above samples with a chance of more than 0.99, three validations in a row, and at most
    half of the samples are near data. A Wasserstein critic should be that good, and one of whom only the features are
    followed may be: they are left alone."""
    told, near = [value for _, value in story.series.get("validation.told_apart", [])], story.last("validation.near")
    may = str(story.options.get("game", "")).startswith("wasserstein") or not number(story, "adversarial", 1)
    if len(told) < 3 or min(told[-3:]) <= 0.99 or may or near is None or near > 0.5 or not story.grown:
        return None
    says = f"the critic overpowers: it tells {told[-1]:.1%} of pairs apart, and {near:.0%} of the samples are near data"
    return sign_of(story, "overpowering", says, (
        Remedy("blur what the critic sees (instance noise)", _blur(story)),
        *_never_sure(story),
        Remedy("fewer turns of the critic", {"critic_turns": "1"}),
        _damped(story, "a critic of no slope on the data"),
        _wasserstein(story, "a distance instead of odds (Wasserstein)"),
    ))  # fmt: skip


def oscillation(story: Story) -> Sign | None:
    """Over the second half of the run so far, of six validations or more: what is reached swings by more than 0.3 and
    changes direction at every other step or more often, and ends no higher than it was on average before."""
    seen = [value for _, value in story.series.get("validation.covered", [])]
    late = seen[len(seen) // 2 :]
    if len(late) < 6 or max(late) - min(late) <= 0.3 or not story.grown:
        return None
    steps = [b - a for a, b in pairwise(late)]
    turns = sum(a * b < 0 for a, b in pairwise(steps))
    if turns < len(steps) // 2 or late[-1] > sum(late) / len(late) + 0.05:
        return None
    says = f"oscillation: what samples reach swings between {min(late):.0%} and {max(late):.0%} and does not grow"
    lr = number(story, "lr", 2e-4)
    return sign_of(story, "oscillation", says, (
        Remedy("average the weights of the rounds that circle the solution", {"average": "0.999"}),
        _damped(story, "a critic of no slope on the data, which damps the circling"),
        Remedy("two time scales: a slower generator", {"lr": f"{min(lr / 4, 2e-4):g}", "critic_lr": f"{lr:g}"}),
    ))  # fmt: skip


def memorisation(story: Story) -> Sign | None:
    """The critic ranks an example that it was trained on above one that it was not with a chance of more than 0.75; or
    more than a tenth of the samples copy training examples, by the low end of a 95% interval (measures/copies.py).
    """
    known, copied = story.last("validation.known") or 0.0, story.last("validation.copied") or 0.0
    if not story.grown or (known <= 0.75 and copied <= 0.1):
        return None
    says = "memorisation: " + " and ".join(
        told for told, ill in (
            (f"the critic ranks {known:.0%} of training examples above others: it knows them by heart", known > 0.75),
            (f"{copied:.0%} of the samples or more copy training examples", copied > 0.1),
        ) if ill
    )  # fmt: skip
    lens = Remedy("show both through a random lens (differentiable augmentation)", {"augment": "translation,cutout"})
    convolutions = str(story.options.get("network")) in ("dcgan", "residual")
    less = {"width": f"{max(1, int(number(story, 'width', 64)) // 2)}"} if convolutions else {"critic_hidden": "64"}
    return sign_of(story, "memorisation", says, (
        *([lens] if story.maps else []),
        Remedy("a smaller critic", less),
        _damped(story, "a critic of no slope on the data"),
        Remedy("more examples"),
    ))  # fmt: skip


def non_finite(story: Story) -> Sign | None:
    """The run ended because a number was not finite."""
    if not story.failure:
        return None
    return sign_of(story, "non-finite", story.failure, (
        Remedy("smaller steps", {"lr": f"{min(number(story, 'lr', 2e-4) / 4, 2e-4):g}"}),
        Remedy("a bound on the gradient's norm", {"clip": "1"}),
    ))  # fmt: skip


# ------------------------------------------------------------------ remedies


def _blur(story: Story) -> dict[str, str]:
    """Noise that is gone at half of the run."""
    return {"noise": f"linear(0.3,0.0,{max(1, story.rounds // 2)})"}


def _never_sure(story: Story) -> tuple[Remedy, ...]:
    """Of games that judge an example by itself and have a best answer."""
    fits = not str(story.options.get("game", "")).startswith(("relativistic", "wasserstein"))
    remedy = Remedy("a critic that is never sure (one-sided label smoothing)", {"smoothing": "0.1"})
    return (remedy,) if fits else ()


def _played(story: Story) -> tuple[Remedy, ...]:
    """What follows the means of features alone can leave out modes, whatever the critic sees."""
    alone = not number(story, "adversarial", 1)
    return (Remedy("let the generator play the game, beside the features", {"adversarial": "1"}),) if alone else ()


def _unrolled(story: Story) -> tuple[Remedy, ...]:
    """Not where weights are clipped: a critic that is looked ahead to would leave its box."""
    says = "let the generator see how the critic would answer (unrolling)"
    return () if story.options.get("weight_clip") else (Remedy(says, {"unroll": "5", **_without_norm(story)}),)


def _compared(story: Story) -> dict[str, str]:
    """Samples with samples: real ones must not stand among them."""
    return {"minibatch": "16"} | ({"joint": "no"} if story.options.get("joint") else {})


def _without_norm(story: Story) -> dict[str, str]:
    """No moments of a batch in the critic, and so none to join."""
    return {"critic_norm": "none"} | ({"joint": "no"} if story.options.get("joint") else {})


def _damped(story: Story, says: str) -> Remedy:
    return Remedy(says, {"penalty": "r1(1)", **_without_norm(story)})


def _wasserstein(story: Story, says: str) -> Remedy:
    """With the penalty that the run has, if it is one of slopes one; else with the weight that its data ask for."""
    has = str(story.options.get("penalty", ""))
    off = {key: "0" for key in ("weight_clip", "smoothing") if story.options.get(key)}
    options = {
        "game": "wasserstein",
        "penalty": has if has.startswith("gp") else "auto",
        "critic_turns": "5",
        **_without_norm(story),
    }
    return Remedy(says, {**options, **off})
