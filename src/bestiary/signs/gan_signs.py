"""Signs of failing games: mode collapse, vanishing gradient, overpowering, oscillation, memorisation, non-finite.

They are read from these numbers of held-out examples (models/vitals.py) and of the players' turns:

    validation.near, reached, diversity, repeats     how samples compare with held-out examples
    validation.told_apart                            chance that the critic ranks an example above a sample
    validation.known                                 chance that it ranks a training example above a held-out one
    validation.pull                                  mean slope of the generator's loss by the logit of a sample
    validation.copied                                share of samples that copy training examples, a lower bound
    generator.gradient                               norm of the generator's gradient

Remedies are those of the lectures, without those that the run already has. Each sign states its thresholds.
"""

from itertools import pairwise
from math import sqrt
from statistics import mean, stdev

from bestiary.signs.sign import Remedy, RunHistory, Sign, make_sign, option_number

__all__ = ["memorisation", "mode_collapse", "non_finite", "oscillation", "overpowering", "vanishing"]

LEAST_REACHED = 0.7  # of the data: of 25 equal modes 18 have 0.68 to 0.76, 17 have 0.64 to 0.72


def mode_collapse(history: RunHistory) -> Sign | None:
    """Any of: samples reach less than 70% of the data; their diversity is below half that of the data; a third of them
    repeat another sample. Blurred samples that are spread over all of the data are no collapse; nor are samples that
    have only begun to spread: before the end of a run such a number counts only if it does not grow."""
    values = history.latest_values("validation.diversity", "validation.repeats")
    if values is None or not history.is_mature:
        return None
    (diversity, repeats), reached = values, history.latest("validation.reached")
    misses_data = reached is not None and reached < LEAST_REACHED and not _grows_still(history, "validation.reached")
    is_narrow = diversity < 0.5 and not _grows_still(history, "validation.diversity")
    if not misses_data and not is_narrow and repeats <= 1 / 3:
        return None
    message = (
        "mode collapse"
        + (" of the samples: " if reached is None else f": samples reach {reached:.0%} of the data, ")
        + f"their diversity is {diversity:.2f} times that of the data, and {repeats:.0%} of them repeat another one"
    )
    return make_sign(history, "mode-collapse", message, (
        *_game_remedies(history),
        *_pack_remedies(history),
        *_matching_remedies(history),
        *_minibatch_remedies(history),
        *_unroll_remedies(history),
        *([] if _only_features(history) else [
            _wasserstein_remedy(history, "use a distance that has a slope wherever samples are missing (Wasserstein)")
        ]),
    ))  # fmt: skip


def vanishing(history: RunHistory) -> Sign | None:
    """The critic ranks examples above samples with a chance above 0.9, and the slope of the generator's loss by the
    critic's logit is below 0.05. For the saturating game the slope is −D, which is small if the critic is certain."""
    values = history.latest_values("validation.told_apart", "validation.pull")
    if values is None or not history.is_mature or values[0] <= 0.9 or values[1] >= 0.05:
        return None
    told_apart, pull = values
    gradient = history.main_term("gradient")
    message = (
        f"vanishing gradient: the critic ranks {told_apart:.1%} of real examples above samples, and the slope of the"
        f" generator's loss by its logit is {pull:.2g}"
    ) + (f" (norm of the gradient {gradient:.2g})" if gradient else "")
    return make_sign(history, "vanishing-gradient", message, (
        Remedy("play the game whose gradient does not vanish if the critic is certain", {"game": "nonsaturating"}),
        *_smoothing_remedies(history),
        _wasserstein_remedy(history, "use a distance instead of a probability (Wasserstein)"),
    ))  # fmt: skip


