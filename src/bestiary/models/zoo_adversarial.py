"""The adversarial half of the zoo: one function that composes, and the names that differ from it by a part.

    gan = generator × critic × game × rules

A comment beside a parameter is its help; a part that has options is called: game=least_squares(-1,1,0).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown
from bestiary.models.checks import positive
from bestiary.models.condition import Condition, condition_of
from bestiary.models.gan import GAN
from bestiary.models.gan_parts import GAN_NETWORKS, Style, bounded
from bestiary.models.model import Model
from bestiary.models.options import called, like
from bestiary.models.parts import choose, must_give
from bestiary.models.sight import Rules
from bestiary.objectives.augment import composed
from bestiary.objectives.games import GAMES, Game, smoothed
from bestiary.objectives.penalties import PENALTIES, Penalty
from bestiary.training.clock import Schedule, parse_schedule
from bestiary.training.player import SGD, Adam, Optimiser, RMSprop

__all__ = ["ADVERSARIAL", "gan"]

T = TypeVar("T")

CURVED = 64  # width of what a vector is projected by

Norm = Literal["auto", "none", "batch", "layer"]


def gan(
    spec: Spec,
    *,
    latent: int = 64,  # dimensions of z
    network: Literal["auto", "mlp", "dcgan", "residual"] = "auto",  # generator and critic
    hidden: tuple[int, ...] = (256, 256),  # widths of the mlp's hidden layers
    critic_hidden: tuple[int, ...] = (),  # those of the critic; (): as hidden
    width: int = 64,  # channels next to the image
    constant: bool = False,  # dcgan: the same number of channels in every layer
    norm: Norm = "auto",  # between the generator's layers
    critic_norm: Norm = "auto",  # between the critic's; a penalty needs one that does not mix the examples of a batch
    activation: Literal["relu", "tanh", "leaky", "silu"] = "relu",  # of the generator's mlp
    critic_activation: Literal["leaky", "relu", "tanh", "silu", "maxout"] = "leaky",  # of the critic's mlp
    pool: Literal["stride", "average"] = "stride",  # how dcgan's critic halves an image
    game: str | Game = "saturating",  # what critic and generator minimise
    penalty: str | Penalty = "none",  # on the critic's slope: gp(10), r1(10), r1r2(10); auto: gp of the data's weight
    lazy: int = 1,  # the penalty is taken at every so many rounds, so many times as heavy
    weight_clip: float = 0.0,  # the critic's weights are kept within ± this; 0: free
    spectral: bool = False,  # spectral norm of the critic's layers
    critic_turns: int | Literal["wgan"] = 1,  # turns of the critic in a round; wgan: 5, 100 at first and at every 500th
    generator_turns: int = 1,  # turns of the generator in a round
    simultaneous: bool = False,  # both step from the same point; else the generator answers the new critic
    unroll: int = 0,  # steps of the critic that the generator looks ahead
    unroll_rate: float = 0.1,  # the rate of these steps
    smoothing: float = 0.0,  # real counts as fake by this share (one-sided label smoothing)
    matching: float = 0.0,  # weight of the distance between mean features of real and fake, for the generator
    adversarial: float = 1.0,  # weight of the game in the generator's loss; 0: it matches features alone
    minibatch: int = 0,  # kernels of minibatch discrimination
    history: float = 0.0,  # weight of the distance to the mean of all past weights
    joint: bool = False,  # real and fake in one batch, so that BatchNorm mixes them
    noise: float | Schedule = 0.0,  # σ of instance noise: a number or e.g. linear(0.1,0,2000)
    pack: int = 1,  # examples that the critic sees side by side
    augment: tuple[str, ...] = (),  # differentiable augmentation of images: colour,translation,cutout
    condition: str = "none",  # what the generator is told: label, vector, or columns of a table joined by commas
    conditioning: Literal["projection", "concatenation"] = "projection",  # how the critic is told a label or a vector
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam",  # of both players
    lr: float | Schedule = 2e-4,  # its rate
    critic_lr: float | Schedule | None = None,  # the critic's, where it has a time scale of its own
    beta1: float = 0.5,  # Adam's or gradient descent's momentum
    beta2: float = 0.999,  # Adam's average of squares
    generator: nn.Module | None = None,  # from Python: (B, latent + |c|) → (B, *shape), images in [−1, 1]
    critic: nn.Module | None = None,  # from Python: (B, *shape) → (B,) logits; packs, labels stand in dimension 1
) -> Model:
    """Generative adversarial network: samples without a likelihood, by the minimax of Algorithm 1."""
    positive(
        latent=latent, generator_turns=generator_turns, width=width, hidden=min(hidden, default=1), lazy=lazy,
        critic_hidden=min(critic_hidden, default=1), pack=pack,
        **({} if critic_turns == "wgan" else {"critic_turns": int(critic_turns)}),
    )  # fmt: skip
    told = condition_of(condition, spec)
    rules = Rules(
        penalty=_part("penalty", penalty, PENALTIES),
        lazy=lazy,
        weight_clip=weight_clip,
        matching=matching,
        adversarial=adversarial,
        history=history,
        joint=joint,
        noise=parse_schedule(noise),
        pack=pack,
        lens=composed(augment) if augment else None,
        projected=bool(told.shown) and conditioning == "projection",
        unroll=unroll,
        unroll_rate=unroll_rate,
        simultaneous=simultaneous,
    )
    played = _smoothed(_part("game", game, GAMES), smoothing)
    style = Style(
        hidden, critic_hidden, width, norm, critic_norm, activation, critic_activation, pool, constant
    )  # fmt: skip
    _must_make_sense(spec, played, rules, style, spectral, minibatch, critic)
    g, c = _networks(spec, latent, network, style, rules, told, minibatch, generator, critic)
    steps = _optimiser(optimiser, beta1, beta2)
    return GAN(
        spec,
        latent,
        generator=g,
        critic=bounded(c) if spectral else c,
        game=played,
        rules=rules,
        condition=told,
        critic_turns=wgan_turns if critic_turns == "wgan" else critic_turns,
        generator_turns=generator_turns,
        critic_optimiser=steps(parse_schedule(lr if critic_lr is None else critic_lr)),
        generator_optimiser=steps(parse_schedule(lr)),
    )


def wgan_turns(round: int) -> int:
    """The critic's turns in the WGAN paper's code: to near optimality in the first 25 rounds and at every 500th."""
    return 100 if round < 25 or round % 500 == 0 else 5


_GP = {"game": "wasserstein", "penalty": "auto", "critic_turns": 5, "lr": 1e-4, "beta1": 0.5, "beta2": 0.9}

ADVERSARIAL: dict[str, Callable[..., Model]] = {
    "gan": gan,
    "ns-gan": like(gan, "The non-saturating game: it learns also where the critic is sure.", game="nonsaturating"),
    "dcgan": like(
        gan, "The DCGAN recipe: strided convolutions, BatchNorm, Adam 2e-4 with β₁ = 0.5.",
        network="dcgan", game="nonsaturating", latent=100,
    ),
    "lsgan": like(gan, "Least squares: fake examples are pulled to the data from afar.", game="least_squares"),
    "wgan": like(
        gan, "Wasserstein distance by a critic of clipped weights, near its optimum.",
        game="wasserstein", weight_clip=0.01, critic_turns="wgan", optimiser="rmsprop", lr=5e-5,
    ),
    "wgan-gp": like(gan, "Wasserstein distance by a critic whose slope is drawn to one.", **_GP),
    "sn-gan": like(
        gan, "Hinge game with a critic of bounded slope (spectral norm).",
        game="hinge", spectral=True, critic_norm="none", beta1=0.0,
    ),
    "unrolled-gan": like(
        gan, "The generator looks ahead how a slower critic would answer.",
        game="nonsaturating", unroll=5, critic_norm="none", lr=1e-3, critic_lr=1e-4,
    ),
    "pac-gan": like(
        gan, "The critic sees packs of examples, so that it sees when they are alike.",
        game="nonsaturating", pack=2,
    ),
    "f-gan": like(gan, "An f-divergence by its dual.", game="f(kl)"),
    "r3gan": like(
        gan, "Relativistic pairs and slopes held at zero on both sides.",
        game="relativistic", penalty="r1r2(1)", norm="none", beta1=0.0, beta2=0.99,
    ),
    "cgan": like(gan, "Told a label, it makes an example of it.", game="nonsaturating", condition="label"),
}  # fmt: skip


def _part(what: str, part: Any, table: Mapping[str, Callable[..., T]]) -> T:
    """A part by its name or call; or the object that stands in its place."""
    if not isinstance(part, str):
        return part
    builder, options = called(what, part, table)
    return builder(**options)


def _smoothed(game: Game, share: float) -> Game:
    if not 0 <= share < 0.5:
        raise BestiaryError(f"smoothing={share} is the share by which real counts as fake: in [0, 0.5), e.g. 0.1")
    if share and (game.sides is None or not game.bounds):
        raise BestiaryError(
            f"smoothing={share} needs a game that judges an example by itself and has a best critic then; leave it out"
        )
    return smoothed(game, share) if share else game


def _must_make_sense(
    spec: Spec, game: Game, rules: Rules, style: Style, spectral: bool, minibatch: int, critic: nn.Module | None
) -> None:
    """Refuse what cannot work, with the reason."""
    not_negative = {"weight_clip": rules.weight_clip, "matching": rules.matching, "history": rules.history}
    not_negative |= {"unroll": rules.unroll, "minibatch": minibatch, "adversarial": rules.adversarial}
    sigma = rules.noise
    not_negative |= {"noise": min(sigma.start, sigma.stop) if callable(sigma) else sigma}
    for name, value in not_negative.items():
        if not 0 <= value < float("inf"):
            raise BestiaryError(f"{name}={value} must be finite and not negative (0: without it)")
    if not rules.adversarial and not rules.matching:
        raise BestiaryError("adversarial=0 leaves the generator nothing to follow: add matching=1, or leave it out")
    if not rules.adversarial and minibatch:
        raise BestiaryError("minibatch= speaks to the generator through the game, and adversarial=0 leaves that out")
    if not rules.adversarial and rules.projected:
        raise BestiaryError(
            "a condition that is projected is no part of the features that adversarial=0 matches: give"
            " conditioning=concatenation"
        )
    if rules.unroll and rules.weight_clip:
        raise BestiaryError("an unrolled critic looks ahead with free weights: leave out unroll= or weight_clip=")
    if spectral and rules.weight_clip:
        raise BestiaryError("spectral norm divides the weights that weight_clip= bounds: leave one of them out")
    if rules.unroll and minibatch and rules.penalty is not None:
        raise BestiaryError(
            "minibatch= with a penalty lets the others of a batch stand still, and unroll= asks how the critic's steps"
            " follow from all of it: leave one of the three out"
        )
    if rules.joint and minibatch:
        raise BestiaryError("minibatch= compares samples with samples, and joint=yes mixes real ones among them")
    if rules.unroll and not 0 < rules.unroll_rate < float("inf"):
        raise BestiaryError(f"unroll_rate={rules.unroll_rate}: the rate of the critic's steps must be positive")
    scaled = _scales(critic) if isinstance(critic, nn.Module) else style.critic_norm != "none"
    bound = rules.weight_clip > 0 or rules.penalty is not None or (spectral and not scaled)
    if not game.bounds and not bound:
        raise BestiaryError(
            "this game is a Wasserstein distance only for a critic of bounded slope:"
            " add penalty=gp(10), weight_clip=0.01 or spectral=yes (with critic_norm=none)"
        )
    if rules.penalty is None and rules.lazy > 1:
        raise BestiaryError(f"lazy={rules.lazy} says how often the penalty is taken, and there is none: add penalty=r1")
    if rules.penalty is not None and style.critic_norm == "batch":
        raise BestiaryError("a penalty asks for the slope at each example, and BatchNorm mixes them: critic_norm=none")
    if rules.lens is not None and spec.kind != "image":
        raise BestiaryError(f"augment= is for images, and this is a {spec.kind}")
    asked = {"matching": rules.matching, "minibatch": minibatch, "conditioning=projection": rules.projected}
    if rules.joint and critic is not None and not _mixes(critic):
        raise BestiaryError("joint=yes mixes moments of real and fake, and your critic has no BatchNorm: leave it out")
    for name, on in asked.items():
        if on and critic is not None:
            raise BestiaryError(f"{name} looks into the critic, and critic= is your own: leave one of them out")


def _mixes(critic: nn.Module) -> bool:
    return any(isinstance(m, _BatchNorm) for m in critic.modules())


def _scales(critic: nn.Module) -> bool:
    """Whether it divides by a deviation, as every norm between layers does: that has no bounded slope."""
    return any(isinstance(m, _NormBase | nn.LayerNorm | nn.GroupNorm) for m in critic.modules())


def _networks(
    spec: Spec, latent: int, network: str, style: Style, rules: Rules, told: Condition, kernels: int,
    generator: nn.Module | None, critic: nn.Module | None,
) -> tuple[nn.Module, nn.Module]:  # fmt: skip
    """Generator and critic by name, or the user's own, tried."""
    nets, target = choose(GAN_NETWORKS, network, spec), told.target
    beside = 0 if rules.projected else told.shown
    shape = (rules.pack * (spec.shape[0] + beside), *spec.shape[1:])
    projected = rules.pack * told.shown if rules.projected else 0
    if generator is not None:
        must_give(generator, "generator", [latent + told.size], target.shape)
    if critic is not None:
        must_give(critic, "critic", shape, [1])
        if rules.penalty is not None and _mixes(critic):
            raise BestiaryError("a penalty asks for the slope at each example, and critic='s BatchNorm mixes them")
    if generator is None:
        generator = nets.generator(target, latent + told.size, style)
    if critic is None:
        critic = nets.critic(shape, style, projected, kernels)
        if told.curved:
            critic.curve(CURVED)
    return generator, critic


def _optimiser(name: str, beta1: float, beta2: float) -> Callable[[float | Schedule], Optimiser]:
    for key, beta in (("beta1", beta1), ("beta2", beta2)):
        if not 0 <= beta < 1:
            raise BestiaryError(f"{key}={beta} must lie in [0, 1): 0.5 averages about the last 2 gradients")
    known: dict[str, Callable[[float | Schedule], Optimiser]] = {
        "adam": lambda lr: Adam(lr, (beta1, beta2)),
        "rmsprop": lambda lr: RMSprop(lr),
        "sgd": lambda lr: SGD(lr, beta1),
    }
    if name not in known:
        raise unknown("optimiser", name, known)
    return known[name]
