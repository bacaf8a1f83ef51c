"""Adversarial models of the zoo: `gan`, and variants of it with other defaults.

    gan = generator × critic × game × tricks

The comment beside a parameter is its help. A part with options is written as a call: game=least_squares(-1,1,0). A
trick may also be given as an option of its own: pack=2 is the same as tricks=pack(2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown_name
from bestiary.grammar.part_calls import parse_part
from bestiary.grammar.ranges import Count, NotNegative, Repeats, Share, Size
from bestiary.grammar.schedules import Rate, Schedule, parse_schedule
from bestiary.grammar.signatures import with_defaults
from bestiary.models.auto_options import (
    critic_norm_rule,
    gan_network_rule,
    norm_rule,
    penalty_rule,
    rules,
    rules_of_training,
    validate_rule,
)  # fmt: skip
from bestiary.models.condition import Condition, parse_condition
from bestiary.models.critic_view import CriticView
from bestiary.models.gan import GAN, PlayerOptions
from bestiary.models.gan_networks import GAN_NETWORKS, Style
from bestiary.models.model import Model
from bestiary.models.tricks.slope_penalty import SlopePenalty
from bestiary.models.tricks.table import parse_tricks
from bestiary.models.tricks.trick import Setting, Trick
from bestiary.models.vae_networks import check_module, check_output, choose
from bestiary.networks.conditioned import Conditioned, reader_width
from bestiary.objectives.games import GAMES, Game
from bestiary.objectives.penalties import PENALTIES, Penalty
from bestiary.training.player import SGD, Adam, Optimiser, RMSprop

__all__ = ["ADVERSARIAL", "gan"]

T = TypeVar("T")

PROJECTION_WIDTH = 64  # hidden units of the network that projects a condition of numbers

Norm = Literal["auto", "none", "batch", "layer"]


@rules_of_training(validate=validate_rule)
@rules(network=gan_network_rule, norm=norm_rule, penalty=penalty_rule, critic_norm=critic_norm_rule)
def gan(
    spec: Spec,
    *,
    # the networks
    latent: Size = 64,  # dimensions of z
    network: Literal["auto", "mlp", "dcgan", "residual"] = "auto",  # generator and critic
    hidden: tuple[Size, ...] = (256, 256),  # widths of the mlp's hidden layers
    critic_hidden: tuple[Size, ...] = (),  # those of the critic; (): as hidden
    width: Size = 64,  # channels next to the image
    constant: bool = False,  # dcgan: the same number of channels in every layer
    norm: Norm = "auto",  # between the generator's layers
    critic_norm: Norm = "auto",  # between the critic's layers; a penalty excludes batch, which mixes examples
    activation: Literal["relu", "tanh", "leaky", "silu"] = "relu",  # of the generator's mlp
    critic_activation: Literal["leaky", "relu", "tanh", "silu", "maxout"] = "leaky",  # of the critic's mlp
    pool: Literal["stride", "average"] = "stride",  # how dcgan's critic halves an image
    # the game
    game: str | Game = "saturating",  # the losses of critic and generator
    adversarial: NotNegative = 1.0,  # weight of the game in the generator's loss; 0: only feature matching
    penalty: str | Penalty = "none",  # on the critic's slope: gp(10), r1(10), r1r2(10); auto: gp, weight by the data
    lazy: Count = 1,  # the penalty is computed in every lazy-th round only, with lazy times its weight
    tricks: str | list[Any] = "",  # additions to the game, e.g. pack(2),noise(linear(0.1,0,2000))
    critic_turns: Repeats | Literal["wgan"] = 1,  # critic steps in a round; wgan: 5, but 100 at first and every 500th
    generator_turns: Repeats = 1,  # generator steps in a round
    # the condition
    condition: str = "none",  # fields beside x (label, numbers, caption), or columns of a table, joined by commas
    conditioning: Literal["projection", "concatenation"] = "projection",  # how the critic reads fields beside x
    # the steps
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam",  # of both players
    lr: Rate = 2e-4,  # learning rate
    critic_lr: Rate | None = None,  # the critic's learning rate; none: lr
    beta1: Share = 0.5,  # momentum of adam and sgd
    beta2: Share = 0.999,  # adam's decay of the average of squared gradients
    # from Python
    generator: nn.Module | None = None,  # (B, latent + |c|) → (B, *shape), images in [−1, 1]
    critic: nn.Module | None = None,  # (B, *shape) → (B,) logits; packs and c are in dimension 1
) -> Model:
    """Generative adversarial network: samples without a likelihood, by a minimax game of generator and critic."""
    turns = wgan_turns if critic_turns == "wgan" else int(critic_turns)
    c = parse_condition(condition, spec)
    projected = _is_projected(c, condition, conditioning)
    slope_penalty, losses = _build("penalty", penalty, PENALTIES), _build("game", game, GAMES)
    all_tricks = _with_penalty(parse_tricks(tricks), slope_penalty, lazy)
    setting = Setting(
        spec, losses, adversarial, slope_penalty is not None, critic_norm, critic, projected, all_tricks
    )  # fmt: skip
    _check_setting(setting, lazy)
    style = Style(hidden, critic_hidden, width, norm, critic_norm, activation, critic_activation, pool, constant)
    g, view = _networks(spec, c, latent, network, style, setting, generator)
    with_rate = _optimiser(optimiser, beta1, beta2)
    critic_options = PlayerOptions(turns, with_rate(parse_schedule(lr if critic_lr is None else critic_lr)))
    generator_options = PlayerOptions(generator_turns, with_rate(parse_schedule(lr)))
    return GAN(spec, latent, g, view, losses, all_tricks, c, adversarial, critic_options, generator_options)


def wgan_turns(round: int) -> int:
    """The critic's turns in the WGAN paper's code: near its optimum in the first 25 rounds and every 500th."""
    return 100 if round < 25 or round % 500 == 0 else 5


_GP = {"game": "wasserstein", "penalty": "auto", "critic_turns": 5, "lr": 1e-4, "beta1": 0.5, "beta2": 0.9}

ADVERSARIAL: dict[str, Callable[..., Model]] = {
    "gan": gan,
    "ns-gan": with_defaults(
        gan, "The non-saturating game: the generator has a gradient even if the critic is certain.",
        game="nonsaturating",
    ),
    "dcgan": with_defaults(
        gan, "The DCGAN recipe: strided convolutions, BatchNorm, Adam 2e-4 with β₁ = 0.5.",
        network="dcgan", game="nonsaturating", latent=100,
    ),
    "lsgan": with_defaults(gan, "Least squares: samples far from the data have a gradient too.", game="least_squares"),
    "wgan": with_defaults(
        gan, "Wasserstein distance by a critic with clipped weights, trained near its optimum.",
        game="wasserstein", tricks="weight_clip(0.01)", critic_turns="wgan", optimiser="rmsprop", lr=5e-5,
    ),
    "wgan-gp": with_defaults(gan, "Wasserstein distance by a critic with a gradient penalty.", **_GP),
    "sn-gan": with_defaults(
        gan, "Hinge game with a critic of bounded slope (spectral norm).",
        game="hinge", tricks="spectral", critic_norm="none", beta1=0.0,
    ),
    "unrolled-gan": with_defaults(
        gan, "The generator looks some steps of a slower critic ahead.",
        game="nonsaturating", tricks="unroll(5)", critic_norm="none", lr=1e-3, critic_lr=1e-4,
    ),
    "pac-gan": with_defaults(
        gan, "The critic sees packs of examples, and so whether they are alike.",
        game="nonsaturating", tricks="pack(2)",
    ),
    "f-gan": with_defaults(gan, "An f-divergence by its dual.", game="f(kl)"),
    "r3gan": with_defaults(
        gan, "Relativistic pairs, with slopes near zero on real and fake.",
        game="relativistic", penalty="r1r2(1)", norm="none", beta1=0.0, beta2=0.99,
    ),
    "cgan": with_defaults(
        gan, "Conditional GAN: generates an example of a given class.", game="nonsaturating", condition="label"
    ),
}  # fmt: skip


def _build(option: str, part: Any, table: Mapping[str, Callable[..., T]]) -> T:
    """The part of a text such as `gp(10)`; an object from Python as it is."""
    if not isinstance(part, str):
        return part
    builder, options = parse_part(option, part, table)
    return builder(**options)


def _is_projected(c: Condition, condition: str, conditioning: str) -> bool:
    """Whether the critic projects the condition. Raises BestiaryError if `conditioning` has no effect."""
    if conditioning != "projection" and not c.beside:
        raise BestiaryError(
            f"conditioning={conditioning} does nothing with condition={condition}, which has no fields beside x: leave"
            " it out"
        )
    return bool(c.beside) and conditioning == "projection"


def _with_penalty(tricks: dict[str, Trick], penalty: Penalty | None, lazy: int) -> dict[str, Trick]:
    """The tricks, after the slope penalty if there is one."""
    return tricks if penalty is None else {"penalty": SlopePenalty(penalty, lazy), **tricks}


def _check_setting(setting: Setting, lazy: int) -> None:
    """Raise BestiaryError, with a remedy, if options do not fit each other."""
    if setting.critic is not None:
        check_module(setting.critic, "critic")
    if not setting.adversarial and not setting.has_tricks("matching"):
        raise BestiaryError("adversarial=0 leaves the generator without a loss: add matching=1, or leave it out")
    if not setting.adversarial and setting.projected:
        raise BestiaryError(
            "adversarial=0 matches features, which do not contain a projected condition: use conditioning=concatenation"
        )
    for trick in setting.tricks.values():
        trick.refuse(setting)
    has_norms = _has_norm_layers(setting.critic) if setting.critic is not None else setting.critic_norm != "none"
    slope_bounds = {name for name, trick in setting.tricks.items() if trick.bounds_slope}
    if not setting.game.bounded and not (slope_bounds - {"spectral"} if has_norms else slope_bounds):
        raise BestiaryError(
            "this game is a Wasserstein distance only for a critic of bounded slope:"
            " add penalty=gp(10), weight_clip=0.01 or spectral=yes (with critic_norm=none)"
        )
    if not setting.penalised and lazy > 1:
        raise BestiaryError(f"lazy={lazy} does nothing without a penalty: leave it out, or add penalty=r1")
    names = [name for name, trick in setting.tricks.items() if trick.needs_own_critic]
    for name in [*names, *(["conditioning=projection"] if setting.projected else [])]:
        if setting.critic is not None:
            raise BestiaryError(
                f"{name} needs the features of our critics, and critic= is yours: leave one of them out"
            )


def _has_norm_layers(critic: nn.Module) -> bool:
    """Whether the critic has norm layers: they divide by a standard deviation, so its slope is not bounded."""
    return any(isinstance(m, _NormBase | nn.LayerNorm | nn.GroupNorm) for m in critic.modules())


def _networks(
    spec: Spec, c: Condition, latent: int, network: str, style: Style, setting: Setting, generator: nn.Module | None
) -> tuple[Conditioned, CriticView]:
    """Generator and critic by name, or the user's, which are checked."""
    pair, pack = choose(GAN_NETWORKS, network, spec.x), setting.pack
    generator_inputs = latent + reader_width(c.fields)
    projected_width, appended_width = reader_width(c.beside), 0
    if not setting.projected:
        projected_width, appended_width = 0, projected_width
    shape = (pack * (spec.shape[0] + appended_width), *spec.shape[1:])
    if generator is not None:
        check_output(generator, "generator", [generator_inputs], c.target.shape)
    critic = setting.critic
    if critic is not None:
        check_output(critic, "critic", shape, [1])
    if generator is None:
        generator = pair.generator(c.target, generator_inputs, style)
    if critic is None:
        critic = pair.critic(shape, style, pack * projected_width, setting.kernels)
        if c.has_numbers:
            critic.project_by_network(PROJECTION_WIDTH)
    for trick in setting.tricks.values():
        critic = trick.critic(critic)
    return Conditioned(generator, c.fields), CriticView(critic, c.beside, setting.projected, pack)


def _optimiser(name: str, beta1: float, beta2: float) -> Callable[[float | Schedule], Optimiser]:
    """The optimiser called `name` as a function of its learning rate."""
    optimisers: dict[str, Callable[[float | Schedule], Optimiser]] = {
        "adam": lambda lr: Adam(lr, (beta1, beta2)),
        "rmsprop": lambda lr: RMSprop(lr),
        "sgd": lambda lr: SGD(lr, beta1),
    }
    if name not in optimisers:
        raise unknown_name("optimiser", name, optimisers)
    return optimisers[name]