def overpowering(history: RunHistory) -> Sign | None:
    """In five validations in a row the critic ranks examples above samples with a chance above 0.99, at most half of
    the samples are near data, and they do not reach more of it than before: a generator that learns from a sure critic
    is well. Not for Wasserstein critics, which should be that good, nor with adversarial=0."""
    told_apart = [value for _, value in history.series.get("validation.told_apart", [])]
    near = history.latest("validation.near")
    is_wasserstein = str(history.options.get("game", "")).startswith("wasserstein")
    if is_wasserstein or not option_number(history, "adversarial", 1):
        return None
    if len(told_apart) < 5 or min(told_apart[-5:]) <= 0.99 or near is None or near > 0.5 or not history.is_mature:
        return None
    if any(_grows(history, f"validation.{name}") for name in ("near", "reached", "diversity")):
        return None
    message = (
        f"the critic overpowers the generator: it ranks {told_apart[-1]:.1%} of real examples above samples, and"
        f" {near:.0%} of the samples are near data"
    )
    return make_sign(history, "overpowering", message, (
        Remedy("add noise to all that the critic sees (instance noise)", _noise_options(history)),
        *_smoothing_remedies(history),
        Remedy("let the critic take fewer turns", {"critic_turns": "1"}),
        _slope_remedy(history, "penalise the critic's slope on the data"),
        _wasserstein_remedy(history, "use a distance instead of a probability (Wasserstein)"),
    ))  # fmt: skip


