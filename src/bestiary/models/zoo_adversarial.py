"""The adversarial half of the zoo: one function that composes, and the names that differ from it by a part.

    gan = generator × critic × game × tricks

A comment beside a parameter is its help; a part that has options is called: game=least_squares(-1,1,0). Each trick may
be given by its own name, pack=2, in the place of tricks=pack(2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown
from bestiary.grammar.options import called, like
from bestiary.grammar.schedules import Schedule, parse_schedule
from bestiary.models.auto_options import critic_norm as critic_norm_rule
from bestiary.models.auto_options import gan_network, often, rules, trained
from bestiary.models.auto_options import norm as norm_rule
from bestiary.models.auto_options import penalty as penalty_rule
from bestiary.models.checks import positive
from bestiary.models.condition import Condition, condition_of
from bestiary.models.critic_view import CriticView
from bestiary.models.gan import GAN
from bestiary.models.gan_networks import GAN_NETWORKS, Style
from bestiary.models.model import Model
from bestiary.models.tricks.slope_penalty import SlopePenalty
from bestiary.models.tricks.table import tricks_of
from bestiary.models.tricks.trick import Setting, Trick, not_negative
from bestiary.models.vae_networks import choose, must_be_module, must_give
from bestiary.networks.conditioned import Conditioned, reader_width
from bestiary.objectives.games import GAMES, Game
from bestiary.objectives.penalties import PENALTIES, Penalty
from bestiary.training.player import SGD, Adam, Optimiser, RMSprop

__all__ = ["ADVERSARIAL", "gan"]

T = TypeVar("T")

PROJECTION_WIDTH = 64  # hidden units of the network that projects a condition of numbers

Norm = Literal["auto", "none", "batch", "layer"]


@trained(validate=often)
@rules(network=gan_network, norm=norm_rule, penalty=penalty_rule, critic_norm=critic_norm_rule)
def gan(
    spec: Spec,
    *,
    # the networks
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
    # the game
    game: str | Game = "saturating",  # what critic and generator minimise
    adversarial: float = 1.0,  # weight of the game in the generator's loss; 0: it matches features alone
    penalty: str | Penalty = "none",  # on the critic's slope: gp(10), r1(10), r1r2(10); auto: gp of the data's weight
    lazy: int = 1,  # the penalty is taken at every so many rounds, so many times as heavy
    tricks: str | list[Any] = "",  # what is added: pack(2),noise(linear(0.1,0,2000))
    critic_turns: int | Literal["wgan"] = 1,  # turns of the critic in a round; wgan: 5, 100 at first and at every 500th
    generator_turns: int = 1,  # turns of the generator in a round
    # what it is told
    condition: str = "none",  # fields beside x (label, numbers, caption), or columns of a table, joined by commas
    conditioning: Literal["projection", "concatenation"] = "projection",  # how the critic is told what stands beside x
    # the steps
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam",  # of both players
    lr: float | Schedule = 2e-4,  # its rate
    critic_lr: float | Schedule | None = None,  # the critic's, where it has a time scale of its own
    beta1: float = 0.5,  # Adam's or gradient descent's momentum
    beta2: float = 0.999,  # Adam's average of squares
    # from Python
    generator: nn.Module | None = None,  # (B, latent + |c|) → (B, *shape), images in [−1, 1]
    critic: nn.Module | None = None,  # (B, *shape) → (B,) logits; packs and c stand in dimension 1
) -> Model:
    """Generative adversarial network: samples without a likelihood, by the minimax of Algorithm 1."""
    positive(
        latent=latent, generator_turns=generator_turns, width=width, hidden=min(hidden, default=1), lazy=lazy,
        critic_hidden=min(critic_hidden, default=1),
        **({} if critic_turns == "wgan" else {"critic_turns": int(critic_turns)}),
    )  # fmt: skip
    c = condition_of(condition, spec)
    if conditioning != "projection" and not c.beside:
        raise BestiaryError(
            f"conditioning={conditioning} does nothing with condition={condition}, of which nothing stands beside x:"
            " leave it out"
        )
    slope, played = _part("penalty", penalty, PENALTIES), _part("game", game, GAMES)
    some = _with_penalty(tricks_of(tricks), slope, lazy)
    projected = bool(c.beside) and conditioning == "projection"
    setting = Setting(spec, played, adversarial, slope is not None, critic_norm, critic, projected, some)
    _must_make_sense(setting, lazy)
    style = Style(hidden, critic_hidden, width, norm, critic_norm, activation, critic_activation, pool, constant)
    g, view = _networks(spec, c, latent, network, style, setting, generator)
    steps = _optimiser(optimiser, beta1, beta2)
    return GAN(
        spec,
        latent,
        generator=g,
        critic=view,
        game=played,
        tricks=some,
        condition=c,
        adversarial=adversarial,
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
        game="wasserstein", tricks="weight_clip(0.01)", critic_turns="wgan", optimiser="rmsprop", lr=5e-5,
    ),
    "wgan-gp": like(gan, "Wasserstein distance by a critic whose slope is drawn to one.", **_GP),
    "sn-gan": like(
        gan, "Hinge game with a critic of bounded slope (spectral norm).",
        game="hinge", tricks="spectral", critic_norm="none", beta1=0.0,
    ),
    "unrolled-gan": like(
        gan, "The generator looks ahead how a slower critic would answer.",
        game="nonsaturating", tricks="unroll(5)", critic_norm="none", lr=1e-3, critic_lr=1e-4,
    ),
    "pac-gan": like(
        gan, "The critic sees packs of examples, so that it sees when they are alike.",
        game="nonsaturating", tricks="pack(2)",
    ),
    "f-gan": like(gan, "An f-divergence by its dual.", game="f(kl)"),
    "r3gan": like(
        gan, "Relativistic pairs and slopes held at zero on both sides.",
        game="relativistic", penalty="r1r2(1)", norm="none", beta1=0.0, beta2=0.99,
    ),
    "cgan": like(
        gan, "Conditional GAN: generates an example of a given class.", game="nonsaturating", condition="label"
    ),
}  # fmt: skip


def _part(what: str, part: Any, table: Mapping[str, Callable[..., T]]) -> T:
    """A part by its name or call; or the object that stands in its place."""
    if not isinstance(part, str):
        return part
    builder, options = called(what, part, table)
    return builder(**options)


def _with_penalty(tricks: dict[str, Trick], penalty: Penalty | None, lazy: int) -> dict[str, Trick]:
    """The penalty comes first among what is added to the critic's loss."""
    return tricks if penalty is None else {"penalty": SlopePenalty(penalty, lazy), **tricks}


