"""The adversarial half of the zoo: generator × critic × game.

A comment beside a parameter is its help.
"""

from collections.abc import Callable
from typing import Literal

from torch import nn

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError, unknown
from bestiary.models.checks import positive
from bestiary.models.gan import GAN
from bestiary.models.model import Model
from bestiary.models.parts import GAN_NETWORKS, choose, must_give
from bestiary.objectives.games import GAMES, Game
from bestiary.training.clock import Schedule, parse_schedule
from bestiary.training.player import Adam

__all__ = ["ADVERSARIAL", "dcgan", "gan"]


def gan(
    spec: Spec,
    *,
    latent: int = 64,  # dimensions of z
    network: Literal["mlp", "dcgan"] = "mlp",  # generator and critic
    hidden: tuple[int, ...] = (256, 256),  # widths of the mlp's hidden layers
    width: int = 64,  # channels next to the image
    game: str | Game = "nonsaturating",  # what critic and generator minimise
    critic_turns: int = 1,  # turns of the critic for one of the generator
    lr: float | Schedule = 2e-4,  # Adam's rate, of both
    beta1: float = 0.5,  # Adam's momentum, of both
    generator: nn.Module | None = None,  # from Python: (B, latent) → (B, *shape), images in [−1, 1]
    critic: nn.Module | None = None,  # from Python: (B, *shape) → (B,) logits
) -> Model:
    """Generative adversarial network: samples without a likelihood."""
    positive(latent=latent, critic_turns=critic_turns, width=width, hidden=min(hidden, default=1))
    if not 0 <= beta1 < 1:
        raise BestiaryError(f"beta1={beta1} must lie in [0, 1): 0.5 averages about the last 2 gradients")
    adam = Adam(parse_schedule(lr), (beta1, 0.999))
    nets = choose(GAN_NETWORKS, network, spec)
    if generator is not None:
        must_give(generator, "generator", [latent], spec.shape)
    if critic is not None:
        must_give(critic, "critic", spec.shape, [1])
    return GAN(
        spec,
        latent,
        generator=nets.outward(spec, latent, hidden, width) if generator is None else generator,
        critic=nets.inward(spec, latent, hidden, width) if critic is None else critic,
        game=_game(game),
        critic_turns=critic_turns,
        critic_optimiser=adam,
        generator_optimiser=adam,
    )


def dcgan(
    spec: Spec,
    *,
    latent: int = 100,  # dimensions of z
    width: int = 64,  # channels next to the image
    game: str | Game = "nonsaturating",  # what critic and generator minimise
    critic_turns: int = 1,  # turns of the critic for one of the generator
    lr: float | Schedule = 2e-4,  # Adam's rate, of both
    generator: nn.Module | None = None,  # from Python: (B, latent) → (B, *shape) in [−1, 1]
    critic: nn.Module | None = None,  # from Python: (B, *shape) → (B,) logits
) -> Model:
    """The DCGAN recipe: strided convolutions, BatchNorm, Adam 2e-4 with β₁ = 0.5."""
    options = {"latent": latent, "width": width, "game": game, "critic_turns": critic_turns, "lr": lr}
    return gan(spec, network="dcgan", generator=generator, critic=critic, **options)  # type: ignore[arg-type]


def _game(game: str | Game) -> Game:
    if isinstance(game, str) and game not in GAMES:
        raise unknown("game", game, GAMES)
    return GAMES[game] if isinstance(game, str) else game


ADVERSARIAL: dict[str, Callable[..., Model]] = {"gan": gan, "dcgan": dcgan}