def oscillation(history: RunHistory) -> Sign | None:
    """In the second half of the run so far, with at least six validations: the reached share varies by more than 0.3,
    at least half of its steps reverse direction, it does not grow by more than its standard error, and the last three
    values differ by more than 0.1, so that it has not settled."""
    reached = [value for _, value in history.series.get("validation.reached", [])]
    late = reached[len(reached) // 2 :]
    if len(late) < 6 or max(late) - min(late) <= 0.3 or max(late[-3:]) - min(late[-3:]) <= 0.1 or not history.is_mature:
        return None
    steps = [b - a for a, b in pairwise(late)]
    reversals = sum(a * b < 0 for a, b in pairwise(steps))
    before, after = late[: len(late) // 2], late[len(late) // 2 :]
    error = stdev(late) * sqrt(1 / len(before) + 1 / len(after))
    if reversals < len(steps) // 2 or mean(after) > mean(before) + max(error, 0.05):
        return None
    message = (
        f"oscillation: the share of the data that samples reach swings between {min(late):.0%} and {max(late):.0%} and"
        " does not grow"
    )
    lr = option_number(history, "lr", 2e-4)
    return make_sign(history, "oscillation", message, (
        Remedy("average the weights over the rounds, which circle the solution", {"average": "0.999"}),
        _slope_remedy(history, "penalise the critic's slope on the data, which damps the oscillation"),
        Remedy("train the generator more slowly than the critic (two time scales)",
               {"lr": f"{min(lr / 4, 2e-4):g}", "critic_lr": f"{lr:g}"}),
    ))  # fmt: skip


def memorisation(history: RunHistory) -> Sign | None:
    """The critic ranks training examples above held-out ones with a chance above 0.75; or more than a tenth of the
    samples copy training examples, by the low end of a 95% interval (measures/copies.py)."""
    known = history.latest("validation.known") or 0.0
    copied = history.latest("validation.copied") or 0.0
    if not history.is_mature or (known <= 0.75 and copied <= 0.1):
        return None
    findings = (
        (known > 0.75, f"the critic ranks {known:.0%} of training examples above held-out ones: it has memorised them"),
        (copied > 0.1, f"at least {copied:.0%} of the samples copy training examples"),
    )
    message = "memorisation: " + " and ".join(finding for shown, finding in findings if shown)
    augmentation = Remedy("show images through random transforms (augmentation)", {"augment": "translation,cutout"})
    has_convolutions = str(history.options.get("network")) in ("dcgan", "residual")
    half_width = f"{max(1, int(option_number(history, 'width', 64)) // 2)}"
    smaller_critic = {"width": half_width} if has_convolutions else {"critic_hidden": "64"}
    return make_sign(history, "memorisation", message, (
        *([augmentation] if history.maps else []),
        Remedy("use a smaller critic", smaller_critic),
        _slope_remedy(history, "penalise the critic's slope on the data"),
        Remedy("use more training examples"),
    ))  # fmt: skip


def non_finite(history: RunHistory) -> Sign | None:
    """The run failed because a number was not finite."""
    if not history.failure:
        return None
    return make_sign(history, "non-finite", history.failure, (
        Remedy("take smaller steps", {"lr": f"{min(option_number(history, 'lr', 2e-4) / 4, 2e-4):g}"}),
        Remedy("limit the norm of the gradient", {"clip": "1"}),
    ))  # fmt: skip


def _grows_still(history: RunHistory, name: str) -> bool:
    """Whether a share grows and the run is not over."""
    return history.round < history.rounds and _grows(history, name)


def _grows(history: RunHistory, name: str) -> bool:
    """Whether a share is higher than the mean of what it was before, or has one value only; not if it has none."""
    if name not in history.series:
        return False
    *earlier, latest = [value for _, value in history.series[name]]
    return not earlier or latest > mean(earlier) + 0.05


# ------------------------------------------------------------------ remedies


def _noise_options(history: RunHistory) -> dict[str, str]:
    """Instance noise that ends after half of the run."""
    return {"noise": f"linear(0.3,0.0,{max(1, history.rounds // 2)})"}


def _smoothing_remedies(history: RunHistory) -> tuple[Remedy, ...]:
    """Label smoothing, for games with separate, bounded losses on real and fake."""
    fits = not str(history.options.get("game", "")).startswith(("relativistic", "wasserstein"))
    remedy = Remedy("keep the critic from becoming certain (one-sided label smoothing)", {"smoothing": "0.1"})
    return (remedy,) if fits else ()


def _only_features(history: RunHistory) -> bool:
    """Whether the generator only matches means of features, which allows missing modes."""
    return not option_number(history, "adversarial", 1)


def _game_remedies(history: RunHistory) -> tuple[Remedy, ...]:
    """Play the game, if the generator only matches features."""
    remedy = Remedy("let the generator play the game, not only match features", {"adversarial": "1"})
    return (remedy,) if _only_features(history) else ()


def _pack_remedies(history: RunHistory) -> tuple[Remedy, ...]:
    """Packs twice as large, if a batch can be divided into them."""
    pack = 2 * int(option_number(history, "pack", 1))
    remedy = Remedy("let the critic see several samples side by side (packing)", {"pack": f"{pack}"})
    return (remedy,) if option_number(history, "batch", pack) % pack == 0 else ()


def _matching_remedies(history: RunHistory) -> tuple[Remedy, ...]:
    """Feature matching, unless the run has it with some weight."""
    remedy = Remedy("let the generator also match the means of the critic's features (feature matching)",
                    {"matching": "1"})  # fmt: skip
    return () if history.options.get("matching") else (remedy,)


def _minibatch_remedies(history: RunHistory) -> tuple[Remedy, ...]:
    """Minibatch discrimination, without joint batches, which put real examples among the samples."""
    options = {"minibatch": "16"} | ({"joint": "no"} if history.options.get("joint") else {})
    remedy = Remedy("let the critic compare the samples of a batch (minibatch discrimination)", options)
    return () if _only_features(history) else (remedy,)


def _unroll_remedies(history: RunHistory) -> tuple[Remedy, ...]:
    """Unrolling, unless weights are clipped, which unrolling does not do."""
    advice = "let the generator look some steps of the critic ahead (unrolling)"
    remedy = Remedy(advice, {"unroll": "5", **_no_norm_options(history)})
    return () if history.options.get("weight_clip") else (remedy,)


def _no_norm_options(history: RunHistory) -> dict[str, str]:
    """No BatchNorm in the critic, and so no joint batches."""
    return {"critic_norm": "none"} | ({"joint": "no"} if history.options.get("joint") else {})


def _slope_remedy(history: RunHistory, advice: str) -> Remedy:
    """An R1 penalty."""
    return Remedy(advice, {"penalty": "r1(1)", **_no_norm_options(history)})


def _wasserstein_remedy(history: RunHistory, advice: str) -> Remedy:
    """The Wasserstein game, with the run's gradient penalty if it has one, else with one whose weight is inferred."""
    penalty = str(history.options.get("penalty", ""))
    options = {
        "game": "wasserstein",
        "penalty": penalty if penalty.startswith("gp") else "auto",
        "critic_turns": "5",
        **_no_norm_options(history),
    }
    excluded = {key: "0" for key in ("weight_clip", "smoothing") if history.options.get(key)}
    return Remedy(advice, {**options, **excluded})
