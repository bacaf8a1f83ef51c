"""Adversarial games: the losses of critic and generator, as functions of the critic's logits l.

D(x) = σ(l(x)) is the probability that x is real, π the density of the data, p that of the generator, r = π/p. For each
game: the critic's loss, its optimum l*, the loss at l*, and the generator's loss.

    saturating      −log D(real) − log(1 − D(fake))        l* = log r: D* = π/(π + p)       2 ln 2 − 2 JSD(π, p)
                    generator  log(1 − D(fake))             Algorithm 1's minimax; slope −D: none where D → 0
    nonsaturating   the same critic
                    generator  −log D(fake)                 slope −(1 − D): large where D → 0
                                                            at l* that of KL(p‖π) − 2 JSD(π, p) (1701.04862)
    least_squares   ½ (l(real) − b)² + ½ (l(fake) − a)²     l* = (b π + a p)/(π + p)         ½ (b − a)² ∫ πp/(π + p)
                    generator  ½ (l(fake) − c)²             b − c = 1, b − a = 2: ½ χ²(π + p ‖ 2p) at l*, but for ½ E_π
    wasserstein     l(fake) − l(real), l 1-Lipschitz        l* a Kantorovich potential       −W₁(π, p)
                    generator  −l(fake)                     by penalties.py; clipping and spectral norm bound the
                                                            slope by some K: K W₁
    hinge           [1 − l(real)]₊ + [1 + l(fake)]₊         l* = sign(π − p)                 2 ∫ min(π, p)
                    generator  −l(fake)
    relativistic    −log σ(l(real) − l(fake))               in pairs; R3GAN adds R1 + R2     ln 2 where π = p
                    generator  −log σ(l(fake) − l(real))
    f               −T(l(real)) + f*(T(l(fake)))            T* = f′(r)                       −D_f(π ‖ p)
                    generator  −f*(T(l(fake)))              T the output that fits f*'s domain

(Goodfellow et al. 2014, arXiv 1406.2661; Mao et al. 2017, 1611.04076; Arjovsky et al. 2017, 1701.07875; Lim and Ye
2017, 1705.02894; Huang et al. 2024, 2501.05441; Nowozin et al. 2016, 1606.00709.)

A game is a pair of loss functions, per example; `separable_game` builds one from separate losses on real and on fake. A
new game is a function that returns a `Game`, and a line in `GAMES`. Its keyword options are typed in parentheses:
`game=least_squares(-1,1,0)`.

Legend: B batch; logits and losses (B,).
"""

from collections.abc import Callable
from math import log
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.errors import BestiaryError, unknown_name

__all__ = [
    "DIVERGENCES", "GAMES", "Divergence", "Game", "f_game", "hinge", "least_squares", "nonsaturating", "relativistic",
    "saturating", "separable_game", "smooth_labels", "wasserstein",
]  # fmt: skip

OnLogits = Callable[[Tensor], Tensor]


class Game(NamedTuple):
    """critic(real, fake) and generator(real, fake): losses (B,) of the logits on real and fake, both minimised."""

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False  # whether the generator's loss depends on `real`; if not, `fake` is passed for it
    optimum: OnLogits | None = None  # r = π/p → the critic's best logit, if it depends on r alone
    sides: tuple[OnLogits, OnLogits] | None = None  # if critic(real, fake) = sides[0](real) + sides[1](fake)
    is_logit: bool = False  # whether σ(l) is the probability that x is real
    bounded: bool = True  # whether the critic's loss is bounded below; if not, the critic's slope must be bounded


def separable_game(
    real: OnLogits, fake: OnLogits, generator: OnLogits, optimum: OnLogits | None = None, is_logit: bool = False
) -> Game:
    """The game with the critic's loss real(l(real)) + fake(l(fake)) and the generator's loss generator(l(fake))."""
    return Game(
        critic=lambda on_real, on_fake: real(on_real) + fake(on_fake),
        generator=lambda _, on_fake: generator(on_fake),
        optimum=optimum,
        sides=(real, fake),
        is_logit=is_logit,
    )


def saturating() -> Game:
    """The minimax game of the first GAN paper, Algorithm 1."""
    return separable_game(
        real=lambda logit: F.softplus(-logit),  # −log σ(l) = softplus(−l)
        fake=F.softplus,
        generator=lambda logit: -F.softplus(logit),
        optimum=torch.log,
        is_logit=True,
    )


def nonsaturating() -> Game:
    """The generator maximises log D instead of minimising log(1 − D)."""
    minimax = saturating()
    return minimax._replace(generator=lambda _, fake: F.softplus(-fake))