def _must_make_sense(setting: Setting, lazy: int) -> None:
    """Refuse what cannot work, with the reason."""
    if setting.critic is not None:
        must_be_module(setting.critic, "critic")
    not_negative(adversarial=setting.adversarial)
    if not setting.adversarial and not setting.meets("matching"):
        raise BestiaryError("adversarial=0 leaves the generator nothing to follow: add matching=1, or leave it out")
    if not setting.adversarial and setting.projected:
        raise BestiaryError(
            "a condition that is projected is no part of the features that adversarial=0 matches: give"
            " conditioning=concatenation"
        )
    for trick in setting.tricks.values():
        trick.refuse(setting)
    norms = _scales(setting.critic) if setting.critic is not None else setting.critic_norm != "none"
    bounds = {name for name, trick in setting.tricks.items() if trick.bounds_slope}
    if not setting.game.bounded and not (bounds - {"spectral"} if norms else bounds):
        raise BestiaryError(
            "this game is a Wasserstein distance only for a critic of bounded slope:"
            " add penalty=gp(10), weight_clip=0.01 or spectral=yes (with critic_norm=none)"
        )
    if not setting.penalised and lazy > 1:
        raise BestiaryError(f"lazy={lazy} says how often the penalty is taken, and there is none: add penalty=r1")
    inside = [name for name, trick in setting.tricks.items() if trick.looks_inside]
    for name in [*inside, *(["conditioning=projection"] if setting.projected else [])]:
        if setting.critic is not None:
            raise BestiaryError(f"{name} looks into the critic, and critic= is your own: leave one of them out")


def _scales(critic: nn.Module) -> bool:
    """Whether it divides by a deviation, as every norm between layers does: that has no bounded slope."""
    return any(isinstance(m, _NormBase | nn.LayerNorm | nn.GroupNorm) for m in critic.modules())


def _networks(
    spec: Spec, c: Condition, latent: int, network: str, style: Style, setting: Setting, generator: nn.Module | None
) -> tuple[Conditioned, CriticView]:
    """Generator and critic by name, or the user's own, tried."""
    nets, told, shown = choose(GAN_NETWORKS, network, spec.x), reader_width(c.fields), reader_width(c.beside)
    pack, kernels = setting.pack, setting.kernels
    shape = (pack * (spec.shape[0] + (0 if setting.projected else shown)), *spec.shape[1:])
    if generator is not None:
        must_give(generator, "generator", [latent + told], c.target.shape)
    critic = setting.critic
    if critic is not None:
        must_give(critic, "critic", shape, [1])
    if generator is None:
        generator = nets.generator(c.target, latent + told, style)
    if critic is None:
        critic = nets.critic(shape, style, pack * shown if setting.projected else 0, kernels)
        if c.curved:
            critic.project_by_network(PROJECTION_WIDTH)
    for trick in setting.tricks.values():
        critic = trick.critic(critic)
    return Conditioned(generator, c.fields), CriticView(critic, c.beside, setting.projected, pack)


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