def least_squares(
    *,
    a: float = 0.0,  # the critic's target on fake
    b: float = 1.0,  # the critic's target on real
    c: float = 1.0,  # the generator's target on fake
) -> Game:
    """Least squares to targets: samples far from the data still have a gradient, even if the critic is sure of them."""
    if a == b:
        raise BestiaryError(
            f"least_squares: the critic's targets a={a} on fake and b={b} on real must differ: use"
            " game=least_squares(0,1,1)"
        )
    return separable_game(
        real=lambda logit: (logit - b).square() / 2,
        fake=lambda logit: (logit - a).square() / 2,
        generator=lambda logit: (logit - c).square() / 2,
        optimum=lambda r: (b * r + a) / (r + 1),
    )


def wasserstein() -> Game:
    """The difference of the critic's means on real and fake. The critic's slope must be bounded by 1 elsewhere."""
    return separable_game(real=torch.neg, fake=lambda logit: logit, generator=torch.neg)._replace(bounded=False)


def hinge() -> Game:
    """The hinge loss, with the margin of a support vector machine."""
    return separable_game(
        real=lambda logit: F.relu(1 - logit),
        fake=lambda logit: F.relu(1 + logit),
        generator=torch.neg,
        optimum=lambda r: torch.sign(r - 1),
    )


def relativistic() -> Game:
    """Pairs of a real and a fake example: the critic decides which of the two is real."""
    return Game(
        critic=lambda real, fake: F.softplus(fake - real),
        generator=lambda real, fake: F.softplus(real - fake),
        paired=True,
    )


def _exp(a: Tensor) -> Tensor:
    """exp(a), continued linearly beyond a = 30: convex, never infinite, and with a gradient that leads back."""
    return a.clamp(max=30).exp() * (1 + (a - 30).clamp(min=0))


class Divergence(NamedTuple):
    """D_f(π ‖ p) = E_p f(r) = sup_T E_π T − E_p f*(T), with T = output(l)."""

    f: OnLogits
    output: OnLogits  # l → T, in the domain of f*
    dual: OnLogits  # l → f*(output(l)), written so that it neither overflows nor loses digits
    optimum: OnLogits  # r → l with output(l) = f′(r)


DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(
        f=lambda r: r * r.log(),
        output=lambda logit: logit,
        dual=lambda logit: _exp(logit - 1),
        optimum=lambda r: 1 + r.log(),
    ),
    "reverse_kl": Divergence(
        f=lambda r: -r.log(),
        output=lambda logit: -_exp(-logit),
        dual=lambda logit: logit - 1,  # f*(t) = −1 − log(−t)
        optimum=torch.log,
    ),
    "pearson": Divergence(
        f=lambda r: (r - 1).square(),
        output=lambda logit: logit,
        dual=lambda logit: logit.square() / 4 + logit,
        optimum=lambda r: 2 * (r - 1),
    ),
    "jsd": Divergence(  # 2 JSD in the convention of JSD = ½ KL(π‖m) + ½ KL(p‖m)
        f=lambda r: r * r.log() - (r + 1) * ((r + 1) / 2).log(),
        output=lambda logit: log(2) - F.softplus(-logit),
        dual=lambda logit: F.softplus(logit) - log(2),  # −log(2 − e^t) at t = log 2 + log σ(l)
        optimum=torch.log,
    ),
}


def f_game(
    *,
    divergence: Literal["kl", "reverse_kl", "pearson", "jsd"] = "kl",  # D_f(π ‖ p)
) -> Game:
    """The game of an f-divergence, by its convex dual."""
    if divergence not in DIVERGENCES:
        raise unknown_name("divergence", divergence, DIVERGENCES)
    d = DIVERGENCES[divergence]
    return separable_game(
        real=lambda logit: -d.output(logit),
        fake=d.dual,
        generator=lambda logit: -d.dual(logit),
        optimum=d.optimum,
    )


def smooth_labels(game: Game, share: float) -> Game:
    """The game with one-sided label smoothing: a share of the loss on real treats it as fake, so D < 1 − share on real.

    With share s the critic compares (1 − s) π with s π + p, so its optimum is the game's at r (1 − s)/(1 + s r).
    (Salimans et al. 2016, arXiv 1606.03498.) Smoothing fake as well would reward the generator for not moving.
    """
    assert game.sides is not None  # models/tricks/label_smoothing.py checks it
    real, fake, best = *game.sides, game.optimum

    def smoothed_real(logit: Tensor) -> Tensor:
        return (1 - share) * real(logit) + share * fake(logit)

    return game._replace(
        critic=lambda on_real, on_fake: smoothed_real(on_real) + fake(on_fake),
        optimum=None if best is None else lambda r: best(r * (1 - share) / (1 + share * r)),
        sides=(smoothed_real, fake),
    )


GAMES: dict[str, Callable[..., Game]] = {
    "saturating": saturating,
    "nonsaturating": nonsaturating,
    "least_squares": least_squares,
    "wasserstein": wasserstein,
    "hinge": hinge,
    "relativistic": relativistic,
    "f": f_game,
}
